import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { DataSource } from 'typeorm';
import { Database } from '../../src/common/database/index.js';
import { DiskStorage } from '../../src/modules/storage/disk-storage.js';
import {
  type CheckOptions,
  type Difference,
  StorageCheck,
  StorageMover,
  StoredObjects,
} from '../../src/modules/storage/index.js';
import { MovingStorage } from '../../src/modules/storage/moving-storage.js';
import { type TestDatabase, temporaryFolder, testDatabase } from '../support/index.js';

/** A store that does what it is told, and then may lose the answer. */
class Unreliable extends DiskStorage {
  fails = false;
  override async delete(keys: readonly string[]): Promise<void> {
    await super.delete(keys);
    if (this.fails) throw new Error('the answer was lost');
  }
}

let database: TestDatabase;
let source: DataSource;
let db: Database;
let folder: string;
let storage: Unreliable;
let objects: StoredObjects;

beforeAll(async () => {
  database = await testDatabase();
  source = await new DataSource({
    type: 'postgres',
    url: database.url,
    poolSize: 20,
    installExtensions: false,
  }).initialize();
  db = new Database(source);
});

afterAll(async () => {
  await source.destroy();
  await database.drop();
});

beforeEach(async () => {
  await db.query('DELETE FROM stored_object');
  folder = await temporaryFolder();
  storage = new Unreliable({ root: join(folder, 'storage'), publicUrl: 'http://localhost', signingSecret: 's' });
  await storage.prepare();
  objects = new StoredObjects(db, storage);
});

afterEach(() => rm(folder, { recursive: true }));

const text = Buffer.from('some bytes');
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const row = async (key: string) =>
  (await db.query('SELECT state, size_bytes FROM stored_object WHERE key = $1', [key]))[0];
const later = (minutes: number) =>
  db.query(
    `UPDATE stored_object SET created_at = created_at - $1::interval, due_at = due_at - $1::interval, sweep_after = sweep_after - $1::interval`,
    [`${minutes} minutes`],
  );

async function keep(...keys: string[]): Promise<string[]> {
  return db.tx((tx) =>
    objects.keep(
      tx,
      keys.map((key) => ({ key, sizeBytes: text.length })),
    ),
  );
}
async function drop(keys: string[], sweepAfterSeconds?: number): Promise<void> {
  await db.tx((tx) => objects.drop(tx, keys, { sweepAfterSeconds }));
}
async function differences(options?: CheckOptions): Promise<Difference[]> {
  const all: Difference[] = [];
  for await (const difference of new StorageCheck(db, storage).differences(options)) all.push(difference);
  return all;
}
async function collectAll(): Promise<void> {
  while ((await objects.expire(500)) + (await objects.deleteSome(500)) > 0);
}

describe('register', () => {
  it('answers with what may be written', async () => {
    expect((await objects.register(db, ['a', 'b', 'b', 'c'])).sort()).toEqual(['a', 'b', 'c']);
    await keep('a');
    await drop(['b']);
    expect(await objects.register(db, ['a', 'b', 'c', 'd'])).toEqual(['c', 'd']);
    expect(await row('a')).toMatchObject({ state: 'KEPT' });
    expect(await row('b')).toMatchObject({ state: 'DELETING' });
  });

  it('leaves what is given up as it is, so that its sweep is not put off for ever', async () => {
    await objects.register(db, ['a']);
    await drop(['a']);
    await later(30);
    const before = await db.query('SELECT * FROM stored_object');
    expect(await objects.register(db, ['a'])).toEqual([]);
    expect(await db.query('SELECT * FROM stored_object')).toEqual(before);
  });

  it('begins the grace anew', async () => {
    await objects.register(db, ['a', 'b']);
    await later(76);
    await objects.register(db, ['a']);
    expect(await objects.expire(10)).toBe(1);
    expect(await row('a')).toMatchObject({ state: 'PENDING' });
    expect(await row('b')).toMatchObject({ state: 'DELETING' });
  });
});

describe('keep', () => {
  it('tells what it moved, and what it was told of the size', async () => {
    await objects.register(db, ['a', 'b', 'c']);
    await keep('b');
    await drop(['c']);
    expect(await keep('a', 'b', 'c', 'never')).toEqual(['a']);
    expect(await row('a')).toEqual({ state: 'KEPT', size_bytes: text.length });
  });

  it('and expire: one of the two has each object', async () => {
    const keys = Array.from({ length: 400 }, (_, k) => `v/${k}`);
    await objects.register(db, keys);
    await later(76);
    const kept: string[] = [];
    let expired = 0;
    await Promise.all([
      ...Array.from({ length: 4 }, async (_, part) => {
        for (let k = part; k < keys.length; k += 4) kept.push(...(await keep(keys[k] as string)));
      }),
      ...Array.from({ length: 4 }, async () => {
        for (let round = 0; round < 10; round++) {
          const some = await objects.expire(5);
          expired += some;
        }
      }),
    ]);
    expect(kept.length + expired).toBe(400);
    expect(expired).toBeGreaterThan(0);
    const states = await db.query('SELECT state, count(*)::int FROM stored_object GROUP BY state ORDER BY state');
    expect(states).toEqual([
      { state: 'DELETING', count: expired },
      { state: 'KEPT', count: kept.length },
    ]);
  });
});

describe('write', () => {
  it('leaves the object, and a row that somebody may keep', async () => {
    expect(await objects.write('a', () => Readable.from([text]))).toMatchObject({ sizeBytes: text.length });
    expect(await row('a')).toEqual({ state: 'PENDING', size_bytes: null });
    expect(await keep('a')).toEqual(['a']);
    expect(await differences()).toEqual([]);
  });

  it('records the digest of what was stored, put or composed', async () => {
    await objects.write('a', text);
    await objects.compose('b', [
      { key: 'a', start: 0, end: 4 },
      { key: 'a', start: 5, end: 10 },
    ]);
    const digests = await db.query<{ key: string; sha: string }>(
      `SELECT key, encode(sha256, 'hex') AS sha FROM stored_object ORDER BY key`,
    );
    expect(digests).toEqual([
      { key: 'a', sha: sha256(text) },
      { key: 'b', sha: sha256(Buffer.from('somebytes')) },
    ]);
    await keep('b');
    await expect(objects.compose('b', [{ key: 'a', start: 0, end: 4 }])).rejects.toMatchObject({
      code: 'OBJECT_EXISTS',
    });
  });

  it('has recorded the object before there is any', async () => {
    const seen: unknown[] = [];
    const body = Readable.from(
      (async function* () {
        seen.push(await row('a'), await storage.head('a'));
        yield text;
      })(),
    );
    await objects.write('a', () => body);
    expect(seen).toEqual([{ state: 'PENDING', size_bytes: null }, null]);
  });

  it('does not write what was kept or given up', async () => {
    await objects.write('a', text);
    await keep('a');
    await objects.register(db, ['b']);
    await drop(['b']);
    for (const key of ['a', 'b']) {
      const body = jest.fn(() => Readable.from([text]));
      await expect(objects.write(key, body)).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
      expect(body).not.toHaveBeenCalled();
    }
    expect(await storage.head('b')).toBeNull();
  });

  it('leaves no object behind when its row was taken for dead meanwhile', async () => {
    const slept = Readable.from(
      (async function* () {
        yield text;
        await later(76);
        await collectAll();
      })(),
    );
    await expect(objects.write('a', () => slept)).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
    expect(await storage.head('a')).toBeNull();
    expect(await row('a')).toBeUndefined();
  });
});

describe('the collector', () => {
  it('frees what nobody kept in time, and no sooner', async () => {
    await objects.write('a', text);
    await later(74);
    await collectAll();
    expect(await storage.head('a')).not.toBeNull();
    await later(2);
    await collectAll();
    expect(await storage.head('a')).toBeNull();
    expect(await row('a')).toBeUndefined();
  });

  it('frees what was dropped at once, and nothing else', async () => {
    for (const key of ['a', 'b', 'c']) await objects.write(key, text);
    await keep('a', 'b');
    await drop(['a']);
    await collectAll();
    expect((await storage.list('', { limit: 9 })).map(({ key }) => key)).toEqual(['b', 'c']);
    expect(await row('a')).toBeUndefined();
  });

  it('does nothing of a transaction that was not committed', async () => {
    await objects.write('a', text);
    const rolledBack = db.tx(async (tx) => {
      await objects.drop(tx, ['a']);
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    await collectAll();
    expect(await storage.head('a')).not.toBeNull();
  });

  it('sweeps again where a signed request may still land', async () => {
    await objects.write('incoming/a', text);
    await drop(['incoming/a']);
    await collectAll();
    expect(await storage.head('incoming/a')).toBeNull();
    expect(await row('incoming/a')).toMatchObject({ state: 'DELETING' });

    await storage.put('incoming/a', text);
    await later(58);
    await collectAll();
    expect(await storage.head('incoming/a')).not.toBeNull();
    await later(3);
    await collectAll();
    expect(await storage.head('incoming/a')).toBeNull();
    expect(await row('incoming/a')).toBeUndefined();
  });

  it('counts the hour from the last signing, also of a kept object', async () => {
    await objects.write('incoming/a', text);
    await keep('incoming/a');
    await later(50);
    await objects.register(db, ['incoming/a']);
    await drop(['incoming/a']);
    await later(20);
    await collectAll();
    expect(await row('incoming/a')).toMatchObject({ state: 'DELETING' });
  });

  it('sweeps again when it was told to', async () => {
    await objects.write('a', text);
    await drop(['a'], 600);
    await drop(['a']);
    await collectAll();
    expect(await storage.head('a')).toBeNull();
    await storage.put('a', text);
    await later(9);
    await collectAll();
    expect(await row('a')).toBeDefined();
    await later(2);
    await collectAll();
    expect(await storage.head('a')).toBeNull();
    expect(await row('a')).toBeUndefined();
  });

  it('tries again what failed, and loses nothing when it is cut', async () => {
    for (const key of ['a', 'b']) await objects.write(key, text);
    await drop(['a', 'b']);
    storage.fails = true;
    await expect(objects.deleteSome(10)).rejects.toThrow('the answer was lost');
    storage.fails = false;
    expect(await row('a')).toMatchObject({ state: 'DELETING' });
    expect(await objects.deleteSome(10)).toBe(0);
    await later(2);
    expect(await objects.deleteSome(10)).toBe(2);
    expect(await db.query('SELECT 1 FROM stored_object')).toEqual([]);
  });

  it('takes what it was told to at most', async () => {
    await objects.register(
      db,
      Array.from({ length: 30 }, (_, k) => `v/${k}`),
    );
    await later(76);
    expect(await objects.expire(20)).toBe(20);
    expect(await objects.deleteSome(7)).toBe(7);
    expect(await objects.deleteSome(70)).toBe(13);
    expect(await objects.expire(20)).toBe(10);
  });
});

describe('the check', () => {
  it('names every difference, and only those', async () => {
    for (const key of ['kept', 'a-b', 'a/b', 'a.b', 'size', 'missing', 'z']) await objects.write(key, text);
    await keep('kept', 'a-b', 'a/b', 'a.b', 'size', 'missing');
    await objects.register(db, ['pending', 'deleting']);
    await drop(['deleting', 'z']);
    await db.query(`UPDATE stored_object SET size_bytes = 11 WHERE key = 'size'`);
    await storage.delete(['missing']);
    await storage.put('unknown', text);
    expect((await differences()).sort((a, b) => a.key.localeCompare(b.key))).toEqual([
      { kind: 'MISSING', key: 'missing', sizeBytes: 10 },
      { kind: 'SIZE', key: 'size', sizeBytes: 10, recordedBytes: 11 },
      { kind: 'UNKNOWN', key: 'unknown', sizeBytes: 10 },
    ]);
  });

  it('compares the bytes with what is on record, or with what the store says, when asked to', async () => {
    for (const key of ['right', 'rotten', 'older', 'older-rotten', 'unreadable', 'pending'])
      await objects.write(key, text);
    await keep('right', 'rotten', 'older', 'older-rotten', 'unreadable');
    await db.query(`UPDATE stored_object SET sha256 = NULL WHERE key LIKE 'older%'`);
    const other = Buffer.from('some BYTES');
    for (const key of ['rotten', 'older-rotten', 'pending']) await writeFile(storage.localPath(key) as string, other);
    const path = storage.localPath('unreadable') as string;
    await rm(path);
    await mkdir(path);
    let read = 0;
    const found = await differences({ digests: true, onProgress: ({ bytes }) => (read = bytes) });
    expect(found.filter((one) => one.kind !== 'SIZE').sort((a, b) => a.key.localeCompare(b.key))).toEqual([
      { kind: 'DIGEST', key: 'older-rotten', sha256: sha256(other), recordedSha256: sha256(text) },
      { kind: 'DIGEST', key: 'rotten', sha256: sha256(other), recordedSha256: sha256(text) },
      { kind: 'UNREADABLE', key: 'unreadable', reason: expect.stringContaining('EISDIR') },
    ]);
    expect(read).toBe(40);
    expect((await differences()).map((one) => one.kind)).toEqual(['SIZE']);
  });

  it('has unknown objects freed, and nothing that has a row by then', async () => {
    for (const key of ['unknown', 'incoming/unknown', 'begun', 'kept']) await storage.put(key, text);
    await objects.register(db, ['kept']);
    await keep('kept');
    const unknown = (await differences()).map((one) => one.key);
    expect(unknown.sort()).toEqual(['begun', 'incoming/unknown', 'unknown']);
    await objects.register(db, ['begun']);
    expect(await objects.dropUnknown(unknown)).toBe(2);
    // Whoever slept over it all and wants to write now is not let.
    await expect(objects.write('unknown', text)).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
    await collectAll();
    expect((await storage.list('', { limit: 9 })).map(({ key }) => key)).toEqual(['begun', 'kept']);
    expect(await differences()).toEqual([]);
  });

  it('reads any number of objects, page by page', async () => {
    const keys = Array.from({ length: 2300 }, (_, k) => `v/${k % 9}${'-./_'[k % 4]}x${k}`);
    await db.query(`INSERT INTO stored_object (key, state) SELECT unnest($1::text[]), 'KEPT'`, [keys]);
    const there = keys.filter((_, k) => k % 100 !== 7);
    const queue = there.values();
    const put = async () => {
      for (const key of queue) await storage.put(key, text);
    };
    await Promise.all(Array.from({ length: 16 }, put));
    const strangers = ['a', 'v/0', 'v/4/z', 'zz'];
    for (const key of strangers) await storage.put(key, text);
    const found = await differences();
    const of = (kind: string) =>
      found
        .filter((one) => one.kind === kind)
        .map((one) => one.key)
        .sort();
    expect(of('MISSING')).toEqual(keys.filter((_, k) => k % 100 === 7).sort());
    expect(of('UNKNOWN')).toEqual(strangers);
    expect(of('SIZE')).toEqual([]);
    expect(found).toHaveLength(27);
  }, 60_000);

  it('finds nothing while everything is at work', async () => {
    let working = true;
    const work = async (worker: number) => {
      for (let round = 0; round < 60; round++) {
        const key = `v/${worker}/${round}`;
        await objects.write(key, text);
        if (round % 3 > 0) await keep(key);
        if (round % 3 > 1) await drop([key]);
      }
    };
    const collect = async () => {
      while (working) await objects.deleteSome(7);
    };
    const check = async () => {
      for (let looks = 0; ; looks++) {
        expect(await differences()).toEqual([]);
        if (!working) return looks;
      }
    };
    const others = [collect(), collect(), check()];
    await Promise.all(Array.from({ length: 8 }, (_, worker) => work(worker)));
    working = false;
    const [, , looks] = await Promise.all(others);
    expect(looks).toBeGreaterThan(1);
    await collectAll();
    expect(await db.query('SELECT state, count(*)::int FROM stored_object GROUP BY state ORDER BY state')).toEqual([
      { state: 'KEPT', count: 160 },
      { state: 'PENDING', count: 160 },
    ]);
    expect(await differences()).toEqual([]);
  }, 60_000);
});

describe('the mover', () => {
  let old: DiskStorage;
  let moving: MovingStorage;
  let mover: StorageMover;

  beforeEach(async () => {
    old = new DiskStorage({ root: join(folder, 'old'), publicUrl: 'http://localhost', signingSecret: 's' });
    await old.prepare();
    moving = new MovingStorage(storage, old);
    mover = new StorageMover(db, moving);
    objects = new StoredObjects(db, moving);
  });

  const move = async () => {
    const moved: number[] = [];
    const left: unknown[] = [];
    for await (const one of mover.move((bytes) => moved.push(bytes))) left.push(one);
    return { moved, left };
  };
  const keysOf = async (store: DiskStorage) => (await store.list('', { limit: 99 })).map(({ key }) => key);

  it('moves what is kept or may be, deletes what is given up, and leaves what it does not know or trust', async () => {
    const keys = ['kept', 'pending', 'incoming/a', 'given-up', 'unknown', 'cut', 'rotten', 'taken', 'copied'];
    for (const key of keys) await old.put(key, text);
    await objects.register(
      db,
      keys.filter((key) => key !== 'unknown'),
    );
    await keep('kept', 'cut', 'rotten', 'taken', 'copied');
    await drop(['given-up']);
    await db.query(`UPDATE stored_object SET size_bytes = 11 WHERE key = 'cut'`);
    await db.query(`UPDATE stored_object SET sha256 = '\\x00' WHERE key = 'rotten'`);
    await storage.put('taken', Buffer.from('SOME BYTES'));
    await storage.put('copied', text);

    const { moved, left } = await move();
    expect(moved).toHaveLength(5);
    expect(left).toHaveLength(4);
    expect(left).toEqual(
      expect.arrayContaining([
        { key: 'cut', why: 'DIFFERENT' },
        { key: 'rotten', why: 'DIFFERENT' },
        { key: 'taken', why: 'DIFFERENT' },
        { key: 'unknown', why: 'UNKNOWN' },
      ]),
    );
    expect(await keysOf(old)).toEqual(['cut', 'rotten', 'taken', 'unknown']);
    expect(await keysOf(storage)).toEqual(['copied', 'incoming/a', 'kept', 'pending', 'taken']);
    const [row] = await db.query<{ sha: string }>(
      `SELECT encode(sha256, 'hex') AS sha FROM stored_object WHERE key = 'kept'`,
    );
    expect(row?.sha).toBe(sha256(text));
  });

  it('leaves nothing of what the collector deletes while it is copied', async () => {
    for (const key of ['a', 'b']) await old.put(key, text);
    await objects.register(db, ['a', 'b']);
    await keep('a', 'b');
    const put = storage.put.bind(storage);
    storage.put = async (key, ...rest) => {
      if (key === 'a') {
        await drop(['a']);
        await collectAll();
      }
      return put(key, ...rest);
    };
    expect((await move()).left).toEqual([]);
    expect([await keysOf(old), await keysOf(storage)]).toEqual([[], ['b']]);
    expect(await row('a')).toBeUndefined();
  });

  it('goes on where it was cut', async () => {
    const keys = Array.from({ length: 30 }, (_, k) => `v/${k}`);
    for (const key of keys) await old.put(key, text);
    await objects.register(db, keys);
    await keep(...keys);
    const remove = old.delete.bind(old);
    let deletions = 0;
    old.delete = async (some) => {
      if (++deletions > 10) throw new Error('killed between copy and deletion');
      return remove(some);
    };
    await expect(move()).rejects.toThrow('killed between copy and deletion');
    old.delete = remove;
    const both = await Promise.all([move(), move()]);
    expect(both.flatMap(({ left }) => left)).toEqual([]);
    expect([await keysOf(old), await keysOf(storage)]).toEqual([[], [...keys].sort()]);
  });
});
