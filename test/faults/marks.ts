import pg from 'pg';
import { until } from '../support/index.js';

/** Points of the processing of a video: the statement by which it goes on, before it has had an effect. */
const POINTS: Record<string, { table: string; on: 'INSERT' | 'UPDATE'; when: string; once?: true }> = {
  'the original is complete': {
    table: 'upload_session',
    on: 'UPDATE',
    when: `NEW.state = 'COMPLETED' AND OLD.state <> 'COMPLETED'`,
    once: true,
  },
  'a job is claimed': {
    table: 'job',
    on: 'UPDATE',
    when: `NEW.state = 'RUNNING' AND OLD.state = 'QUEUED' AND NEW.subject IS NOT NULL`,
  },
  'probing begins': {
    table: 'video',
    on: 'UPDATE',
    when: `NEW.stage = 'PROBING' AND OLD.stage <> 'PROBING'`,
    once: true,
  },
  'the run is planned': { table: 'transcode_source', on: 'INSERT', when: 'true', once: true },
  'pieces are asked for': { table: 'job', on: 'INSERT', when: `NEW.name = 'EncodePiece'`, once: true },
  'an attempt begins': { table: 'piece', on: 'UPDATE', when: 'NEW.strikes > OLD.strikes' },
  'a piece makes progress': {
    table: 'piece',
    on: 'UPDATE',
    when: 'NEW.progress > OLD.progress AND NEW.done_at IS NULL',
  },
  'an object is written': { table: 'stored_object', on: 'INSERT', when: `starts_with(NEW.key, 'pieces/')` },
  'a rendition gets its init segment': {
    table: 'rendition',
    on: 'UPDATE',
    when: 'NEW.init IS NOT NULL AND OLD.init IS NULL',
  },
  'segments are committed': { table: 'segment', on: 'INSERT', when: 'true' },
  'objects are kept': {
    table: 'stored_object',
    on: 'UPDATE',
    when: `NEW.state = 'KEPT' AND starts_with(NEW.key, 'pieces/')`,
  },
  'a piece is done': { table: 'piece', on: 'UPDATE', when: 'NEW.done_at IS NOT NULL AND OLD.done_at IS NULL' },
  'a job is done': { table: 'job', on: 'UPDATE', when: `NEW.state = 'DONE' AND NEW.subject IS NOT NULL` },
  'it becomes PLAYABLE': {
    table: 'video',
    on: 'UPDATE',
    when: `NEW.state = 'PLAYABLE' AND OLD.state <> 'PLAYABLE'`,
    once: true,
  },
  'stills are committed': { table: 'still', on: 'INSERT', when: 'true', once: true },
  'it becomes READY': {
    table: 'video',
    on: 'UPDATE',
    when: `NEW.state = 'READY' AND OLD.state <> 'READY'`,
    once: true,
  },
  'a rung is asked for': {
    table: 'rendition',
    on: 'UPDATE',
    when: `NEW.on_demand = 'ASKED' AND OLD.on_demand <> 'ASKED'`,
    once: true,
  },
  'pieces of a rung are asked for': { table: 'job', on: 'INSERT', when: `NEW.name = 'EncodeRung'` },
  'an attempt at a rung begins': {
    table: 'piece',
    on: 'UPDATE',
    when: `NEW.kind = 'RUNG' AND NEW.strikes > OLD.strikes`,
  },
  'a piece of a rung is done': {
    table: 'piece',
    on: 'UPDATE',
    when: `NEW.kind = 'RUNG' AND NEW.done_at IS NOT NULL AND OLD.done_at IS NULL`,
  },
  'a rung is made': {
    table: 'rendition',
    on: 'UPDATE',
    when: `NEW.on_demand = 'MADE' AND OLD.on_demand = 'ASKED'`,
    once: true,
  },
};

export const MARKS = Object.keys(POINTS);
/** How often a video comes to a mark, at least: the marks of pieces as often as it has pieces. */
export const timesOf = (mark: string): number => (POINTS[mark]?.once ? 1 : 3);
/** First part of the names of the advisory locks that stand for marks. */
const LOCKS = 7_100;

/** Has every statement at a mark wait for the mark's lock, which nobody holds until a schedule does. */
export function markSql(): string {
  const triggers = Object.values(POINTS).map(
    ({ table, on, when }, index) =>
      `CREATE TRIGGER mark_${index} BEFORE ${on} ON ${table} FOR EACH ROW WHEN (${when}) EXECUTE FUNCTION at_mark('${index}');`,
  );
  return `CREATE FUNCTION at_mark() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared(${LOCKS}, TG_ARGV[0]::int); RETURN NEW; END $$;
    ${triggers.join('\n')}`;
}

/**
 * Waits until somebody has come to the mark for the n-th time, and calls `meet` with the name of that one's connection: what comes
 * before has happened, the mark has not. Then lets go.
 * @param isOver no use to wait any longer
 * @returns whether somebody came
 */
export async function atMark(
  url: string,
  mark: string,
  nth: number,
  isOver: () => Promise<boolean>,
  meet: (who: string) => Promise<void>,
): Promise<boolean> {
  const lock = [LOCKS, MARKS.indexOf(mark)];
  const client = new pg.Client(url);
  // It may be ended with PostgreSQL: then nothing is held any more.
  client.on('error', () => undefined);
  try {
    await client.connect();
    for (let time = 1; ; time++) {
      await client.query('SELECT pg_advisory_lock($1, $2)', lock);
      let who: string | undefined;
      await until(
        async () => {
          const { rows } = await client.query(
            `SELECT application_name AS who FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE locktype = 'advisory' AND classid = $1 AND objid = $2 AND NOT granted LIMIT 1`,
            lock,
          );
          who = rows[0]?.who;
          return who !== undefined || (await isOver());
        },
        (done) => done,
        20,
      );
      if (who === undefined) return false;
      if (time === nth) {
        await meet(who);
        return true;
      }
      await client.query('SELECT pg_advisory_unlock($1, $2)', lock);
    }
  } catch (error) {
    if (isLost(error)) return false;
    throw error;
  } finally {
    // With the connection the lock goes.
    await client.end().catch((error: Error) => {
      if (!isLost(error)) throw error;
    });
  }
}

/** PostgreSQL was taken away meanwhile. */
function isLost(error: unknown): boolean {
  const { code, message } = error as { code?: string; message: string };
  return (
    /^(57P|08)/.test(code ?? '') || /ECONN|EPIPE|terminated|not queryable|Connection ended/.test(`${code} ${message}`)
  );
}
