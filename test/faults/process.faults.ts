import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createUpload, type Upload } from '../../client/src/node.js';
import { makeClip } from '../support/clip.js';
import { graphql } from '../support/graphql.js';
import { type Answer, ApiClient, rowId, sha256, temporaryFolder, until } from '../support/index.js';
import { brokenInvariants, digestOf, storeDifferences } from '../support/invariants.js';
import type { ServerProcess } from '../support/server-process.js';
import { type Installation, startInstallation } from './installation.js';
import { type Draw, drawFrom } from './schedule.js';

/**
 * Seeded schedules of faults of whole processes, while the client uploads a video over both lanes and goes on by itself.
 * `npm run test:faults` tells how to run more of them, and one again.
 */

const FIRST = Number(process.env.FAULTS_SEED ?? 1);
const COUNT = Number(process.env.FAULTS_PROCESS ?? (process.env.FAULTS_SEED ? 1 : 10));
const BYTES_PER_SECOND = 600_000;
const FILE_BYTES = 1_200_000;
/** For one upload, whatever happens to it. */
const PATIENCE_MS = 120_000;

let installation: Installation;
let file: Buffer;
let path: string;
let ada: ApiClient;
let channelId: string;

beforeAll(async () => {
  installation = await startInstallation(BYTES_PER_SECOND);
  const clip = await makeClip({ seconds: 1, size: '160x90' });
  // A box that players skip: many bytes to send, and few to encode.
  const free = Buffer.concat([Buffer.alloc(4), Buffer.from('free'), randomBytes(FILE_BYTES - clip.length - 8)]);
  free.writeUInt32BE(free.length);
  file = Buffer.concat([clip, free]);
  path = join(await temporaryFolder(), 'film.mp4');
  await writeFile(path, file);
  ada = await ApiClient.signUp(installation.front);
  channelId = await ada.createChannel();
}, 240_000);
afterAll(() => installation?.remove());

type Fault = (draw: Draw) => Promise<unknown>;
const turns = new Map<object, Promise<unknown>>();
/** What happens to one process happens in turn: two would start it twice at one port. So does what closes the link. */
const inTurn = (who: object, fault: () => Promise<void>): Promise<void> => {
  const done = (turns.get(who) ?? Promise.resolve()).then(fault);
  turns.set(who, done);
  return done;
};
/** As a supervisor would: also when it ended again since the database was away. */
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
const startWith = (apis: readonly ServerProcess[], env?: Record<string, string>) =>
  Promise.all(
    apis.map(async (api) => {
      await api.drain();
      await api.start(env);
    }),
  );
const restart = (what: 'kill' | 'drain', draw: Draw, who: ServerProcess) =>
  inTurn(who, async () => {
    await who[what]();
    await pause(draw.int(0, 500));
    await startAgain(who);
  });
const awhile = async (draw: Draw, begin: () => (() => unknown) | Promise<() => unknown>) => {
  const end = await begin();
  await pause(draw.int(200, 2_500));
  await end();
};

const FAULTS: Record<string, Fault> = {
  'an api process is killed': (draw) => restart('kill', draw, draw.of(installation.apis)),
  'an api process is drained': (draw) => restart('drain', draw, draw.of(installation.apis)),
  'the worker is killed': (draw) => restart('kill', draw, installation.worker),
  'the worker is drained': (draw) => restart('drain', draw, installation.worker),
  'an api process is stopped and goes on': (draw) => {
    const who = draw.of(installation.apis);
    return inTurn(who, async () => {
      const pid = who.pid();
      process.kill(pid, 'SIGSTOP');
      await pause(draw.int(500, 4_000));
      process.kill(pid, 'SIGCONT');
    });
  },
  'PostgreSQL crashes': () => installation.crashPostgres(),
  'Redis is flushed': () => installation.redis.flush(),
  'Redis comes back empty': () => installation.redis.restartEmpty(),
  'the store answers 503': (draw) => awhile(draw, () => installation.store.refuse(503)),
  'the disk of the store is full': (draw) => awhile(draw, () => installation.store.refuse(507)),
  'answers of the store are lost': async (draw) => installation.store.loseAnswers(draw.int(1, 4)),
  'targets have expired': async (draw) => installation.store.expireTargets(draw.int(1, 3)),
  'connections to the store are cut': async () => installation.store.cut(),
  'the link is cut': async () => installation.link.cut(),
  'nothing passes the link': (draw) => awhile(draw, () => installation.link.hole()),
  'the link refuses': (draw) => {
    const { link } = installation;
    return inTurn(link, () =>
      awhile(draw, () => {
        link.stop();
        return link.start;
      }),
    );
  },
  'tokens are revoked': () =>
    installation.database.query('UPDATE login_session SET revoked_at = now() WHERE revoked_at IS NULL'),
};

/** As an application does it over the same bad link: what is not answered is given up, and its connection with it. */
async function signIn(url = installation.link.url, patienceMs = 5_000): Promise<string> {
  const { data } = await graphql<Answer>(
    url,
    'mutation ($input: LoginInput!) { login(input: $input) { session { accessToken } } }',
    { input: { email: ada.email, password: 'correct horse battery' } },
    undefined,
    AbortSignal.timeout(patienceMs),
  );
  ada.token = data.login.session.accessToken;
  return data.login.session.accessToken;
}

/** What the client was told is stored never becomes less. */
function watch(upload: Upload, broken: string[]): void {
  let most = 0;
  upload.on('progress', ({ committedBytes }) => {
    if (committedBytes < most) broken.push(`${committedBytes} bytes are stored, and ${most} were`);
    most = Math.max(most, committedBytes);
  });
}

async function schedule(seed: number): Promise<{ broken: string[]; faults: string[] }> {
  const draw = drawFrom(seed);
  const { database, storage, store, link, front, apis } = installation;
  const broken: string[] = [];
  const faults: string[] = [];
  store.calm();
  // What an earlier one has left down is no part of this one.
  for (const who of [...apis, installation.worker]) if (who.hasEnded()) await startAgain(who);
  await signIn(front, PATIENCE_MS);
  const clockOff = draw.chance(0.1) ? draw.of([-2, 2]) * 3_600_000 : 0;
  if (clockOff !== 0) {
    faults.push(`the clock of the api is ${clockOff / 3_600_000} h off`);
    await startWith(apis, installation.clockOff(clockOff));
    await signIn(front, PATIENCE_MS);
  }
  let expired = draw.chance(0.2);
  const begin = (lane: 'auto' | 'append' | 'direct', sessionId?: string): Upload => {
    const upload = createUpload(path, {
      endpoint: link.url,
      channelId,
      lane,
      ...(sessionId && { sessionId }),
      token: async ({ expired: again }) => {
        if (expired) {
          expired = false;
          return 'e30.e30.e30';
        }
        return again ? signIn() : (ada.token as string);
      },
    });
    watch(upload, broken);
    return upload;
  };
  const uploads = [begin(draw.of(['auto', 'append', 'direct']))];
  const first = uploads[0] as Upload;
  const started = first.start();
  const ends: Promise<unknown>[] = [started];
  const drawn = draw
    .times(2, 5)
    .map(() => ({ name: draw.of(Object.keys(FAULTS)), at: draw.int(0, 3_000), own: drawFrom(draw.int(0, 2 ** 31)) }));
  const second = draw.chance(0.3) ? { at: draw.int(200, 2_000), lane: draw.of(['append', 'direct'] as const) } : null;
  for (const { name, at } of drawn) faults.push(`${at} ms: ${name}`);
  if (second) faults.push(`${second.at} ms: a second client, ${second.lane}`);

  const injected = Promise.all(
    drawn.map(async ({ name, at, own }) => {
      await pause(at);
      await (FAULTS[name] as Fault)(own);
    }),
  );
  if (second) {
    ends.push(
      (async () => {
        await pause(second.at);
        const { sessionId } = await until(
          async () => first.snapshot,
          (snapshot) => snapshot.sessionId !== null,
          50,
        );
        await begin(second.lane, sessionId as string).start();
      })(),
    );
  }
  const late = pause(PATIENCE_MS, undefined, { ref: false }).then(() => {
    throw new Error(`not done after ${PATIENCE_MS} ms: ${JSON.stringify(first.snapshot)}`);
  });
  const begun = performance.now();
  try {
    await Promise.race([Promise.all(ends), late]);
    faults.push(`the upload is done after ${Math.round(performance.now() - begun)} ms`);
    await injected;
  } catch (error) {
    broken.push((error as Error).stack ?? String(error));
    first.cancel();
    await injected;
    if (first.snapshot.sessionId === null) return { broken, faults };
  }
  if (clockOff !== 0) await startWith(apis);
  const id = rowId(first.snapshot.sessionId as string);
  const ask = () =>
    until(
      () =>
        database
          .query<{ state: string; key: string | null; whole: boolean }>(
            `SELECT state, master_key AS key, covered = int8multirange(int8range(0, size_bytes)) AS whole FROM upload_session WHERE id = $1`,
            [id],
          )
          .catch(() => []),
      (rows) => rows.length > 0,
      100,
    );
  const [row] = await ask();
  if (row?.state !== 'COMPLETED' || !row.whole || !row.key) broken.push(`the session is ${JSON.stringify(row)}`);
  else if ((await digestOf(storage, row.key)) !== sha256(file)) broken.push('the master is not the file');
  for (const [rule, rows] of Object.entries(await brokenInvariants(database)))
    broken.push(`${rule}: ${JSON.stringify(rows)}`);
  for (const difference of await storeDifferences(database, storage))
    broken.push(`store: ${JSON.stringify(difference)}`);
  // Nothing of it is left to encode while the next one uploads.
  await signIn(front, PATIENCE_MS);
  await ada.query('mutation ($input: DeleteVideoInput!) { deleteVideo(input: $input) { userErrors { code } } }', {
    input: { videoId: first.snapshot.videoId },
  });
  return { broken, faults };
}

it(`loses nothing in ${COUNT} schedules`, async () => {
  const all: Record<number, string[]> = {};
  const times: number[] = [];
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const begun = performance.now();
    const { broken, faults } = await schedule(seed).catch(({ stack }: Error) => ({ broken: [`${stack}`], faults: [] }));
    times.push(Math.round(performance.now() - begun));
    if (broken.length > 0) all[seed] = broken;
    if (broken.length > 0 || process.env.FAULTS_TRACE) {
      process.stderr.write(`seed ${seed}, ${times.at(-1)} ms\n  ${[...faults, ...broken].join('\n  ')}\n`);
    }
  }
  const seconds = Math.round(times.reduce((sum, ms) => sum + ms, 0) / 1_000);
  process.stderr.write(`${COUNT} schedules of processes in ${seconds} s, the longest ${Math.max(...times)} ms\n`);
  expect(all).toEqual({});
}, 7_200_000);
