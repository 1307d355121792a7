import { connect, type PeerCertificate } from 'node:tls';
import WebSocket from 'ws';
import type { Config } from '../common/config/index.js';
import { EVENT_GAP_MS, type ProbeKind, type SeenRequest, signProbe } from '../common/health/index.js';
import { type Answer, ask, NoAnswer } from './ask.js';
import type { Area } from './check.js';
import { askAsPage, pageOrigins } from './cors.js';
import { FORGED, judgeHops } from './hops.js';
import { isPublicHost } from './public-host.js';

const DAY_MS = 86_400_000;
/** Certificates of Let's Encrypt are renewed 30 days before their end. */
const EXPIRES_SOON_DAYS = 14;
/** The largest body that clients are ever asked to send: a chunk. */
export const LARGEST_BODY = 64 * 1024 * 1024;

/** What stands between browsers and the servers of this installation. */
export function addressArea(config: Config): Area {
  const { publicUrl, tokenSecret } = config;
  const first = signProbe('seen', tokenSecret);
  const probe = (kind: ProbeKind) => ({ 'x-sluice-doctor': signProbe(kind, tokenSecret).header });
  const bodies = { ...probe('body'), 'content-type': 'application/offset+octet-stream' };
  // Proxies treat each path in its own way: these take bodies of any size.
  const lanes = [
    { url: `${publicUrl}/tus/doctor`, method: 'PATCH' },
    ...(config.s3 ? [] : [{ url: `${publicUrl}/storage/incoming/doctor`, method: 'PUT' }]),
  ];
  let answer: Answer = { status: 0, headers: {}, body: '' };
  let seen: SeenRequest | null = null;
  const verdict = () => judgeHops(seen?.forwardedFor ?? null, seen?.clientHop ?? 0);

  return {
    name: 'address',
    checks: [
      {
        code: 'PUBLIC_URL_AWAY',
        right: `something answers at ${publicUrl}`,
        needed: true,
        todo: 'Start the server and the proxy before it, or mend PUBLIC_URL. Where this machine cannot reach its own public name, run the doctor on one that can.',
        look: async () => {
          answer = await ask(`${publicUrl}/graphql`, {
            headers: { 'x-sluice-doctor': first.header, 'x-forwarded-for': FORGED },
          });
          const away = [502, 503, 504].includes(answer.status);
          return away ? `A proxy answers ${answer.status}: it reaches no server.` : null;
        },
      },
      {
        code: 'PUBLIC_URL_ELSEWHERE',
        right: 'it is this installation',
        needed: true,
        todo: 'Mend PUBLIC_URL or the proxy’s way to the servers, give every process (and the doctor) the same TOKEN_SECRET, and the same build.',
        look: async () => {
          seen = parsed(answer.body);
          if (seen?.proof === first.proof) return null;
          return `What answers (${answer.status}) does not have the TOKEN_SECRET that is set here.`;
        },
      },
      {
        code: 'PUBLIC_URL_INSECURE',
        right: 'strangers cannot listen in',
        todo: 'Serve it by https (a proxy such as Caddy or nginx with a certificate), and set PUBLIC_URL to that.',
        look: async () =>
          publicUrl.startsWith('http:') && isPublicHost(publicUrl)
            ? 'It is http at a public name: passwords and videos can be read on the way, and browsers do not hash for uploads there.'
            : null,
      },
      ...(publicUrl.startsWith('https:')
        ? [
            {
              code: 'CERTIFICATE_EXPIRES',
              right: `its certificate is good for ${EXPIRES_SOON_DAYS} days`,
              todo: 'Renew it, and see why that did not happen by itself.',
              look: async () => {
                const ends = new Date((await certificateOf(publicUrl)).valid_to);
                return Number(ends) - Date.now() < EXPIRES_SOON_DAYS * DAY_MS
                  ? `It ends on ${ends.toISOString()}.`
                  : null;
              },
            },
          ]
        : []),
      {
        code: 'TRUST_PROXY_TOO_WIDE',
        right: 'clients cannot choose their address',
        todo: 'Set TRUST_PROXY to the number of proxies that are really in front (false: none), or to their addresses.',
        look: async () =>
          verdict() === 'too wide'
            ? 'An X-Forwarded-For that the client made up is believed: limits by address can be dodged.'
            : null,
      },
      {
        code: 'TRUST_PROXY_TOO_NARROW',
        right: 'clients are told apart by their address',
        todo: 'Set TRUST_PROXY to the number of proxies in front (1 for one), or to their addresses.',
        look: async () =>
          verdict() === 'too narrow'
            ? 'The proxy’s address is taken for that of every client: they share one limit.'
            : null,
      },
      {
        code: 'CORS_REFUSED',
        right: 'pages of all allowed origins may call it',
        todo: 'Set CORS_ORIGINS, and let the proxy pass OPTIONS requests and Access-Control headers untouched.',
        look: async () => {
          const url = `${publicUrl}/graphql`;
          return askAsPage(
            { url, method: 'POST', headers: ['authorization', 'content-type'] },
            pageOrigins(config, url),
          );
        },
      },
      {
        code: 'WEBSOCKET_BLOCKED',
        right: 'WebSockets come through',
        todo: 'Let the proxy pass upgrades: nginx wants proxy_http_version 1.1, and the headers Upgrade $http_upgrade and Connection upgrade.',
        look: () => openSocket(publicUrl),
      },
      {
        code: 'EVENTS_BUFFERED',
        right: 'events come as they happen',
        todo: 'Turn the proxy’s response buffering off for /graphql/stream (nginx: proxy_buffering off, or do not ignore X-Accel-Buffering).',
        look: () =>
          twice(async () => {
            const gap = await eventGap(`${publicUrl}/graphql/stream`, probe('events'));
            return gap < EVENT_GAP_MS / 3 ? 'The proxy holds events back until more come.' : null;
          }),
      },
      {
        code: 'UPLOADS_BUFFERED',
        right: 'uploads come as they are sent',
        todo: 'Turn the proxy’s request buffering off (nginx: proxy_request_buffering off, with proxy_http_version 1.1): what a cut link has sent should be here already.',
        look: () =>
          twice(async () => {
            for (const { url, method } of lanes) {
              try {
                await ask(url, { method, headers: bodies, body: Buffer.alloc(1024), promisedBytes: 2048, ms: 3_000 });
              } catch (error) {
                if (!(error instanceof NoAnswer)) throw error;
                return `The proxy passes no byte of an upload (${method} ${pathOf(url)}) on before it has the last.`;
              }
            }
            return null;
          }),
      },
      {
        code: 'BODY_CAPPED',
        right: 'a chunk of 64 MiB may be sent',
        todo: 'Raise the proxy’s limit (nginx: client_max_body_size 65m or more, or 0 for none).',
        look: async () => {
          for (const { url, method } of lanes) {
            const problem = await bodyCapProblem(url, method, bodies);
            if (problem) return `${method} ${pathOf(url)}: ${problem}`;
          }
          return null;
        },
      },
    ],
  };
}

/**
 * Promises the largest chunk and sends nothing of it, or next to nothing: whoever caps bodies answers by what is promised.
 * @returns null also where nobody answers, since then nobody refuses
 */
export async function bodyCapProblem(
  url: string,
  method: string,
  headers: Record<string, string>,
  ca?: string,
): Promise<string | null> {
  try {
    const { status } = await ask(url, {
      method,
      headers: { ...headers, expect: '100-continue' },
      promisedBytes: LARGEST_BODY,
      ms: 4_000,
      ...(ca !== undefined && { ca }),
    });
    return status === 413 ? 'It is refused with 413 before it is sent.' : null;
  } catch (error) {
    if (error instanceof NoAnswer) return null;
    throw error;
  }
}

const pathOf = (url: string) => new URL(url).pathname;

/** A busy machine can look like a buffering proxy, once. */
async function twice(look: () => Promise<string | null>): Promise<string | null> {
  return (await look()) === null ? null : look();
}

function parsed(body: string): SeenRequest | null {
  try {
    const { proof, clientHop, forwardedFor } = JSON.parse(body);
    return typeof proof === 'string' ? { proof, clientHop, forwardedFor } : null;
  } catch {
    return null; // whatever it is, it is not ours
  }
}

function certificateOf(url: string): Promise<PeerCertificate> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port || 443), servername: hostname }, () => {
      resolve(socket.getPeerCertificate());
      socket.end();
    });
    socket.setTimeout(8_000, () => socket.destroy(new NoAnswer('There was no answer within 8 s.')));
    socket.on('error', reject);
  });
}

function openSocket(publicUrl: string): Promise<string | null> {
  const socket = new WebSocket(`${publicUrl.replace(/^http/, 'ws')}/graphql`, 'graphql-transport-ws', {
    origin: new URL(publicUrl).origin,
    handshakeTimeout: 8_000,
  });
  return new Promise((resolve) => {
    socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init' })));
    socket.on('message', () => {
      resolve(null);
      socket.close();
    });
    socket.on('close', (code) => resolve(`It was closed with ${code} before it said anything.`));
    socket.on('error', (error) => resolve(`${error.message}.`));
  });
}

/** The least time between two events of one stream, in milliseconds. By `fetch`, since that takes compressed ones, as browsers do. */
async function eventGap(url: string, headers: Record<string, string>): Promise<number> {
  const response = await fetch(url, {
    headers: { ...headers, accept: 'text/event-stream' },
    redirect: 'manual',
    signal: AbortSignal.timeout(10_000),
  });
  if (response.status !== 200 || !response.body) throw new Error(`The stream was answered with ${response.status}`);
  const times: number[] = [];
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    while (times.length < text.split('\n\n').length - 1) times.push(performance.now());
  }
  return Math.min(...times.slice(1).map((time, n) => time - (times[n] as number)));
}
