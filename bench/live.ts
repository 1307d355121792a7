import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { cpuSecondsSince, cpuTimes } from './cpu.js';
import type { LiveReport, LiveTask } from './live-clients.js';
import { freePort, type Place, type Server } from './place.js';
import { median, quantile, shuffled, spread, table } from './report.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const REPLICAS = 2;
const WARM_UPS = 10;
const SETTLE_MS = 3_000;
/** Within which the SDK comes back after a break. */
const JITTER_MS = 5_000;
const BACK_AT_ONCE = 5_000;
const DESCRIPTION = 'What happens in it, in some words. '.repeat(12);
const QUERY = `subscription ($channelId: ID!, $after: Cursor) {
  channelNotifications(channelId: $channelId, after: $after) { cursor id video { id title description } } }`;

interface Side {
  name: string;
  servers: (Server & { stallsUrl: string })[];
  clients: Clients;
  publish: () => Promise<void>;
  /** KB a socket, and µs of processor time to open one. */
  memory: number;
  opening: number;
  cpu: number[];
  p50: number[];
  p99: number[];
  stall: number[];
  events: number;
}

export interface LiveMeasured {
  sockets: number;
  sides: Omit<Side, 'servers' | 'clients' | 'publish'>[];
  faults: { published: number; seconds: number; report: LiveReport };
  /** So many came back at once, without waiting: seconds until each had heard of what was published meanwhile. */
  back: { count: number; seconds: number };
}

class Clients {
  private constructor(private readonly child: ReturnType<typeof fork>) {}

  static start(place: Place): Clients {
    const child = fork(`${root}bench/live-clients.ts`, { execArgv: ['--import', `${root}bench/typescript.mjs`] });
    place.onClose(async () => child.kill());
    return new Clients(child);
  }

  async do(task: LiveTask): Promise<LiveReport> {
    this.child.send(task);
    const [{ result, error }] = (await once(this.child, 'message')) as [{ result: LiveReport; error?: string }];
    if (error) throw new Error(`The subscribers failed: ${error}`);
    if (result.failures.length > 0) throw new Error(`Subscribers were told: ${result.failures.join('; ')}`);
    return result;
  }
}

/**
 * Subscribers of one channel on two replicas of Sluice, and the same on two bare graphql-ws servers, at the same time. Each publish
 * goes to one of the two sides, in random order.
 */
export async function measureLive(
  place: Place,
  { sockets, rounds, faults }: { sockets: number; rounds: number; faults: number },
): Promise<LiveMeasured> {
  assertFiles(sockets);
  const sluice = await startSluice(place, sockets);
  const sides = [sluice.side, await startBare(place, sockets)];
  for (const side of sides) await open(side, sockets, sluice.variables);
  for (let n = 0; n < WARM_UPS; n++) for (const side of sides) await publishTo(side);
  for (let round = 0; round < rounds; round++) {
    for (const side of shuffled(sides)) {
      const measured = await publishTo(side);
      side.cpu.push((measured.cpu / sockets) * 1e6);
      side.p50.push(measured.p50);
      side.p99.push(measured.p99);
      side.stall.push(measured.stall);
    }
  }
  for (const side of sides) await side.clients.do({ do: 'close' });
  const told = await withFaults(place, sluice, sockets, faults);
  const shown = sides.map(({ servers: _, clients: __, publish: ___, ...side }) => side);
  return { sockets, sides: shown, ...told };
}

/** Each connection is a file; those of two sides are in processes of their own. */
function assertFiles(sockets: number): void {
  const most = Number(/Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
  if (most < sockets + 500)
    throw new Error(`Only ${most} files may be open: ulimit -n ${sockets + 1_000}, then again.`);
}

async function withStalls(place: Place, file: string, path: string, env: Record<string, string>) {
  const port = await freePort();
  const NODE_OPTIONS = `--import=${new URL('stalls.mjs', import.meta.url).href}`;
  const server = await place.start(file, path, { NODE_OPTIONS, STALLS_PORT: String(port), ...env });
  return { ...server, stallsUrl: `http://127.0.0.1:${port}` };
}

const sideOf = (name: string, servers: Side['servers'], clients: Clients, publish: Side['publish']): Side => ({
  ...{ name, servers, clients, publish, memory: 0, opening: 0, events: 0 },
  ...{ cpu: [], p50: [], p99: [], stall: [] },
});

async function startSluice(place: Place, sockets: number) {
  // In compose files too, whoever has 10,000 strangers behind one address raises the bounds.
  const env = { ROLE: 'api', LOG_LEVEL: 'info', RATE_LIMIT_FACTOR: '0' };
  const servers = [];
  for (let n = 0; n < REPLICAS; n++) servers.push(await withStalls(place, 'dist/main.js', '/readyz', env));
  // Whoever publishes is elsewhere, and so are the jobs.
  const publisher = await place.start('dist/main.js', '/readyz', { LOG_LEVEL: 'info', RATE_LIMIT_FACTOR: '0' });
  const ask = async (query: string, input: object, token?: string) => {
    const response = await fetch(`${publisher.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query, variables: { input } }),
    });
    const { data, errors } = (await response.json()) as { data: unknown; errors?: unknown };
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  };
  const signedUp = await ask(
    'mutation ($input: RegisterInput!) { register(input: $input) { session { accessToken } } }',
    { email: 'bench@example.org', password: 'correct horse battery', displayName: 'Ada' },
  );
  const token = (signedUp as { register: { session: { accessToken: string } } }).register.session.accessToken;
  const made = await ask(
    'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }',
    { handle: 'bench', name: 'Ada films' },
    token,
  );
  const channelId = (made as { createChannel: { channel: { id: string } } }).createChannel.channel.id;
  const publish = async () => {
    const { rows } = await place.db.query(
      `INSERT INTO video (channel_id, owner_id, title, description, visibility, state, stage, verified_at, published_at)
       SELECT c.id, m.user_id, 'A film', $1, 'PRIVATE', 'READY', 'DONE', now(), now()
       FROM channel c JOIN channel_member m ON m.channel_id = c.id WHERE c.handle = 'bench' RETURNING id`,
      [DESCRIPTION],
    );
    const videoId = Buffer.from(`Video:${rows[0].id}`).toString('base64url');
    await ask(
      'mutation ($input: UpdateVideoInput!) { updateVideo(input: $input) { userErrors { code } } }',
      { videoId, visibility: 'PUBLIC' },
      token,
    );
  };
  const side = sideOf(`Sluice, ${sockets} on ${REPLICAS} replicas`, servers, Clients.start(place), publish);
  return { side, variables: { channelId } };
}

async function startBare(place: Place, sockets: number): Promise<Side> {
  const servers = [];
  for (let n = 0; n < REPLICAS; n++) servers.push(await withStalls(place, 'bench/peers/bare-live.ts', '/', {}));
  const redis = new Redis(place.redisUrl);
  place.onClose(async () => redis.disconnect());
  let id = 0;
  const publish = async () => {
    id++;
    const video = { id: Buffer.from(`Video:${crypto.randomUUID()}`).toString('base64url'), title: 'A film' };
    const cursor = Buffer.from(`0123456789ab.${id}:${id}:`).toString('base64url');
    await redis.publish('bare-live', JSON.stringify({ cursor, id, video: { ...video, description: DESCRIPTION } }));
  };
  return sideOf(`bare graphql-ws, ${sockets} on ${REPLICAS}`, servers, Clients.start(place), publish);
}

const rss = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
const rssOf = (side: Side) => side.servers.reduce((sum, { pid }) => sum + rss(pid), 0);

async function open(side: Side, sockets: number, variables: object): Promise<void> {
  const ports = side.servers.map(({ url }) => Number(new URL(url).port));
  const query = side.name.startsWith('bare') ? QUERY.replace('Cursor', 'String') : QUERY;
  // What the first ones cost in code and pools is no socket's.
  await side.clients.do({ do: 'open', ports, count: 100, query, variables, comeBack: false });
  await side.clients.do({ do: 'close' });
  await pause(SETTLE_MS);
  const before = rssOf(side);
  const times = cpuTimes(side.servers.map(({ pid }) => pid));
  const report = await side.clients.do({ do: 'open', ports, count: sockets, query, variables, comeBack: false });
  if (report.open !== sockets) throw new Error(`${side.name}: ${report.open} are open.`);
  side.opening = (cpuSecondsSince(times) / sockets) * 1e6;
  await pause(SETTLE_MS);
  side.memory = (rssOf(side) - before) / sockets;
}

async function stallOf(side: Side): Promise<number> {
  const stalls = await Promise.all(side.servers.map(async ({ stallsUrl }) => (await fetch(stallsUrl)).text()));
  return Math.max(...stalls.map(Number));
}

async function publishTo(side: Side): Promise<{ cpu: number; p50: number; p99: number; stall: number }> {
  await stallOf(side);
  const times = cpuTimes(side.servers.map(({ pid }) => pid));
  side.events++;
  await side.publish();
  const report = await side.clients.do({ do: 'await', events: side.events, seconds: 60 });
  if (report.lacking > 0) throw new Error(`${side.name}: ${report.lacking} did not hear of it.`);
  const { first, p50, p99 } = report;
  return { cpu: cpuSecondsSince(times), p50: p50 - first, p99: p99 - first, stall: await stallOf(side) };
}

/** Cuts at random, one replica killed and started again, Redis flushed; a publish every second; clients come back by their cursors. */
async function withFaults(
  place: Place,
  { side, variables }: Awaited<ReturnType<typeof startSluice>>,
  count: number,
  seconds: number,
): Promise<Pick<LiveMeasured, 'faults' | 'back'>> {
  const { clients, publish } = side;
  const [killed, kept] = side.servers as unknown as [Server, Server];
  // Whoever comes back goes to the next of these: half of those of the killed one try it once more.
  const ports = [killed, kept].map(({ url }) => Number(new URL(url).port));
  await clients.do({ do: 'open', ports, count, query: QUERY, variables, comeBack: true });
  const redis = new Redis(place.redisUrl);
  for (let second = 0; second < seconds; second++) {
    await publish();
    if (second % 2 === 0) await clients.do({ do: 'cut', share: 0.1, withinMs: JITTER_MS });
    if (second === Math.floor(seconds / 3)) process.kill(killed.pid, 'SIGKILL');
    if (second === Math.floor((seconds * 2) / 3)) await redis.flushall();
    await pause(1_000);
  }
  redis.disconnect();
  const began = Date.now();
  const report = await clients.do({ do: 'await', events: seconds, seconds: 60 });
  const faults = { published: seconds, seconds: (Date.now() - began) / 1000, report };

  const cutAt = Date.now();
  const { cut } = await clients.do({ do: 'cut', share: 1, most: BACK_AT_ONCE, withinMs: 0 });
  await publish();
  const back = await clients.do({ do: 'await', events: seconds + 1, seconds: 60 });
  if (back.lacking > 0) throw new Error(`${back.lacking} of those who came back at once did not hear of it.`);
  return { faults, back: { count: cut, seconds: (Date.now() - cutAt) / 1000 } };
}

export function liveTable({ sides, faults, back }: LiveMeasured): string {
  const [sluice, bare] = sides as [LiveMeasured['sides'][number], LiveMeasured['sides'][number]];
  const rows = sides.map((side) => [
    side.name,
    spread(side.cpu, 1),
    median(side.cpu.map((cpu, round) => cpu / (bare.cpu[round] ?? cpu))).toFixed(2),
    `${spread(side.p50, 0)}`,
    `${spread(side.p99, 0)}`,
    `${median(side.stall).toFixed(0)}, ${quantile(side.stall, 1).toFixed(0)}`,
    side.memory.toFixed(1),
    (side.memory / bare.memory).toFixed(2),
    side.opening.toFixed(0),
  ]);
  const head = [
    'server',
    'CPU µs a delivery',
    '× bare',
    'p50 ms',
    'p99 ms',
    'stall ms, most',
    'KB a socket',
    '× bare',
    'µs to open one',
  ];
  const { report, published, seconds } = faults;
  return [
    table(head, rows),
    '',
    `Cuts, a replica killed, Redis flushed (${sluice.name}): ${published} published, ${report.lost} lost, ${report.repeats} told again after a break`,
    `and dropped by their ids, ${report.reconnects} reconnects, all had all ${seconds.toFixed(1)} s after the last one.`,
    `Then ${back.count} cut and back at once: all had heard of what was published meanwhile after ${back.seconds.toFixed(1)} s.`,
  ].join('\n');
}
