import { randomUUID } from 'node:crypto';
import { Injectable, Module } from '@nestjs/common';
import { Database } from '../../src/common/database/index.js';
import { defineJob, HandlesJob, type JobContext, Jobs, JobWorker } from '../../src/common/jobs/index.js';
import { until } from '../support/client.js';
import { startApp, type TestApp } from '../support/index.js';

const Work = defineJob<{ name: string }>({ name: 'TestWork', queue: 'encode' });
const First = defineJob<{ name: string }>({ name: 'TestFirst', queue: 'first' });
const Spare = defineJob<{ name: string }>({ name: 'TestSpare', queue: 'spare' });

/** In the order in which they began. */
let begun: string[] = [];
const ends = new Map<string, () => void>();
/** Works until it is ended, or told to stop. */
@Injectable()
class WorkHandler {
  @HandlesJob(Work)
  work({ name }: { name: string }, { signal }: JobContext): Promise<void> {
    begun.push(name);
    return new Promise((resolve, reject) => {
      ends.set(name, resolve);
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  }

  @HandlesJob(First)
  first(payload: { name: string }, context: JobContext): Promise<void> {
    return this.work(payload, context);
  }

  @HandlesJob(Spare)
  spare(payload: { name: string }, context: JobContext): Promise<void> {
    return this.work(payload, context);
  }
}
@Module({ providers: [WorkHandler] })
class WorkModule {}

let app: TestApp;
const start = async (encodeConcurrency: number) => {
  begun = [];
  app = await startApp({ encodeConcurrency }, [WorkModule]);
};
afterEach(() => app.stop());

const ask = (definition: typeof Work, owner: string, ...wanted: string[]) =>
  app.get(Database).tx((tx) =>
    app.get(Jobs).enqueueAll(
      tx,
      wanted.map((name) => ({ definition, payload: { name } })),
      { owner, subject: randomUUID() },
    ),
  );
const haveBegun = (count: number) =>
  until(
    async () => begun.length,
    (now) => now >= count,
    20,
  );
const end = (name: string) => ends.get(name)?.();
const stateOf = (name: string) =>
  app.database.query<{ state: string; attempts: number }>(
    `SELECT state, attempts FROM job WHERE payload->>'name' = $1`,
    [name],
  );
const becomes = (name: string, state: string) =>
  until(
    () => stateOf(name),
    ([job]) => job?.state === state,
    50,
  );

it('spare work leaves a slot to what comes next, and goes by turns', async () => {
  await start(2);
  const [ada, bob, eve] = [randomUUID(), randomUUID(), randomUUID()];
  await ask(Spare, ada, 'ada 1', 'ada 2');
  await haveBegun(1);
  await ask(Spare, bob, 'bob 1');
  await ask(Work, eve, 'eve 1');
  await haveBegun(2);
  expect(begun).toEqual(['ada 1', 'eve 1']);
  end('eve 1');
  await becomes('eve 1', 'DONE');
  end('ada 1');
  await haveBegun(3);
  await ask(Work, eve, 'eve 2');
  await haveBegun(4);
  end('bob 1');
  await haveBegun(5);
  expect(begun.slice(2)).toEqual(['bob 1', 'eve 2', 'ada 2']);
  for (const name of ['eve 2', 'ada 2']) end(name);
  for (const name of ['ada 1', 'ada 2', 'bob 1', 'eve 1', 'eve 2']) await becomes(name, 'DONE');
}, 60_000);

it('where there is one slot, spare work gives it up to other work', async () => {
  await start(1);
  const [ada, eve] = [randomUUID(), randomUUID()];
  await ask(Spare, ada, 'ada 1');
  await haveBegun(1);
  await ask(Work, eve, 'eve 1', 'eve 2');
  await haveBegun(2);
  await becomes('ada 1', 'QUEUED');
  // It was no attempt of its own.
  expect(await stateOf('ada 1')).toEqual([{ state: 'QUEUED', attempts: 0 }]);
  end('eve 1');
  await haveBegun(3);
  end('eve 2');
  await haveBegun(4);
  expect(begun).toEqual(['ada 1', 'eve 1', 'eve 2', 'ada 1']);
  end('ada 1');
  await becomes('ada 1', 'DONE');
}, 60_000);

it('spare work that is claimed while other work comes is put back', async () => {
  await start(1);
  const [ada, eve] = [randomUUID(), randomUUID()];
  const worker = app.get(JobWorker) as unknown as { claim(queue: string): Promise<unknown> };
  const claim = worker.claim.bind(worker);
  const claiming = jest.spyOn(worker, 'claim').mockImplementation(async (queue) => {
    const job = await claim(queue);
    if (queue === 'spare' && job) await haveBegun(1);
    return job;
  });
  await ask(Spare, ada, 'ada 1');
  await becomes('ada 1', 'RUNNING');
  await ask(Work, eve, 'eve 1');
  await becomes('ada 1', 'QUEUED');
  expect(begun).toEqual(['eve 1']);
  claiming.mockRestore();
  end('eve 1');
  await haveBegun(2);
  end('ada 1');
  await becomes('ada 1', 'DONE');
}, 60_000);

it('of what a video begins with, half of the slots are one owner’s at most, so that another’s begins at once', async () => {
  await start(1);
  const [ada, bob, eve] = [randomUUID(), randomUUID(), randomUUID()];
  await ask(First, ada, 'ada 1', 'ada 2', 'ada 3', 'ada 4', 'ada 5');
  await haveBegun(2);
  await ask(First, bob, 'bob 1', 'bob 2', 'bob 3');
  await haveBegun(4);
  await ask(First, eve, 'eve 1');
  expect(begun.toSorted()).toEqual(['ada 1', 'ada 2', 'bob 1', 'bob 2']);
  // All slots have work: now it is by turns, and nobody gets more than two.
  for (const [ended, next] of [
    ['ada 1', 'ada 3'],
    ['ada 2', 'eve 1'],
    ['eve 1', 'ada 4'],
    ['bob 1', 'bob 3'],
    ['ada 3', 'ada 5'],
  ] as const) {
    const before = begun.length;
    end(ended);
    await haveBegun(before + 1);
    expect(begun.slice(before)).toEqual([next]);
  }
  for (const name of ['bob 2', 'ada 4', 'bob 3', 'ada 5']) end(name);
  for (const name of begun) await becomes(name, 'DONE');
}, 60_000);
