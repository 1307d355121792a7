import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { BackupFolder, backUp, restore } from '../../src/backup/index.js';
import { migrate } from '../../src/common/database/index.js';
import type { DiskStorage, ObjectStorage } from '../../src/modules/storage/index.js';
import { StoredObjects } from '../../src/modules/storage/index.js';
import { makeClip } from '../support/clip.js';
import {
  ApiClient,
  chunkOf,
  put,
  sha256,
  sharedRedisUrl,
  spawnServer,
  startApp,
  type TestApp,
  type TestDatabase,
  type TestServer,
  temporaryFolder,
  testDatabase,
  until,
} from '../support/index.js';
import { brokenInvariants, digestOf, storageOf, storeDifferences } from '../support/invariants.js';
import { operate } from '../support/operate.js';
import { openStream } from './edge/subscribers.js';

const LIVE = `subscription ($channelId: ID!, $after: Cursor) { channelNotifications(channelId: $channelId, after: $after) { cursor } }`;
const MIGRATIONS = join(import.meta.dirname, '../../migrations');

/** A database without a schema: what a restore wants. */
async function emptyDatabase(): Promise<TestDatabase> {
  const database = await testDatabase();
  await database.query('DROP SCHEMA public CASCADE');
  await database.query('CREATE SCHEMA public');
  return database;
}

const tablesOf = (database: TestDatabase) =>
  database.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`,
  );

describe('a video, and an upload under way', () => {
  let clip: Buffer;
  let server: TestServer;
  let ada: ApiClient;
  let channelId: string;
  let videoId: string;
  let backups: string;
  let env: Record<string, string>;
  const CHUNK = 256 * 1024;
  const rangesOf = (bytes: Buffer) =>
    Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, n): [number, number] => [
      n * CHUNK,
      Math.min(bytes.length, (n + 1) * CHUNK),
    ]);
  let open: { id: string; file: Buffer; committed: [number, number][]; rest: [number, number][] };

  beforeAll(async () => {
    clip = await makeClip({ seconds: 5, size: '426x240' });
    const secrets = { TOKEN_SECRET: randomUUID(), STORAGE_SECRET: randomUUID(), PLAYBACK_SECRET: randomUUID() };
    server = await spawnServer({ env: secrets });
    env = {
      ...secrets,
      DATA_DIR: server.dataDir,
      DATABASE_URL: (server.database as TestDatabase).url,
      REDIS_URL: sharedRedisUrl(),
      REDIS_PREFIX: `test-${randomUUID()}:`,
    };
    backups = join(await temporaryFolder(), 'backups');
    ada = await ApiClient.signUp(server.url);
    channelId = await ada.createChannel();
    const { session } = await ada.createSession({ channelId, sizeBytes: clip.length, sha256: sha256(clip) });
    videoId = session.video.id;
    await ada.send(session.id, clip, rangesOf(clip));
    await ada.complete(session.id);
    await until(
      () => ada.video(videoId),
      (video) => video.state === 'READY',
    );
    const file = await makeClip({ seconds: 9, size: '640x360' });
    const ranges = rangesOf(file);
    const { session: other } = await ada.createSession({ channelId, sizeBytes: file.length, sha256: sha256(file) });
    open = { id: other.id, file, committed: ranges.slice(0, 2), rest: ranges.slice(2) };
    expect(open.rest.length).toBeGreaterThan(1);
    await ada.send(open.id, file, open.committed);
  });
  afterAll(async () => {
    await server.remove();
    await rm(join(backups, '..'), { recursive: true });
  });

  /** Uploads, and uploads that are given up, for as long as `work` takes. */
  async function whileBusy<T>(work: () => Promise<T>): Promise<T> {
    let done = false;
    const busy = (async () => {
      let n = 0;
      for (; !done || n < 3; n++) {
        const { session } = await ada.createSession({ channelId, sizeBytes: clip.length });
        await ada.send(session.id, clip, rangesOf(clip).slice(0, 2));
        if (n % 3 !== 0) await ada.move('cancel', session.id);
      }
      return n;
    })();
    try {
      return await work();
    } finally {
      done = true;
      await busy;
    }
  }

  test('are backed up while the system works, and only what is new is copied the next time', async () => {
    const first = await whileBusy(() => operate('backup', [backups, '--json'], env));
    expect(first).toMatchObject({ code: 0 });
    const result = JSON.parse(first.stdout);
    expect(result).toMatchObject({ damaged: 0, copiedObjects: result.objects, copiedBytes: result.bytes, removed: [] });
    const second = JSON.parse((await operate('backup', [backups, '--json'], env)).stdout);
    expect(second.copiedObjects).toBeLessThan(result.objects);
    expect(await BackupFolder.existing(backups).names()).toEqual([result.name, second.name]);
  });

  test('come back in an empty place: the video plays, the upload goes on', async () => {
    // Signed, sent and not committed: such an object is in no backup, and its client sends it again.
    const [late] = open.rest as [[number, number]];
    const lateChunk = chunkOf(open.file, ...late);
    const { targets } = await ada.commit(open.id, { next: [lateChunk] });
    expect(await put(targets[0], open.file.subarray(...late))).toBe(200);
    const { pushPublicKey } = await ada.query('{ pushPublicKey }');
    const stream = await openStream(server.url, LIVE, { variables: { channelId } });
    const cursor = (await stream.next())?.data.data.channelNotifications.cursor;
    stream.close();
    const made = await operate('backup', [backups, '--keep', '1', '--json'], env);
    expect(made).toMatchObject({ code: 0 });
    expect(JSON.parse(made.stdout).removed).toHaveLength(2);

    const database = await emptyDatabase();
    const dataDir = await temporaryFolder();
    const place = {
      TOKEN_SECRET: randomUUID(),
      STORAGE_SECRET: randomUUID(),
      PLAYBACK_SECRET: randomUUID(),
      DATABASE_URL: database.url,
      DATA_DIR: dataDir,
    };
    const redis = { REDIS_URL: sharedRedisUrl(), REDIS_PREFIX: `test-${randomUUID()}:` };
    const restored = await operate('restore', [backups, '--json'], { ...place, ...redis });
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(restored.stdout)).toMatchObject({ name: JSON.parse(made.stdout).name, damaged: 0, migrated: [] });
    expect(await operate('restore', [backups], { ...place, ...redis })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('The database is not empty'),
    });

    const storage = storageOf(dataDir);
    const check = await operate('check', ['--digests'], { ...place, ...redis });
    expect(check).toMatchObject({ code: 0, stdout: '' });
    expect(await brokenInvariants(database)).toEqual({});
    expect(await storeDifferences(database, storage)).toEqual([]);
    const [master] = await database.query<{ master_key: string }>(
      `SELECT master_key FROM upload_session WHERE state = 'COMPLETED'`,
    );
    expect(await digestOf(storage, master?.master_key as string)).toBe(sha256(clip));

    const there = await spawnServer({ env: { ...place } });
    try {
      const again = new ApiClient(there.url);
      const { login } = await again.query(
        'mutation ($input: LoginInput!) { login(input: $input) { session { accessToken } userErrors { code } } }',
        { input: { email: ada.email, password: 'correct horse battery' } },
      );
      again.token = login.session.accessToken;
      const video = await again.video(videoId);
      expect(video.state).toBe('READY');
      // Browsers' subscriptions are bound to this key.
      expect(await again.query('{ pushPublicKey }')).toEqual({ pushPublicKey });
      // Positions in the log of the database that was backed up mean nothing here: clients load anew.
      const resumed = await openStream(there.url, LIVE, { variables: { channelId, after: cursor } });
      expect((await resumed.next())?.data.errors).toMatchObject([{ extensions: { code: 'CURSOR_EXPIRED' } }]);
      resumed.close();
      const anew = await openStream(there.url, LIVE, { variables: { channelId } });
      expect((await anew.next())?.data.data.channelNotifications.cursor).not.toBe(cursor);
      anew.close();
      const { stderr } = await promisify(execFile)('ffmpeg', [
        '-v',
        'error',
        '-nostdin',
        '-i',
        video.playback.hlsUrl,
        '-f',
        'null',
        '-',
      ]);
      expect(stderr).toBe('');
      const probed = await promisify(execFile)('ffprobe', [
        ...[
          '-v',
          'error',
          '-count_frames',
          '-select_streams',
          'v:0',
          '-show_entries',
          'stream=nb_read_frames',
          '-of',
          'csv=p=0',
        ],
        video.playback.hlsUrl,
      ]);
      expect(Number.parseInt(probed.stdout, 10)).toBe(5 * 30);

      const session = await again.session(open.id);
      expect(session).toMatchObject({ state: 'OPEN', committedBytes: open.committed.at(-1)?.[1] });
      expect(await again.commit(open.id, { stored: [lateChunk] })).toMatchObject({ results: [{ outcome: 'REFUSED' }] });
      await again.send(open.id, open.file, open.rest);
      await again.complete(open.id);
      const finished = await until(
        () => again.session(open.id),
        ({ state }) => state === 'COMPLETED',
      );
      const other = await until(
        () => again.video(finished.video.id),
        ({ state }) => state === 'READY',
      );
      expect(other.failure).toBeNull();
      expect(await brokenInvariants(database)).toEqual({});
      expect(await storeDifferences(database, storage)).toEqual([]);
    } finally {
      await there.remove();
      await database.drop();
      await rm(dataDir, { recursive: true });
    }
    // A backup, a restore, a check and a server, each a process that starts anew.
  }, 300_000);

  test('come back on embedded parts', async () => {
    const dataDir = await temporaryFolder();
    try {
      expect(await operate('restore', [backups], { DATA_DIR: dataDir })).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^Restored \S+: \d+ rows and \d+ objects/),
      });
      expect(await operate('restore', [backups], { DATA_DIR: dataDir })).toMatchObject({ code: 2 });
    } finally {
      await rm(dataDir, { recursive: true });
    }
  });

  test('a folder that is no place for backups is refused', async () => {
    const inside = await operate('backup', [join(server.dataDir, 'backups')], env);
    expect(inside).toMatchObject({ code: 2, stderr: expect.stringContaining('is inside DATA_DIR') });
    const foreign = await temporaryFolder();
    const full = await operate('backup', [foreign], env);
    expect(full).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('holds something else than backups (owner)'),
    });
    await rm(foreign, { recursive: true });
    expect(await operate('backup', [], env)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Name one folder'),
    });
    expect(await operate('backup', ['--help'], {})).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('--keep N'),
    });
    expect(await operate('restore', [foreign], env)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('cannot be read'),
    });
  });
});

describe('what could go wrong', () => {
  let app: TestApp;
  let storage: DiskStorage;
  let folder: BackupFolder;
  let keys: string[];
  const backUpHere = (changes: { storage?: ObjectStorage; keep?: number; onProgress?: () => void } = {}) =>
    backUp({ databaseUrl: app.config.databaseUrl, storage, folder, ...changes });

  beforeEach(async () => {
    app = await startApp({ role: 'api' });
    storage = storageOf(app.config.dataDir);
    folder = await BackupFolder.prepare(join(await temporaryFolder(), 'backups'), app.config.dataDir);
    const objects = app.get(StoredObjects);
    keys = Array.from({ length: 12 }, (_, n) => `media/v${n}/bytes`);
    await app.database.query(
      `INSERT INTO app_user (email, email_key, display_name, password_hash) VALUES ('a', 'a', 'Ada', 'x')`,
    );
    for (const key of keys) {
      await objects.write(key, Buffer.from(`the bytes of ${key}`));
      await app.database.query(`UPDATE stored_object SET state = 'KEPT', size_bytes = $2 WHERE key = $1`, [
        key,
        `the bytes of ${key}`.length,
      ]);
    }
  });
  afterEach(async () => {
    await app.stop();
    await rm(join(folder.path, '..'), { recursive: true });
  });

  const drop = (which: string[]) =>
    app.database.query(`UPDATE stored_object SET state = 'DELETING', due_at = now() WHERE key = ANY($1)`, [which]);

  /** This store, with something that happens before its n-th read. */
  function storageThat(at: number, happens: () => Promise<void>): ObjectStorage {
    let reads = 0;
    return new Proxy(storage, {
      get: (target, name) => {
        if (name !== 'read') return Reflect.get(target, name).bind(target);
        return async (key: string) => {
          if (++reads === at) await happens();
          return target.read(key);
        };
      },
    });
  }

  test('what is deleted meanwhile stays until the backup has it', async () => {
    const objects = app.get(StoredObjects);
    const result = await backUpHere({
      storage: storageThat(1, async () => {
        await drop(keys);
        expect(await objects.deleteSome(500)).toBe(0);
      }),
    });
    expect(result).toMatchObject({ objects: 12, copiedObjects: 12, damaged: 0 });
    for (const key of keys)
      expect(await digestOf(folder.objects, key)).toBe(sha256(Buffer.from(`the bytes of ${key}`)));
    expect(await objects.deleteSome(500)).toBe(12);
    expect(await storage.list('', { limit: 100 })).toEqual([]);
  });

  test('the collector works while a lock of another kind, or of another database, is held', async () => {
    const other = await testDatabase();
    try {
      await other.query('SELECT pg_advisory_lock(2026112106)');
      await app.database.query('SELECT pg_advisory_lock(2026112107)');
      await drop(keys);
      expect(await app.get(StoredObjects).deleteSome(500)).toBe(12);
    } finally {
      await other.drop();
    }
  });

  test('all tables are of one moment', async () => {
    // Tables are read by name: at this one it waits while a channel, read before, and a video, read after, are made.
    const { default: pg } = await import('pg');
    const client = new pg.Client(app.database.url);
    await client.connect();
    await client.query('BEGIN');
    await client.query('LOCK TABLE stored_object IN ACCESS EXCLUSIVE MODE');
    const backup = backUpHere();
    await until(
      () => app.database.query(`SELECT FROM pg_locks WHERE NOT granted AND relation = 'stored_object'::regclass`),
      (waiting) => waiting.length > 0,
      20,
    );
    await client.query(
      `INSERT INTO channel (id, handle, handle_key, name) VALUES (gen_random_uuid(), 'later', 'later', 'Later')`,
    );
    await client.query(
      `INSERT INTO video (channel_id, owner_id, title) SELECT c.id, u.id, 'Later' FROM channel c, app_user u`,
    );
    await client.query('COMMIT');
    await client.end();
    await backup;

    const database = await emptyDatabase();
    const dataDir = await temporaryFolder();
    try {
      const place = storageOf(dataDir);
      await place.prepare();
      await restore({ databaseUrl: database.url, migrations: MIGRATIONS, storage: place, folder });
      expect(await database.query('SELECT FROM video')).toEqual([]);
      expect(await database.query('SELECT FROM app_user')).toHaveLength(1);
    } finally {
      await database.drop();
      await rm(dataDir, { recursive: true });
    }
  });

  test('one backup at a time; a connection that is cut makes none', async () => {
    const error = await backUpHere({
      storage: storageThat(3, async () => {
        await expect(backUpHere()).rejects.toThrow('Another backup or restore of this database is under way.');
        await app.database.query(
          `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2026112106`,
        );
      }),
    }).catch((thrown: Error) => thrown);
    expect(String(error)).toContain('The connection to the database was lost');
    expect(await folder.names()).toEqual([]);
    // The next one goes on with what was copied, and removes the rest of the other.
    expect(await backUpHere()).toMatchObject({ objects: 12, copiedObjects: 0 });
    expect((await readdir(folder.path)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('an object that the store has lost, or holds with other bytes, is named, and the rest is backed up', async () => {
    await storage.delete([keys[3] as string]);
    await app.database.query('UPDATE stored_object SET size_bytes = 5 WHERE key = $1', [keys[7]]);
    await app.database.query(`UPDATE stored_object SET sha256 = sha256('other') WHERE key = $1`, [keys[9]]);
    const result = await backUpHere();
    expect(result).toMatchObject({ objects: 9, damaged: 3, damagedKeys: [keys[3], keys[7], keys[9]] });
  });

  test('--keep removes older backups, and the objects that no other names', async () => {
    const first = await backUpHere();
    await drop(keys.slice(0, 4));
    const second = await backUpHere();
    await drop(keys.slice(0, 8));
    expect(await backUpHere({ keep: 2 })).toMatchObject({ removed: [first.name], objects: 4 });
    expect(await folder.names()).toHaveLength(2);
    expect((await folder.objects.list('', { limit: 100 })).map(({ key }) => key)).toEqual([...keys.slice(4)].sort());
    expect(await backUpHere({ keep: 1 })).toMatchObject({ removed: [second.name, expect.any(String)] });
    expect((await folder.objects.list('', { limit: 100 })).map(({ key }) => key)).toEqual([...keys.slice(8)].sort());
  });

  describe('into an empty place', () => {
    let database: TestDatabase;
    let place: DiskStorage;
    let dataDir: string;
    const restoreHere = (changes: { storage?: ObjectStorage; name?: string } = {}) =>
      restore({ databaseUrl: database.url, migrations: MIGRATIONS, storage: place, folder, ...changes });
    beforeEach(async () => {
      database = await emptyDatabase();
      dataDir = await temporaryFolder();
      place = storageOf(dataDir);
      await place.prepare();
    });
    afterEach(async () => {
      await database.drop();
      await rm(dataDir, { recursive: true });
    });

    /** The place's store, that fails at its n-th put. */
    function cutAt(at: number): ObjectStorage {
      let puts = 0;
      return new Proxy(place, {
        get: (target, name) => {
          if (name !== 'put' || ++puts < at) return Reflect.get(target, name).bind(target);
          return (_key: string, body: Readable) => {
            body.destroy();
            return Promise.reject(new Error('cut'));
          };
        },
      });
    }

    test('a backup that lacks an object is not restored at all', async () => {
      const { name } = await backUpHere();
      const key = keys[5] as string;
      await folder.objects.delete([key]);
      await expect(restoreHere()).rejects.toThrow(
        `The backup ${name} lacks 1 of its objects, so nothing was restored: ${key}.`,
      );
      expect(await tablesOf(database)).toEqual([]);
      await folder.objects.put(key, Buffer.from('other bytes'));
      await expect(restoreHere()).rejects.toThrow(key);
    });

    test('bytes that went bad in the backup are not taken, and the restore can be repeated when they are mended', async () => {
      await backUpHere();
      const file = folder.objects.localPath(keys[5] as string) as string;
      await writeFile(file, 'x'.repeat(`the bytes of ${keys[5]}`.length));
      await expect(restoreHere()).rejects.toThrow('SHA-256');
      await writeFile(file, `the bytes of ${keys[5]}`);
      expect(await restoreHere()).toMatchObject({ objects: 12 });
    });

    test('a table that went bad is not taken', async () => {
      const { name } = await backUpHere();
      await writeFile(folder.table(name, 'app_user'), 'x');
      await expect(restoreHere()).rejects.toThrow('app_user.copy.gz has other bytes now');
      expect(await tablesOf(database)).toEqual([]);
    });

    test('cut in the middle it is nobody’s: no server starts on it, no other backup goes into it, and repeated it is whole', async () => {
      await backUpHere();
      const { name } = await backUpHere();
      await app.database.query(
        `INSERT INTO job (name, queue, payload, state, lease, lease_until) VALUES ('A', 'default', '{}', 'RUNNING', gen_random_uuid(), now() + interval '1 hour')`,
      );
      const newest = await backUpHere();
      await expect(restoreHere({ storage: cutAt(6) })).rejects.toThrow('cut');
      await expect(migrate(database.url, MIGRATIONS)).rejects.toThrow('A restore into this database was not finished');
      await expect(restoreHere({ name })).rejects.toThrow(`A restore of another backup (${newest.name})`);
      expect(await restoreHere()).toMatchObject({ name: newest.name, objects: 12, damaged: 0 });
      expect(await migrate(database.url, MIGRATIONS)).toEqual([]);
      expect(await storeDifferences(database, place)).toEqual([]);
      expect(await database.query(`SELECT state, lease FROM job WHERE name = 'A'`)).toEqual([
        { state: 'QUEUED', lease: null },
      ]);
      const keysOf = `SELECT count(*)::int AS n FROM pg_constraint WHERE contype = 'f'`;
      expect(await database.query(keysOf)).toEqual(await app.database.query(keysOf));
    });

    test('a store that holds something is refused', async () => {
      await backUpHere();
      await place.put('media/other', Buffer.from('x'));
      await expect(restoreHere()).rejects.toThrow('The object store is not empty (it has media/other)');
      expect(await tablesOf(database)).toEqual([]);
    });

    test('a backup of a newer build is refused', async () => {
      const { name } = await backUpHere();
      const other = await temporaryFolder();
      await mkdir(join(other, 'migrations'));
      await expect(
        restore({ databaseUrl: database.url, migrations: join(other, 'migrations'), storage: place, folder }),
      ).rejects.toThrow('and this build has not');
      await rename(join(folder.path, name), join(folder.path, '20200101T000000.000Z'));
      await expect(restoreHere({ name })).rejects.toThrow(`holds no backup ${name}`);
      await rm(other, { recursive: true });
    });
  });
});
