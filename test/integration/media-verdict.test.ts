import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FfmpegEngine, type RefusalCode, verdict } from '../../src/modules/media/index.js';
import { h264, make, picture, scratch, sound, startEngine } from './media-clips.js';

let dir: string;
let remove: () => Promise<void>;
let engine: FfmpegEngine;
let good: string;

beforeAll(async () => {
  ({ dir, remove } = await scratch());
  engine = await startEngine(dir);
  good = await make(join(dir, 'good.mp4'), ...picture(4, 25), ...sound(4), ...h264, '-movflags', '+faststart');
});
afterAll(() => remove());

const at = (name: string) => join(dir, name);

async function text(name: string, content: string | Buffer): Promise<string> {
  await writeFile(at(name), content);
  return at(name);
}

async function half(name: string, source: string): Promise<string> {
  const bytes = await readFile(source);
  return text(name, bytes.subarray(0, bytes.length / 2));
}

/** Overwrites bytes in a copy of the good file, found by a box's name. */
async function patched(name: string, box: string, offset: number, bytes: Buffer): Promise<string> {
  const content = await readFile(good);
  bytes.copy(content, content.indexOf(box, content.indexOf('moov')) + offset);
  return text(name, content);
}

/** A PNG in a MOV that claims 16000 × 16000, in its own header and in the file's: 1 GB when decoded. */
async function bomb(): Promise<string> {
  const content = await readFile(await make(at('png.mov'), ...picture(0.04, 25), '-frames:v', '1', '-c:v', 'png'));
  const side = Buffer.from([0, 0, 0x3e, 0x80]);
  Buffer.concat([side, side]).copy(content, content.indexOf('IHDR') + 4);
  Buffer.from('3e803e80', 'hex').copy(content, content.indexOf('png ', content.indexOf('stsd')) + 28);
  return text('bomb.mov', content);
}

const bad: [string, RefusalCode, () => Promise<string>][] = [
  ['nothing at all', 'EMPTY_FILE', () => text('empty.mp4', '')],
  ['a text', 'NOT_VIDEO', () => text('text.mp4', 'Dear diary,\n'.repeat(100))],
  ['a web page', 'NOT_VIDEO', () => text('page.mp4', '<!doctype html><html><body>hello</body></html>')],
  ['a picture', 'NOT_VIDEO', () => make(at('p.png'), ...picture(0.04, 25), '-frames:v', '1')],
  ['an MP3', 'NOT_VIDEO', () => make(at('a.mp3'), ...sound(1))],
  [
    'random bytes',
    'NOT_VIDEO',
    async () => text('random.mp4', Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * i * 31 + 7) % 251))),
  ],
  ['subtitles', 'NOT_VIDEO', () => text('s.mp4', '1\n00:00:01,000 --> 00:00:02,000\nhello\n')],
  ['an HLS playlist', 'FORBIDDEN_CONTAINER', () => text('h.mp4', `#EXTM3U\n#EXTINF:4,\n${good}\n#EXT-X-ENDLIST\n`)],
  ['an ffconcat script', 'FORBIDDEN_CONTAINER', () => text('f.mp4', `ffconcat version 1.0\nfile ${good}\n`)],
  [
    'a DASH manifest',
    'FORBIDDEN_CONTAINER',
    () => text('d.mp4', '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
  ],
  ['an SDP', 'FORBIDDEN_CONTAINER', () => text('sdp.mp4', 'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\n')],
  ['half an MP4', 'TRUNCATED', () => half('half.mp4', good)],
  [
    'an MP4 that broke off before its index',
    'TRUNCATED',
    async () => half('noindex.mp4', await make(at('slow.mp4'), ...picture(4, 25), ...h264)),
  ],
  [
    'half a Matroska file',
    'TRUNCATED',
    async () => half('half.mkv', await make(at('whole.mkv'), ...picture(4, 25), ...h264)),
  ],
  [
    'half an AVI',
    'TRUNCATED',
    async () => half('half.avi', await make(at('whole.avi'), ...picture(4, 25), '-c:v', 'mpeg4')),
  ],
  ['an index of noise', 'CORRUPT', () => patched('noise.mp4', 'moov', 4, Buffer.alloc(200, 0xa5))],
  ['sound alone', 'NO_VIDEO_STREAM', () => make(at('a.m4a'), ...sound(1), '-c:a', 'aac')],
  [
    'sound with a cover',
    'NO_VIDEO_STREAM',
    () =>
      make(
        at('cover.m4a'),
        ...sound(1),
        ...picture(0.04, 25),
        '-map',
        '0',
        '-map',
        '1',
        '-frames:v',
        '1',
        '-c:v',
        'mjpeg',
        '-disposition:v',
        'attached_pic',
        '-c:a',
        'aac',
      ),
  ],
  [
    '40 tracks',
    'TOO_MANY_STREAMS',
    () =>
      make(
        at('tracks.mkv'),
        ...picture(1, 25),
        ...sound(1),
        '-map',
        '0',
        ...Array.from({ length: 39 }, () => ['-map', '1']).flat(),
        ...h264,
        '-c:a',
        'aac',
      ),
  ],
  [
    'Common Encryption',
    'ENCRYPTED',
    () =>
      make(
        at('enc.mp4'),
        '-i',
        good,
        '-map',
        '0:v',
        '-c',
        'copy',
        '-encryption_scheme',
        'cenc-aes-ctr',
        '-encryption_key',
        '0'.repeat(32),
        '-encryption_kid',
        '1'.repeat(32),
      ),
  ],
  [
    'a codec of yesterday',
    'UNSUPPORTED_CODEC',
    () => make(at('c.avi'), ...picture(1, 25), '-c:v', 'msvideo1', '-pix_fmt', 'rgb555le'),
  ],
  ['a codec that is none', 'UNSUPPORTED_CODEC', () => patched('x.mp4', 'avc1', 0, Buffer.from('zzzz'))],
  ['8 by 8', 'DIMENSIONS_OUT_OF_RANGE', () => make(at('tiny.mp4'), ...picture(1, 25, '8x8'), ...h264)],
  ['9000 wide', 'DIMENSIONS_OUT_OF_RANGE', () => make(at('wide.mp4'), ...picture(0.1, 25, '9000x32'), ...h264)],
  ['16000 by 16000', 'DIMENSIONS_OUT_OF_RANGE', bomb],
  ['500 pictures a second', 'FPS_TOO_HIGH', () => make(at('fast.mp4'), ...picture(1, 500), ...h264)],
  ['a day', 'TOO_LONG', () => make(at('day.mp4'), '-f', 'lavfi', '-i', 'testsrc2=s=128x72:r=1/3600:d=86400', ...h264)],
  [
    '2 MB of title',
    'METADATA_TOO_LARGE',
    async () =>
      make(
        at('meta.mkv'),
        '-i',
        good,
        '-i',
        await text('meta.txt', `;FFMETADATA1\ntitle=${'x'.repeat(2 << 20)}\n`),
        '-map_metadata',
        '1',
        '-map',
        '0',
        '-c',
        'copy',
      ),
  ],
  [
    'hours by its header, four seconds in its index',
    'DURATION_MISMATCH',
    () => patched('long.mp4', 'mvhd', 20, Buffer.from('04000000', 'hex')),
  ],
];

it.each(bad)('refuses %s as %s', async (_, code, file) => {
  const result = verdict(await engine.probe(await file()));
  expect(result).toMatchObject({ accepted: false, code });
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
  expect(verdict(await engine.probe(await file()))).toEqual({ accepted: true });
});

it('takes no more than a moment and 600 MB for a header that asks for much', async () => {
  const path = at('counts.mp4');
  await patched('counts.mp4', 'stsz', 12, Buffer.from('7fffffff', 'hex'));
  const started = Date.now();
  const result = verdict(await engine.probe(path));
  expect(Date.now() - started).toBeLessThan(5000);
  expect(result.accepted).toBe(false);
});
