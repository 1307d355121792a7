import { randomUUID } from 'node:crypto';
import { makeClip } from '../support/clip.js';
import {
  type Answer,
  ApiClient,
  sha256,
  spawnServer,
  type TestRedis,
  type TestServer,
  testRedis,
  until,
} from '../support/index.js';
import { brokenInvariants, digestOf, storageOf, storeDifferences } from '../support/invariants.js';

/** The whole server as a process, killed (or robbed of its Redis) at marked points: afterwards nothing is lost or doubled. */

const CHUNK = 512 * 1024;
let clip: Buffer;
let server: TestServer;
let redis: TestRedis;

beforeAll(async () => {
  clip = await makeClip({ seconds: 13, size: '426x240' });
});
beforeEach(async () => {
  redis = await testRedis();
  server = await spawnServer({ env: { REDIS_URL: redis.url, ENCODE_CONCURRENCY: '2' } });
});
afterEach(async () => {
  await server.remove();
  await redis.stop();
});

const faults: Record<string, () => Promise<void>> = {
  'the process is killed': async () => {
    await server.kill();
    await server.start();
  },
  'Redis is flushed': () => redis.flush(),
  'Redis comes back empty': () => redis.restartEmpty(),
  'the process is killed and Redis is empty': async () => {
    await server.kill();
    await redis.restartEmpty();
    await server.start();
  },
};

/** Makes the database refuse one step until it is let go: what comes before it has happened, it has not. */
async function hold(table: string, state: string): Promise<{ reached(): Promise<void>; letGo(): Promise<void> }> {
  const database = server.database as NonNullable<TestServer['database']>;
  await database.query('CREATE SEQUENCE held');
  await database.query(`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM nextval('held'); RAISE EXCEPTION 'held'; END $$`);
  await database.query(`CREATE TRIGGER hold BEFORE UPDATE ON ${table} FOR EACH ROW
    WHEN (NEW.state = '${state}' AND OLD.state <> '${state}') EXECUTE FUNCTION hold()`);
  return {
    // A sequence is not rolled back with the transaction that asked it.
    reached: async () => {
      await until(
        () => database.query<{ is_called: boolean }>('SELECT is_called FROM held'),
        ([row]) => row?.is_called === true,
        50,
      );
    },
    letGo: async () => {
      await database.query(`DROP TRIGGER hold ON ${table}`);
    },
  };
}

async function begin(): Promise<{ ada: ApiClient; session: Answer; chunks: [number, number][] }> {
  const ada = await ApiClient.signUp(server.url);
  const channelId = await ada.createChannel();
  const { session } = await ada.createSession({
    channelId,
    sizeBytes: clip.length,
    sha256: sha256(clip),
    idempotencyKey: randomUUID(),
  });
  const chunks = Array.from({ length: Math.ceil(clip.length / CHUNK) }, (_, index): [number, number] => [
    index * CHUNK,
    Math.min(clip.length, (index + 1) * CHUNK),
  ]);
  return { ada, session, chunks };
}

async function readyOnce(ada: ApiClient, session: Answer): Promise<void> {
  const video = await until(
    () => ada.video(session.video.id),
    ({ state }) => state === 'READY' || state === 'FAILED',
  );
  expect(video).toMatchObject({ state: 'READY', failure: null });
  const database = server.database as NonNullable<TestServer['database']>;
  const storage = storageOf(server.dataDir);
  const [row] = await database.query<{ state: string; master_key: string }>(
    'SELECT state, master_key FROM upload_session',
  );
  expect(row?.state).toBe('COMPLETED');
  expect(await digestOf(storage, row?.master_key as string)).toBe(sha256(clip));
  expect(await database.query('SELECT run, access_epoch FROM video')).toEqual([{ run: 1, access_epoch: 1 }]);
  expect(await brokenInvariants(database)).toEqual({});
  expect(await storeDifferences(database, storage)).toEqual([]);
}

describe.each(Object.keys(faults))('when %s', (name) => {
  const fault = faults[name] as () => Promise<void>;

  it('between two commits: what was acknowledged stays, the client goes on', async () => {
    const { ada, session, chunks } = await begin();
    const half = Math.ceil(chunks.length / 2);
    const { session: before } = await ada.send(session.id, clip, chunks.slice(0, half));
    await fault();
    expect(await ada.session(session.id)).toMatchObject({
      committedBytes: before.committedBytes,
      missingRanges: before.missingRanges,
    });
    await ada.send(session.id, clip, chunks.slice(half));
    await ada.complete(session.id);
    await readyOnce(ada, session);
  });

  it('between complete and assembled: the original is put together once', async () => {
    const { ada, session, chunks } = await begin();
    await ada.send(session.id, clip, chunks);
    const held = await hold('upload_session', 'COMPLETED');
    await ada.complete(session.id);
    await held.reached();
    await fault();
    await held.letGo();
    await readyOnce(ada, session);
  });

  it('in mid-encode: the pieces that were done stay, the others are done again', async () => {
    const { ada, session, chunks } = await begin();
    await ada.send(session.id, clip, chunks);
    await ada.complete(session.id);
    await until(
      () => ada.video(session.video.id),
      ({ state }) => state === 'PLAYABLE',
      50,
    );
    await fault();
    await readyOnce(ada, session);
  });

  it('between the last piece and publish: it is published once', async () => {
    const { ada, session, chunks } = await begin();
    await ada.send(session.id, clip, chunks);
    const held = await hold('video', 'READY');
    await ada.complete(session.id);
    await held.reached();
    await fault();
    await held.letGo();
    await readyOnce(ada, session);
  });
});
