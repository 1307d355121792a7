import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hostileFiles, noise } from '../test/integration/hostile-files.js';
import type { Place } from './place.js';
import { commandOf, measure, Sluice, tree } from './product.js';
import { median, shuffled, table } from './report.js';

const run = promisify(execFile);
/** What decodes a file without bounds is stopped here. */
const PATIENCE_MS = 20_000;
const LARGE_BYTES = 95_000_000;

interface Judged {
  name: string;
  /** The code, or PLAYABLE. */
  outcome: string;
  /** From the state COMPLETED to the verdict. */
  seconds: number;
  /** Resident at most, of the processes that read the file. */
  memory: number;
  /** One run of ffmpeg that decodes the whole file, without our bounds; `seconds` is null where it had to be stopped. */
  decoded: { seconds: number | null; memory: number };
}
export interface VerdictMeasured {
  judged: Judged[];
}

/** How soon the owner of a bad file is told, and what telling takes, through the whole product: the corpus of the tests, and files of 95 MB. */
export async function measureVerdict(place: Place, { only }: { only?: string | undefined }): Promise<VerdictMeasured> {
  const folder = join(place.folder, 'verdict');
  await mkdir(folder);
  // An empty one has no byte to send, and no verdict to wait for.
  const files = [...hostileFiles(folder), ...large(folder)].filter(
    ({ name }) => name !== 'nothing at all' && (!only || name.includes(only)),
  );
  const sluice = await Sluice.start(place, { workers: 0, early: false });
  const client = await sluice.signUp();
  const channelId = await client.createChannel();
  const readers = () => tree(process.pid).filter((pid) => /^ff(mpeg|probe)$/m.test(commandOf(pid)));
  const judged: Judged[] = [];
  for (const { name, make } of shuffled(files)) {
    const path = await make();
    const file = await readFile(path);
    const { videoId, complete } = await sluice.upload(client, channelId, file);
    const ours = await measure(readers, async () => {
      await complete();
      return sluice.verdict(videoId);
    });
    // It would be made further beside the next ones.
    if (ours.outcome === 'PLAYABLE') await sluice.remove(client, videoId);
    const theirs = await measure(readers, async () => {
      const start = performance.now();
      const args = ['-nostdin', '-v', 'quiet', '-i', path, '-f', 'null', '-'];
      const seconds = await run('ffmpeg', args, { timeout: PATIENCE_MS, killSignal: 'SIGKILL' }).then(
        () => (performance.now() - start) / 1000,
        (error: { killed: boolean }) => (error.killed ? null : (performance.now() - start) / 1000),
      );
      return { seconds };
    });
    judged.push({
      ...{ name, outcome: ours.outcome, seconds: ours.seconds, memory: ours.memory },
      decoded: { seconds: theirs.seconds, memory: theirs.memory },
    });
    process.stderr.write(
      `${name}: ${ours.outcome} after ${ours.seconds.toFixed(2)} s, ${ours.memory.toFixed(0)} MB; decoded in ${theirs.seconds?.toFixed(2) ?? 'more than 20'} s, ${theirs.memory.toFixed(0)} MB\n`,
    );
  }
  return { judged };
}

/** The largest that the bounds are promised for, one good and four bad. */
function large(folder: string): { name: string; make(): Promise<string> }[] {
  const film = async () => {
    const path = join(folder, 'large.mp4');
    await run('ffmpeg', [
      ...['-nostdin', '-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=30:duration=40'],
      ...['-f', 'lavfi', '-i', 'sine=sample_rate=48000:duration=40', '-vf', 'noise=alls=30:allf=t', '-c:v', 'libx264'],
      ...['-preset', 'ultrafast', '-b:v', '19M', '-maxrate', '19M', '-bufsize', '19M', '-g', '75'],
      ...['-pix_fmt', 'yuv420p', '-c:a', 'aac', '-movflags', '+faststart', path],
    ]);
    return readFile(path);
  };
  const changed = (name: string, change: (bytes: Buffer) => Buffer) => ({
    name: `${name}, large`,
    make: async () => {
      const path = join(folder, `${name.replaceAll(' ', '-')}.mp4`);
      await writeFile(path, change(await film()));
      return path;
    },
  });
  return [
    changed('a good file', (bytes) => bytes),
    changed('half an MP4', (bytes) => bytes.subarray(0, Math.round(bytes.length / 2))),
    changed('media of zeros', (bytes) => bytes.fill(0, Math.round(bytes.length / 10))),
    changed('media of noise', (bytes) => {
      for (let at = Math.round(bytes.length / 10); at < bytes.length; at += block.length) block.copy(bytes, at);
      return bytes;
    }),
    changed('random bytes', () => Buffer.concat(Array.from({ length: LARGE_BYTES / block.length }, () => block))),
  ];
}
const block = noise(100_000, 1);

export function verdictTable({ judged }: VerdictMeasured): string {
  const outcomes = [...new Set(judged.map(({ outcome }) => outcome))].sort();
  const most = (values: readonly number[]) => Math.max(...values);
  return table(
    ['verdict', 'files', 's after COMPLETED', 'at most', 'MB at most', 'one decode, s at most', 'MB at most'],
    outcomes.map((outcome) => {
      const of = judged.filter((each) => each.outcome === outcome);
      const seconds = of.map((each) => each.seconds);
      const decoded = of.map((each) => each.decoded);
      return [
        ...[outcome, String(of.length), median(seconds).toFixed(2), most(seconds).toFixed(2)],
        most(of.map((each) => each.memory)).toFixed(0),
        decoded.some((each) => each.seconds === null)
          ? '> 20'
          : most(decoded.map((each) => each.seconds ?? 0)).toFixed(2),
        most(decoded.map((each) => each.memory)).toFixed(0),
      ];
    }),
  );
}
