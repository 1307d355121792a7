import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeClip } from '../support/clip.js';
import { ApiClient, sha256, spawnServer, type TestDatabase, type TestServer, until } from '../support/index.js';
import { openStream, SocketClient } from './edge/subscribers.js';

const ROOT = join(import.meta.dirname, '../..');
const TOKEN = 'scrape-0123456789abcdef';
/** Of a series of the text: its name, labels and value. */
const SERIES = /^([a-z0-9_:]+)(?:\{(.*)\})? (\S+)$/;

let server: TestServer;
let client: ApiClient;
let sessionId: string;
let videoId: string;

const database = () => server.database as TestDatabase;
const read = (headers: Record<string, string> = {}) => fetch(`${server.url}/metrics`, { headers });

/** By name with labels as they are written: `name{a="b"}`. */
async function scrape(): Promise<Map<string, number>> {
  const text = await (await read()).text();
  const series = text.split('\n').flatMap((line) => {
    const [, name, labels, value] = SERIES.exec(line) ?? [];
    return name ? [[labels ? `${name}{${labels}}` : name, Number(value)] as const] : [];
  });
  return new Map(series);
}
const total = (series: Map<string, number>, start: string) =>
  [...series].reduce((sum, [name, value]) => (name.startsWith(start) ? sum + value : sum), 0);

/** Names as they are in the text: those of histograms with their endings. */
const familiesOf = (series: Map<string, number>) => new Set([...series.keys()].map((name) => name.split('{')[0] ?? ''));

beforeAll(async () => {
  server = await spawnServer({ env: { METRICS_TOKEN: TOKEN } });
  client = await ApiClient.signUp(server.url);
  const clip = await makeClip({ seconds: 3, size: '640x360' });
  const channelId = await client.createChannel();
  const created = await client.createSession({ channelId, sizeBytes: clip.length, sha256: sha256(clip) });
  sessionId = created.session.id;
  videoId = created.session.video.id;
  const half = Math.floor(clip.length / 2);
  await client.send(sessionId, clip, [
    [0, half],
    [half, clip.length],
  ]);
  await client.complete(sessionId);
  const ready = await until(
    () => client.video(videoId),
    (video) => video.state === 'READY',
  );
  const master: string = ready.playback.hlsUrl;
  for (const path of ['', 'segment']) {
    const address = path === '' ? master : await firstSegment(master);
    await (await fetch(address)).arrayBuffer();
  }
  await client.post('{ nonsense }');
  await client.complete('x');
}, 120_000);
afterAll(() => server.remove());

async function firstSegment(master: string): Promise<string> {
  const lines = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const playlist = new URL(lines(await (await fetch(master)).text())[0] ?? '', master).href;
  return new URL(lines(await (await fetch(playlist)).text())[0] ?? '', playlist).href;
}

describe('who may read it', () => {
  it('is who asks directly from near, or has the token; to others there is no such address', async () => {
    expect((await read()).status).toBe(200);
    expect((await read({ 'x-forwarded-for': '127.0.0.1' })).status).toBe(404);
    expect((await read({ origin: 'https://page.example' })).status).toBe(404);
    expect((await read({ authorization: 'Bearer wrong' })).status).toBe(404);
    const far = await read({ authorization: `Bearer ${TOKEN}`, 'x-forwarded-for': '203.0.113.9' });
    expect(far.status).toBe(200);
    expect(far.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  it('learns nothing from the refusal', async () => {
    const [refused, absent] = await Promise.all([
      read({ forwarded: 'for=1.1.1.1' }),
      fetch(`${server.url}/nothing`, { headers: { forwarded: 'for=1.1.1.1' } }),
    ]);
    const [here, there] = (await Promise.all([refused.json(), absent.json()])) as { message: string }[];
    expect(here?.message).toBe(there?.message.replace('/nothing', '/metrics'));
    expect(Object.keys(here ?? {})).toEqual(Object.keys(there ?? {}));
  });
});

describe('what it says after an upload', () => {
  it('counts requests by pattern, and operations by field', async () => {
    const series = await scrape();
    const names = [...series.keys()];
    expect(names).toContain('sluice_http_request_duration_seconds_count{route="/graphql",method="POST",status="200"}');
    expect(names).toContain('sluice_http_request_duration_seconds_count{route="/storage/*",method="PUT",status="200"}');
    expect(series.get('sluice_graphql_operation_duration_seconds_count{type="mutation",field="commitChunks"}')).toBe(2);
    expect(series.get('sluice_graphql_errors_total{code="GRAPHQL_VALIDATION_FAILED"}')).toBe(1);
    expect(total(series, 'sluice_graphql_user_errors_total')).toBe(1);
    expect(names.filter((name) => name.includes(videoId) || name.includes(sessionId))).toEqual([]);
  });

  it('has no label that a client could make up', async () => {
    const ask = async (n: number) => {
      await fetch(`${server.url}/nothing-${n}?a=${n}`);
      await fetch(`${server.url}/media/token-${n}/video-${n}/x`);
      await client.post(`query Named${n} { alias${n}: __typename }`);
      await client.post(`{ unknown${n} }`);
    };
    /** Of what clients asked; the rest grows by itself, with jobs and timers. */
    const asked = async () =>
      [...familiesAndLabels(await scrape())].filter((one) => /^sluice_(http|graphql)_/.test(one)).sort();
    await ask(0);
    const once = await asked();
    expect(once.filter((one) => /nothing|token-|alias|Named|unknown/.test(one))).toEqual([]);
    for (let n = 1; n <= 5; n++) await ask(n);
    expect(await asked()).toEqual(once);
  });

  it('follows the upload through its lane, jobs and pieces', async () => {
    const series = await scrape();
    expect(series.get('sluice_upload_committed_chunks_total{lane="direct"}')).toBe(2);
    const [file] = await database().query<{ bytes: number }>('SELECT size_bytes::float8 AS bytes FROM upload_session');
    expect(series.get('sluice_upload_committed_bytes_total{lane="direct"}')).toBe(file?.bytes);
    expect(series.get('sluice_upload_sessions_ended_total{state="COMPLETED"}')).toBe(1);
    for (const kind of ['FIRST', 'VIDEO', 'AUDIO', 'STILLS'])
      expect(series.get(`sluice_pieces_total{kind="${kind}",outcome="done"}`)).toBe(1);
    expect(total(series, 'sluice_pieces_running')).toBe(0);
    expect(series.get('sluice_piece_speed_ratio_count{kind="VIDEO"}')).toBe(1);
    expect(series.get('sluice_videos_processed_total{outcome="ready",code=""}')).toBe(1);
    expect(series.get('sluice_video_processing_seconds_count{until="playable"}')).toBe(1);
    expect(series.get('sluice_job_duration_seconds_count{name="AssembleMaster",outcome="done"}')).toBe(1);
    expect(series.get('sluice_redis_up')).toBe(1);
    expect(series.get('sluice_scrape_failures_total{part="JobWorker.countJobs"}')).toBe(0);
    expect(total(series, 'sluice_media_bytes_total{kind="segment"}')).toBeGreaterThan(1000);
  });

  it('knows what is stored without counting it', async () => {
    const truth = () =>
      database().query<{ state: string; objects: number; bytes: number }>(
        `SELECT state, count(*)::float8 AS objects, coalesce(sum(size_bytes), 0)::float8 AS bytes FROM stored_object GROUP BY state`,
      );
    const changes = () => database().query<{ n: number }>('SELECT count(*)::int AS n FROM stored_object_change');
    for (let n = 0; n < 150; n++) {
      await database().query(`INSERT INTO stored_object (key, state, size_bytes) VALUES ($1, 'KEPT', 7)`, [`x/${n}`]);
    }
    await until(changes, ([row]) => (row?.n ?? 0) < 100);
    // Asked once in five seconds, and the collector is at work meanwhile.
    await until(
      async () => ({ series: await scrape(), rows: await truth() }),
      ({ series, rows }) =>
        rows.length > 0 &&
        rows.every(
          ({ state, objects, bytes }) =>
            series.get(`sluice_storage_objects{state="${state}"}`) === objects &&
            series.get(`sluice_storage_bytes{state="${state}"}`) === bytes,
        ),
    );
  });

  it('counts sockets and subscriptions while they are open', async () => {
    const live = (series: Map<string, number>) => ({
      websocket: series.get('sluice_live_connections{transport="websocket"}'),
      sse: series.get('sluice_live_connections{transport="sse"}'),
      subscriptions: series.get('sluice_live_subscriptions{field="uploadProgress"}'),
    });
    const query = 'subscription ($id: ID!) { uploadProgress(sessionId: $id) { state } }';
    const variables = { id: sessionId };
    const token = client.token as string;
    const socket = await SocketClient.signedIn(server.url, token);
    socket.subscribe('1', query, variables);
    const stream = await openStream(server.url, query, { token, variables });
    await until(
      async () => live(await scrape()),
      (now) => now.subscriptions === 2 && now.websocket === 1 && now.sse === 1,
    );
    await socket.close();
    stream.close();
    await until(
      async () => live(await scrape()),
      (now) => now.subscriptions === 0 && now.websocket === 0 && now.sse === 0,
    );
  });
});

it('does without what it cannot ask', async () => {
  await database().query('ALTER TABLE job RENAME TO job_away');
  try {
    // What was counted is shown for 5 s.
    const series = await until(scrape, (now) => ![...now.keys()].some((name) => name.startsWith('sluice_jobs{')));
    expect(total(series, 'sluice_scrape_failures_total')).toBeGreaterThan(0);
    expect(series.get('sluice_redis_up')).toBe(1);
    expect(series.has('sluice_storage_bytes{state="KEPT"}')).toBe(true);
  } finally {
    await database().query('ALTER TABLE job_away RENAME TO job');
  }
  await until(scrape, (now) => now.get('sluice_jobs{queue="encode",state="running"}') === 0);
});

describe('what others say of it', () => {
  const NAME = /\b(?:sluice|process|nodejs)_[a-z0-9_]+/g;
  const files = (folder: string) =>
    readdirSync(join(ROOT, folder)).map((name) => [name, readFileSync(join(ROOT, folder, name), 'utf8')] as const);

  it('dashboards and rules ask for nothing that no process exports', async () => {
    const exported = familiesOf(await scrape());
    for (const [name, text] of [...files('deploy/grafana'), ...files('deploy/prometheus')]) {
      const asked = new Set(text.match(NAME));
      expect({ name, missing: [...asked].filter((one) => !exported.has(one)) }).toEqual({ name, missing: [] });
    }
  });

  it('the guide explains each, and no other', async () => {
    const guide = readFileSync(join(ROOT, 'docs/operations/observability.md'), 'utf8');
    const told = new Set([...guide.matchAll(/^\| `(sluice_\w+)`/gm)].map(([, name]) => name));
    const text = await (await read()).text();
    const exported = [...text.matchAll(/^# TYPE (sluice_\w+)/gm)].map(([, name]) => name);
    expect([...told].sort()).toEqual(exported.sort());
  });
});

function familiesAndLabels(series: Map<string, number>): Set<string> {
  return new Set(
    [...series.keys()].map((name) => name.replace(/,?le="[^"]*"/, '').replace(/_(bucket|sum|count)\{/, '{')),
  );
}
