import { randomUUID } from 'node:crypto';
import { Injectable, Module } from '@nestjs/common';
import { Database } from '../../src/common/database/index.js';
import { defineJob, type EnqueueOptions, HandlesJob, Jobs, JobWorker } from '../../src/common/jobs/index.js';
import { startApp, type TestApp } from '../support/index.js';

const Work = defineJob<{ name: string }>({ name: 'TestWork', queue: 'encode' });
const WORKERS_SLOTS = 2;

@Injectable()
class WorkHandler {
  @HandlesJob(Work)
  async work(): Promise<void> {
    throw new Error('Nobody works here.');
  }
}
@Module({ providers: [WorkHandler] })
class WorkModule {}

/** No worker runs here: claims are made by hand, as many as the test needs. */
let app: TestApp;
let db: Database;
let jobs: Jobs;
let worker: JobWorker;
beforeAll(async () => {
  app = await startApp({ role: 'api' }, [WorkModule]);
  [db, jobs, worker] = [app.get(Database), app.get(Jobs), app.get(JobWorker)];
});
afterAll(() => app.stop());
beforeEach(async () => {
  await app.database.query('DELETE FROM job');
});
afterEach(() => jest.restoreAllMocks());

const owners = { ada: randomUUID(), bob: randomUUID(), eve: randomUUID() };
type Owner = keyof typeof owners;
const share = (owner: Owner) => ({ owner: owners[owner], subject: randomUUID() });
const names = (owner: Owner, count: number, first = 1) =>
  Array.from({ length: count }, (_, k) => `${owner} ${first + k}`);
const ask = (owner: Owner, wanted: readonly string[], options: EnqueueOptions = {}) =>
  db.tx((tx) =>
    jobs.enqueueAll(
      tx,
      wanted.map((name) => ({ definition: Work, payload: { name }, ...options })),
      share(owner),
    ),
  );
/** As a worker does it. */
async function claim(): Promise<{ id: string; name: string } | null> {
  const { claim } = worker as unknown as {
    claim(queue: string): Promise<{ id: string; payload: { name: string } } | undefined>;
  };
  const job = await claim.call(worker, 'encode');
  return job ? { id: job.id, name: job.payload.name } : null;
}
const finish = (id: string) =>
  app.database.query(`UPDATE job SET state = 'DONE', finished_at = now(), lease = NULL WHERE id = $1`, [id]);
/** Works with so many slots until nothing is left, or `count` jobs have begun. @returns their names in that order */
async function work(count = Number.POSITIVE_INFINITY): Promise<string[]> {
  const running: string[] = [];
  const begun: string[] = [];
  while (begun.length < count) {
    const job = await claim();
    if (!job) break;
    begun.push(job.name);
    running.push(job.id);
    if (running.length === WORKERS_SLOTS) await finish(running.shift() as string);
  }
  for (const id of running) await finish(id);
  return begun;
}

it('does the work of one owner in the order in which it was asked for', async () => {
  await ask('ada', names('ada', 3));
  await ask('ada', names('ada', 2, 4));
  expect(await work()).toEqual(names('ada', 5));
});

it('one who comes to a long queue of another waits for no more than what runs', async () => {
  await ask('ada', names('ada', 300));
  expect(await work(20)).toEqual(names('ada', 20));
  await ask('bob', names('bob', 3));
  const next = await work(6);
  expect(next.slice(0, 2)).toContain('bob 1');
  expect(next.filter((name) => name.startsWith('bob'))).toHaveLength(3);
});

it('who has waited for long gets no more for it than who has just come', async () => {
  await ask('ada', names('ada', 50));
  await work(30);
  await ask('bob', names('bob', 50));
  await work(20);
  await ask('eve', names('eve', 20));
  const begun = await work(30);
  for (const owner of ['ada', 'bob', 'eve']) {
    expect(begun.filter((name) => name.startsWith(owner)).length).toBeGreaterThanOrEqual(9);
  }
});

it('shares work, not jobs', async () => {
  await ask('ada', names('ada', 40), { cost: 3 });
  await ask('bob', names('bob', 40), { cost: 1 });
  const first = await work(40);
  expect(first.filter((name) => name.startsWith('ada')).length).toBeGreaterThanOrEqual(9);
  expect(first.filter((name) => name.startsWith('ada')).length).toBeLessThanOrEqual(11);
});

it('what is asked for by many at the same time takes as many turns', async () => {
  await Promise.all(Array.from({ length: 10 }, (_, k) => ask('ada', names('ada', 5, 1 + 5 * k))));
  await ask('bob', names('bob', 10));
  const first = await work(22);
  expect(first.filter((name) => name.startsWith('bob'))).toHaveLength(10);
});

it('what is next goes before all else of its owner, and takes no turn', async () => {
  await ask('ada', names('ada', 20));
  await work(5);
  await ask('ada', ['ada next'], { next: true });
  await ask('bob', names('bob', 1));
  expect((await work(3)).sort()).toEqual(['ada 6', 'ada next', 'bob 1']);
});

it('what costs nothing goes with what it belongs to, and gives its owner no turn besides', async () => {
  const both = (owner: Owner, count: number) =>
    Promise.all(
      names(owner, count).map((name) =>
        db.tx((tx) =>
          jobs.enqueueAll(
            tx,
            [
              { definition: Work, payload: { name: `${name} sound` }, cost: 0, priority: 150 },
              { definition: Work, payload: { name: `${name} picture` }, cost: 12 },
            ],
            share(owner),
          ),
        ),
      ),
    );
  await both('ada', 20);
  const [turns] = await app.database.query(`SELECT count(DISTINCT turn)::int AS turns, count(*)::int AS jobs FROM job`);
  expect(turns).toEqual({ turns: 20, jobs: 40 });
  // Each sound right after its picture, and nothing of another video between.
  const begun = await work(20);
  for (let k = 0; k < begun.length; k += 2) {
    expect(begun[k]).toMatch(/ picture$/);
    expect(begun[k + 1]).toBe(begun[k]?.replace('picture', 'sound'));
  }
  await both('bob', 1);
  expect(await work(4)).toEqual(expect.arrayContaining(['bob 1 picture', 'bob 1 sound']));
});

it('what failed keeps its turn, and goes to another worker where there is one', async () => {
  await ask('ada', names('ada', 10));
  const job = await claim();
  const again = (worker: string) =>
    app.database.query(
      `UPDATE job SET state = 'QUEUED', lease = NULL, run_at = now(), worker = coalesce(nullif($2, ''), worker) WHERE id = $1`,
      [job?.id, worker],
    );
  await again('');
  expect(await work(1)).toEqual(['ada 2']);
  await again('1@elsewhere');
  expect(await work(1)).toEqual(['ada 1']);
  await again('');
  await app.database.query(`UPDATE job SET run_at = now() - interval '3 s' WHERE state = 'QUEUED'`);
  expect(await work(2)).toEqual(['ada 1', 'ada 3']);
});

it('what asks for it is tried again at once, here as well', async () => {
  await ask('ada', names('ada', 10));
  const { claim, putBack } = worker as unknown as {
    claim(queue: string): Promise<object>;
    putBack(job: object, error: Error): Promise<void>;
  };
  const fail = async (how: object) =>
    putBack.call(worker, await claim.call(worker, 'encode'), Object.assign(new Error('It failed.'), how));
  await fail({ retryAtOnce: true });
  expect(await work(1)).toEqual(['ada 1']);
  await fail({});
  expect(await work(1)).toEqual(['ada 3']);
});

it('asks for thousands of jobs in one statement, and for what is there already not again', async () => {
  const wanted = names('ada', 3_000).map((name) => ({ definition: Work, payload: { name }, dedupeKey: name }));
  const statements = await db.tx(async (tx) => {
    const query = jest.spyOn(tx, 'query');
    await jobs.enqueueAll(tx, wanted.slice(0, 2_990), share('ada'));
    await jobs.enqueueAll(tx, wanted, share('ada'));
    return query.mock.calls.length;
  });
  expect(statements).toBe(4);
  const [all] = await app.database.query<{ count: number; turns: number; last: number }>(
    'SELECT count(*)::int, count(DISTINCT turn)::int AS turns, max(turn) AS last FROM job',
  );
  expect(all).toEqual({ count: 3_000, turns: 3_000, last: 2_999 });
});

it('finds the next of 100,000 jobs at the front of an index, and the turn of a new one too', async () => {
  await app.database.query(
    `INSERT INTO job (name, queue, payload, owner, subject, turn)
     SELECT $1, 'encode', '{"name": "x"}', md5((n % 50)::text)::uuid, gen_random_uuid(), n / 50 FROM generate_series(1, 100000) n`,
    [Work.name],
  );
  await app.database.query('ANALYZE job');
  const query = jest.spyOn(db, 'query');
  await claim();
  const [sql, values] = query.mock.calls[0] as [string, unknown[]];
  const explain = async (statement: string, parameters: unknown[]) => {
    const rows = await app.database.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${statement}`, parameters);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  };
  const claiming = await explain(sql, values);
  expect(claiming).toContain('Index Scan using ix_job_turn');
  expect(claiming).not.toMatch(/Sort|Seq Scan/);
  const butOfAda = await explain(sql, [...values.slice(0, -1), [owners.ada]]);
  expect(butOfAda).toContain('Index Scan using ix_job_turn');
  expect(butOfAda).not.toMatch(/Sort|Seq Scan/);
  const asking = await db.tx(async (tx) => {
    const asked = jest.spyOn(tx, 'query');
    await jobs.enqueueAll(tx, [{ definition: Work, payload: { name: 'y' } }], share('bob'));
    return asked.mock.calls.at(-1) as [string, unknown[]];
  });
  const plan = await explain(...asking);
  expect(plan).toContain('ix_job_owner');
  expect(plan).toContain('ix_job_turn');
  expect(plan).not.toMatch(/Seq Scan on job/);
});
