import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { type TestDatabase, testDatabase } from '../support/index.js';
import { ROOT, sources } from './sources.js';

/** Constraints, indexes and defaults are the migrations' alone: TypeORM would drop them, since no entity declares them. */
const NOT_DECLARED =
  /^(?:DROP INDEX |ALTER TABLE "\w+" (?:DROP CONSTRAINT |ALTER COLUMN "\w+" (?:DROP DEFAULT$|SET DEFAULT )))/;

let database: TestDatabase;
beforeEach(async () => {
  database = await testDatabase();
});
afterEach(() => database.drop());

/** What TypeORM would do to make the database fit the entities. */
async function drift(): Promise<string[]> {
  const entities = await Promise.all(
    sources('src/*.entity.ts').map(async (path) => Object.values((await import(join(ROOT, path))) as object)),
  );
  const dataSource = new DataSource({
    type: 'postgres',
    url: database.url,
    entities: entities.flat().filter((exported) => typeof exported === 'function'),
    installExtensions: false,
    uuidExtension: 'pgcrypto',
  });
  await dataSource.initialize();
  try {
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    return upQueries.map(({ query }) => query).filter((query) => !NOT_DECLARED.test(query));
  } finally {
    await dataSource.destroy();
  }
}

test('the migrated database is what the entities say', async () => {
  expect(await drift()).toEqual([]);
});

test('whatever names an object is found by an index when the object goes', async () => {
  const without = await database.query(
    `SELECT conname FROM pg_constraint f WHERE contype = 'f' AND confrelid = 'stored_object'::regclass
       AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = f.conrelid AND indkey[0] = f.conkey[1])`,
  );
  expect(without).toEqual([]);
});

test.each([
  ['a column that is left over', 'ALTER TABLE video ADD COLUMN colour text', 'DROP COLUMN "colour"'],
  ['a column that is missing', 'ALTER TABLE video DROP COLUMN width', 'ADD "width"'],
  ['a column of another type', 'ALTER TABLE video ALTER COLUMN width TYPE text', 'DROP COLUMN "width"'],
  ['a column that may be null', 'ALTER TABLE video ALTER COLUMN title DROP NOT NULL', '"title" SET NOT NULL'],
  ['a table that is missing', 'ALTER TABLE channel_member RENAME TO member', 'CREATE TABLE "channel_member"'],
])('%s is found', async (_what, change, answer) => {
  await database.query(change);
  expect((await drift()).join('\n')).toContain(answer);
});
