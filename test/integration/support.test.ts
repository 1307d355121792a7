import { type TestDatabase, testDatabase, testRedis } from '../support/index.js';

describe('testDatabase', () => {
  const databases: TestDatabase[] = [];
  afterAll(() => Promise.all(databases.map((database) => database.drop())));

  it('gives each its own copy of the newest schema, also many at once', async () => {
    databases.push(...(await Promise.all(Array.from({ length: 4 }, () => testDatabase()))));
    const [one, other] = databases as [TestDatabase, TestDatabase];
    await one.query('UPDATE installation SET setup_completed_at = now()');
    expect(await other.query('SELECT setup_completed_at FROM installation')).toEqual([{ setup_completed_at: null }]);
  });
});

it('testRedis comes back empty', async () => {
  const redis = await testRedis();
  try {
    await redis.restartEmpty();
    await redis.flush();
  } finally {
    await redis.stop();
  }
});
