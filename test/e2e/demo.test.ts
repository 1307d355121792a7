import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { holderOf, stopLeftovers } from '../../src/embedded/index.js';
import { freePort, temporaryFolder } from '../support/index.js';

const ROOT = join(import.meta.dirname, '../..');
const run = promisify(execFile);

let folder: string;
let clip: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  clip = join(folder, 'short clip.mp4');
  const picture = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=25:duration=2'];
  const sound = ['-f', 'lavfi', '-i', 'sine=duration=2'];
  const codecs = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'aac'];
  await run('ffmpeg', ['-v', 'error', ...picture, ...sound, ...codecs, clip]);
});
afterAll(async () => {
  await stopLeftovers(join(folder, 'data'));
  await rm(folder, { recursive: true });
});

async function demo(file: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    DATA_DIR: join(folder, 'data'),
    PORT: String(await freePort()),
  };
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['scripts/demo.mjs', file, '--exit', '--json'],
      { cwd: ROOT, env },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

it('makes a video of a file, prints one line of JSON, and ends', async () => {
  const { code, stdout, stderr } = await demo(clip);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('Processing: 100 %') });
  const result = JSON.parse(stdout.trimEnd().split('\n').at(-1) as string);
  const bytes = readFileSync(clip);
  expect(result).toEqual({
    videoId: expect.any(String),
    watchUrl: expect.stringMatching(/^http:\/\/localhost:\d+\/watch\/./),
    hlsUrl: expect.stringMatching(/^http:\/\/localhost:\d+\/media\/.*\.m3u8$/),
    dashUrl: expect.stringMatching(/^http:\/\/localhost:\d+\/media\/.*\.mpd$/),
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    uploadMs: expect.any(Number),
    firstPlayableMs: expect.any(Number),
    readyMs: expect.any(Number),
  });
  expect(result.firstPlayableMs).toBeLessThanOrEqual(result.readyMs);
  expect(await holderOf(join(folder, 'data'))).toBeNull();
}, 180_000);

it('ends with the code of what is no video, on the data of the run before', async () => {
  const file = join(folder, 'notes.mp4');
  await writeFile(file, 'not a video\n');
  const { code, stdout, stderr } = await demo(file);
  expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: expect.stringContaining('NOT_VIDEO: ') });
}, 180_000);
