import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeClip } from '../support/clip.js';
import { ApiClient, rowId, sha256, until } from '../support/index.js';
import { brokenInvariants, storeDifferences } from '../support/invariants.js';
import { Retries, RetryingClient } from '../support/retrying-client.js';
import type { ServerProcess } from '../support/server-process.js';
import { type Installation, startInstallation } from './installation.js';
import { atMark, MARKS, markSql, timesOf } from './marks.js';
import { type Draw, drawFrom } from './schedule.js';

/**
 * Seeded schedules of faults while a video is processed: its workers are killed or stopped at marked points, encoders are killed, and
 * PostgreSQL, Redis and the store fail. `npm run test:faults` tells how to run more of them, and one again.
 */

const FIRST = Number(process.env.FAULTS_SEED ?? 1);
const COUNT = Number(process.env.FAULTS_PIPELINE ?? (process.env.FAULTS_SEED ? 1 : 5));
/** For one video, whatever happens to it. */
const PATIENCE_MS = 180_000;
/** The rung that is made when it is asked for, once the video is READY. */
const ON_DEMAND = '120p';
/** What a video may be given up with that is whole: its workers, or its encoders, were killed three times at one piece. */
const CODES = ['WORKER_KILLED', 'ENCODE_FAILED'];

let installation: Installation;
let clip: Buffer;
let ada: RetryingClient;
let channelId: string;
beforeAll(async () => {
  // Small pictures in short pieces: much to go wrong, little to encode.
  installation = await startInstallation(50_000_000, {
    workers: 2,
    env: { LADDER: '100:100,110:120,120:150,144:200', ON_DEMAND_ABOVE: '115', PIECE_SEGMENTS: '1', LOG_LEVEL: 'debug' },
  });
  await installation.database.query(markSql());
  clip = await makeClip({ seconds: 10, size: '256x144' });
  ada = new RetryingClient(await ApiClient.signUp(installation.link.url), new Retries());
  channelId = await ada.createChannel();
}, 240_000);
afterAll(() => installation?.remove());

const turns = new Map<ServerProcess, Promise<unknown>>();
/** What happens to one process happens in turn: two would start it twice at one port. */
const inTurn = (who: ServerProcess, fault: () => Promise<void>): Promise<void> => {
  const done = (turns.get(who) ?? Promise.resolve()).then(fault);
  turns.set(who, done);
  return done;
};
const startAgain = async (who: ServerProcess): Promise<void> => {
  for (let more = 5; ; more--) {
    try {
      await who.start();
      return;
    } catch (error) {
      if (more === 0 || !who.hasEnded()) throw error;
    }
  }
};
/** As when the time of its leases had passed: nobody here waits half a minute for it. */
const leasesEnd = (pid: number) =>
  until(
    () =>
      installation.database
        .query(
          `UPDATE job SET lease_until = now() - interval '1 s' WHERE state = 'RUNNING' AND starts_with(worker, $1)`,
          [`${pid}@`],
        )
        .then(
          () => true,
          () => false,
        ),
    (done) => done,
  );

type Act = (draw: Draw, who: ServerProcess) => Promise<unknown>;
const ACTS: Record<string, Act> = {
  'is killed': (draw, who) =>
    inTurn(who, async () => {
      const pid = who.pid();
      await who.kill();
      await leasesEnd(pid);
      await pause(draw.int(0, 500));
      await startAgain(who);
    }),
  'is stopped for longer than its leases': (draw, who) =>
    inTurn(who, async () => {
      if (who.hasEnded()) return;
      const pid = who.pid();
      process.kill(pid, 'SIGSTOP');
      await leasesEnd(pid);
      await pause(draw.int(3_000, 9_000));
      process.kill(pid, 'SIGCONT');
    }),
  'is stopped for a moment': (draw, who) =>
    inTurn(who, async () => {
      if (who.hasEnded()) return;
      const pid = who.pid();
      process.kill(pid, 'SIGSTOP');
      await pause(draw.int(200, 2_000));
      process.kill(pid, 'SIGCONT');
    }),
  'is drained': (draw, who) =>
    inTurn(who, async () => {
      await who.drain();
      await pause(draw.int(0, 500));
      await startAgain(who);
    }),
  'has its encoders killed': async (_, who) => {
    for (const pid of await encodersOf(who.pid())) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        // It had just ended.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  },
  'loses PostgreSQL': () => installation.crashPostgres(),
  'loses what Redis had': () => installation.redis.flush(),
  'finds Redis empty': () => installation.redis.restartEmpty(),
  'finds a store that answers 503': (draw) => awhile(draw, () => installation.store.refuse(503)),
  'finds a store that is full': (draw) => awhile(draw, () => installation.store.refuse(507)),
  'loses answers of the store': async (draw) => installation.store.loseAnswers(draw.int(1, 3)),
  'loses its connections to the store': async () => installation.store.cut(),
};
const awhile = async (draw: Draw, begin: () => () => unknown) => {
  const end = begin();
  await pause(draw.int(500, 5_000));
  await end();
};

/** Every process below this one that is an ffmpeg. */
async function encodersOf(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid=,comm=']);
  const all = stdout.split('\n').flatMap((line) => {
    const [, own, parent, name] = /^\s*(\d+)\s+(\d+)\s+(\S+)/.exec(line) ?? [];
    return own ? [{ pid: Number(own), parent: Number(parent), name }] : [];
  });
  const below = (parent: number): typeof all =>
    all.filter((each) => each.parent === parent).flatMap((each) => [each, ...below(each.pid)]);
  return below(pid).flatMap((each) => (each.name === 'ffmpeg' ? [each.pid] : []));
}

const query = <Row extends Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> =>
  until(
    () =>
      installation.database.query<Row>(sql, values).then(
        (rows) => ({ rows }),
        () => null,
      ),
    (answer) => answer !== null,
    100,
  ).then((answer) => answer?.rows ?? []);

interface VideoState extends Record<string, unknown> {
  state: string;
  code: string | null;
  run: number;
  attempts: number;
}
const stateOf = async (videoId: string) =>
  (
    await query<VideoState>(
      'SELECT state, failure_code AS code, run, processing_attempts AS attempts FROM video WHERE id = $1',
      [videoId],
    )
  )[0] as VideoState;
const isOver = async (videoId: string) => ['READY', 'FAILED'].includes((await stateOf(videoId)).state);

/** Has the rung made, and waits until nothing of it is to come. @returns MADE, or what it was given up as */
async function rungAskedFor(id: string): Promise<string> {
  const ask = 'mutation ($input: RequestRenditionInput!) { requestRendition(input: $input) { userErrors { code } } }';
  await until(
    () =>
      ada.query(ask, { input: { videoId: id, name: ON_DEMAND } }).then(
        () => true,
        () => false,
      ),
    (done) => done,
  );
  const rows = await until(
    () =>
      query<{ state: string }>('SELECT on_demand AS state FROM rendition WHERE video_id = $1 AND name = $2', [
        rowId(id),
        ON_DEMAND,
      ]),
    ([rung]) => rung?.state !== 'ASKED',
  );
  return rows[0]?.state ?? 'no such rung';
}

async function signIn(): Promise<void> {
  const { login } = await ada.query(
    'mutation ($input: LoginInput!) { login(input: $input) { session { accessToken } userErrors { code } } }',
    { input: { email: ada.email, password: 'correct horse battery' } },
  );
  ada.token = login.session.accessToken;
}

async function schedule(seed: number): Promise<{ broken: string[]; faults: string[]; end: string }> {
  const draw = drawFrom(seed);
  const { database, storage, workers } = installation;
  const broken: string[] = [];
  const faults: string[] = [];
  await signIn();
  const { session } = await ada.createSession({ channelId, sizeBytes: clip.length, sha256: sha256(clip) });
  const videoId = rowId(session.video.id);
  await ada.sendChunk(session.id, { offset: 0, sizeBytes: clip.length, sha256: sha256(clip) }, clip);

  const drawn = draw.times(1, 3).map(() => {
    const mark = draw.of(MARKS);
    const act = draw.of(Object.keys(ACTS));
    return { mark, nth: draw.int(1, timesOf(mark)), act, own: drawFrom(draw.int(0, 2 ** 31)) };
  });
  let isWhole = false;
  const whole = (async () => {
    await until(
      () => isOver(videoId),
      (over) => over,
    );
    const rung = (await stateOf(videoId)).state === 'READY' ? await rungAskedFor(session.video.id) : null;
    isWhole = true;
    return rung;
  })();
  // Who comes to a mark may be killed there as often as the schedule has it.
  const under = Promise.all(
    drawn.map(async ({ mark, nth, act, own }) => {
      const acts: Promise<unknown>[] = [];
      const met = await atMark(
        database.url,
        mark,
        nth,
        async () => isWhole,
        async (connection) => {
          const who = workers.find((each) => connection.includes(` ${each.pid()}@`)) ?? own.of(workers);
          const acting = (ACTS[act] as Act)(own, who);
          acts.push(acting);
          // The mark is let go while it lasts, or as soon as it is over.
          await Promise.race([acting, pause(1_000)]);
        },
      );
      faults.push(`${met ? '' : '(not met) '}when ${mark}, time ${nth}: who is there ${act}`);
      await Promise.all(acts);
    }),
  );
  await ada.complete(session.id);
  let rungEnd = '';
  const late = pause(PATIENCE_MS, 'late', { ref: false });
  const finished = (async () => {
    const [rung] = await Promise.all([whole, under]);
    // ABSENT: its encoders were killed too often; it may be asked for again.
    if (rung !== null && !['MADE', 'ABSENT', 'FAILED'].includes(rung)) broken.push(`the rung is ${rung}`);
    rungEnd = rung ?? '';
    // What it leads to is done as well: freeing what was given up, and jobs that find their run over.
    await until(
      () =>
        query(`SELECT FROM job WHERE state <> 'DONE' AND (subject = $1 OR payload->>'videoId' = $1::text)`, [videoId]),
      (rows) => rows.length === 0,
    );
  })();
  const now = (await Promise.race([finished, late])) === 'late' ? 'late' : 'over';
  const video = await stateOf(videoId);
  if (now === 'late') {
    const jobs = await query(
      `SELECT name, state, attempts, last_error FROM job WHERE subject = $1 AND state <> 'DONE'`,
      [videoId],
    );
    broken.push(`not over after ${PATIENCE_MS} ms: ${JSON.stringify(video)}, ${JSON.stringify(jobs)}`);
  }
  if (video.state === 'FAILED' && !CODES.includes(video.code ?? '')) broken.push(`it failed with ${video.code}`);
  if (video.run !== 1 || video.attempts !== 1) broken.push(`it was begun anew: ${JSON.stringify(video)}`);
  if (video.state === 'FAILED') {
    for (const table of ['segment', 'still', 'piece', 'rendition', 'transcode_source']) {
      const left = await query(`SELECT FROM ${table} WHERE video_id = $1`, [videoId]);
      if (left.length > 0) broken.push(`${left.length} rows of ${table} are left`);
    }
  }
  for (const [rule, rows] of Object.entries(await brokenInvariants(database)))
    broken.push(`${rule}: ${JSON.stringify(rows)}`);
  for (const difference of await storeDifferences(database, storage))
    broken.push(`store: ${JSON.stringify(difference)}`);
  for (const worker of workers) {
    const encoders = await encodersOf(worker.pid());
    if (encoders.length > 0) broken.push(`an encoder is left: ${encoders}`);
    const folders = await readdir(join(installation.dataDirOf(worker), 'scratch'));
    const foreign = folders.filter((name) => !name.endsWith(`.${worker.pid()}`));
    if (foreign.length > 0) broken.push(`scratch is left of processes that are gone: ${foreign}`);
  }
  await ada.query('mutation ($input: DeleteVideoInput!) { deleteVideo(input: $input) { userErrors { code } } }', {
    input: { videoId: session.video.id },
  });
  return { broken, faults, end: `${video.state} ${video.code ?? rungEnd}`.trim() };
}

it(`ends well in ${COUNT} schedules`, async () => {
  const all: Record<number, string[]> = {};
  const ends: Record<string, number> = {};
  const met = new Set<string>();
  const begun = performance.now();
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const started = performance.now();
    const { broken, faults, end } = await schedule(seed);
    ends[end] = (ends[end] ?? 0) + 1;
    for (const fault of faults) if (fault.startsWith('when')) met.add(fault.replace(/^when (.*), time.*$/, '$1'));
    if (broken.length > 0) all[seed] = broken;
    if (broken.length > 0 || process.env.FAULTS_TRACE) {
      const ms = Math.round(performance.now() - started);
      process.stderr.write(`seed ${seed}, ${ms} ms, ${end}\n  ${[...faults, ...broken].join('\n  ')}\n`);
    }
  }
  const seconds = Math.round((performance.now() - begun) / 1_000);
  process.stderr.write(
    `${COUNT} schedules of processing in ${seconds} s: ${JSON.stringify(ends)}; met ${met.size} of ${MARKS.length} marks\n`,
  );
  expect(all).toEqual({});
}, 14_400_000);
