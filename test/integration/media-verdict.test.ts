import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { damagedFrames, examine, FfmpegEngine, MediaRunError } from '../../src/modules/media/index.js';
import { type Bounds, findTools, possibleSandboxes } from '../../src/modules/media/sandbox.js';
import { hostileFiles } from './hostile-files.js';
import { h264, make, makePiece, picture, prepare, scratch, sound } from './media-clips.js';

let dir: string;
let remove: () => Promise<void>;
let engine: FfmpegEngine;
let good: string;
/** What each program that looked at a file was allowed to use. */
let allowed: Bounds[] = [];

beforeAll(async () => {
  ({ dir, remove } = await scratch());
  const sandboxes = possibleSandboxes(findTools(), process.getuid?.() === 0).map((sandbox) => ({
    ...sandbox,
    launch(bounds: Bounds) {
      allowed.push(bounds);
      return sandbox.launch(bounds);
    },
  }));
  const options = { ffmpegPath: 'ffmpeg', dataDir: join(dir, 'data'), sandbox: 'auto' } as const;
  engine = await FfmpegEngine.find(options, sandboxes);
  good = await make(join(dir, 'good.mp4'), ...picture(4, 25), ...sound(4), ...h264, '-movflags', '+faststart');
});
afterAll(() => remove());
jest.setTimeout(30_000);

const at = (name: string) => join(dir, name);

async function text(name: string, content: string | Buffer): Promise<string> {
  await writeFile(at(name), content);
  return at(name);
}

/** The folder is known only once the tests run: the list needs it for nothing before. */
const names = hostileFiles('').map(({ name, codes }) => [name, codes.join(' or ')] as const);

it('has a corpus of every class', () => {
  const files = hostileFiles('');
  expect(files.length).toBeGreaterThanOrEqual(60);
  expect(new Set(files.map(({ name }) => name)).size).toBe(files.length);
  const classes = ['EMPTY_FILE', 'NOT_VIDEO', 'FORBIDDEN_CONTAINER', 'TRUNCATED', 'CORRUPT', 'DURATION_MISMATCH'];
  classes.push('TOO_LONG', 'FPS_TOO_HIGH', 'TOO_MANY_STREAMS', 'DIMENSIONS_OUT_OF_RANGE', 'UNSUPPORTED_CODEC');
  classes.push('ENCRYPTED', 'NO_VIDEO_STREAM', 'METADATA_TOO_LARGE');
  const certain = new Set(files.filter(({ codes }) => codes.length === 1).map(({ codes }) => String(codes[0])));
  expect([...certain].sort()).toEqual(classes.sort());
});

describe('refuses', () => {
  let files: ReturnType<typeof hostileFiles>;
  beforeAll(() => {
    files = hostileFiles(dir);
  });

  it.each(names)('%s as %s', async (name) => {
    const file = files.find((each) => each.name === name);
    if (!file) throw new Error(name);
    const path = await file.make();
    allowed = [];
    const { judged } = await examine(engine, path);
    expect(allowed.reduce((sum, bounds) => sum + bounds.cpuSeconds, 0)).toBeLessThanOrEqual(5);
    for (const { memoryBytes } of allowed) expect(memoryBytes).toBeLessThanOrEqual(600 * 1024 ** 2);
    // Where the header shows already what decoding would, all the better.
    if (!file.shownByDecoding || !judged.accepted) {
      expect(file.codes).toContain(judged.accepted ? 'accepted' : judged.code);
      return;
    }
    const source = await prepare(engine, path, dir);
    const frames = Math.min(source.timing.frames, source.timing.segmentFrames);
    const made = await makePiece(engine, source, { firstFrame: 0, frames, dir }).catch((error: MediaRunError) => error);
    // ffmpeg gives up by itself where most of it cannot be decoded.
    if (made instanceof MediaRunError) {
      expect({ failure: made.failure, damaged: damagedFrames(made.log) > 0 }).toEqual({
        failure: 'exit',
        damaged: true,
      });
      return;
    }
    expect(made.checks[0]).toMatchObject({ ok: false, isSource: true });
  });
});

it('asks nobody, whatever a file names', async () => {
  let visitors = 0;
  const server = createServer((_, response) => {
    visitors++;
    response.end();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x.ts`;
  const lists = [
    `#EXTM3U\n#EXTINF:4,\n${address}\n#EXT-X-ENDLIST\n`,
    `ffconcat version 1.0\nfile ${address}\n`,
    `<MPD><Period><BaseURL>${address}</BaseURL></Period></MPD>`,
    `<svg><image href="${address}"/></svg>`,
    ` file '${address}'\n`,
  ];
  for (const [n, list] of lists.entries()) {
    const { judged } = await examine(engine, await text(`list-${n}.mp4`, list));
    expect(judged.accepted).toBe(false);
  }
  // A track whose media is said to be elsewhere: the reference to "this file" becomes one to an address.
  const film = await readFile(good);
  const itself = Buffer.from('0000000c75726c2000000001', 'hex');
  const place = film.indexOf(itself);
  expect(place).toBeGreaterThan(0);
  film.writeUInt32BE(0, place + 8);
  await examine(engine, await text('elsewhere.mp4', film));
  await new Promise((resolve) => server.close(resolve));
  expect(visitors).toBe(0);
});

const fine: [string, () => Promise<string>][] = [
  ['the good file', async () => good],
  ['one frame', () => make(at('one.mp4'), ...picture(0.04, 25), '-frames:v', '1', ...h264)],
  [
    'a web page behind an MP4',
    async () =>
      text('glued.mp4', Buffer.concat([await readFile(good), Buffer.from('<html><script>alert(1)</script></html>')])),
  ],
  [
    'hostile titles',
    () =>
      make(
        at('titles.mp4'),
        '-i',
        good,
        '-c',
        'copy',
        '-metadata',
        "title=</script><script>'; DROP TABLE video; --\u202e",
      ),
  ],
  [
    'odd sides in 4:4:4',
    () =>
      make(
        at('odd.mp4'),
        ...picture(1, 25, '133x77'),
        '-c:v',
        'libx264',
        '-preset',
        'ultrafast',
        '-pix_fmt',
        'yuv444p',
      ),
  ],
  ['MPEG-TS', () => make(at('x.ts'), ...picture(2, 25), ...sound(2), ...h264)],
  ['FLV', () => make(at('x.flv'), ...picture(2, 25), ...h264)],
  ['AVI', () => make(at('x.avi'), ...picture(2, 25), '-c:v', 'mpeg4')],
  [
    'WebM that was streamed, without a length',
    async () => make(at('live.webm'), ...picture(2, 25), '-c:v', 'libvpx', '-deadline', 'realtime', '-live', '1'),
  ],
  [
    'an MP4 in fragments',
    () => make(at('frag.mp4'), ...picture(4, 25), ...h264, '-movflags', '+frag_keyframe+empty_moov'),
  ],
  ['a MOV of ProRes', () => make(at('p.mov'), ...picture(1, 25), '-c:v', 'prores_ks')],
];

it.each(fine)('accepts %s', async (_, file) => {
  expect((await examine(engine, await file())).judged).toEqual({ accepted: true });
});
