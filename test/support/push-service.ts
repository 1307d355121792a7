import { createDecipheriv, createECDH, createPublicKey, hkdfSync, randomBytes, randomUUID, verify } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { selfSigned } from './object-store.js';
import { temporaryFolder } from './servers.js';

/** A push that came, as the browser sees it. */
export interface Pushed {
  readonly browser: Browser;
  readonly headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: as tests read answers
  readonly message: any;
  /** Of the token that it was signed with, which was verified. */
  readonly claims: { aud: string; exp: number; sub: string };
  /** The key that it was signed with. */
  readonly key: string;
}

/** A browser that is registered with the push service. */
export interface Browser {
  /** What `registerPushSubscription` takes. */
  readonly input: { endpoint: string; p256dh: string; auth: string };
  decrypt(body: Buffer): string;
}

export interface PushService {
  readonly host: string;
  readonly origin: string;
  /** Of the authority that signed its certificate. */
  readonly caFile: string;
  readonly ca: Buffer;
  readonly pushed: Pushed[];
  /** What no browser could have read, or would have taken. */
  readonly wrong: Error[];
  browser(): Browser;
  /** How it answers from now on: a status, or what is done with the response. */
  answer: (pushed: Pushed, response: ServerResponse) => number | undefined;
  stop(): Promise<void>;
}

/** A push service of this machine's, over TLS, that reads what it is sent as a browser does (RFC 8291, RFC 8292). */
export async function startPushService(): Promise<PushService> {
  const folder = await temporaryFolder();
  const { caFile, certFile, keyFile } = await selfSigned(folder);
  const browsers = new Map<string, Browser>();
  const server = createServer({ key: await readFile(keyFile), cert: await readFile(certFile) }, (request, response) => {
    const browser = browsers.get(request.url ?? '');
    if (!browser) {
      response.writeHead(404).end();
      return;
    }
    buffer(request)
      .then((body) => {
        const { headers } = request;
        const pushed = {
          browser,
          headers,
          message: JSON.parse(browser.decrypt(body)),
          ...signerOf(headers.authorization),
        };
        service.pushed.push(pushed);
        const status = service.answer(pushed, response);
        if (status !== undefined) response.writeHead(status).end('said');
      })
      .catch((error: Error) => {
        service.wrong.push(error);
        response.writeHead(400).end();
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = 'localhost';
  const origin = `https://${host}:${(server.address() as AddressInfo).port}`;
  const service: PushService = {
    host,
    origin,
    caFile,
    ca: await readFile(caFile),
    pushed: [],
    wrong: [],
    answer: () => 201,
    browser: () => {
      const path = `/push/${randomUUID()}`;
      const browser = newBrowser(`${origin}${path}`);
      browsers.set(path, browser);
      return browser;
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await rm(folder, { recursive: true });
    },
  };
  return service;
}

function newBrowser(endpoint: string): Browser {
  const own = createECDH('prime256v1');
  const publicKey = own.generateKeys();
  const auth = randomBytes(16);
  return {
    input: { endpoint, p256dh: publicKey.toString('base64url'), auth: auth.toString('base64url') },
    decrypt: (body) => {
      const salt = body.subarray(0, 16);
      const senderKey = body.subarray(21, 21 + body.readUInt8(20));
      const sealed = body.subarray(21 + senderKey.length);
      const info = Buffer.concat([Buffer.from('WebPush: info\0'), publicKey, senderKey]);
      const shared = Buffer.from(hkdfSync('sha256', own.computeSecret(senderKey), auth, info, 32));
      const derived = (what: string, length: number) =>
        Buffer.from(hkdfSync('sha256', shared, salt, Buffer.from(`Content-Encoding: ${what}\0`), length));
      const decipher = createDecipheriv('aes-128-gcm', derived('aes128gcm', 16), derived('nonce', 12));
      decipher.setAuthTag(sealed.subarray(-16));
      const padded = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
      const end = padded.lastIndexOf(2);
      if (end === -1) throw new Error('The record does not end as a last one does.');
      return padded.subarray(0, end).toString();
    },
  };
}

/** @throws when the token is not signed by the key beside it */
function signerOf(authorization = ''): Pick<Pushed, 'claims' | 'key'> {
  const [, head, claims, signature, key] =
    /^vapid t=([\w-]+)\.([\w-]+)\.([\w-]+), k=([\w-]+)$/.exec(authorization) ?? [];
  const point = Buffer.from(key ?? '', 'base64url');
  const coordinate = (from: number) => point.subarray(from, from + 32).toString('base64url');
  const signer = createPublicKey({
    key: { kty: 'EC', crv: 'P-256', x: coordinate(1), y: coordinate(33) },
    format: 'jwk',
  });
  const isRight = verify(
    'sha256',
    Buffer.from(`${head}.${claims}`),
    { key: signer, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature ?? '', 'base64url'),
  );
  if (!isRight) throw new Error('The token is not signed by its key.');
  return { key: key as string, claims: JSON.parse(Buffer.from(claims ?? '', 'base64url').toString()) };
}
