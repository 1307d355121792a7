import { randomBytes, randomUUID } from 'node:crypto';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { makeClip } from '../support/clip.js';
import { type Answer, ApiClient, chunkOf, put, sha256, startApp, type TestApp, until } from '../support/index.js';
import { brokenInvariants, digestOf, storageOf, storeDifferences } from '../support/invariants.js';

const MB = 1_000_000;
const file = randomBytes(3 * MB);

let app: TestApp;
let ada: ApiClient;
let channelId: string;

beforeAll(async () => {
  app = await startApp({ uploadQuotaBytes: 100 * MB, maxUploadBytes: 50 * MB });
  ada = await ApiClient.signUp(app.url);
  channelId = await ada.createChannel();
});
afterAll(async () => {
  await app.stop();
});
afterEach(async () => {
  expect(await brokenInvariants(app.database)).toEqual({});
  expect(await storeDifferences(app.database, storageOf(app.config.dataDir))).toEqual([]);
});

const begin = (more: object = {}): Promise<Answer> =>
  ada.createSession({ channelId, sizeBytes: file.length, sha256: sha256(file), ...more });
const codes = (answer: Answer): string[] => answer.userErrors.map((error: Answer) => error.code);
const finished = (id: string) =>
  until(
    () => ada.session(id),
    (session) => session.state !== 'COMPLETING',
  );

describe('from chunks to a verified original', () => {
  it('takes chunks out of order and overlapping, and puts the file together', async () => {
    // A real clip: the original of what is no video is given up as soon as it was looked at.
    const clip = await makeClip({ seconds: 2, size: '320x180' });
    const third = Math.floor(clip.length / 3);
    const { session } = await begin({ sizeBytes: clip.length, sha256: sha256(clip) });
    const committed = await ada.send(session.id, clip, [
      [2 * third, clip.length],
      [0, third + 1000],
      [third, 2 * third],
    ]);
    expect(committed.results.map((result: Answer) => result.outcome)).toEqual(['COMMITTED', 'COMMITTED', 'COMMITTED']);
    expect(committed.session.committedRanges).toEqual([{ start: 0, end: clip.length }]);
    expect((await ada.complete(session.id)).session.state).toBe('COMPLETING');
    expect((await finished(session.id)).state).toBe('COMPLETED');
    const [row] = await app.database.query<{ master_key: string }>(
      'SELECT master_key FROM upload_session WHERE id = $1',
      [uuidOf(session.id)],
    );
    expect(await digestOf(storageOf(app.config.dataDir), row?.master_key as string)).toBe(sha256(clip));
    // Completing again answers the same.
    expect((await ada.complete(session.id, sha256(clip))).session.state).toBe('COMPLETED');
  });

  it('signs the first chunks with the session, and says what is missing', async () => {
    const { session, targets } = await begin({ next: [chunkOf(file, MB, 2 * MB)] });
    expect(await put(targets[0], file.subarray(MB, 2 * MB))).toBe(200);
    expect(await put(targets[0], file.subarray(MB, 2 * MB))).toBe(412);
    const { session: now } = await ada.commit(session.id, { stored: [chunkOf(file, MB, 2 * MB)] });
    expect(now.missingRanges).toEqual([
      { start: 0, end: MB },
      { start: 2 * MB, end: 3 * MB },
    ]);
    expect(now).toMatchObject({ committedBytes: MB, progress: 1 / 3 });
    const refused = await ada.complete(session.id);
    expect(codes(refused)).toEqual(['UPLOAD_INCOMPLETE']);
    expect(refused.userErrors[0].missingRanges).toEqual(now.missingRanges);
    expect((await ada.session(session.id)).state).toBe('OPEN');
  });

  it('takes a file back whose digest is wrong, and then only the bad range again', async () => {
    const bad = Buffer.from(file);
    bad.writeUInt8(bad.readUInt8(1_500_000) ^ 1, 1_500_000);
    const { session } = await begin();
    await ada.send(session.id, bad, [
      [0, MB],
      [MB, 2 * MB],
      [2 * MB, 3 * MB],
    ]);
    await ada.complete(session.id);
    const back = await finished(session.id);
    expect(back).toMatchObject({
      state: 'OPEN',
      failure: { code: 'FILE_DIGEST_MISMATCH' },
      video: { state: 'UPLOADING' },
    });

    const { discardRanges } = await ada.query(
      `mutation ($input: DiscardRangesInput!) { discardRanges(input: $input) { session { missingRanges { start end } } userErrors { code } } }`,
      { input: { sessionId: session.id, ranges: [{ start: 1_400_000, end: 1_600_000 }] } },
    );
    expect(discardRanges.session.missingRanges).toEqual([{ start: MB, end: 2 * MB }]);
    await ada.send(session.id, file, [[MB, 2 * MB]]);
    await ada.complete(session.id);
    expect(await finished(session.id)).toMatchObject({ state: 'COMPLETED', failure: null });
  });

  it('sends the very same chunk again after it was discarded', async () => {
    const { session } = await begin();
    await ada.send(session.id, file, [[0, MB]]);
    await ada.query(`mutation ($input: DiscardRangesInput!) { discardRanges(input: $input) { userErrors { code } } }`, {
      input: { sessionId: session.id, ranges: [{ start: 0, end: 1 }] },
    });
    // The old object is being deleted, so a commit of it counts nothing, until it was sent anew.
    const replayed = await ada.commit(session.id, { stored: [chunkOf(file, 0, MB)] });
    expect(replayed.results[0]).toMatchObject({ outcome: 'REFUSED', code: 'CHUNK_NOT_STORED' });
    const again = await ada.send(session.id, file, [[0, MB]]);
    expect(again.results[0].outcome).toBe('COMMITTED');
  });
});

describe('what is refused changes nothing', () => {
  it.each([
    ['fewer bytes', file.subarray(0, 10), 'CHUNK_SIZE_MISMATCH'],
    ['other bytes', file.subarray(1, MB + 1), 'CHUNK_DIGEST_MISMATCH'],
  ])('a chunk of which the store has %s', async (_, stored, code) => {
    const { session } = await begin({ next: [chunkOf(file, 0, MB)] });
    const [row] = await app.database.query<{ key: string }>(
      'SELECT object_key AS key FROM upload_target WHERE session_id = $1',
      [uuidOf(session.id)],
    );
    await app.get(ObjectStorage).put(row?.key as string, stored);
    const { results, session: now } = await ada.commit(session.id, { stored: [chunkOf(file, 0, MB)] });
    expect(results).toMatchObject([{ outcome: 'REFUSED', code }]);
    expect(now.committedBytes).toBe(0);
  });

  it.each<[string, object, string]>([
    ['an empty file', { sizeBytes: 0 }, 'EMPTY_FILE'],
    ['a file that is too large', { sizeBytes: 50 * MB + 1 }, 'FILE_TOO_LARGE'],
    ['a name with a NUL', { fileName: 'a\0b' }, 'INVALID_INPUT'],
    ['a name of 10 kB', { fileName: 'x'.repeat(10_000) }, 'INVALID_INPUT'],
    ['no idempotency key', { idempotencyKey: '' }, 'INVALID_INPUT'],
    ['a channel that is none', { channelId: 'nonsense' }, 'NOT_FOUND'],
  ])('%s', async (_, input, code) => {
    const [before] = await app.database.query('SELECT count(*) FROM upload_session');
    const answer = await begin(input);
    expect(codes(answer)).toEqual([code]);
    expect(answer.session).toBeNull();
    expect(await app.database.query('SELECT count(*) FROM upload_session')).toEqual([before]);
  });

  it('sizes that are no byte counts', async () => {
    for (const sizeBytes of [-1, 1.5, 2 ** 53, '5', null]) {
      const { errors } = await ada.post(
        'mutation ($input: CreateUploadSessionInput!) { createUploadSession(input: $input) { session { id } } }',
        { input: { channelId, fileName: 'a', idempotencyKey: randomUUID(), sizeBytes } },
      );
      expect(errors[0].extensions.code).toBe('BAD_USER_INPUT');
    }
  });

  it('a range sent again, even with other bytes, is ALREADY_COVERED', async () => {
    const { session } = await begin();
    await ada.send(session.id, file, [[0, MB]]);
    const other = randomBytes(file.length);
    for (const bytes of [file, other]) {
      const { results, session: now } = await ada.send(session.id, bytes, [[100, 500_000]]);
      expect(results).toMatchObject([{ outcome: 'ALREADY_COVERED', code: null }]);
      expect(now.committedBytes).toBe(MB);
    }
    await ada.send(session.id, file, [[MB, 3 * MB]]);
    await ada.complete(session.id);
    expect((await finished(session.id)).state).toBe('COMPLETED');
  });

  it('chunks that were not stored, or lie outside of the file', async () => {
    const { session } = await begin();
    await ada.commit(session.id, { next: [chunkOf(file, 0, MB)] });
    const { results } = await ada.commit(session.id, {
      stored: [
        chunkOf(file, 0, MB),
        chunkOf(file, MB, 2 * MB),
        { offset: 2 * MB, sizeBytes: MB + 1, sha256: sha256(file) },
        { offset: 2 ** 52, sizeBytes: 2 ** 52, sha256: sha256(file) },
        { offset: 0, sizeBytes: 0, sha256: sha256(file) },
      ],
    });
    expect(results.map((result: Answer) => result.code)).toEqual([
      'CHUNK_NOT_STORED',
      'CHUNK_NOT_STORED',
      'CHUNK_OUT_OF_BOUNDS',
      'CHUNK_OUT_OF_BOUNDS',
      'CHUNK_OUT_OF_BOUNDS',
    ]);
    for (const [chunk, code] of [
      [{ offset: 2 * MB, sizeBytes: MB + 1 }, 'CHUNK_OUT_OF_BOUNDS'],
      [{ offset: 0, sizeBytes: 0 }, 'CHUNK_EMPTY'],
      [{ offset: 0, sizeBytes: 64 * 1024 * 1024 + 1 }, 'CHUNK_TOO_LARGE'],
    ] as const) {
      const answer = await ada.commit(session.id, { next: [{ ...chunk, sha256: sha256(file) }] });
      expect(codes(answer)).toEqual([code]);
      expect(answer.targets).toEqual([]);
    }
    expect((await ada.session(session.id)).committedBytes).toBe(0);
  });

  it('a target takes exactly what was signed', async () => {
    const { session, targets } = await begin({ next: [chunkOf(file, 0, MB)] });
    const [target] = targets;
    expect(await put(target, file.subarray(1, MB + 1))).toBe(400);
    expect(await put(target, file.subarray(0, MB - 1))).toBe(403);
    expect(await put({ ...target, url: target.url.replace(/expires=\d+/, 'expires=1') }, file.subarray(0, MB))).toBe(
      403,
    );
    const { results } = await ada.commit(session.id, { stored: [chunkOf(file, 0, MB)] });
    expect(results[0].code).toBe('CHUNK_NOT_STORED');
    expect(await put(target, file.subarray(0, MB))).toBe(200);
  });

  it('ranges that are signed over and over with other bytes: what a session may fill is bounded', async () => {
    const { session } = await begin();
    let signed = 0;
    for (let codesOfLast: string[] = []; codesOfLast.length === 0; ) {
      const next = Array.from({ length: 100 }, () => ({
        offset: 0,
        sizeBytes: file.length,
        sha256: randomBytes(32).toString('hex'),
      }));
      const answer = await ada.commit(session.id, { next });
      codesOfLast = codes(answer);
      signed += answer.targets.length * file.length;
      expect(signed).toBeLessThan(4 * file.length + 1024 ** 3);
      if (codesOfLast.length > 0) expect(codesOfLast).toEqual(['TOO_MANY_CHUNKS']);
    }
    expect(signed).toBeGreaterThan(2 * file.length);
  });

  it("somebody else's session looks like none", async () => {
    const { session } = await begin();
    const eve = await ApiClient.signUp(app.url);
    expect(await eve.session(session.id)).toBeNull();
    const answers = [
      await eve.commit(session.id, { stored: [chunkOf(file, 0, MB)], next: [chunkOf(file, 0, MB)] }),
      await eve.complete(session.id),
      await eve.move('pause', session.id),
      await eve.move('resume', session.id),
      await eve.move('cancel', session.id),
      await eve.createSession({ channelId, sizeBytes: 1 }),
    ];
    expect(answers.map(codes)).toEqual(Array(6).fill(['NOT_FOUND']));
    const nobody = new ApiClient(app.url);
    expect(await nobody.session(session.id)).toBeNull();
    const { errors } = await nobody.post(
      'mutation ($id: ID!) { cancelUploadSession(input: { sessionId: $id }) { session { id } } }',
      {
        id: session.id,
      },
    );
    expect(errors[0].extensions.code).toBe('UNAUTHENTICATED');
    expect(await ada.session(session.id)).toMatchObject({ state: 'OPEN', committedBytes: 0 });
  });

  it('another digest than the one declared', async () => {
    const { session } = await begin();
    await ada.send(session.id, file, [[0, 3 * MB]]);
    expect(codes(await ada.complete(session.id, sha256(Buffer.from('another'))))).toEqual(['DIGEST_DIFFERS']);
    expect((await ada.session(session.id)).state).toBe('OPEN');
  });
});

describe('a session', () => {
  it('is the same for the same idempotency key, whatever became of the first answer', async () => {
    const idempotencyKey = randomUUID();
    const answers = await Promise.all(Array.from({ length: 10 }, () => begin({ idempotencyKey })));
    expect(new Set(answers.map((answer) => answer.session.id)).size).toBe(1);
    expect(codes(await begin({ idempotencyKey, fileName: 'other.mp4' }))).toEqual(['IDEMPOTENCY_KEY_REUSED']);
  });

  it('notes a pause, and counts what arrives in it', async () => {
    const { session } = await begin();
    expect((await ada.move('pause', session.id)).session.pausedAt).not.toBeNull();
    expect((await ada.send(session.id, file, [[0, MB]])).session.committedBytes).toBe(MB);
    expect((await ada.move('resume', session.id)).session.pausedAt).toBeNull();
  });

  it('answers every later call with its end', async () => {
    const { session } = await begin();
    await ada.send(session.id, file, [[0, 3 * MB]]);
    expect((await ada.move('cancel', session.id)).session.state).toBe('CANCELLED');
    expect((await ada.move('cancel', session.id)).session.state).toBe('CANCELLED');
    for (const answer of [
      await ada.complete(session.id),
      await ada.commit(session.id, { next: [chunkOf(file, 0, MB)] }),
      await ada.move('pause', session.id),
    ]) {
      expect(answer.userErrors).toMatchObject([
        { code: 'SESSION_ENDED', __typename: 'SessionEnded', state: 'CANCELLED' },
      ]);
    }
    expect(await ada.video(session.video.id)).toBeNull();
    expect((await ada.session(session.id)).state).toBe('CANCELLED');
    await until(
      () =>
        app.database.query(`SELECT key FROM stored_object WHERE key LIKE '%' || $1 || '%' AND state <> 'DELETING'`, [
          uuidOf(session.id),
        ]),
      (rows) => rows.length === 0,
    );
  });

  it('ends with its video', async () => {
    const { session } = await begin();
    const { deleteVideo } = await ada.query(
      'mutation ($id: ID!) { deleteVideo(input: { videoId: $id }) { deletedVideoId userErrors { code } } }',
      { id: session.video.id },
    );
    expect(deleteVideo).toEqual({ deletedVideoId: session.video.id, userErrors: [] });
    await until(
      () => ada.session(session.id),
      ({ state }) => state === 'CANCELLED',
    );
  });

  it('lists its chunks with their attempts and failures', async () => {
    const { session } = await begin();
    await ada.commit(session.id, {
      next: [chunkOf(file, 0, MB), chunkOf(file, MB, 2 * MB), chunkOf(file, 2 * MB, 3 * MB)],
    });
    await ada.send(session.id, file, [[MB, 2 * MB]]);
    await ada.commit(session.id, { failed: [{ offset: 2 * MB, sizeBytes: MB, reason: 'time-out' }] });
    await ada.commit(session.id, { failed: [{ offset: 2 * MB, sizeBytes: MB, reason: 'reset' }] });
    const query = `query ($id: ID!, $first: Int!, $after: Cursor) { uploadSession(id: $id) { failedChunkCount
      chunks(first: $first, after: $after) { nodes { offset state attempts failureReason verified } pageInfo { hasNextPage endCursor } } } }`;
    const first = (await ada.query(query, { id: session.id, first: 2 })).uploadSession;
    expect(first.failedChunkCount).toBe(1);
    expect(first.chunks.nodes).toEqual([
      { offset: 0, state: 'SIGNED', attempts: 0, failureReason: null, verified: false },
      { offset: MB, state: 'COMMITTED', attempts: 1, failureReason: null, verified: true },
    ]);
    const after = first.chunks.pageInfo.endCursor;
    const second = (await ada.query(query, { id: session.id, first: 2, after })).uploadSession;
    expect(second.chunks).toEqual({
      nodes: [{ offset: 2 * MB, state: 'FAILED', attempts: 2, failureReason: 'reset', verified: false }],
      pageInfo: { hasNextPage: false, endCursor: expect.any(String) },
    });
    // Signing again takes the failure off; the attempts stay.
    await ada.commit(session.id, { next: [chunkOf(file, 2 * MB, 3 * MB)] });
    expect((await ada.query(query, { id: session.id, first: 2, after })).uploadSession).toMatchObject({
      failedChunkCount: 0,
      chunks: { nodes: [{ state: 'SIGNED', attempts: 2 }] },
    });
  });

  it('expires 7 days after the last byte, with its video and its share of the quota', async () => {
    const { session } = await begin();
    await app.database.query(
      `WITH past AS (SELECT now() - interval '1 s' AS at)
       UPDATE upload_session SET expires_at = past.at, expiry_announced = past.at FROM past WHERE id = $1`,
      [uuidOf(session.id)],
    );
    const { UploadsService } = await import('../../src/modules/uploads/uploads.service.js');
    await app.get(UploadsService).expire();
    expect((await ada.session(session.id)).state).toBe('EXPIRED');
    expect(await ada.video(session.video.id)).toBeNull();
  });

  it('is found again by fingerprint, in pages', async () => {
    const fingerprint = randomUUID();
    const made = [await begin({ fingerprint }), await begin({ fingerprint }), await begin({ fingerprint })];
    const query = `query ($fingerprint: String, $after: Cursor) { viewer { uploadSessions(state: OPEN, fingerprint: $fingerprint, first: 2, after: $after) {
      nodes { id } pageInfo { hasNextPage endCursor } } } }`;
    const first = (await ada.query(query, { fingerprint })).viewer.uploadSessions;
    const second = (await ada.query(query, { fingerprint, after: first.pageInfo.endCursor })).viewer.uploadSessions;
    expect([...first.nodes, ...second.nodes].map((node: Answer) => node.id)).toEqual(
      made.map((answer) => answer.session.id).reverse(),
    );
    expect([first.pageInfo.hasNextPage, second.pageInfo.hasNextPage]).toEqual([true, false]);
    for (const { session } of made) await ada.move('cancel', session.id);
  });
});

it('holds the quota exactly, also in a race', async () => {
  const bob = await ApiClient.signUp(app.url);
  const channel = await bob.createChannel();
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => bob.createSession({ channelId: channel, sizeBytes: 30 * MB })),
  );
  expect(answers.filter((answer) => answer.session)).toHaveLength(3);
  const refused = answers.find((answer) => !answer.session);
  expect(refused.userErrors).toMatchObject([{ __typename: 'QuotaExceeded', limitBytes: 100 * MB }]);
  await bob.move('cancel', answers.find((answer) => answer.session).session.id);
  expect((await bob.createSession({ channelId: channel, sizeBytes: 30 * MB })).userErrors).toEqual([]);
});

function uuidOf(globalId: string): string {
  return Buffer.from(globalId, 'base64url').toString().split(':')[1] as string;
}
