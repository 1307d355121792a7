import type { Sql } from './database.js';

/** Below every UUID but itself, which nothing has. */
export const FIRST_UUID = '00000000-0000-0000-0000-000000000000';
const AT_ONCE = 1_000;

/**
 * Deletes the rows of `table` whose `column` is `id`, a thousand a statement and in the order of `key`, by an index on the two:
 * no statement looks through what the ones before it left behind.
 *
 * @param of names that the code says itself: they become part of the statement
 */
export async function deleteInSteps(
  sql: Sql,
  of: { table: string; column: string; key: string },
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const { table, column, key } = of;
  for (let after: string | undefined = FIRST_UUID; after; ) {
    signal.throwIfAborted();
    const rows: { last: string }[] = await sql.query<{ last: string }>(
      `WITH step AS (SELECT ${key} AS last FROM ${table} WHERE ${column} = $1 AND ${key} > $2 ORDER BY ${key} LIMIT $3),
            gone AS (DELETE FROM ${table} USING step WHERE ${column} = $1 AND ${key} = step.last)
       SELECT last FROM step ORDER BY last DESC LIMIT 1`,
      [id, after, AT_ONCE],
    );
    after = rows[0]?.last;
  }
}
