import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { Database, sqlState, type Tx } from '../../common/database/index.js';
import { IndexWriter, TABLES, takesLong } from './index-writer.js';

const AT_ONCE = 500;
const FIRST = '00000000-0000-0000-0000-000000000000';
/** Searches wait behind who waits for their tables: not for long. */
const LOCK_TIMEOUT = '500ms';
/** Nobody waits behind who waits for vacuums to be over; after a second PostgreSQL cancels those that began by themselves. */
const VACUUM_TIMEOUT = '5s';
/** SQLSTATE lock_not_available. */
const LOCKED = '55P03';
/** How long a backup, which reads the tables in one transaction, is waited for. */
const PATIENCE_MS = 600_000;

/** The tables that find videos are made under other names, filled, and put in the place of those in use. */
@Injectable()
export class Reindex {
  private readonly logger = new Logger(Reindex.name);

  constructor(
    private readonly db: Database,
    private readonly writer: IndexWriter,
  ) {}

  /**
   * Makes the index anew beside the one in use, while that is searched and kept current, and exchanges them.
   * @returns in `uncounted` why its words could not be counted: a worker does that later
   * @throws when it could not be made, or another one began meanwhile, which goes on: the index is the one from before
   */
  async run(
    onProgress: (progress: { done: number; of: number }) => void = () => undefined,
  ): Promise<{ videos: number; uncounted: Error | null }> {
    const run = randomUUID();
    await this.begin(run);
    try {
      const videos = await this.make(run, onProgress);
      const uncounted = await this.writer.maintain().then(
        () => null,
        (error: Error) => error,
      );
      return { videos, uncounted };
    } catch (error) {
      // Where the database is away, a worker does it a day later.
      await this.giveUp(run).catch((other: Error) =>
        this.logger.warn(`what was made is left behind: ${other.message}`),
      );
      throw error;
    }
  }

  private async make(run: string, onProgress: (progress: { done: number; of: number }) => void): Promise<number> {
    await this.writer.drawLine();
    const [row] = await this.db.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM video WHERE listed_at IS NOT NULL',
    );
    const of = row?.count ?? 0;
    let done = 0;
    for (let after: string | undefined = FIRST; after; ) {
      after = await this.step(run, async (tx) => {
        const ids = await tx.query<{ id: string }>(
          'SELECT id FROM video WHERE listed_at IS NOT NULL AND id > $1 ORDER BY id LIMIT $2',
          [after, AT_ONCE],
        );
        await this.writer.write(
          tx,
          ids.map(({ id }) => id),
          '_next',
        );
        done += ids.length;
        return ids[AT_ONCE - 1]?.id;
      });
      onProgress({ done, of });
    }
    await this.channels();
    const indexes = await this.buildIndexes(run);
    // What changed while it was made; then the little that changed while that was.
    for (const patient = Date.now() + PATIENCE_MS; ; ) {
      while ((await this.step(run, (tx) => this.catchUp(tx))) === AT_ONCE);
      try {
        await this.exchange(run, indexes);
        return done;
      } catch (error) {
        if (sqlState(error) !== LOCKED || Date.now() > patient) throw error;
      }
    }
  }

  private async begin(run: string): Promise<void> {
    await this.db.tx(async (tx) => {
      // Who writes from here on says what: who began before is waited for.
      await this.writer.lock(tx);
      await tx.query('UPDATE search_state SET rebuild = $1, rebuild_at = now()', [run]);
      await this.writer.dropNext(tx);
      for (const table of TABLES) {
        await tx.query(
          `CREATE TABLE ${table}_next (LIKE ${table} INCLUDING DEFAULTS INCLUDING STORAGE) WITH (fillfactor = 85)`,
        );
      }
      // What is written twice is found by these; all others are faster to build afterwards.
      await tx.query('ALTER TABLE video_search_next ADD CONSTRAINT pk_video_search_next PRIMARY KEY (id)');
      await tx.query('ALTER TABLE video_search_body_next ADD CONSTRAINT pk_video_search_body_next PRIMARY KEY (id)');
      await tx.query('CREATE UNIQUE INDEX ix_video_search_video_next ON video_search_next (video_id)');
    });
  }

  /** In their place: there are few, and each is written by itself. */
  private async channels(): Promise<void> {
    for (let after: string | undefined = FIRST; after; ) {
      const rows: { id: string }[] = await this.db.query('SELECT id FROM channel WHERE id > $1 ORDER BY id LIMIT $2', [
        after,
        AT_ONCE,
      ]);
      await this.writer.updateChannels(rows.map(({ id }) => id));
      after = rows[AT_ONCE - 1]?.id;
    }
  }

  /** As those of the tables in use. @returns their names */
  private async buildIndexes(run: string): Promise<string[]> {
    const indexes = await this.db.query<{ name: string; definition: string }>(
      'SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE schemaname = current_schema() AND tablename = ANY($1)',
      [TABLES],
    );
    for (const { name, definition } of indexes) {
      await this.step(run, async (tx) => {
        const [there] = await tx.query<{ found: string | null }>('SELECT to_regclass($1)::text AS found', [
          `${name}_next`,
        ]);
        if (there?.found) return;
        const renamed = definition
          .replace(name, `${name}_next`)
          .replace(/ ON (\S+\.)?(video_search(?:_body)?) /, ' ON $1$2_next ');
        await takesLong(tx);
        await tx.query(renamed);
      });
    }
    for (const table of TABLES) await this.db.query(`ANALYZE ${table}_next`);
    return indexes.map(({ name }) => name);
  }

  private async catchUp(tx: Tx): Promise<number> {
    const touched = await tx.query<{ id: string }>(
      `DELETE FROM search_touched WHERE video_id IN (SELECT video_id FROM search_touched ORDER BY video_id LIMIT $1)
       RETURNING video_id AS id`,
      [AT_ONCE],
    );
    if (touched.length > 0)
      await this.writer.write(
        tx,
        touched.map(({ id }) => id),
        '_next',
      );
    return touched.length;
  }

  /** One transaction: whoever searches finds the one or the other. It is repeated where somebody holds the tables too long. */
  private async exchange(run: string, indexes: readonly string[]): Promise<void> {
    await this.step(run, async (tx) => {
      await tx.query(`SET LOCAL lock_timeout = '${VACUUM_TIMEOUT}'`);
      const all = TABLES.flatMap((table) => [table, `${table}_next`]);
      await tx.query(`LOCK TABLE ${all.join(', ')} IN SHARE UPDATE EXCLUSIVE MODE`);
      await tx.query(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'`);
      await this.writer.lock(tx);
      while ((await this.catchUp(tx)) > 0);
      for (const table of TABLES) {
        await tx.query(`DROP TABLE ${table}`);
        await tx.query(`ALTER TABLE ${table}_next RENAME TO ${table}`);
      }
      for (const name of indexes) await tx.query(`ALTER INDEX ${name}_next RENAME TO ${name}`);
      await tx.query('UPDATE search_state SET rebuild = NULL, rebuild_at = NULL, maintain_at = now()');
    });
  }

  private async giveUp(run: string): Promise<void> {
    await this.db.tx(async (tx) => {
      const [own] = await tx.query(
        'UPDATE search_state SET rebuild = NULL, rebuild_at = NULL WHERE rebuild = $1 RETURNING rebuild',
        [run],
      );
      if (own) await this.writer.dropNext(tx);
    });
  }

  private async step<T>(run: string, work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.db.tx(async (tx) => {
      const [own] = await tx.query('UPDATE search_state SET rebuild_at = now() WHERE rebuild = $1 RETURNING rebuild', [
        run,
      ]);
      if (!own) throw new Error('Another reindex began meanwhile, and goes on instead of this one.');
      return work(tx);
    });
  }
}
