import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { Database } from '../../src/common/database/index.js';
import { Jobs, JobWorker } from '../../src/common/jobs/index.js';
import { FreeRuns } from '../../src/modules/transcoding/transcoding.jobs.js';
import { startApp, type TestApp } from '../support/index.js';

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.stop());
afterEach(() => jest.restoreAllMocks());

it('gives back a job whose claim was under way when the process began to drain', async () => {
  const db = app.get(Database);
  const query = db.query.bind(db);
  const steps = new EventEmitter();
  const claimed = once(steps, 'claimed');
  jest.spyOn(db, 'query').mockImplementation(async (sql, parameters) => {
    const rows = await query(sql, parameters);
    if (sql.includes('attempts = attempts + 1') && rows.length > 0) {
      steps.emit('claimed');
      await once(steps, 'draining');
    }
    return rows as never;
  });
  await db.tx((tx) => app.get(Jobs).enqueue(tx, FreeRuns, { videoId: randomUUID(), run: 1 }));
  await claimed;
  const draining = app.get(JobWorker).onModuleDestroy();
  steps.emit('draining');
  await draining;
  expect(await app.database.query('SELECT state, attempts, lease FROM job')).toEqual([
    { state: 'QUEUED', attempts: 0, lease: null },
  ]);
});
