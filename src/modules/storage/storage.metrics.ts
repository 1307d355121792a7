import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { Periodically } from '../../common/jobs/index.js';
import { gauge, histogram, OnScrape, replace } from '../../common/metrics/index.js';
import { traceStep } from '../../common/tracing/index.js';
import type { ObjectStorage } from './object-storage.js';
import { StorageError, StorageUnavailable } from './storage.errors.js';

const STATES = ['PENDING', 'KEPT', 'DELETING'] as const;
const FOLDED_AT_ONCE = 10_000;
const LEFT = 100;

const objects = gauge('sluice_storage_objects', 'Objects that the database knows, by the state of their rows', {
  state: STATES,
});
const bytes = gauge('sluice_storage_bytes', 'Their sizes, where they are known: not those of PENDING ones', {
  state: STATES,
});
const duration = histogram(
  'sluice_storage_operation_duration_seconds',
  'What was asked of the object store, and the code of a failure; reading until its first byte',
  [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  ['operation', 'outcome'],
);

/**
 * How much there is, without counting it: triggers write down what each statement adds to and takes from every state
 * (stored_object_change), so that the sum of these rows is the truth at any time, and this folds them into few.
 */
@Injectable()
export class StorageUsage {
  constructor(private readonly db: Database) {}

  @OnScrape({ sets: [objects, bytes], everyMs: 5_000 })
  async sum(): Promise<void> {
    const rows = await this.db.query<{ state: string; objects: number; bytes: number }>(
      `SELECT state, sum(objects)::float8 AS objects, sum(bytes)::float8 AS bytes FROM stored_object_change GROUP BY state`,
    );
    const of = (column: 'objects' | 'bytes') =>
      STATES.map((state) => ({ labels: { state }, value: rows.find((row) => row.state === state)?.[column] ?? 0 }));
    replace(objects, of('objects'));
    replace(bytes, of('bytes'));
  }

  /** One statement, so whoever sums meanwhile sees the rows before or the row after. Few are left: idling writes nothing. */
  @Periodically(10_000)
  async fold(): Promise<void> {
    await this.db.query(
      `WITH gone AS (DELETE FROM stored_object_change WHERE id IN
                       (SELECT id FROM stored_object_change ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
                       AND (SELECT count(*) FROM (SELECT FROM stored_object_change LIMIT $2) t) = $2
                     RETURNING state, objects, bytes)
       INSERT INTO stored_object_change (state, objects, bytes)
       SELECT state, sum(objects), sum(bytes) FROM gone GROUP BY state`,
      [FOLDED_AT_ONCE, LEFT],
    );
  }
}

/** The same store, with its calls measured, its own to itself too, and in the trace of the upload that they are for. */
export function measured<Storage extends ObjectStorage>(storage: Storage): Storage {
  const over = <Arguments extends unknown[], Result>(
    operation: string,
    call: (...given: Arguments) => Promise<Result>,
    about: (...given: Arguments) => Record<string, string | number>,
  ): ((...given: Arguments) => Promise<Result>) => {
    const ask = call.bind(storage);
    return async (...given) => {
      const begun = performance.now();
      const ended = (outcome: string) => duration.observe({ operation, outcome }, (performance.now() - begun) / 1000);
      try {
        const result = await traceStep(`store ${operation}`, about(...given), () => ask(...given));
        ended('done');
        return result;
      } catch (error) {
        const known = error instanceof StorageError || error instanceof StorageUnavailable;
        ended(known ? error.code : 'failed');
        throw error;
      }
    };
  };
  const keyed = (key: string) => ({ 'sluice.object.key': key });
  return Object.assign(storage, {
    put: over('put', storage.put, keyed),
    compose: over('compose', storage.compose, keyed),
    head: over('head', storage.head, keyed),
    read: over('read', storage.read, keyed),
    list: over('list', storage.list, () => ({})),
    delete: over('delete', storage.delete, (keys) => ({ 'sluice.objects': keys.length })),
  });
}
