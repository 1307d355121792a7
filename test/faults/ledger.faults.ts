import { runSeed } from './ledger.js';
import { openWorld, type World } from './world.js';

/**
 * Seeded schedules of the ledger, the lanes, the collector and the jobs against each other. `npm run test:faults` tells
 * how to run more of them, and one again.
 */

const FIRST = Number(process.env.FAULTS_SEED ?? 1);
const COUNT = Number(process.env.FAULTS_LEDGER ?? (process.env.FAULTS_SEED ? 1 : 200));
/** Of which each has a database of its own. */
const AT_ONCE = Math.min(COUNT, 10);

const worlds: World[] = [];
beforeAll(async () => {
  for (let k = 0; k < AT_ONCE; k++) worlds.push(await openWorld(['a', 'b']));
}, 240_000);
afterAll(async () => {
  for (const world of worlds) await world.close();
});

it(`keeps every promise in ${COUNT} schedules`, async () => {
  const seeds = Array.from({ length: COUNT }, (_, k) => FIRST + k).values();
  const broken: Record<number, string[]> = {};
  const ends: Record<string, number> = {};
  let turns = 0;
  const begun = performance.now();
  await Promise.all(
    worlds.map(async (world) => {
      for (const seed of seeds) {
        const outcome = await runSeed(world, seed);
        turns += outcome.turns;
        ends[outcome.end] = (ends[outcome.end] ?? 0) + 1;
        if (outcome.broken.length > 0) broken[seed] = outcome.broken;
        if (outcome.broken.length > 0 || COUNT === 1) {
          const tell = process.env.FAULTS_TRACE ? outcome.trace : [];
          process.stderr.write(`seed ${seed}\n  ${[...tell, ...outcome.broken].join('\n  ')}\n`);
        }
        if (Object.keys(broken).length >= (process.env.FAULTS_STOP ? 1 : 10)) return;
      }
    }),
  );
  const seconds = Math.round((performance.now() - begun) / 1_000);
  process.stderr.write(`${COUNT} schedules, ${turns} turns, ${seconds} s; sessions came to ${JSON.stringify(ends)}\n`);
  expect(broken).toEqual({});
}, 3_600_000);
