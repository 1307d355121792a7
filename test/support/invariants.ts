import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { brokenInvariants as ask } from '../../src/commands/invariants.js';
import type { Database, Sql } from '../../src/common/database/index.js';
import { DiskStorage } from '../../src/modules/storage/disk-storage.js';
import { type Difference, type ObjectStorage, StorageCheck } from '../../src/modules/storage/index.js';
import type { TestDatabase } from './database.js';

type Rows = Record<string, unknown>[];

/** @returns what is wrong, by name; nothing on a healthy system, at any time */
export async function brokenInvariants(database: TestDatabase): Promise<Record<string, Rows>> {
  const broken: Record<string, Rows> = {};
  for await (const { rule, rows } of ask(database as Sql)) broken[rule] = rows;
  return broken;
}

/** Where disk storage of a server with this DATA_DIR keeps its objects. */
export function storageOf(dataDir: string): DiskStorage {
  return new DiskStorage({ root: join(dataDir, 'storage'), publicUrl: 'http://localhost', signingSecret: '' });
}

/** Every difference between the store and the rows that say what it holds, with its bytes. */
export async function storeDifferences(database: TestDatabase, storage: ObjectStorage): Promise<Difference[]> {
  const check = new StorageCheck(database as unknown as Database, storage);
  const all: Difference[] = [];
  for await (const difference of check.differences({ digests: true })) all.push(difference);
  return all;
}

export async function digestOf(storage: ObjectStorage, key: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of await storage.read(key)) hash.update(bytes);
  return hash.digest('hex');
}
