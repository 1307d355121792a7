import { randomUUID } from 'node:crypto';
import type { ObjectStorage } from '../../src/modules/storage/index.js';
import { makeClip } from '../support/clip.js';
import { type Answer, ApiClient, rowId, sha256, type TestDatabase, type TestRedis, until } from '../support/index.js';
import { brokenInvariants, digestOf, storeDifferences } from '../support/invariants.js';

export interface Installation {
  readonly url: string;
  readonly database: TestDatabase;
  readonly redis: TestRedis;
  readonly storage: ObjectStorage;
  /** kill -9 of the process that matters at this point, and starts it anew. */
  kill(point: Point): Promise<void>;
}

/** `at`: what PostgreSQL knows the process by that is at the point. */
export type Point = { what: 'commit' | 'encode' } | { what: 'assemble' | 'publish'; at: string };

const CHUNK = 512 * 1024;

/** Registers the tests of kills (and of a Redis that loses everything) at marked points: nothing is lost or doubled. */
export function killTests(current: () => Installation): void {
  let clip: Buffer;
  beforeAll(async () => {
    clip = await makeClip({ seconds: 13, size: '426x240' });
  });

  const faults: Record<string, (point: Point) => Promise<void>> = {
    'the process is killed': (point) => current().kill(point),
    'Redis is flushed': () => current().redis.flush(),
    'Redis comes back empty': () => current().redis.restartEmpty(),
    'the process is killed and Redis is empty': async (point) => {
      await Promise.all([current().kill(point), current().redis.restartEmpty()]);
    },
  };

  /** Makes the database refuse one step until it is let go: what comes before it has happened, it has not. */
  async function hold(table: string, state: string): Promise<{ reachedBy(): Promise<string> }> {
    const { database } = current();
    await database.query('CREATE SEQUENCE held');
    await database.query(`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM setval('held', pg_backend_pid()); RAISE EXCEPTION 'held'; END $$`);
    await database.query(`CREATE TRIGGER hold BEFORE UPDATE ON ${table} FOR EACH ROW
      WHEN (NEW.state = '${state}' AND OLD.state <> '${state}') EXECUTE FUNCTION hold()`);
    return {
      // A sequence is not rolled back with the transaction that asked it.
      reachedBy: async () => {
        const [row] = await until(
          () =>
            database.query<{ name: string }>(
              'SELECT application_name AS name FROM held JOIN pg_stat_activity ON pid = last_value WHERE is_called',
            ),
          (rows) => rows.length > 0,
          50,
        );
        return row?.name as string;
      },
    };
  }

  async function letGo(): Promise<void> {
    await current().database.query('DROP FUNCTION IF EXISTS hold CASCADE');
    await current().database.query('DROP SEQUENCE IF EXISTS held');
  }

  async function begin(): Promise<{ ada: ApiClient; session: Answer; chunks: [number, number][] }> {
    const ada = await ApiClient.signUp(current().url);
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
    const { database, storage } = current();
    const [row] = await database.query<{ state: string; master_key: string }>(
      'SELECT state, master_key FROM upload_session WHERE id = $1',
      [rowId(session.id)],
    );
    expect(row?.state).toBe('COMPLETED');
    expect(await digestOf(storage, row?.master_key as string)).toBe(sha256(clip));
    expect(
      await database.query('SELECT run, access_epoch FROM video WHERE id = $1', [rowId(session.video.id)]),
    ).toEqual([{ run: 1, access_epoch: 1 }]);
    expect(await brokenInvariants(database)).toEqual({});
    expect(await storeDifferences(database, storage)).toEqual([]);
  }

  describe.each(Object.keys(faults))('when %s', (name) => {
    const fault = faults[name] as (point: Point) => Promise<void>;
    afterEach(letGo);

    it('between two commits: what was acknowledged stays, the client goes on', async () => {
      const { ada, session, chunks } = await begin();
      const half = Math.ceil(chunks.length / 2);
      const { session: before } = await ada.send(session.id, clip, chunks.slice(0, half));
      await fault({ what: 'commit' });
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
      await fault({ what: 'assemble', at: await held.reachedBy() });
      await letGo();
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
      await fault({ what: 'encode' });
      await readyOnce(ada, session);
    });

    it('between the last piece and publish: it is published once', async () => {
      const { ada, session, chunks } = await begin();
      await ada.send(session.id, clip, chunks);
      const held = await hold('video', 'READY');
      await ada.complete(session.id);
      await fault({ what: 'publish', at: await held.reachedBy() });
      await letGo();
      await readyOnce(ada, session);
    });
  });
}
