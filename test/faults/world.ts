import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type Abstract, Logger, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import { WorkerModule } from '../../src/app.module.js';
import { type Config, configModule, readSettings } from '../../src/common/config/index.js';
import { Database, type Tx } from '../../src/common/database/index.js';
import { DiskStorage } from '../../src/modules/storage/disk-storage.js';
import {
  type ByteRange,
  ObjectStorage,
  type PutOptions,
  type StoredBytes,
} from '../../src/modules/storage/object-storage.js';
import { deleteKeys, sharedRedisUrl, type TestDatabase, temporaryFolder, testDatabase } from '../support/index.js';
import { away, enter, point, withinTransaction } from './schedule.js';

/** Room for a file or two, so that the quota is met. */
export const QUOTA = 10_000;
export const INSTALLATION_QUOTA = 14_000;

export interface World {
  readonly database: TestDatabase;
  readonly disk: DiskStorage;
  readonly apps: readonly App[];
  close(): Promise<void>;
}
export interface App {
  readonly name: string;
  get<T>(token: Type<T> | Abstract<T>): T;
}

/** The real one; each statement and each commit is a point of the schedule. */
class PointedDatabase extends Database {
  override query<Row>(sql: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    return point('statement', labelOf(sql), () => super.query<Row>(sql, parameters));
  }

  override async tx<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    let leave: (() => void) | undefined;
    let failed: unknown;
    const transaction = () =>
      super.tx(async (tx) => {
        leave = undefined;
        const result = await fn({
          manager: tx.manager,
          afterCommit: tx.afterCommit,
          query: (sql, parameters) => point('statement', `· ${labelOf(sql)}`, () => tx.query(sql, parameters)),
        });
        leave = await enter('statement', '· COMMIT');
        return result;
      });
    const done = await withinTransaction(transaction).catch((error: unknown) => {
      failed = error;
    });
    // Whether the answer is lost, or never was.
    leave?.();
    if (failed) throw failed;
    return done as T;
  }
}

const labelOf = (sql: string): string => sql.replace(/\s+/g, ' ').trim().slice(0, 70);

/** The real one; each operation is a point of the schedule, and bodies are waited for while others have their turns. */
class PointedDisk extends DiskStorage {
  override receive(
    key: string,
    body: AsyncIterable<Buffer> | Iterable<Buffer>,
    expected: PutOptions,
  ): Promise<StoredBytes> {
    const waited = Array.isArray(body) ? body : whileOthersGo(body as AsyncIterable<Buffer>);
    return point('file', `put ${key}`, () => super.receive(key, waited, expected));
  }
  override head(key: string): Promise<{ sizeBytes: number; sha256: string } | null> {
    return point('file', `head ${key}`, () => super.head(key));
  }
  override read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable> {
    return point('file', `read ${key}`, () => super.read(key, range, signal));
  }
  override async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) await point('file', `delete ${key}`, () => super.delete([key]));
  }
}

async function* whileOthersGo(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await away('file', () => chunks.next());
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}

/** Some processes' worth of application, without sockets and clocks of their own, on one database, store and Redis. */
export async function openWorld(processes: readonly string[]): Promise<World> {
  Logger.overrideLogger(false);
  const database = await testDatabase();
  await database.query(AUDIT);
  const dataDir = await temporaryFolder({ inMemory: true });
  const redisPrefix = `${new URL(database.url).pathname.slice(1)}:`;
  const config: Config = Object.freeze({
    ...readSettings({}),
    // What is periodic, and jobs, come when the schedule says so.
    role: 'api' as const,
    logLevel: 'silent' as const,
    publicUrl: 'http://localhost',
    dataDir,
    databaseUrl: database.url,
    databasePoolSize: 80,
    redisUrl: sharedRedisUrl(),
    redisPrefix,
    tokenSecret: 'a secret',
    storageSecret: 'a secret',
    playbackSecret: 'a secret',
    uploadQuotaBytes: QUOTA,
    installationQuotaBytes: INSTALLATION_QUOTA,
  });
  const disk = new PointedDisk({
    root: join(dataDir, 'storage'),
    publicUrl: config.publicUrl,
    signingSecret: config.storageSecret,
  });
  await disk.prepare();
  const modules: TestingModule[] = [];
  const apps: App[] = [];
  for (const name of processes) {
    const module = await moduleOf(config, disk);
    await module.init();
    modules.push(module);
    apps.push({ name, get: (token) => module.get(token, { strict: false }) });
  }
  return {
    database,
    disk,
    apps,
    close: async () => {
      for (const module of modules) await module.close();
      await database.drop();
      await deleteKeys(redisPrefix);
      await rm(dataDir, { recursive: true });
    },
  };
}

function moduleOf(config: Config, disk: DiskStorage): Promise<TestingModule> {
  const module = Test.createTestingModule({ imports: [{ module: WorkerModule, imports: [configModule(config)] }] });
  const database = { factory: (source: DataSource) => new PointedDatabase(source), inject: [DataSource] };
  // biome-ignore lint/correctness/useHookAtTopLevel: no hook of React
  return module
    .overrideProvider(Database)
    .useFactory(database)
    .overrideProvider(ObjectStorage)
    .useValue(disk)
    .compile();
}

/** Notes every change of a session, and every chunk that counts, in the order in which they happened. */
const AUDIT = `
  CREATE TABLE audit (
    k bigserial PRIMARY KEY, session_id uuid, object_key text,
    from_state text, to_state text, from_epoch int, to_epoch int, shrank boolean, changed boolean, whole boolean, chunks jsonb);
  CREATE FUNCTION audit_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (session_id, from_state, to_state, from_epoch, to_epoch, shrank, changed, whole, chunks) VALUES (NEW.id,
      OLD.state, NEW.state, OLD.epoch, NEW.epoch, NOT OLD.covered <@ NEW.covered, OLD.covered <> NEW.covered,
      OLD.covered = int8multirange(int8range(0, OLD.size_bytes)),
      CASE WHEN OLD.state = 'COMPLETING' AND NEW.state = 'OPEN' THEN (SELECT jsonb_agg(jsonb_build_object(
        'start', lower(span), 'end', upper(span), 'sha256', encode(sha256, 'hex'))) FROM upload_chunk WHERE session_id = NEW.id) END);
    RETURN NULL; END $$;
  CREATE TRIGGER audit_session AFTER UPDATE ON upload_session FOR EACH ROW
    WHEN (OLD.state <> NEW.state OR OLD.covered <> NEW.covered OR OLD.epoch <> NEW.epoch) EXECUTE FUNCTION audit_session();
  CREATE FUNCTION audit_chunk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (session_id, object_key) VALUES (NEW.session_id, NEW.object_key); RETURN NULL; END $$;
  CREATE TRIGGER audit_chunk AFTER INSERT ON upload_chunk FOR EACH ROW EXECUTE FUNCTION audit_chunk();`;
