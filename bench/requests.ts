import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { rowId } from '../test/support/client.js';
import { cpuSecondsSince, cpuTimes } from './cpu.js';
import type { Load } from './load.js';
import { graphql, Place, type Server } from './place.js';
import { median, quantile, shuffled, spread, table } from './report.js';

const CHUNKS = 100;
const CHUNK_BYTES = 1024;
const VIDEOS = 30;

export const LIST = `query Page($id: ID!) { channel(id: $id) { id handle name viewerCanManage videos(first: 20) {
  nodes { id title visibility state durationMs createdAt posterUrl viewerCanEdit } pageInfo { hasNextPage endCursor } } } }`;
const COMMIT = `mutation Commit($input: CommitChunksInput!) { commitChunks(input: $input) {
  session { id progress committedBytes missingRanges { start end } } results { offset outcome code message } userErrors { code message } } }`;
/** Brings a session back to where its chunks are stored and not committed. */
const RESET = [
  `WITH c AS (DELETE FROM upload_chunk WHERE session_id = $1 RETURNING object_key)
   UPDATE stored_object SET state = 'PENDING', created_at = now() WHERE key IN (SELECT object_key FROM c)`,
  `UPDATE upload_session SET covered = '{}' WHERE id = $1`,
];

export interface Options {
  seconds: number;
  rounds: number;
  only?: string;
  /** How many requests at once, each of them in turn. */
  at: readonly number[];
}

interface Measured {
  operation: string;
  connections: number;
  server: string;
  /** Of each round: microseconds of processor time a request, and milliseconds. */
  cpu: number[];
  p50: number[];
  p95: number[];
}

export async function measureRequests(place: Place, options: Options): Promise<Measured[]> {
  const store = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('S3_')));
  const env = { ROLE: 'api', LOG_LEVEL: 'info', ...store } as Record<string, string>;
  // Signs in and makes what there is: what that leaves behind in a process is no part of what is measured.
  const maker = await place.start('dist/main.js', '/readyz', env);
  const sluice = await place.start('dist/main.js', '/readyz', { ...env, PUBLIC_URL: maker.url });
  const work = await prepare(place, maker, Math.max(...options.at));
  const peer = { ...env, BENCH_VIEWER: work.userId, BENCH_PUBLIC_URL: maker.url };
  const servers: Record<string, Server> = {
    Sluice: sluice,
    'bare Nest': await place.start('bench/peers/bare-nest.ts', '/readyz', peer),
    'node:http + pg': await place.start('bench/peers/raw.ts', '/', peer),
  };
  const operations = Object.entries(work.operations).filter(([name]) => !options.only || name.includes(options.only));
  const cells = operations.flatMap(([operation, load]) =>
    options.at.map((connections) => ({ operation, load, connections })),
  );

  const run = ({ load, connections }: (typeof cells)[number], server: Server, seconds: number) =>
    place.load({
      ...load,
      requests: load.requests
        .slice(0, load.reset ? connections : 1)
        .map(({ body }) => ({ url: `${server.url}/graphql`, body })),
      headers: {
        'content-type': 'application/json',
        ...(server === sluice && { authorization: `Bearer ${work.token()}` }),
      },
      connections,
      seconds,
    });

  // The same answer from all three, while they warm up.
  const most = Math.max(...options.at);
  for (const cell of cells.filter(({ connections }) => connections === most)) {
    const answers = new Map<string, string[]>();
    for (const [name, server] of Object.entries(servers)) {
      const answer = await warmUp((seconds) => run(cell, server, seconds));
      const text = JSON.stringify(sorted(JSON.parse(answer).data));
      answers.set(text, [...(answers.get(text) ?? []), name]);
    }
    if (answers.size > 1) throw new Error(`Different answers to ${cell.operation}: ${JSON.stringify([...answers])}`);
  }

  const measured = new Map<string, Measured>();
  for (let round = 1; round <= options.rounds; round++) {
    await work.renewToken();
    for (const cell of shuffled(cells)) {
      for (const [name, server] of shuffled(Object.entries(servers))) {
        const { operation, connections } = cell;
        await pause(50);
        const before = cpuTimes([server.pid]);
        const { requests, latencies } = await run(cell, server, options.seconds);
        const cpu = (cpuSecondsSince(before) / requests) * 1e6;
        const key = `${operation} ${connections} ${name}`;
        const of = measured.get(key) ?? { operation, connections, server: name, cpu: [], p50: [], p95: [] };
        measured.set(key, of);
        of.cpu.push(cpu);
        of.p50.push(quantile(latencies, 0.5));
        of.p95.push(quantile(latencies, 0.95));
      }
    }
    process.stderr.write(`round ${round} of ${options.rounds} done\n`);
  }
  return cells.flatMap(({ operation, connections }) =>
    Object.keys(servers).map((name) => measured.get(`${operation} ${connections} ${name}`) as Measured),
  );
}

export function requestsTable(measured: readonly Measured[]): string {
  const rows = measured.map(({ operation, connections, server, cpu, p50, p95 }) => {
    // Rounds are pairs: whatever else the machine did then, it did to both.
    const ratio = (name: string) => {
      const other = measured.find(
        (one) => one.operation === operation && one.connections === connections && one.server === name,
      );
      return other ? median(cpu.map((value, round) => value / (other.cpu[round] as number))).toFixed(2) : '';
    };
    return [
      ...[operation, String(connections), server, spread(cpu, 0), ratio('bare Nest'), ratio('node:http + pg')],
      ...[spread(p50, 2), spread(p95, 2)],
    ];
  });
  return table(['operation', 'at once', 'server', 'CPU µs a request', '× bare', '× raw', 'p50 ms', 'p95 ms'], rows);
}

const WARM_REQUESTS = 2_000;
const WARM_MS = 30_000;

/** Code that was run a few hundred times is not compiled yet, and the longer of two programs suffers more from that. */
export async function warmUp<Result extends { requests: number; answer: string }>(
  run: (seconds: number) => Promise<Result>,
): Promise<string> {
  const until = performance.now() + WARM_MS;
  for (let sent = 0; ; ) {
    const { requests, answer } = await run(2);
    sent += requests;
    if (sent >= WARM_REQUESTS || performance.now() > until) return answer;
  }
}

/** A signed-in owner of a channel of videos, and sessions whose chunks are stored. */
async function prepare(place: Place, { url }: Server, uploads: number) {
  const account = { email: 'ada@example.org', password: 'correct horse battery' };
  const { register } = await graphql<{ register: { session: { accessToken: string } } }>(
    url,
    'mutation ($input: RegisterInput!) { register(input: $input) { session { accessToken } } }',
    { input: { ...account, displayName: 'Ada' } },
  );
  let token = register.session.accessToken;
  const renewToken = async () => {
    const { login } = await graphql<{ login: { session: { accessToken: string } } }>(
      url,
      'mutation ($input: LoginInput!) { login(input: $input) { session { accessToken } } }',
      { input: account },
    );
    token = login.session.accessToken;
  };
  const { createChannel } = await graphql<{ createChannel: { channel: { id: string } } }>(
    url,
    'mutation { createChannel(input: { handle: "canal", name: "Canal walks" }) { channel { id } } }',
    {},
    token,
  );
  const channelId = createChannel.channel.id;
  const { rows } = await place.db.query<{ id: string }>('SELECT id FROM app_user');
  const userId = rows[0]?.id as string;
  await insertVideos(place, rowId(channelId), userId, VIDEOS);

  const sessions = await Promise.all(Array.from({ length: uploads }, () => storedSession(url, token, channelId)));
  const post = (query: string, variables: object = {}) => ({ url: '', body: JSON.stringify({ query, variables }) });
  const operations: Record<string, Pick<Load, 'requests' | 'reset'>> = {
    '{ __typename }': { requests: [post('{ __typename }')] },
    'list of 20 videos': { requests: [post(LIST, { id: channelId })] },
    [`commitChunks of ${CHUNKS}${process.env.S3_ENDPOINT ? ' (S3)' : ''}`]: {
      requests: sessions.map(({ sessionId, stored }) => post(COMMIT, { input: { sessionId, stored } })),
      reset: {
        databaseUrl: place.databaseUrl,
        sql: RESET,
        parameters: sessions.map(({ sessionId }) => rowId(sessionId)),
      },
    },
  };
  return { userId, operations, token: () => token, renewToken };
}

/** As transcoding leaves them: five renditions, a poster, thumbnails, a storyboard. */
export async function insertVideos({ db }: Place, channelId: string, userId: string, videos: number): Promise<void> {
  await db.query(
    `INSERT INTO stored_object (key, size_bytes, state) VALUES ('media/bench/still', 1, 'KEPT') ON CONFLICT DO NOTHING`,
  );
  await db.query(
    `INSERT INTO video (channel_id, owner_id, title, description, visibility, state, stage, verified_at, published_at, duration_ms,
                        width, height, frame_rate, created_at)
     SELECT $1, $2, 'A walk along the canal, part ' || n, repeat('What is to be seen on the way. ', 10),
            CASE WHEN n % 3 = 0 THEN 'PRIVATE' ELSE 'PUBLIC' END, 'READY', 'DONE', now(), now(), 600000 + n, 1920, 1080, 30,
            now() - n * interval '1 hour'
     FROM generate_series(1, $3) n`,
    [channelId, userId, videos],
  );
  await db.query(
    `INSERT INTO rendition (video_id, run, name, kind, position, width, height, frame_rate_num, frame_rate_den, timescale,
                            max_bits_per_second, segment_count, segment_duration, total_duration, codecs, init)
     SELECT v.id, 1, r.name, CASE WHEN r.name = 'audio' THEN 'AUDIO' ELSE 'VIDEO' END, r.place, 640, 360, 30, 1, 15360, 800000, 150,
            61440, 9216000, 'avc1.64001f', '\\x00' FROM video v,
       unnest(ARRAY['240p', '360p', '720p', '1080p', 'audio']) WITH ORDINALITY AS r(name, place) WHERE v.channel_id = $1`,
    [channelId],
  );
  await db.query(
    `INSERT INTO segment (video_id, run, rendition, number, object_key, byte_offset, byte_size, duration)
     SELECT r.video_id, r.run, r.name, n, 'media/bench/still', 0, 1, 61440
     FROM rendition r JOIN video v ON v.id = r.video_id, generate_series(1, 20) n WHERE v.channel_id = $1`,
    [channelId],
  );
  await db.query(
    `INSERT INTO still (video_id, run, kind, number, at_ms, width, height, object_key)
     SELECT v.id, 1, s.kind, s.number, s.number * 1000, 640, 360, 'media/bench/still' FROM video v,
       (VALUES ('POSTER', 0), ('THUMBNAIL', 0), ('THUMBNAIL', 1), ('THUMBNAIL', 2), ('STORYBOARD', 0)) AS s(kind, number) WHERE v.channel_id = $1`,
    [channelId],
  );
  await db.query('VACUUM ANALYZE');
}

async function storedSession(url: string, token: string, channelId: string) {
  const bytes = randomBytes(CHUNKS * CHUNK_BYTES);
  const stored = Array.from({ length: CHUNKS }, (_, index) => {
    const offset = index * CHUNK_BYTES;
    const sha256 = createHash('sha256')
      .update(bytes.subarray(offset, offset + CHUNK_BYTES))
      .digest('hex');
    return { offset, sizeBytes: CHUNK_BYTES, sha256 };
  });
  type Target = { offset: number; url: string; method: string; headers: { name: string; value: string }[] };
  const { createUploadSession } = await graphql<{
    createUploadSession: { session: { id: string }; targets: Target[] };
  }>(
    url,
    `mutation ($input: CreateUploadSessionInput!) { createUploadSession(input: $input) {
       session { id } targets { offset url method headers { name value } } } }`,
    {
      input: {
        channelId,
        fileName: 'walk.mp4',
        // One byte more than is ever sent, so that the session stays open.
        sizeBytes: bytes.length + 1,
        idempotencyKey: randomBytes(8).toString('hex'),
        next: stored,
      },
    },
    token,
  );
  for (const target of createUploadSession.targets) {
    const { ok, status } = await fetch(target.url, {
      method: target.method,
      headers: Object.fromEntries(target.headers.map(({ name, value }) => [name, value])),
      body: new Uint8Array(bytes.subarray(target.offset, target.offset + CHUNK_BYTES)),
    });
    if (!ok) throw new Error(`A chunk was answered ${status}.`);
  }
  return { sessionId: createUploadSession.session.id, stored };
}

/** Independent of the order of names. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, item]) => [name, sorted(item)]),
  );
}
