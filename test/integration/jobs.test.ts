import { Injectable, Module } from '@nestjs/common';
import { Database } from '../../src/common/database/index.js';
import { defineEvent, Events, OnEvent } from '../../src/common/events/index.js';
import { defineJob, HandlesJob, type JobContext, Jobs, JobWorker } from '../../src/common/jobs/index.js';
import { startApp, type TestApp, until } from '../support/index.js';

const Note = defineJob<{ text: string }>({ name: 'TestNote', queue: 'default' });
const Stubborn = defineJob<{ failures: number }>({ name: 'TestStubborn', queue: 'default' });
const Endless = defineJob<Record<string, never>>({ name: 'TestEndless', queue: 'default' });
const Happened = defineEvent<{ what: string }>('TestHappened');

@Injectable()
class TestHandlers {
  readonly notes: string[] = [];
  readonly told: string[] = [];
  readonly attempts: number[] = [];
  endless: JobContext[] = [];

  @HandlesJob(Note)
  async note({ text }: { text: string }): Promise<void> {
    this.notes.push(text);
  }

  @HandlesJob(Stubborn)
  async stubborn({ failures }: { failures: number }, { attempt }: JobContext): Promise<void> {
    this.attempts.push(attempt);
    if (attempt <= failures) throw new Error('not yet');
  }

  @HandlesJob(Endless)
  async untilAborted(_: object, context: JobContext): Promise<void> {
    this.endless.push(context);
    await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
    context.signal.throwIfAborted();
  }

  @OnEvent(Happened)
  async first({ what }: { what: string }): Promise<void> {
    this.told.push(`first ${what}`);
  }

  @OnEvent(Happened)
  async second({ what }: { what: string }): Promise<void> {
    this.told.push(`second ${what}`);
  }
}

@Module({ providers: [TestHandlers] })
class TestModule {}

let app: TestApp;
let jobs: Jobs;
let db: Database;
let handlers: TestHandlers;

beforeAll(async () => {
  app = await startApp({}, [TestModule]);
  [jobs, db, handlers] = [app.get(Jobs), app.get(Database), app.get(TestHandlers)];
});
afterAll(() => app.stop());

const jobsNamed = (name: string) =>
  app.database.query<{ state: string; attempts: number; lease: string | null; last_error: string | null }>(
    'SELECT state, attempts, lease, last_error FROM job WHERE name = $1 ORDER BY created_at',
    [name],
  );

it('does what was asked for in a transaction that committed, and nothing else', async () => {
  await expect(
    db.tx(async (tx) => {
      await jobs.enqueue(tx, Note, { text: 'rolled back' });
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  await db.tx((tx) => jobs.enqueue(tx, Note, { text: 'committed' }));
  await until(
    async () => handlers.notes,
    (notes) => notes.length > 0,
    20,
  );
  expect(handlers.notes).toEqual(['committed']);
});

it('makes one job of many asked for with one key', async () => {
  await Promise.all(
    Array.from({ length: 10 }, () =>
      db.tx((tx) => jobs.enqueue(tx, Note, { text: 'once' }, { dedupeKey: 'once', delayMs: 3_600_000 })),
    ),
  );
  expect(await app.database.query(`SELECT count(*)::int FROM job WHERE dedupe_key = 'once'`)).toEqual([{ count: 1 }]);
});

it('tries again what failed, and remembers why', async () => {
  await db.tx((tx) => jobs.enqueue(tx, Stubborn, { failures: 2 }));
  const [done] = await until(
    () => jobsNamed('TestStubborn'),
    ([job]) => job?.state === 'DONE',
  );
  expect(handlers.attempts).toEqual([1, 2, 3]);
  expect(done).toMatchObject({ attempts: 3, lease: null, last_error: 'not yet' });
});

it('tells every handler of an event by a job of its own', async () => {
  await db.tx((tx) => app.get(Events).publish(tx, Happened, { what: 'it' }));
  await until(
    async () => handlers.told,
    (told) => told.length === 2,
    20,
  );
  expect([...handlers.told].sort()).toEqual(['first it', 'second it']);
  expect(await jobsNamed('TestHappened>TestHandlers.first')).toHaveLength(1);
});

it('aborts a job whose lease another worker took, and does not let it finish', async () => {
  await db.tx((tx) => jobs.enqueue(tx, Endless, {}));
  await until(
    async () => handlers.endless,
    (running) => running.length === 1,
    20,
  );
  // As if this process had slept past its lease and another one had claimed the job.
  const other = '00000000-0000-4000-8000-000000000000';
  await app.database.query(
    `UPDATE job SET lease = $1, lease_until = now() + interval '1 hour' WHERE name = 'TestEndless'`,
    [other],
  );
  await until(
    async () => handlers.endless[0]?.signal.aborted,
    (aborted) => aborted === true,
  );
  expect(await jobsNamed('TestEndless')).toMatchObject([{ state: 'RUNNING', lease: other, last_error: null }]);

  // And when that one dies, the job comes back.
  await app.database.query(`UPDATE job SET lease_until = now() - interval '1 s' WHERE name = 'TestEndless'`);
  await until(
    async () => handlers.endless,
    (running) => running.length === 2,
    20,
  );
  expect(handlers.endless[1]?.lease).not.toBe(handlers.endless[0]?.lease);
});

it('puts back, at no cost, what is still running when the process drains', async () => {
  expect(await jobsNamed('TestEndless')).toMatchObject([{ state: 'RUNNING', attempts: 2 }]);
  await app.get(JobWorker).onModuleDestroy();
  expect(await jobsNamed('TestEndless')).toMatchObject([{ state: 'QUEUED', attempts: 1, lease: null }]);
});
