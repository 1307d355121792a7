import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { json, text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { SocketClient } from '../integration/edge/subscribers.js';
import { ApiClient, chunkOf, put } from '../support/client.js';
import { type Edge, freePort, startApp, startEdge, type TestApp, temporaryFolder } from '../support/index.js';
import { send } from './send.js';

const MiB = 2 ** 20;
const PROGRESS = 'subscription ($id: ID!) { uploadProgress(sessionId: $id) { id committedBytes } }';

let app: TestApp;
let edge: Edge;
let client: ApiClient;
const arrived: IncomingMessage[] = [];

beforeAll(async () => {
  const port = await freePort();
  app = await startApp({ role: 'api', publicUrl: `http://127.0.0.1:${port}`, trustProxy: 1 });
  edge = await startEdge({ apis: [app.url], port });
  app.nest.getHttpServer().on('request', (message: IncomingMessage) => arrived.push(message));
  client = await ApiClient.signUp(edge.url);
}, 60_000);

afterAll(async () => {
  await edge.stop();
  await app.stop();
});

beforeEach(() => {
  arrived.length = 0;
});

async function newSession(sizeBytes: number): Promise<string> {
  const { session } = await client.createSession({ channelId: await client.createChannel(), sizeBytes });
  return session.id;
}

/** What nginx put aside on its disk. */
const spooled = () => readdir(join(edge.folder, 'tmp/body'), { recursive: true });

describe('live', () => {
  it('WebSocket: the state at once, and each change as it comes', async () => {
    const file = Buffer.alloc(1000, 7);
    const id = await newSession(file.length);
    const socket = await SocketClient.signedIn(edge.url, client.token ?? '');
    socket.subscribe('1', PROGRESS, { id });
    const until = async (committedBytes: number) => {
      for (let message = await socket.next(); ; message = await socket.next()) {
        if (!message) throw new Error('the socket was closed');
        if (message.payload?.data.uploadProgress.committedBytes === committedBytes) return;
      }
    };
    await until(0);
    await client.send(id, file, [[0, 400]]);
    await until(400);
    await socket.close();
  });

  it('server-sent events: the first at once, and each change as it comes', async () => {
    const file = Buffer.alloc(1000, 8);
    const id = await newSession(file.length);
    const begun = performance.now();
    const stream = await fetch(`${edge.url}/graphql/stream`, {
      method: 'POST',
      headers: {
        accept: 'text/event-stream',
        'accept-encoding': 'gzip',
        'content-type': 'application/json',
        authorization: `Bearer ${client.token}`,
      },
      body: JSON.stringify({ query: PROGRESS, variables: { id } }),
      signal: AbortSignal.timeout(10_000),
    });
    let seen = '';
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    const until = async (part: string) => {
      while (!seen.includes(part)) seen += (await reader?.read())?.value ?? '';
    };
    await until('"committedBytes":0');
    expect(performance.now() - begun).toBeLessThan(3_000);
    await client.send(id, file, [[0, 400]]);
    await until('"committedBytes":400');
    await reader?.cancel();
  });
});

describe('uploads', () => {
  it('a chunk through the API that the edge serves', async () => {
    const file = Buffer.alloc(300_000, 1);
    const id = await newSession(file.length);
    const { targets } = await client.commit(id, { next: [chunkOf(file, 0, file.length)] });
    expect(targets[0].url).toMatch(new RegExp(`^${edge.url}/storage/incoming/`));
    expect(await put(targets[0], file)).toBe(200);
    expect(await put(targets[0], file)).toBe(412);
  });

  it('arrive while they are still being sent, whatever their size, and are put aside nowhere', async () => {
    const piece = Buffer.alloc(MiB, 5);
    const pieces = 300;
    const hash = createHash('sha256');
    for (let k = 0; k < pieces; k++) hash.update(piece);
    const target = await app
      .get(ObjectStorage)
      .presignPut({ key: `incoming/${randomUUID()}`, sizeBytes: pieces * MiB, sha256: hash.digest('hex') });
    arrived.length = 0;
    const upload = send(target, pieces * MiB);
    for (let k = 0; k < pieces / 2; k++) await upload.write(piece);
    while (arrived.length === 0 || (arrived[0]?.socket.bytesRead ?? 0) < (pieces / 2 - 8) * MiB) await pause(20);
    expect(await spooled()).toEqual([]);
    for (let k = pieces / 2; k < pieces; k++) await upload.write(piece);
    expect((await upload.end()).statusCode).toBe(200);
    expect(await spooled()).toEqual([]);
  });

  it('the append lane keeps what came through before the link was cut', async () => {
    const [sizeBytes, sent] = [20 * MiB, Buffer.alloc(4 * MiB, 9)];
    const { uploadSession } = await client.query('query ($id: ID!) { uploadSession(id: $id) { tusUrl } }', {
      id: await newSession(sizeBytes),
    });
    arrived.length = 0;
    const upload = request(uploadSession.tusUrl, {
      method: 'PATCH',
      headers: {
        'tus-resumable': '1.0.0',
        'upload-offset': 0,
        'content-type': 'application/offset+octet-stream',
        'content-length': sizeBytes,
      },
    });
    upload.on('error', () => undefined).write(sent);
    while ((arrived[0]?.socket.bytesRead ?? 0) < sent.length) await pause(20);
    upload.destroy();
    // What was on its way inside the edge at the cut may be lost.
    const least = sent.length - 64 * 1024;
    let offset = 0;
    for (let tries = 0; offset < least && tries < 200; tries++) {
      await pause(50);
      const answer = await fetch(uploadSession.tusUrl, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });
      offset = Number(answer.headers.get('upload-offset'));
    }
    expect(offset).toBeGreaterThanOrEqual(least);
    expect(await spooled()).toEqual([]);
  });

  it('what is not signed learns it from the app, through the edge', async () => {
    const [direct, through] = await Promise.all(
      [app.url, edge.url].map(async (url) => {
        const options = { method: 'PUT', body: new Uint8Array(3 * MiB) };
        const answer = await fetch(`${url}/storage/incoming/x?expires=1&signature=x`, options);
        return { status: answer.status, body: await answer.text() };
      }),
    );
    expect(through).toEqual(direct);
    expect(through?.body).toMatch(/<Code>/);
  });
});

describe('small bodies', () => {
  const post = (path: string, sizeBytes: number) =>
    fetch(`${edge.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({ query: '{ __typename }' }).padEnd(sizeBytes),
    });

  it('100 KiB pass, and not one byte more, in the same words as the app itself has', async () => {
    expect((await post('/graphql', 100 * 1024)).status).toBe(200);
    const direct = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: ' '.repeat(100 * 1024 + 1),
    });
    const words = (await direct.json()) as { message: string };
    arrived.length = 0;
    for (const path of ['/graphql', '/graphql/stream']) {
      const answer = await post(path, 100 * 1024 + 1);
      expect(answer.status).toBe(413);
      expect(await answer.json()).toEqual({ ...words, traceId: expect.any(String) });
    }
    expect(arrived).toEqual([]);
  });
});

describe('who a client is', () => {
  const seen = async (url: string, headers: Record<string, string | string[]>) => {
    arrived.length = 0;
    const { hostname, port } = new URL(url);
    const sent = request({ hostname, port, path: '/livez', headers }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    await text(response);
    return arrived[0]?.headers ?? {};
  };
  const forged = {
    'x-forwarded-for': ['198.51.100.9', '198.51.100.10'],
    'x-forwarded-host': 'evil.example.org',
    'x-forwarded-proto': 'gopher',
    'x-real-ip': '198.51.100.9',
    forwarded: 'for=198.51.100.9',
  };

  it('is what the edge sees, and nothing that the client says', async () => {
    const headers = await seen(edge.url, forged);
    expect(headers['x-forwarded-for']).toBe('127.0.0.1');
    for (const name of ['x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'forwarded'])
      expect(headers[name]).toBeUndefined();
  });

  it('is what a trusted proxy in front says, and nothing that came to it', async () => {
    const behind = await startEdge({ apis: [app.url], trustedProxy: '127.0.0.0/8' });
    try {
      const headers = await seen(behind.url, { 'x-forwarded-for': '198.51.100.9, 203.0.113.7' });
      expect(headers['x-forwarded-for']).toBe('203.0.113.7');
    } finally {
      await behind.stop();
    }
  });

  it('a request keeps a proper name, and has one in any case', async () => {
    expect((await seen(edge.url, { 'x-request-id': 'name-of-mine' }))['x-request-id']).toBe('name-of-mine');
    expect((await seen(edge.url, { 'x-request-id': 'a b"\\' }))['x-request-id']).toMatch(/^[0-9a-f]{32}$/);
    expect((await seen(edge.url, {}))['x-request-id']).toMatch(/^[0-9a-f]{32}$/);
    const log = (await readFile(join(edge.folder, 'access.log'), 'utf8')).trim().split('\n');
    expect(log.map((line) => JSON.parse(line)).at(-1)).toMatchObject({
      path: '/livez',
      status: 200,
      client: '127.0.0.1',
    });
  });
});

it('views pass, with who watches and from where', async () => {
  const { token = '' } = client;
  const answer = await fetch(`${edge.url}/views/${randomUUID()}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'user-agent': 'A browser' },
  });
  expect(answer.status).toBe(404);
  expect(arrived.map(({ url, headers }) => [url?.split('/')[1], headers.authorization, headers['user-agent']])).toEqual(
    [['views', `Bearer ${token}`, 'A browser']],
  );
  expect(arrived[0]?.headers['x-forwarded-for']).toBe('127.0.0.1');
});

it.each([
  '/metrics',
  '/metrics/',
  '/%6detrics',
  '//metrics',
  '/x/../metrics',
  '/./metrics?x',
  '/media-access/a/b/1',
])('nobody outside gets %s', async (path) => {
  const { hostname, port } = new URL(edge.url);
  const sent = request({ hostname, port, path }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(404);
  expect(arrived).toEqual([]);
});

it('whoever trickles is ended, in the header within 15 s and in the body within 40 s', async () => {
  const { hostname, port } = new URL(edge.url);
  const trickle = async (head: string) => {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined).resume();
    socket.write(head);
    const drip = setInterval(() => socket.write('x'), 500);
    const begun = performance.now();
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(drip);
    return performance.now() - begun;
  };
  const [header, body] = await Promise.all([
    trickle('GET / HTTP/1.1\r\nHost: x\r\nX-Slow: '),
    trickle('POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{'),
  ]);
  expect(header).toBeLessThan(15_000);
  expect(body).toBeLessThan(40_000);
}, 60_000);

describe('replicas', () => {
  let breaking: Server;
  const broken: string[] = [];
  beforeAll(async () => {
    // Takes a request, and dies.
    breaking = createServer((message) => {
      broken.push(message.method ?? '');
      message.socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(breaking, 'listening');
  });
  afterAll(() => breaking.close());

  it('one that cannot be reached is passed by, for every kind of request', async () => {
    const pair = await startEdge({ apis: [`http://127.0.0.1:${await freePort()}`, app.url] });
    try {
      for (let k = 0; k < 10; k++) {
        expect((await fetch(`${pair.url}/livez`)).status).toBe(200);
        expect((await new ApiClient(pair.url).post('{ __typename }')).data).toEqual({ __typename: 'Query' });
      }
    } finally {
      await pair.stop();
    }
  });

  it('of one that dies while it works, reads are repeated elsewhere and writes are not', async () => {
    const pair = await startEdge({ apis: [`http://127.0.0.1:${(breaking.address() as AddressInfo).port}`, app.url] });
    try {
      const status = async (method: string) => {
        const body = method === 'POST' ? '{"query":"{ __typename }"}' : undefined;
        const answer = await fetch(`${pair.url}${body ? '/graphql' : '/livez'}`, {
          method,
          headers: { 'content-type': 'application/json' },
          body,
        });
        return answer.status;
      };
      broken.length = 0;
      arrived.length = 0;
      const writes: number[] = [];
      // After three failures it would be left alone for a while.
      while (broken.length < 2 && writes.length < 20) writes.push(await status('POST'));
      expect(broken).toEqual(['POST', 'POST']);
      expect(writes.filter((each) => each === 502)).toHaveLength(2);
      expect(arrived).toHaveLength(writes.length - 2);
      const reads: number[] = [];
      while (!broken.includes('GET') && reads.length < 20) reads.push(await status('GET'));
      expect(broken).toContain('GET');
      expect(new Set(reads)).toEqual(new Set([200]));
    } finally {
      await pair.stop();
    }
  });

  it('none at all is said in a sentence, as JSON', async () => {
    const away = await startEdge({ apis: [`http://127.0.0.1:${await freePort()}`] });
    try {
      const answer = await fetch(`${away.url}/graphql?query={__typename}`);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([502, '1']);
      expect(await answer.json()).toEqual({ message: expect.stringMatching(/try again/), traceId: expect.any(String) });
      // What stock tus clients do not take for the end of their upload.
      const asked = await fetch(`${away.url}/tus/capability`, { method: 'HEAD' });
      expect([asked.status, asked.headers.get('retry-after')]).toEqual([423, '1']);
      expect((await fetch(`${away.url}/tus/capability`, { method: 'PATCH' })).status).toBe(502);
      expect((await fetch(`${away.url}/tus/capability/ranges/1`, { method: 'HEAD' })).status).toBe(502);
    } finally {
      await away.stop();
    }
  });
});

it('TLS: HTTP/2, a redirect from http that keeps the method, and browsers told to stay', async () => {
  const folder = await temporaryFolder();
  const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
  ]);
  const secure = await startEdge({ apis: [app.url], tls: { certificate, key } });
  try {
    const plain = await fetch(`${secure.plainUrl}/watch/1?x=2`, {
      redirect: 'manual',
      headers: { host: 'evil.example.org' },
    });
    expect([plain.status, plain.headers.get('location')]).toEqual([308, `${secure.url}/watch/1?x=2`]);

    const session = connectHttp2(secure.url, { ca: await readFile(certificate) });
    const stream = session.request({ ':method': 'POST', ':path': '/graphql', 'content-type': 'application/json' });
    stream.end('{"query":"{ __typename }"}');
    const [headers] = await once(stream, 'response');
    expect([headers[':status'], session.alpnProtocol]).toEqual([200, 'h2']);
    expect(headers['strict-transport-security']).toMatch(/max-age=\d{8}/);
    expect(await json(stream)).toEqual({ data: { __typename: 'Query' } });
    session.close();
  } finally {
    await secure.stop();
  }
});
