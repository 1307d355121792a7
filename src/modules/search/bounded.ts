import { type Database, type Sql, sqlState } from '../../common/database/index.js';
import { SearchTooBroad } from './search.errors.js';
import { searchesTooBroad } from './search.metrics.js';

/** Of one statement; the slowest that we know takes a twentieth of it. */
const STATEMENT_MS = 1_000;
/** After so long no other begins. */
const ALL_MS = 2_000;
/** SQLSTATE query_canceled. */
const CANCELLED = '57014';

export interface Bounded extends Sql {
  /** What `work` reads, or null where that takes too long: what was read before it stays. */
  unlessLate<T>(work: () => Promise<T>): Promise<T | null>;
}

/** Reads in one transaction, for as long as anybody's search may take. @throws SearchTooBroad */
export async function bounded<T>(db: Database, work: (sql: Bounded) => Promise<T>): Promise<T> {
  const isLate = (error: unknown) => error instanceof SearchTooBroad || sqlState(error) === CANCELLED;
  try {
    return await db.tx(async (tx) => {
      const until = Date.now() + ALL_MS;
      let isSaved = false;
      await tx.query(`SET LOCAL statement_timeout = ${STATEMENT_MS}`);
      return work({
        query: async (sql, parameters) => {
          if (Date.now() >= until) throw new SearchTooBroad();
          return tx.query(sql, parameters);
        },
        unlessLate: async (more) => {
          // What is only read is the same at all of them.
          if (!isSaved) await tx.query('SAVEPOINT more');
          isSaved = true;
          try {
            return await more();
          } catch (error) {
            if (!isLate(error)) throw error;
            await tx.query('ROLLBACK TO SAVEPOINT more');
            searchesTooBroad.inc();
            return null;
          }
        },
      });
    });
  } catch (error) {
    if (!isLate(error)) throw error;
    searchesTooBroad.inc();
    throw new SearchTooBroad();
  }
}
