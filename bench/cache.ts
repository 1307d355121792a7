import { setTimeout as pause } from 'node:timers/promises';
import { rowId } from '../test/support/client.js';
import { cpuSecondsSince, cpuTimes } from './cpu.js';
import { graphql, type Place, type Server } from './place.js';
import { commandOf, tree } from './product.js';
import { median, quantile, shuffled, spread, table } from './report.js';
import { insertVideos, LIST, type Options, warmUp } from './requests.js';

/** None first: what the others are compared with. */
const LAYERS = ['none', 'process', 'redis', 'both', 'as it is'];

const CHANNEL_PAGE = `query Page($id: ID!) { channel(id: $id) { handle name description videoCount subscriberCount videos(first: 20) {
  totalCount nodes { id title durationMs likeCount posterUrl } pageInfo { hasNextPage endCursor } } } }`;
const WATCH_PAGE = `query Watch($id: ID!) { video(id: $id) { title description durationMs likeCount publishedAt
  channel { handle name subscriberCount } playback { hlsUrl dashUrl posterUrl } storyboardUrl } }`;

/** Of the film whose manifest is measured: two hours. */
const FILM_SEGMENTS = 1_800;
/** Asked for one after the other. */
const COLD = 300;

/** As long as a value lives in a process. */
const PROCESS_LIFE_MS = 2_200;

interface Measured {
  operation: string;
  layers: string;
  /** Of each round: microseconds a request of the server, of PostgreSQL and of Redis, and milliseconds. */
  server: number[];
  postgres: number[];
  redis: number[];
  p50: number[];
  p95: number[];
}

/** What a crowd that is not signed in asks for, again and again, of servers that differ in the layers of their caches alone. */
export async function measureCaches(place: Place, options: Options): Promise<Measured[]> {
  const env = { ROLE: 'api', LOG_LEVEL: 'info' };
  const maker = await place.start('dist/main.js', '/readyz', env);
  const work = await prepare(place, maker);
  const servers = new Map<string, Server>();
  for (const layers of LAYERS) {
    const of = {
      ...env,
      RATE_LIMIT_FACTOR: '0',
      PUBLIC_URL: maker.url,
      REDIS_PREFIX: `${LAYERS.indexOf(layers)}:`,
      BENCH_CACHE: layers,
    };
    servers.set(layers, await place.start('bench/peers/layers.ts', '/readyz', of));
  }
  const cells = Object.entries(work)
    .filter(([operation]) => !options.only || operation.includes(options.only))
    .map(([operation, request]) => ({ operation, request }));
  const run = ({ request }: (typeof cells)[number], server: Server, seconds: number, once = request.length > 1) =>
    place.load({
      requests: request.map(({ path, body }) => ({ url: `${server.url}${path}`, ...(body && { body }) })),
      headers: request[0]?.body ? { 'content-type': 'application/json' } : {},
      connections: Math.max(...options.at),
      seconds: once ? 60 : seconds,
      once,
    });
  for (const cell of cells) {
    const answers = new Set<string>();
    for (const server of servers.values()) answers.add(await warmUp((seconds) => run(cell, server, seconds, false)));
    if (answers.size > 1) throw new Error(`Different answers to ${cell.operation}: ${JSON.stringify([...answers])}`);
  }

  const started = (name: string) => tree(process.pid).filter((pid) => commandOf(pid).startsWith(name));
  const measured = new Map<string, Measured>();
  for (let round = 1; round <= options.rounds; round++) {
    for (const cell of shuffled(cells)) {
      for (const [layers, server] of shuffled([...servers])) {
        const { operation } = cell;
        if (cell.request.length > 1) {
          // What others asked for a moment ago: it is in Redis, and not in this process any more.
          await run(cell, server, options.seconds);
          await pause(PROCESS_LIFE_MS);
        } else await pause(50);
        const before = [[server.pid], started('postgres'), started('redis')].map(cpuTimes);
        const { requests, latencies } = await run(cell, server, options.seconds);
        const [cpu = 0, postgres = 0, redis = 0] = before.map((times) => (cpuSecondsSince(times) / requests) * 1e6);
        const key = `${operation} ${layers}`;
        const of = measured.get(key) ?? { operation, layers, server: [], postgres: [], redis: [], p50: [], p95: [] };
        measured.set(key, of);
        of.server.push(cpu);
        of.postgres.push(postgres);
        of.redis.push(redis);
        of.p50.push(quantile(latencies, 0.5));
        of.p95.push(quantile(latencies, 0.95));
      }
    }
    process.stderr.write(`round ${round} of ${options.rounds} done\n`);
  }
  return cells.flatMap(({ operation }) =>
    [...servers.keys()].map((layers) => measured.get(`${operation} ${layers}`) as Measured),
  );
}

export function cachesTable(measured: readonly Measured[]): string {
  const rows = measured.map(({ operation, layers, server, postgres, redis, p50, p95 }) => {
    const none = measured.find((one) => one.operation === operation && one.layers === 'none');
    const all = (one: Measured, round: number) =>
      (one.server[round] as number) + (one.postgres[round] as number) + (one.redis[round] as number);
    const ratio = none
      ? median(server.map((_, round) => all({ server, postgres, redis } as Measured, round) / all(none, round)))
      : Number.NaN;
    return [
      ...[operation, layers, spread(server, 0), spread(postgres, 0), spread(redis, 0), ratio.toFixed(2)],
      ...[spread(p50, 2), spread(p95, 2)],
    ];
  });
  const head = ['operation', 'layers', 'server µs a request', 'PostgreSQL', 'Redis', '× none', 'p50 ms', 'p95 ms'];
  return table(head, rows);
}

/** A channel of 30 videos, one of them two hours long, and one of many. */
async function prepare(place: Place, { url }: Server) {
  const { register } = await graphql<{ register: { session: { accessToken: string } } }>(
    url,
    'mutation ($input: RegisterInput!) { register(input: $input) { session { accessToken } } }',
    { input: { email: 'ada@example.org', password: 'correct horse battery', displayName: 'Ada' } },
  );
  const { rows } = await place.db.query<{ id: string }>('SELECT id FROM app_user');
  const channel = async (handle: string, videos: number) => {
    const { createChannel } = await graphql<{ createChannel: { channel: { id: string } } }>(
      url,
      'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }',
      { input: { handle, name: 'Canal walks' } },
      register.session.accessToken,
    );
    const { id } = createChannel.channel;
    await insertVideos(place, rowId(id), rows[0]?.id as string, videos);
    return id;
  };
  const small = await channel('canal', 30);
  // A third is private.
  const large = await channel('canals', COLD * 1.5);
  const { rows: films } = await place.db.query<{ id: string }>(
    `SELECT id FROM video WHERE channel_id = $1 AND visibility = 'PUBLIC' ORDER BY created_at DESC LIMIT 1`,
    [rowId(small)],
  );
  const film = films[0]?.id as string;
  await place.db.query('UPDATE rendition SET segment_count = $2 WHERE video_id = $1', [film, FILM_SEGMENTS]);
  await place.db.query(
    `INSERT INTO segment (video_id, run, rendition, number, object_key, byte_offset, byte_size, duration)
     SELECT video_id, run, name, n, 'media/bench/still', 0, 1, 61440 FROM rendition, generate_series(21, $2::int) n WHERE video_id = $1`,
    [film, FILM_SEGMENTS],
  );
  const { rows: pages } = await place.db.query<{ id: string }>(
    `SELECT id FROM video WHERE channel_id = $1 AND visibility = 'PUBLIC' ORDER BY created_at LIMIT $2`,
    [rowId(large), COLD],
  );
  // Of ten minutes.
  await place.db.query(
    `INSERT INTO segment (video_id, run, rendition, number, object_key, byte_offset, byte_size, duration)
     SELECT video_id, run, name, n, 'media/bench/still', 0, 1, 61440 FROM rendition, generate_series(21, segment_count) n
     WHERE video_id = ANY($1)`,
    [pages.map(({ id }) => id)],
  );
  await place.db.query('VACUUM ANALYZE');
  const cold = await Promise.all(
    pages.map(async ({ id }) => {
      const global = Buffer.from(`Video:${id}`).toString('base64url');
      const { video } = await graphql<{ video: { playback: { hlsUrl: string } } }>(url, WATCH_PAGE, { id: global });
      return { page: post(WATCH_PAGE, global), manifest: { path: new URL(video.playback.hlsUrl).pathname } };
    }),
  );
  const videoId = Buffer.from(`Video:${film}`).toString('base64url');
  const { video } = await graphql<{ video: { playback: { hlsUrl: string } } }>(url, WATCH_PAGE, { id: videoId });
  const operations: Record<string, { path: string; body?: string }[]> = {
    'list of 20 videos': [post(LIST, small)],
    'channel page': [post(CHANNEL_PAGE, small)],
    'watch page': [post(WATCH_PAGE, videoId)],
    'manifest of two hours': [{ path: new URL(video.playback.hlsUrl).pathname }],
    [`watch pages, ${COLD} in turn`]: cold.map(({ page }) => page),
    [`manifests of ten minutes, ${COLD} in turn`]: cold.map(({ manifest }) => manifest),
  };
  return operations;
}

const post = (query: string, id: string) => ({ path: '/graphql', body: JSON.stringify({ query, variables: { id } }) });
