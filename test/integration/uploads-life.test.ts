import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { createClient } from 'graphql-ws';
import { SMTPServer } from 'smtp-server';
import { WebSocket } from 'ws';
import { StoredObjects } from '../../src/modules/storage/index.js';
import { UploadExpiry } from '../../src/modules/uploads/upload-expiry.service.js';
import { UploadsService } from '../../src/modules/uploads/uploads.service.js';
import { makeClip } from '../support/clip.js';
import {
  type Answer,
  ApiClient,
  chunkOf,
  put,
  rowId,
  sha256,
  startApp,
  type TestApp,
  until,
} from '../support/index.js';
import { brokenInvariants, storageOf, storeDifferences } from '../support/invariants.js';
import { heldBytes } from '../support/memory.js';

/** A session's whole life as its owner sees it: found again, shared, mended, announced, ended. */

const MB = 1_000_000;
const file = randomBytes(3 * MB);

let app: TestApp;
let smtp: SMTPServer;
let mails: { to: string; body: string }[];
let ada: ApiClient;
let channelId: string;

beforeAll(async () => {
  mails = [];
  smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData: async (stream, { envelope }, done) => {
      // As it was written: the transfer encoding folds its lines.
      const body = (await text(stream)).replaceAll('=\r\n', '').replaceAll('=C3=BC', 'ü');
      mails.push({ to: envelope.rcptTo[0]?.address ?? '', body });
      done();
    },
  });
  smtp.listen(0, '127.0.0.1');
  await once(smtp.server, 'listening');
  const { port } = smtp.server.address() as AddressInfo;
  app = await startApp({ smtp: { url: `smtp://127.0.0.1:${port}`, from: 'Sluice <video@example.org>' } });
  ada = await ApiClient.signUp(app.url);
  channelId = await ada.createChannel();
});
afterAll(async () => {
  await app.stop();
  await new Promise<void>((done) => smtp.close(done));
});
afterEach(async () => {
  expect(await brokenInvariants(app.database)).toEqual({});
  expect(await storeDifferences(app.database, storageOf(app.config.dataDir))).toEqual([]);
});

const begin = (more: object = {}): Promise<Answer> => ada.createSession({ channelId, sizeBytes: file.length, ...more });
const sql = <Row extends object = Record<string, unknown>>(statement: string, ...values: unknown[]) =>
  app.database.query<Row>(statement, values);
const setExpiry = (id: string, ahead: string) =>
  sql(`UPDATE upload_session SET expires_at = now() + $2::interval WHERE id = $1`, rowId(id), ahead);
const hoursLeft = async (id: string): Promise<number> =>
  (
    await sql<{ hours: number }>(
      `SELECT (extract(epoch FROM expires_at - now()) / 3600)::float8 AS hours FROM upload_session WHERE id = $1`,
      rowId(id),
    )
  )[0]?.hours ?? 0;
const discard = (client: ApiClient, sessionId: string, ranges: object[]) =>
  client.query(
    `mutation ($input: DiscardRangesInput!) { discardRanges(input: $input) { session { missingRanges { start end } } userErrors { code } } }`,
    { input: { sessionId, ranges } },
  );
const append = async (id: string, offset: number, body: Buffer): Promise<number> => {
  const { uploadSession } = await ada.query('query ($id: ID!) { uploadSession(id: $id) { tusUrl } }', { id });
  const { status } = await fetch(uploadSession.tusUrl, {
    method: 'PATCH',
    headers: {
      'tus-resumable': '1.0.0',
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
    },
    body: new Uint8Array(body),
  });
  return status;
};
const finished = (id: string) =>
  until(
    () => ada.session(id),
    ({ state }) => state !== 'COMPLETING',
    20,
  );
/** Of the session's own objects. */
const stored = async (id: string): Promise<string[]> => {
  const storage = storageOf(app.config.dataDir);
  const pages = await Promise.all(
    ['incoming', 'appended'].map((lane) => storage.list(`${lane}/${rowId(id)}/`, { limit: 1000 })),
  );
  return pages.flat().map(({ key }) => key);
};
/** What `uploadProgress` says from now on. */
function watch(id: string): { seen: Answer[]; stop: () => void } {
  const client = createClient({
    url: `${app.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${ada.token}` },
  });
  const seen: Answer[] = [];
  const query = `subscription ($id: ID!) { uploadProgress(sessionId: $id) { state expiresAt committedBytes bytesPerSecond secondsLeft failure { code } } }`;
  client.subscribe<Answer>(
    { query, variables: { id } },
    { next: ({ data }) => seen.push(data?.uploadProgress), error: () => undefined, complete: () => undefined },
  );
  return { seen, stop: () => void client.dispose() };
}

describe('an expiry', () => {
  const announce = () => app.get(UploadExpiry).announce();
  const events = (id: string) =>
    sql<{ at: string }>(
      `SELECT payload->>'expiresAt' AS at FROM job WHERE name LIKE 'UploadExpiring>%' AND payload->>'sessionId' = $1 ORDER BY at`,
      rowId(id),
    );

  it('is announced a day before: once, live, as an event and by mail, and anew after a later byte', async () => {
    const { session } = await begin({ fileName: 'Führung am Kanal.mp4' });
    await ada.send(session.id, file, [[0, MB]]);
    const live = watch(session.id);
    await setExpiry(session.id, '26 hours');
    await announce();
    expect(await events(session.id)).toEqual([]);
    await setExpiry(session.id, '24 hours 30 minutes');
    await until(
      async () => live.seen.length,
      (count) => count > 0,
      20,
    );
    const before = live.seen.length;
    await Promise.all([announce(), announce(), announce()]);
    expect(await events(session.id)).toHaveLength(1);
    await until(
      async () => live.seen.length,
      (count) => count > before,
      20,
    );
    expect(new Date(live.seen.at(-1).expiresAt).getTime() - Date.now()).toBeGreaterThan(24.4 * 3_600_000);
    live.stop();
    const [mail] = await until(
      async () => mails,
      (all) => all.length > 0,
      20,
    );
    expect(mail?.to).toBe(ada.email);
    expect(mail?.body).toContain('33 % of this file has arrived');
    expect(mail?.body).toContain('Führung am Kanal.mp4');
    expect(mail?.body).toContain((await events(session.id))[0]?.at.slice(0, 10));
    expect(mail?.body).toContain('choose the same file again');

    await ada.send(session.id, file, [[MB, MB + 1]]);
    await announce();
    expect(await events(session.id)).toHaveLength(1);
    await setExpiry(session.id, '20 hours');
    await announce();
    expect(await events(session.id)).toHaveLength(2);
    await until(
      async () => mails,
      (all) => all.length === 2,
      20,
    );
    await announce();
    expect(await events(session.id)).toHaveLength(2);
    await ada.move('cancel', session.id);
  });

  it('gives the day also after a week without a server, and ends only what was announced', async () => {
    const [late, paused] = [await begin(), await begin()];
    await ada.move('pause', paused.session.id);
    for (const { session } of [late, paused]) await setExpiry(session.id, '-1 week');
    await app.get(UploadsService).expire();
    await announce();
    for (const { session } of [late, paused]) {
      expect((await ada.session(session.id)).state).toBe('OPEN');
      expect(await hoursLeft(session.id)).toBeCloseTo(24, 1);
    }
    await sql(
      `UPDATE upload_session SET expires_at = '2026-01-01', expiry_announced = '2026-01-01' WHERE id = ANY($1)`,
      [late, paused].map(({ session }) => rowId(session.id)),
    );
    await app.get(UploadsService).expire();
    for (const { session } of [late, paused]) expect((await ada.session(session.id)).state).toBe('EXPIRED');
  });

  it('is 7 days after the last byte, however it came, and no other call moves it', async () => {
    const week = 7 * 24;
    const { session } = await begin({ sha256: sha256(file) });
    const bad = Buffer.from(file);
    bad.writeUInt8(bad.readUInt8(2 * MB) ^ 1, 2 * MB);
    const steps: [string, () => Promise<unknown>, number][] = [
      ['a chunk is signed', () => ada.commit(session.id, { next: [chunkOf(file, 0, MB)] }), week],
      ['a chunk is stored', () => ada.send(session.id, file, [[0, MB]]), week],
      ['bytes are appended', () => append(session.id, MB, file.subarray(MB, 2 * MB)), week],
      ['it is paused', () => ada.move('pause', session.id), 1],
      ['it is resumed', () => ada.move('resume', session.id), 1],
      ['a range is discarded', () => discard(ada, session.id, [{ start: 0, end: 1 }]), 1],
      ['the range is sent again', () => ada.send(session.id, file, [[0, MB]]), week],
      ['it is not whole', () => ada.complete(session.id), 1],
      ['it is whole, and wrong', () => ada.send(session.id, bad, [[2 * MB, 3 * MB]]), week],
      [
        'it is open again',
        async () => {
          await ada.complete(session.id);
          expect(await finished(session.id)).toMatchObject({ state: 'OPEN' });
        },
        week,
      ],
    ];
    for (const [what, step, hours] of steps) {
      await setExpiry(session.id, '1 hour');
      await step();
      expect([what, Math.round(await hoursLeft(session.id))]).toEqual([what, hours]);
    }
    await ada.move('cancel', session.id);
  });

  it('is looked for by an index, whatever else there is', async () => {
    const { session } = await begin();
    await sql(
      `WITH v AS (INSERT INTO video (channel_id, owner_id, title) SELECT channel_id, owner_id, 'x' FROM upload_session, generate_series(1, 3000)
                          WHERE upload_session.id = $1 RETURNING id, channel_id, owner_id)
               INSERT INTO upload_session (owner_id, channel_id, video_id, file_name, size_bytes, idempotency_key, input_hash, expires_at, expiry_announced)
               SELECT owner_id, channel_id, id, 'many', 1, id::text, '', t.at, CASE WHEN t.at < now() + interval '26 hours' THEN t.at END
               FROM v, LATERAL (SELECT now() + random() * interval '7 days' + length(v.id::text) * interval '1 s' AS at) t`,
      rowId(session.id),
    );
    await sql('ANALYZE upload_session');
    const plan = async (where: string, order: string): Promise<string> =>
      JSON.stringify(
        await sql(
          `EXPLAIN SELECT id FROM upload_session WHERE state = 'OPEN' AND ${where} ORDER BY ${order} LIMIT 100 FOR UPDATE SKIP LOCKED`,
        ),
      );
    const unannounced = 'nullif(expires_at, expiry_announced)';
    expect(await plan(`${unannounced} < now() + interval '25 hours'`, unannounced)).toContain(
      'ix_upload_session_announce',
    );
    expect(await plan('expires_at < now() AND expiry_announced = expires_at', 'expires_at')).toContain(
      'ix_upload_session_expiry',
    );
    await sql(
      `WITH s AS (DELETE FROM upload_session WHERE file_name = 'many' RETURNING video_id) DELETE FROM video USING s WHERE id = s.video_id`,
    );
  });
});

describe('a cancelled session', () => {
  it('has its objects deleted, of both lanes, committed or not', async () => {
    const { session, targets } = await begin({ next: [chunkOf(file, 2 * MB, 3 * MB)] });
    await ada.send(session.id, file, [[0, MB]]);
    expect(await append(session.id, MB, file.subarray(MB, 2 * MB))).toBe(204);
    // Stored, and never committed.
    expect(await put(targets[0], file.subarray(2 * MB))).toBe(200);
    expect(await stored(session.id)).toHaveLength(3);
    await ada.move('cancel', session.id);
    await until(
      () => stored(session.id),
      (keys) => keys.length === 0,
      20,
    );
  });

  it('is swept again for what lands after its end', async () => {
    const { session, targets } = await begin({ next: [chunkOf(file, 0, MB)] });
    await ada.move('cancel', session.id);
    await until(
      () =>
        sql(
          `SELECT key FROM stored_object WHERE key LIKE $1 AND state = 'DELETING' AND due_at > now()`,
          `incoming/${rowId(session.id)}/%`,
        ),
      (rows) => rows.length === 1,
      20,
    );
    expect(await put(targets[0], file.subarray(0, MB))).toBe(200);
    expect(await stored(session.id)).toHaveLength(1);
    // It was signed for an hour at most: the sweep is due then.
    const [due] = await sql<{ minutes: number }>(
      `SELECT (extract(epoch FROM due_at - created_at) / 60)::float8 AS minutes FROM stored_object WHERE key LIKE $1`,
      `incoming/${rowId(session.id)}/%`,
    );
    expect(due?.minutes).toBeCloseTo(60, 0);
    await sql(
      `UPDATE stored_object SET created_at = created_at - interval '61 min', due_at = due_at - interval '61 min' WHERE key LIKE $1`,
      `incoming/${rowId(session.id)}/%`,
    );
    await app.get(StoredObjects).deleteSome(100);
    await until(
      () => stored(session.id),
      (keys) => keys.length === 0,
      20,
    );
    expect(await sql('SELECT key FROM stored_object WHERE key LIKE $1', `incoming/${rowId(session.id)}/%`)).toEqual([]);
  });
});

describe('the direct lane', () => {
  const chunks = async (id: string, state: string | null = null) =>
    (
      await ada.query(
        `query ($id: ID!, $state: ChunkState) { uploadSession(id: $id) { failedChunkCount chunks(first: 10, state: $state) { nodes { offset state attempts failureReason sha256 } } } }`,
        { id, state },
      )
    ).uploadSession;

  it('signs ahead, in batches, and renews what ran out at no cost', async () => {
    const all = Array.from({ length: 6 }, (_, k) => chunkOf(file, (k * MB) / 2, ((k + 1) * MB) / 2));
    const bytes = (chunk: { offset: number; sizeBytes: number }) =>
      file.subarray(chunk.offset, chunk.offset + chunk.sizeBytes);
    const { session, targets } = await begin({ next: all.slice(0, 3) });
    expect(targets.map(({ offset }: Answer) => offset)).toEqual([0, MB / 2, MB]);
    for (const [k, target] of targets.entries()) expect(await put(target, bytes(all[k] as (typeof all)[0]))).toBe(200);
    // An answer that was lost: the same bytes again are as good.
    expect(await put(targets[0], bytes(all[0] as (typeof all)[0]))).toBe(412);
    const second = await ada.commit(session.id, { stored: all.slice(0, 3), next: all.slice(3) });
    expect(second.results.map(({ outcome }: Answer) => outcome)).toEqual(['COMMITTED', 'COMMITTED', 'COMMITTED']);
    expect(second.targets).toHaveLength(3);

    // Three nights later, as a store sees it.
    const [old] = second.targets;
    expect(
      await put(
        { ...old, url: old.url.replace(/expires=\d+/, 'expires=1767225600') },
        bytes(all[3] as (typeof all)[0]),
      ),
    ).toBe(403);
    for (let k = 0; k < 3; k++) {
      const { targets: renewed } = await ada.commit(session.id, { next: all.slice(3) });
      expect(renewed.map(({ url }: Answer) => new URL(url).pathname)).toEqual(
        second.targets.map(({ url }: Answer) => new URL(url).pathname),
      );
    }
    const signed = await chunks(session.id, 'SIGNED');
    expect(signed.chunks.nodes.map(({ attempts }: Answer) => attempts)).toEqual([0, 0, 0]);
    await ada.commit(session.id, { failed: [{ offset: 2 * MB, sizeBytes: MB / 2, reason: 'cut' }] });
    expect(await chunks(session.id, 'FAILED')).toMatchObject({
      failedChunkCount: 1,
      chunks: { nodes: [{ offset: 2 * MB, attempts: 1, failureReason: 'cut' }] },
    });
    await ada.send(session.id, file, [
      [1.5 * MB, 2 * MB],
      [2 * MB, 2.5 * MB],
      [2.5 * MB, 3 * MB],
    ]);
    expect((await chunks(session.id, 'COMMITTED')).chunks.nodes.map(({ attempts }: Answer) => attempts)).toEqual([
      1, 1, 1, 1, 2, 1,
    ]);
    expect(await chunks(session.id, 'FAILED')).toMatchObject({ failedChunkCount: 0, chunks: { nodes: [] } });
    await ada.move('cancel', session.id);
  });

  it('mends a file by the digests of its chunks', async () => {
    const clip = await makeClip({ seconds: 2, size: '320x180' });
    const cuts = [0, 1, 2, 3].map((k) => Math.floor((k * clip.length) / 4)).concat(clip.length);
    const ranges = cuts.slice(1).map((end, k) => [cuts[k] as number, end] as const);
    const bad = Buffer.from(clip);
    for (const at of [ranges[1]?.[0] as number, (ranges[3]?.[1] as number) - 1])
      bad.writeUInt8(bad.readUInt8(at) ^ 1, at);
    const { session } = await ada.createSession({ channelId, sizeBytes: clip.length, sha256: sha256(clip) });
    const live = watch(session.id);
    await ada.send(session.id, bad, ranges);
    await ada.complete(session.id);
    expect(await finished(session.id)).toMatchObject({
      state: 'OPEN',
      failure: { code: 'FILE_DIGEST_MISMATCH' },
      missingRanges: [],
    });
    await until(
      async () => live.seen.at(-1)?.failure?.code,
      (code) => code === 'FILE_DIGEST_MISMATCH',
      20,
    );
    // As a client does it: what the server has, compared with what the file is.
    const { nodes } = (await chunks(session.id)).chunks;
    const wrong = nodes.filter(
      ({ sha256: theirs }: Answer, k: number) => theirs !== chunkOf(clip, ...(ranges[k] as [number, number])).sha256,
    );
    expect(wrong.map(({ offset }: Answer) => offset)).toEqual([cuts[1], cuts[3]]);
    const spans = wrong.map(({ offset }: Answer) => ({ start: offset, end: cuts[cuts.indexOf(offset) + 1] }));
    const { discardRanges } = await discard(ada, session.id, spans);
    expect(discardRanges.session.missingRanges).toEqual(spans);
    await ada.send(
      session.id,
      clip,
      spans.map(({ start, end }: Answer) => [start, end]),
    );
    await ada.complete(session.id);
    expect(await finished(session.id)).toMatchObject({ state: 'COMPLETED', failure: null });
    await until(
      async () => live.seen.at(-1),
      ({ state, failure }) => state === 'COMPLETED' && failure === null,
      20,
    );
    live.stop();
  });
});

it('is found and finished from another device, and two share its work', async () => {
  const clip = await makeClip({ seconds: 2, size: '320x180' });
  const fingerprint = randomUUID();
  const { session } = await ada.createSession({ channelId, sizeBytes: clip.length, sha256: sha256(clip), fingerprint });
  const tenth = Math.floor(clip.length / 10);
  await ada.send(session.id, clip, [[0, 3 * tenth]]);

  const { login } = await ada.query(
    'mutation ($input: LoginInput!) { login(input: $input) { session { accessToken } } }',
    { input: { email: ada.email, password: 'correct horse battery' } },
  );
  const phone = new ApiClient(app.url, login.session.accessToken, ada.email);
  const { nodes } = (
    await phone.query(
      'query ($fingerprint: String) { viewer { uploadSessions(state: OPEN, fingerprint: $fingerprint, first: 5) { nodes { id progress video { title } } } } }',
      { fingerprint },
    )
  ).viewer.uploadSessions;
  expect(nodes).toEqual([{ id: session.id, progress: (3 * tenth) / clip.length, video: { title: 'film.mp4' } }]);
  const found = await phone.commit(nodes[0].id, {});
  expect(found.session.missingRanges).toEqual([{ start: 3 * tenth, end: clip.length }]);

  // Both send, over each other's ranges, at once.
  const answers = await Promise.all(
    [ada, phone].flatMap((client, k) =>
      [3, 4, 5, 6, 7, 8, 9].map((part) => {
        const start = part * tenth - k * 500;
        return client.send(session.id, clip, [[start, part === 9 ? clip.length : start + tenth + k * 700]]);
      }),
    ),
  );
  expect(
    answers
      .flatMap(({ results }) => results.map(({ outcome }: Answer) => outcome))
      .sort()
      .at(-1),
  ).toBe('COMMITTED');
  expect(await ada.session(session.id)).toMatchObject({ committedBytes: clip.length, missingRanges: [] });
  const ends = await Promise.all([ada, phone, ada, phone].map((client) => client.complete(session.id)));
  expect(ends.flatMap(({ userErrors }) => userErrors)).toEqual([]);
  expect((await finished(session.id)).state).toBe('COMPLETED');
  expect(
    await sql(`SELECT count(*)::int AS jobs FROM job WHERE dedupe_key LIKE $1`, `assemble:${rowId(session.id)}:%`),
  ).toEqual([{ jobs: 1 }]);
});

it('shows its rate and the time left, live, and that nothing comes any more', async () => {
  const { session } = await begin();
  const live = watch(session.id);
  await ada.send(session.id, file, [[0, MB]]);
  const seen = await until(
    async () => live.seen.find(({ committedBytes }) => committedBytes === MB),
    (found) => found !== undefined,
    20,
  );
  expect(seen.bytesPerSecond).toBeGreaterThan(MB / 60);
  expect(seen.secondsLeft).toBe(Math.ceil((2 * MB) / seen.bytesPerSecond));
  await sql(`UPDATE upload_chunk SET committed_at = now() - interval '61 s' WHERE session_id = $1`, rowId(session.id));
  // No tick tells that: the stream looks by itself.
  const now = await until(
    async () => live.seen.at(-1),
    ({ bytesPerSecond }) => bytesPerSecond === null,
    20,
  );
  expect(now).toMatchObject({ committedBytes: MB, secondsLeft: null });
  live.stop();
  await ada.move('cancel', session.id);
}, 15_000);

it('is put together with little in memory', async () => {
  const size = 32 * MB;
  const chunk = 8 * MB;
  const large = randomBytes(size);
  const { session } = await ada.createSession({ channelId, sizeBytes: size, sha256: sha256(large) });
  await ada.send(
    session.id,
    large,
    Array.from({ length: size / chunk }, (_, k) => [k * chunk, (k + 1) * chunk] as const),
  );
  const before = heldBytes();
  await ada.complete(session.id);
  let most = 0;
  await until(
    async () => {
      most = Math.max(most, heldBytes() - before);
      return sql<{ state: string }>('SELECT state FROM upload_session WHERE id = $1', rowId(session.id));
    },
    ([row]) => row?.state === 'COMPLETED',
    100,
  );
  expect(most).toBeLessThan(10 * MB);
  await ada.query('mutation ($id: ID!) { deleteVideo(input: { videoId: $id }) { userErrors { code } } }', {
    id: session.video.id,
  });
}, 120_000);
