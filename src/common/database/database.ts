import { Inject, Injectable, Logger } from '@nestjs/common';
import pg from 'pg';
import { DataSource, type EntityManager, type EntityTarget, type ObjectLiteral, QueryFailedError } from 'typeorm';
import { counter, gauge, OnScrape } from '../metrics/index.js';

// int8 counts bytes here, always below 2^53: a number, where pg would give text. OID 20 is int8.
pg.types.setTypeParser(20, Number);

/** What both the database and an open transaction can do. */
export interface Sql {
  /** Rows of a SELECT, or of a statement with RETURNING. Parameters are `$1`, `$2` … */
  query<Row = Record<string, unknown>>(sql: string, parameters?: readonly unknown[]): Promise<Row[]>;
}

export interface Tx extends Sql {
  readonly manager: EntityManager;
  /** Runs once the transaction is committed, never when it is rolled back. For hints that may be lost (wake-ups, ticks). */
  afterCommit(hint: () => void): void;
}

/** serialization_failure, deadlock_detected, lock_not_available: nothing was done, so the same may be tried again. */
const REPEATABLE = new Set(['40001', '40P01', '55P03']);
const MAX_ATTEMPTS = 8;

const connections = gauge('sluice_database_pool_connections', 'Connections of this process to PostgreSQL', {
  state: ['busy', 'idle'],
});
const most = gauge('sluice_database_pool_max_connections', 'The most that it opens');
const waiting = gauge(
  'sluice_database_pool_waiting_requests',
  'Statements and transactions that wait for a connection',
);
const repeats = counter('sluice_database_transaction_repeats_total', 'Transactions that PostgreSQL had repeated', {
  sqlstate: [...REPEATABLE],
});

@Injectable()
export class Database implements Sql {
  private readonly logger = new Logger(Database.name);

  /** TypeORM's own: its query runners around one statement cost more than the statement. */
  private readonly pool: pg.Pool;

  constructor(@Inject(DataSource) readonly dataSource: DataSource) {
    // Under this name its driver has the pool of `pg`.
    this.pool = (dataSource.driver as unknown as { master: pg.Pool }).master;
  }

  /** What connections of this process, and of no other, are called: `application_name` in pg_stat_activity. */
  get processName(): string {
    return this.pool.options.application_name ?? '';
  }

  async query<Row = Record<string, unknown>>(sql: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    return run<Row>(this.pool, sql, parameters);
  }

  /**
   * Runs `fn` in one transaction; repeats it, with jitter and at most 8 times, when PostgreSQL asks for that.
   * `fn` must have no effect outside of the transaction: no network, no files.
   */
  async tx<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const hints: (() => void)[] = [];
      try {
        const result = await this.dataSource.transaction(async (manager) => {
          const connection: pg.PoolClient = await manager.queryRunner?.connect();
          return fn({
            manager,
            query: (sql, parameters = []) => run(connection, sql, parameters),
            afterCommit: (hint) => hints.push(hint),
          });
        });
        for (const hint of hints) hint();
        return result;
      } catch (error) {
        if (attempt >= MAX_ATTEMPTS || !REPEATABLE.has(sqlState(error) ?? '')) throw error;
        repeats.inc({ sqlstate: sqlState(error) ?? '' });
        this.logger.debug(`transaction repeated after ${sqlState(error)}, attempt ${attempt}`);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 20 * 2 ** attempt));
      }
    }
  }

  @OnScrape({ sets: [connections, most, waiting] })
  measurePool(): void {
    const { pool } = this;
    connections.set({ state: 'busy' }, pool.totalCount - pool.idleCount);
    connections.set({ state: 'idle' }, pool.idleCount);
    waiting.set(pool.waitingCount);
    most.set(pool.options.max);
  }
}

/** The SQLSTATE of a PostgreSQL error, also when TypeORM wrapped it. */
export function sqlState(error: unknown): string | undefined {
  const { code, driverError } = error as { code?: string; driverError?: { code?: string } };
  return driverError?.code ?? code;
}

/** @throws QueryFailedError, as TypeORM's own statements do: it has the statement in it */
async function run<Row>(on: pg.Pool | pg.PoolClient, sql: string, parameters: readonly unknown[]): Promise<Row[]> {
  try {
    return (await on.query(sql, parameters as unknown[])).rows as Row[];
  } catch (error) {
    throw new QueryFailedError(sql, parameters as unknown[], error as Error);
  }
}

/** `v.channel_id AS "channelId", …`: an entity's columns for a SELECT of our own, under the entity's names. */
export function columnsOf(db: Database, entity: EntityTarget<ObjectLiteral>, alias: string): string {
  return db.dataSource
    .getMetadata(entity)
    .columns.map((column) => `${alias}.${column.databaseName} AS "${column.propertyName}"`)
    .join(', ');
}
