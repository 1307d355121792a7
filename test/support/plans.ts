import { Database } from '../../src/common/database/index.js';
import type { TestApp } from './app.js';

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: Plan[];
}

/** What statements cost, and how they come by rows. */
export interface Cost {
  blocks: number;
  /** Tables that are read from one end to the other. */
  scans: string[];
  /** `Index Scan: ix_video_newest` */
  indexes: Set<string>;
}

/** What is known of the tables, and how they lie, is as after a while of rest. */
export async function settle(app: TestApp, tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    // The servers of tests commit before the log is written, and VACUUM marks no page before its rows' commits are: this waits.
    await app.database.query(`BEGIN; SET LOCAL synchronous_commit = on; ANALYZE ${table}; COMMIT`);
    await app.database.query(`VACUUM ${table}`);
  }
}

/** What the statements of `work` cost. @param isFew tables that are small are not read from one end to the other: there will be more */
export async function costOf(app: TestApp, work: () => Promise<unknown>, isFew = false): Promise<Cost> {
  const db = app.get(Database);
  const asked: [string, readonly unknown[]][] = [];
  const query = db.query.bind(db);
  db.query = (async (sql: string, parameters: readonly unknown[] = []) => {
    asked.push([sql, parameters]);
    return query(sql, parameters);
  }) as typeof db.query;
  try {
    await work();
  } finally {
    db.query = query;
  }
  const cost: Cost = { blocks: 0, scans: [], indexes: new Set() };
  const look = (plan: Plan) => {
    if (plan['Node Type'] === 'Seq Scan') cost.scans.push(plan['Relation Name'] ?? '');
    if (plan['Index Name']) cost.indexes.add(`${plan['Node Type']}: ${plan['Index Name']}`);
    for (const inner of plan.Plans ?? []) look(inner);
  };
  for (const [sql, parameters] of asked) {
    const [row] = await db.tx(async (tx) => {
      if (isFew) await tx.query('SET LOCAL enable_seqscan = off');
      return tx.query<{ 'QUERY PLAN': { Plan: Plan }[] }>(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${sql}`, parameters);
    });
    const plan = row?.['QUERY PLAN'][0]?.Plan as Plan;
    cost.blocks += plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
    look(plan);
  }
  return cost;
}

export type PageOf = (after: string | null) => Promise<{ rows: { place: string }[] }>;

/** What the first page of each costs, and the tenth: as `NAME, first page` and `NAME, tenth page`. */
export async function pageCosts(
  app: TestApp,
  pages: Readonly<Record<string, PageOf>>,
  isFew = false,
): Promise<Record<string, Cost>> {
  const costs: Record<string, Cost> = {};
  for (const [name, page] of Object.entries(pages)) {
    let after: string | null = null;
    for (let n = 0; n < 9; n++) after = (await page(after)).rows.at(-1)?.place ?? null;
    // Once before: what is planned or read for the first time reads catalogues too.
    await costOf(app, () => page(null), isFew);
    costs[`${name}, first page`] = await costOf(app, () => page(null), isFew);
    costs[`${name}, tenth page`] = await costOf(app, () => page(after), isFew);
  }
  return costs;
}
