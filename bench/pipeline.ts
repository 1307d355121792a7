import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Place } from './place.js';
import { IDLE_MS, measure, type Rung, Sluice, tree } from './product.js';
import { median, shuffled, spread, table } from './report.js';

const run = promisify(execFile);
/** A bitrate and a quality are the same within these. */
const SAME_BITRATE = 0.05;
const SAME_SSIM = 0.002;

/** Generated, with movement and grain as film has it: smooth pictures would flatter whatever encodes them. */
const CLIPS: Record<string, { size: string; rate: number; seconds: number; gop: number }> = {
  '1080p30': { size: '1920x1080', rate: 30, seconds: 58, gop: 250 },
  '4k60': { size: '3840x2160', rate: 60, seconds: 30, gop: 600 },
  short: { size: '640x360', rate: 30, seconds: 20, gop: 250 },
};
/** The one of a hundred that somebody else has queued, and the one that is new. */
const OTHERS = { size: '1280x720', rate: 30, seconds: 40, gop: 250 };
const NEW = { size: '1280x720', rate: 30, seconds: 10, gop: 250 };

export interface PipelineOptions {
  rounds: number;
  clips: readonly string[];
  /** Each a number of worker processes with one encoder each; 0: one process that does all. */
  workers: readonly number[];
  /** How many videos somebody else has queued; 0 leaves fairness out. */
  others: number;
}

interface Timed {
  clip: string;
  what: string;
  /** Of each round: seconds until the first rendition plays (is done), until all do, of processor time; MB at most. */
  first: number[];
  all: number[];
  cpu: number[];
  memory: number[];
}
interface Quality {
  clip: string;
  rung: string;
  /** kbit/s and SSIM to the scaled source, of Sluice and of (a). */
  bitrates: [number, number];
  ssim: [number, number];
}
export interface PipelineMeasured {
  timed: Timed[];
  quality: Quality[];
  /** Seconds until the new video plays: alone, while the others arrive, and when all of these are planned and queued. */
  fairness: { alone: number[]; whileArriving: number[]; whenQueued: number[] } | null;
}

async function makeClip(file: string, { size, rate, seconds, gop }: typeof OTHERS): Promise<void> {
  await run('ffmpeg', [
    ...['-nostdin', '-v', 'error', '-y', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}:duration=${seconds}`],
    ...['-f', 'lavfi', '-i', `sine=frequency=440:beep_factor=4:sample_rate=48000:duration=${seconds}`],
    ...['-vf', 'gblur=sigma=1.5,noise=alls=7:allf=t', '-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '22'],
    ...['-g', String(gop), '-keyint_min', String(gop), '-sc_threshold', '0', '-pix_fmt', 'yuv420p'],
    ...['-c:a', 'aac', '-b:a', '128k', '-movflags', '+faststart', file],
  ]);
}

/** What our pieces are encoded with, as one run over a whole file has it; threads as x264 likes them best. */
function encoder(rung: Rung, rate: number): string[] {
  const cap = rung.maxBitsPerSecond;
  return [
    ...['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23', '-maxrate', String(cap), '-bufsize', String(2 * cap)],
    ...['-g', String(2 * rate), '-keyint_min', String(2 * rate), '-sc_threshold', '0', '-profile:v', 'high'],
    ...['-pix_fmt', 'yuv420p'],
  ];
}
const SOUND = ['-map', '0:a:0', '-ac', '2', '-c:a', 'aac', '-b:a', '128k'];
const scale = (rung: Rung) => `scale=${rung.width}:${rung.height}:flags=bicubic,setsar=1`;

/** One ffmpeg, niced as ours are. */
async function ffmpeg(args: readonly string[]): Promise<void> {
  const child = spawn('nice', ['-n', '10', 'ffmpeg', '-nostdin', '-v', 'error', '-y', ...args], { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}.`);
}

/** (a): rendition after rendition over the whole file, the lowest first; the sound once, with that. */
async function inSequence(file: string, folder: string, rungs: readonly Rung[], rate: number) {
  const start = performance.now();
  let first = 0;
  for (const [k, rung] of rungs.entries()) {
    const sound = k === 0 ? [...SOUND, join(folder, 'sound.mp4')] : [];
    const out = join(folder, `${rung.name}.mp4`);
    await ffmpeg(['-i', file, '-map', '0:v:0', '-vf', scale(rung), ...encoder(rung, rate), out, ...sound]);
    if (k === 0) first = (performance.now() - start) / 1000;
  }
  return { first, all: (performance.now() - start) / 1000 };
}

/** (b): one run, one decode, all renditions; nothing plays before its end. */
async function allAtOnce(file: string, folder: string, rungs: readonly Rung[], rate: number) {
  const start = performance.now();
  const graph = [
    `[0:v:0]split=${rungs.length}${rungs.map((_, k) => `[s${k}]`).join('')}`,
    ...rungs.map((rung, k) => `[s${k}]${scale(rung)}[v${k}]`),
  ].join(';');
  const outputs = rungs.flatMap((rung, k) => [
    '-map',
    `[v${k}]`,
    ...encoder(rung, rate),
    join(folder, `b-${rung.name}.mp4`),
  ]);
  await ffmpeg(['-i', file, '-filter_complex', graph, ...outputs, ...SOUND, join(folder, 'b-sound.mp4')]);
  const all = (performance.now() - start) / 1000;
  return { first: all, all };
}

async function ssim(file: string, source: string, rung: Rung): Promise<number> {
  const { stderr } = await run('ffmpeg', [
    ...['-nostdin', '-v', 'info', '-i', file, '-i', source],
    ...[
      '-lavfi',
      `[1:v]${scale(rung)},setpts=PTS-STARTPTS[r];[0:v]setpts=PTS-STARTPTS[d];[d][r]ssim`,
      '-f',
      'null',
      '-',
    ],
  ]);
  return Number(/All:([\d.]+)/.exec(stderr)?.[1]);
}

async function bytesOfPicture(file: string): Promise<number> {
  const { stdout } = await run(
    'ffprobe',
    [...['-v', 'error', '-select_streams', 'v', '-show_entries', 'packet=size', '-of', 'csv=p=0', file]],
    { maxBuffer: 64 * 1024 * 1024 },
  );
  return stdout.split('\n').reduce((sum, line) => sum + (Number.parseInt(line, 10) || 0), 0);
}

export async function measurePipeline(place: Place, options: PipelineOptions): Promise<PipelineMeasured> {
  const folder = join(place.folder, 'pipeline');
  await mkdir(folder);
  const measured: PipelineMeasured = { timed: [], quality: [], fairness: null };
  const note = (
    clip: string,
    what: string,
    { first, all, cpu, memory }: { first: number; all: number; cpu: number; memory: number },
  ) => {
    let of = measured.timed.find((each) => each.clip === clip && each.what === what);
    if (!of) {
      of = { clip, what, first: [], all: [], cpu: [], memory: [] };
      measured.timed.push(of);
    }
    of.first.push(first);
    of.all.push(all);
    of.cpu.push(cpu);
    of.memory.push(memory);
    process.stderr.write(
      `${clip}, ${what}: ${first.toFixed(1)} s, ${all.toFixed(1)} s, CPU ${cpu.toFixed(1)} s, ${memory.toFixed(0)} MB\n`,
    );
  };

  for (const clip of options.clips) {
    const shape = CLIPS[clip];
    if (!shape) throw new Error(`There is no clip ${clip}: ${Object.keys(CLIPS).join(', ')}.`);
    const source = join(folder, `${clip}.mp4`);
    process.stderr.write(`making ${clip}\n`);
    await makeClip(source, shape);
    const file = await readFile(source);
    const settings = options.workers.map((workers) => ({ workers, early: false }));
    // As it is by default; the others begin when the last byte is there, as the peers do.
    for (const { workers, early } of [...settings, { workers: 0, early: true }]) {
      const isFirst = workers === options.workers[0] && !early;
      const sluice = await Sluice.start(place, { workers, early });
      const name = `Sluice${workers === 0 ? '' : `, ${workers} workers`}${early ? ', begun while it is sent' : ''}`;
      let rungs: Rung[] = [];
      const product = async () => {
        const client = await sluice.signUp();
        const send = async () => sluice.upload(client, await client.createChannel(), file);
        // What is done while it is sent costs, too.
        const sent = early ? null : await send();
        const times = await measure(sluice.pids, async () => {
          const { videoId, complete } = sent ?? (await send());
          const start = performance.now();
          await complete();
          await sluice.until(videoId, ['PLAYABLE', 'READY']);
          const first = (performance.now() - start) / 1000;
          await sluice.until(videoId, ['READY']);
          return { videoId, first, all: (performance.now() - start) / 1000 };
        });
        return { client, videoId: times.videoId, times };
      };
      // Says which rungs there are, warms up, and is what is looked at.
      const { videoId: trial } = await product();
      rungs = await sluice.rungs(trial);
      const peers: Record<string, () => Promise<void>> = {
        [name]: async () => {
          const { client, videoId, times } = await product();
          note(clip, name, times);
          await sluice.remove(client, videoId);
        },
      };
      if (isFirst) {
        const standing = new Set(tree(process.pid));
        const own = () => tree(process.pid).filter((pid) => !standing.has(pid));
        const peer = async (work: typeof inSequence, what: string) =>
          note(clip, what, await measure(own, () => work(source, folder, rungs, shape.rate)));
        peers['(a) one run a rendition'] = () => peer(inSequence, '(a) one run a rendition');
        peers['(b) one run'] = () => peer(allAtOnce, '(b) one run');
      }
      for (let round = 0; round < options.rounds; round++)
        for (const peer of shuffled(Object.values(peers))) await peer();
      if (isFirst) {
        for (const rung of rungs) {
          const ours = join(folder, `ours-${rung.name}.mp4`);
          const theirs = join(folder, `${rung.name}.mp4`);
          await sluice.join(trial, rung.name, ours);
          const kilobits = async (path: string) => ((await bytesOfPicture(path)) * 8) / 1000 / shape.seconds;
          measured.quality.push({
            ...{ clip, rung: rung.name },
            bitrates: [await kilobits(ours), await kilobits(theirs)],
            ssim: [await ssim(ours, source, rung), await ssim(theirs, source, rung)],
          });
        }
      }
      await sluice.stop();
    }
    await rm(source);
  }
  if (options.others > 0) measured.fairness = await measureFairness(place, folder, options);
  return measured;
}

async function measureFairness(place: Place, folder: string, { rounds, others }: PipelineOptions) {
  const [long, short] = [join(folder, 'others.mp4'), join(folder, 'new.mp4')];
  await makeClip(long, OTHERS);
  await makeClip(short, NEW);
  const [queued, fresh] = [await readFile(long), await readFile(short)];
  const sluice = await Sluice.start(place, { workers: 0, early: false });
  const plays = async (): Promise<number> => {
    const client = await sluice.signUp();
    const { videoId, complete } = await sluice.upload(client, await client.createChannel(), fresh);
    const start = performance.now();
    await complete();
    await sluice.until(videoId, ['PLAYABLE', 'READY']);
    return (performance.now() - start) / 1000;
  };
  const alone: number[] = [];
  // The first one warms up.
  for (let round = 0; round <= rounds; round++) {
    const seconds = await plays();
    if (round > 0) alone.push(seconds);
    while (
      (await place.db.query(`SELECT FROM job WHERE state <> 'DONE' AND queue IN ('first', 'encode')`)).rows.length > 0
    )
      await pause(IDLE_MS);
  }
  const ada = await sluice.signUp();
  const channelId = await ada.createChannel();
  const uploads: Awaited<ReturnType<Sluice['upload']>>[] = [];
  for (let k = 0; k < others; k++) uploads.push(await sluice.upload(ada, channelId, queued));
  for (const { complete } of uploads) await complete();
  /** Of theirs: videos whose pieces are not in the queue yet, and jobs that are left of those that are. */
  const theirs = async (): Promise<{ arrive: number; first: number; encode: number }> => {
    const { rows } = await place.db.query(
      `SELECT (SELECT count(*)::int FROM unnest($1::uuid[]) AS id WHERE NOT EXISTS (SELECT FROM transcode_source WHERE video_id = id)) AS arrive,
              count(*) FILTER (WHERE queue = 'first')::int AS first, count(*) FILTER (WHERE queue = 'encode')::int AS encode
       FROM job WHERE subject = ANY($1) AND state <> 'DONE'`,
      [uploads.map(({ videoId }) => videoId)],
    );
    return rows[0];
  };
  const beside = async () => {
    const seconds = await plays();
    const now = await theirs();
    const left = `${now.arrive} of ${others} arrive, ${now.first} first pieces and ${now.encode} others wait`;
    process.stderr.write(`beside others: ${seconds.toFixed(1)} s; ${left}\n`);
    return { seconds, ...now };
  };
  // What has come to its end in mid-round does not count; of few others that may be all.
  const whileArriving: number[] = [];
  while (whileArriving.length < rounds) {
    const { seconds, arrive } = await beside();
    if (arrive === 0) break;
    whileArriving.push(seconds);
  }
  while ((await theirs()).arrive > 0) await pause(IDLE_MS);
  const whenQueued: number[] = [];
  while (whenQueued.length < rounds) {
    const { seconds, encode } = await beside();
    if (encode === 0) break;
    whenQueued.push(seconds);
  }
  await sluice.stop();
  return { alone, whileArriving, whenQueued };
}

export function pipelineTable({ timed, quality, fairness }: PipelineMeasured): string {
  const of = (clip: string, start: string) => timed.find((each) => each.clip === clip && each.what.startsWith(start));
  const ratio = (ours: number[], theirs: number[] | undefined) =>
    theirs ? (median(ours) / median(theirs)).toFixed(2) : '';
  const off = ([ours, theirs]: readonly [number, number]) => Math.abs(ours / theirs - 1);
  const parts = [
    table(
      ['clip', 'what', 'first plays, s', '× (a)', 'all, s', '× (a)', 'CPU s', '× (a)', '× (b)', 'MB at most'],
      timed.map(({ clip, what, first, all, cpu, memory }) => {
        const [a, b] = [of(clip, '(a)'), of(clip, '(b)')];
        return [
          ...[clip, what, spread(first, 1), ratio(first, a?.first), spread(all, 1), ratio(all, a?.all)],
          ...[spread(cpu, 1), ratio(cpu, a?.cpu), ratio(cpu, b?.cpu), spread(memory, 0)],
        ];
      }),
    ),
    table(
      ['clip', 'rung', 'kbit/s', '(a)', 'same', 'SSIM', '(a)', 'same'],
      quality.map(({ clip, rung, bitrates, ssim: [ours, theirs] }) => [
        ...[clip, rung, bitrates[0].toFixed(0), bitrates[1].toFixed(0), off(bitrates) <= SAME_BITRATE ? 'yes' : 'NO'],
        ...[ours.toFixed(4), theirs.toFixed(4), Math.abs(ours - theirs) <= SAME_SSIM ? 'yes' : 'NO'],
      ]),
    ),
  ];
  if (fairness) {
    const { alone, whileArriving, whenQueued } = fairness;
    const rows = Object.entries({
      alone,
      'while the others arrive': whileArriving,
      'when they are queued': whenQueued,
    });
    parts.push(
      table(
        ['a new short video', 'plays after, s', '× alone'],
        // Few others may have arrived before the first round is over.
        rows
          .filter(([, seconds]) => seconds.length > 0)
          .map(([when, seconds]) => [when, spread(seconds, 1), ratio(seconds, alone)]),
      ),
    );
  }
  return [`${availableParallelism()} cores`, ...parts].join('\n\n');
}
