import { randomUUID } from 'node:crypto';
import { Injectable, Module } from '@nestjs/common';
import { Database } from '../../src/common/database/index.js';
import { defineJob, HandlesJob, Jobs } from '../../src/common/jobs/index.js';
import { until } from '../support/client.js';
import { startApp, type TestApp } from '../support/index.js';

const First = defineJob<{ name: string }>({ name: 'TestFirst', queue: 'first' });
const Probe = defineJob<{ name: string }>({ name: 'TestProbe', queue: 'probe' });

/** In the order in which they began. */
let begun: string[] = [];
const ends = new Map<string, () => void>();
/** Works until it is ended. */
@Injectable()
class WorkHandler {
  @HandlesJob(First)
  work({ name }: { name: string }): Promise<void> {
    begun.push(name);
    return new Promise((resolve) => ends.set(name, resolve));
  }

  @HandlesJob(Probe)
  probe(payload: { name: string }): Promise<void> {
    return this.work(payload);
  }
}
@Module({ providers: [WorkHandler] })
class WorkModule {}

let app: TestApp;
beforeAll(async () => {
  app = await startApp({}, [WorkModule]);
});
afterAll(() => app.stop());
beforeEach(() => {
  begun = [];
});

/** What one video of this owner needs. */
const ask = (definition: typeof First, owner: string, ...wanted: string[]) =>
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
const end = async (name: string) => {
  ends.get(name)?.();
  await until(
    () => app.database.query<{ state: string }>(`SELECT state FROM job WHERE payload->>'name' = $1`, [name]),
    ([job]) => job?.state === 'DONE',
    50,
  );
};

it('one video may have both slots of first pieces, its owner’s next one leaves one to others', async () => {
  const [ada, bob] = [randomUUID(), randomUUID()];
  await ask(First, ada, 'ada 1 picture', 'ada 1 sound');
  await haveBegun(2);
  await ask(First, ada, 'ada 2 picture', 'ada 2 sound');
  await end('ada 1 sound');
  await ask(First, bob, 'bob 1 picture', 'bob 1 sound');
  await haveBegun(3);
  await end('ada 1 picture');
  await haveBegun(4);
  expect(begun).toEqual(['ada 1 picture', 'ada 1 sound', 'bob 1 picture', 'bob 1 sound']);
  // Beside another's there is room for the next one, and then for all of it.
  await end('bob 1 sound');
  await haveBegun(5);
  await end('bob 1 picture');
  await haveBegun(6);
  expect(begun.slice(4)).toEqual(['ada 2 picture', 'ada 2 sound']);
  for (const name of begun.slice(4)) await end(name);
}, 60_000);

it('who has many videos probed leaves a slot to others', async () => {
  const [ada, bob] = [randomUUID(), randomUUID()];
  await Promise.all(['ada 1', 'ada 2', 'ada 3', 'ada 4'].map((name) => ask(Probe, ada, name)));
  await haveBegun(2);
  await ask(Probe, bob, 'bob 1');
  await haveBegun(3);
  expect(begun[2]).toBe('bob 1');
  await end('bob 1');
  // Until one of theirs ends: then there is one less than they may have.
  await end(begun[0] as string);
  await haveBegun(4);
  await ask(Probe, bob, 'bob 2');
  await haveBegun(5);
  expect(begun[4]).toBe('bob 2');
  for (const name of begun) if (name !== 'bob 1' && name !== begun[0]) await end(name);
  await haveBegun(6);
  await end(begun[5] as string);
}, 60_000);
