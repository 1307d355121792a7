import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { ChannelImagesIngress } from '../../src/modules/channels/channel-images.ingress.js';
import { FfmpegEngine, imageArguments, MediaRunError, readImage } from '../../src/modules/media/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import {
  type Answer,
  channelOf,
  globalId,
  type Person,
  person,
  startApp,
  type TestApp,
  until,
} from '../support/index.js';
import { brokenInvariants, storeDifferences } from '../support/invariants.js';
import { make, scratch, words } from './media-clips.js';

let app: TestApp;
let files: Awaited<ReturnType<typeof scratch>>;
let ada: Person;
let channel: string;
beforeAll(async () => {
  [app, files] = await Promise.all([startApp({ rateLimitFactor: 0 }), scratch()]);
  ada = await person(app);
  channel = await channelOf(app, ada);
});
afterAll(async () => {
  await app.stop();
  await files.remove();
});
afterEach(async () => {
  expect(await brokenInvariants(app.database)).toEqual({});
});

const at = (name: string) => join(files.dir, name);
const made = async (name: string, ...args: string[]) => readFile(await make(at(name), ...args));
/** The left half red, the right half blue. */
const halves = ['-f', 'lavfi', '-i', 'color=red:s=200x200[r];color=blue:s=200x200[b];[r][b]hstack', '-frames:v', '1'];
/** Red for half a second, then blue. */
const redThenBlue = [
  '-f',
  'lavfi',
  '-i',
  'color=red:s=64x64:r=2:d=0.5[r];color=blue:s=64x64:r=2:d=0.5[b];[r][b]concat',
];
const jpeg = () => made('halves.jpg', ...halves, ...words('-pix_fmt yuvj420p -q:v 2'));
const png = () => made('halves.png', ...halves);

const put = (who: Person | null, file: Buffer | ReadableStream, where = 'avatar', of = channel) =>
  fetch(`${app.url}/images/channels/${globalId('Channel', of)}/${where}`, {
    method: 'PUT',
    headers: who ? { authorization: `Bearer ${who.token}` } : {},
    body: file instanceof Buffer ? new Uint8Array(file) : file,
    duplex: 'half',
  } as RequestInit);
const answer = async (response: Response): Promise<Answer> => ({
  status: response.status,
  ...((await response.json()) as object),
});
const shown = async (of = channel): Promise<Answer> =>
  (await app.graphql('query ($id: ID) { channel(id: $id) { avatarUrl bannerUrl } }', { id: globalId('Channel', of) }))
    .data?.channel;
const bytesOf = async (url: string) => Buffer.from(await (await fetch(url)).arrayBuffer());
const stored = async () => (await app.get(ObjectStorage).list('channel-images/', { limit: 100 })).map(({ key }) => key);

/** Scaled down to so many pixels, in rows: which colour each is. */
async function colours(picture: Buffer, columns: number, rows: number): Promise<string[]> {
  await writeFile(at('seen.jpg'), picture);
  const { stdout } = await promisify(execFile)(
    'ffmpeg',
    [
      '-v',
      'error',
      '-i',
      at('seen.jpg'),
      ...words(`-vf format=gbrp,scale=${columns}:${rows}:flags=area -f rawvideo -pix_fmt rgb24 -`),
    ],
    { encoding: 'buffer' },
  );
  return Array.from({ length: columns * rows }, (_, n) => {
    const [red = 0, green = 0, blue = 0] = stdout.subarray(n * 3);
    if (green > 200) return 'white';
    return red > 200 ? 'red' : blue > 200 ? 'blue' : 'other';
  });
}

it('is written anew, in its shape, and shown to everybody under an address of its own', async () => {
  const { status, state, url } = await answer(await put(ada, await png()));
  expect({ status, state }).toEqual({ status: 200, state: 'SHOWN' });
  expect(await shown()).toEqual({ avatarUrl: url, bannerUrl: null });
  const response = await fetch(url);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'image/jpeg',
    'cache-control': 'public, max-age=31536000, immutable',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; sandbox",
  });
  const picture = Buffer.from(await response.arrayBuffer());
  expect(readImage(picture)).toMatchObject({ format: 'jpeg', width: 400, height: 400 });
  expect(await colours(picture, 2, 1)).toEqual(['red', 'blue']);
  expect((await fetch(url, { headers: { 'if-none-match': response.headers.get('etag') ?? '' } })).status).toBe(304);
  expect((await fetch(url, { method: 'HEAD' })).headers.get('content-length')).toBe(String(picture.length));

  const banner = await answer(await put(ada, await jpeg(), 'banner'));
  expect(readImage(await bytesOf(banner.url))).toMatchObject({ width: 1600, height: 400 });
  expect(await shown()).toEqual({ avatarUrl: url, bannerUrl: banner.url });
});

it('gives up what was replaced, taken back, or of a channel that is gone', async () => {
  const own = await channelOf(app, ada);
  const first = await answer(await put(ada, await png(), 'avatar', own));
  const second = await answer(await put(ada, await jpeg(), 'avatar', own));
  expect(await shown(own)).toEqual({ avatarUrl: second.url, bannerUrl: null });
  expect((await fetch(first.url)).status).toBe(404);
  // One object is left of two files and two pictures.
  await until(stored, (keys) => keys.filter((key) => key.includes(own)).length === 1);

  // Two at once: one of them is shown, and nothing of the other is left.
  const both = await Promise.all([put(ada, await png(), 'banner', own), put(ada, await jpeg(), 'banner', own)]);
  expect(both.map(({ status }) => status)).toContain(200);
  expect((await fetch((await shown(own)).bannerUrl)).status).toBe(200);
  await until(stored, (keys) => keys.filter((key) => key.includes(own)).length <= 3);

  const gone = await fetch(`${app.url}/images/channels/${globalId('Channel', own)}/avatar`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${ada.token}` },
  });
  expect(gone.status).toBe(204);
  expect(await shown(own)).toMatchObject({ avatarUrl: null });
  const { bannerUrl } = await shown(own);
  await ada.does('deleteChannel', { channelId: globalId('Channel', own) }, 'deletedChannelId');
  expect((await fetch(bannerUrl)).status).toBe(404);
  await until(
    () => app.database.query(`SELECT FROM stored_object WHERE key LIKE $1 AND state = 'KEPT'`, [`%${own}%`]),
    (rows) => rows.length === 0,
  );
  expect(await storeDifferences(app.database, app.get(ObjectStorage))).toEqual([]);
});

it('is for owners and editors', async () => {
  const own = await channelOf(app, ada);
  const [editor, viewer, stranger, admin] = await Promise.all([
    person(app),
    person(app),
    person(app),
    person(app, 'ADMIN'),
  ]);
  for (const [who, role] of [
    [editor, 'EDITOR'],
    [viewer, 'VIEWER'],
  ] as const) {
    await ada.does(
      'addChannelMember',
      { channelId: globalId('Channel', own), userId: who.id, role },
      'member { role }',
    );
    await who.does('acceptChannelMembership', { channelId: globalId('Channel', own) });
  }
  const file = await png();
  const said = async (who: Person | null) => {
    const { status, code } = await answer(await put(who, file, 'avatar', own));
    return [status, code];
  };
  expect(await said(editor)).toEqual([200, undefined]);
  expect(await said(admin)).toEqual([200, undefined]);
  expect(await said(viewer)).toEqual([403, 'NOT_AN_EDITOR']);
  expect(await said(stranger)).toEqual([403, 'NOT_AN_EDITOR']);
  expect(await said(null)).toEqual([401, 'UNAUTHENTICATED']);
  const none = await put(ada, file, 'avatar', '00000000-0000-4000-8000-000000000000');
  expect(await answer(none)).toMatchObject({ status: 404, code: 'NOT_FOUND' });
  expect((await put(ada, file, 'wallpaper')).status).toBe(404);
});

describe('a hostile file', () => {
  const refused = async (file: Buffer | ReadableStream, code: string, status = 422) => {
    const before = await shown();
    expect(await answer(await put(ada, file))).toMatchObject({ status, code });
    expect(await shown()).toEqual(before);
  };

  it('is refused: what is no picture, or is cut short', async () => {
    await refused(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'), 'IMAGE_UNREADABLE');
    await refused(Buffer.from('<!doctype html><script>1</script>'), 'IMAGE_UNREADABLE');
    await refused(Buffer.from('#EXTM3U\n#EXTINF:4,\n/etc/passwd\n'), 'IMAGE_UNREADABLE');
    for (const file of [await jpeg(), await png()]) {
      await refused(file.subarray(0, Math.floor(file.length / 2)), 'IMAGE_UNREADABLE');
    }
    await refused(Buffer.alloc(0), 'IMAGE_UNREADABLE');
  });

  it('is refused by who decodes it, where its structure is good', async () => {
    const file = await png();
    await refused(file.fill(7, file.indexOf('IDAT') + 6, file.length - 16), 'IMAGE_UNREADABLE');
  });

  it('is refused for its size, before it is decoded and by the decoder', async () => {
    const sized = async (width: number, height: number) => {
      const file = await png();
      file.writeUInt32BE(width, 16);
      file.writeUInt32BE(height, 20);
      return file;
    };
    await refused(await sized(30_000, 30_000), 'IMAGE_SIZE');
    await refused(await sized(1, 65_535), 'IMAGE_SIZE');
    await refused(Buffer.alloc(5 * 1024 * 1024 + 1), 'IMAGE_TOO_LARGE', 413);
    // Without a word of how much comes.
    const part = new Uint8Array(1024 * 1024);
    let parts = 0;
    const endless = new ReadableStream({ pull: (to) => (parts++ < 8 ? to.enqueue(part) : to.close()) });
    await refused(endless, 'IMAGE_TOO_LARGE', 413);

    const bomb = await sized(16_000, 16_000);
    const workDir = at('bomb');
    await promisify(execFile)('mkdir', [workDir]);
    await writeFile(join(workDir, 'source'), bomb);
    const engine = await FfmpegEngine.find({ ffmpegPath: 'ffmpeg', dataDir: at('data'), sandbox: 'auto' });
    const command = imageArguments(
      join(workDir, 'source'),
      { format: 'png', orientation: 1 },
      { width: 400, height: 400 },
    );
    await expect(engine.run({ command, workDir, timeoutMs: 20_000 })).rejects.toThrow(MediaRunError);
  });

  it('that is something else besides is a picture and nothing more', async () => {
    const file = Buffer.concat([await jpeg(), Buffer.from('PK\x03\x04<script>alert(1)</script>')]);
    const { url } = await answer(await put(ada, file));
    const picture = await bytesOf(url);
    expect(picture.includes('script')).toBe(false);
    expect(await colours(picture, 2, 1)).toEqual(['red', 'blue']);
  });

  it('that unpacks to a thousand times its bytes, or to ten thousand pictures, is a picture', async () => {
    const large = await made('large.png', ...words('-f lavfi -i color=red:s=6400x6400,format=gray16be -frames:v 1'));
    const file = await made('one.gif', ...words('-f lavfi -i color=red:s=64x64 -frames:v 1'));
    const picture = file.subarray(file.lastIndexOf(',\0\0\0\0'), -1);
    const frames = Buffer.concat([
      file.subarray(0, -1),
      ...Array.from({ length: 10_000 }, () => picture),
      Buffer.of(59),
    ]);
    const thin = await made('thin.png', ...words('-f lavfi -i color=red:s=32x65535 -frames:v 1'));
    for (const one of [large, frames, thin]) {
      expect(one.length).toBeLessThan(5 * 1024 * 1024);
      const { url } = await answer(await put(ada, one));
      const picture = await until(
        () => fetch(url),
        ({ ok }) => ok,
      );
      expect(readImage(Buffer.from(await picture.arrayBuffer()))).toMatchObject({ width: 400, height: 400 });
    }
  });

  it('is what its bytes are, whatever it is called', async () => {
    const response = await fetch(`${app.url}/images/channels/${globalId('Channel', channel)}/avatar`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${ada.token}`, 'content-type': 'image/svg+xml', 'content-encoding': 'gzip' },
      body: new Uint8Array(await png()),
    });
    const { url } = await answer(response);
    expect((await fetch(url)).headers.get('content-type')).toBe('image/jpeg');
  });

  it('that comes too slowly, is cut or is more than was said is not kept', async () => {
    const file = await png();
    const { pathname } = new URL(`${app.url}/images/channels/${globalId('Channel', channel)}/avatar`);
    const head = (length: number) =>
      `PUT ${pathname} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ada.token}\r\ncontent-length: ${length}\r\n\r\n`;
    /** What is answered until the server, or who sends, closes the connection. */
    const said = async (length: number, body: Buffer, isCut = false) => {
      const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
      socket.on('error', () => socket.destroy());
      socket.write(Buffer.concat([Buffer.from(head(length)), body]));
      if (isCut) socket.end();
      return text(socket);
    };
    const before = await stored();
    const ingress = app.get(ChannelImagesIngress);
    ingress.idleMs = 200;
    expect(await said(file.length, file.subarray(0, 100))).toMatch(/^HTTP\/1.1 408 .*"IMAGE_TOO_SLOW"/s);
    expect(await said(file.length, file.subarray(0, 100), true)).not.toContain('SHOWN');
    expect(await said(100, file)).not.toContain('SHOWN');
    // Two of one person at once, and no more.
    ingress.idleMs = 2_000;
    const waiting = [1, 2, 3].map(() => said(file.length, file.subarray(0, 100)));
    expect((await Promise.all(waiting)).map((answer) => answer.slice(9, 12)).toSorted()).toEqual(['408', '408', '429']);
    // What was there may go meanwhile: pictures of the tests above that others replaced.
    expect((await stored()).filter((key) => !before.includes(key))).toEqual([]);
  });
});

it.each([
  ['GIF', 'moving.gif', '-f gif'],
  ['WebP', 'moving.webp', '-c:v libwebp_anim -lossless 1'],
  ['lossy WebP', 'lossy.webp', '-c:v libwebp_anim'],
])('shows the first picture of a %s that moves', async (_, name, how) => {
  const { status, url } = await answer(await put(ada, await made(name, ...redThenBlue, ...words(how))));
  expect(status).toBe(200);
  expect(await colours(await bytesOf(url), 1, 1)).toEqual(['red']);
});

it('puts what is transparent on white', async () => {
  const clear = await made('clear.png', ...words('-f lavfi -i color=red@0:s=64x64,format=rgba -frames:v 1'));
  const { url } = await answer(await put(ada, clear));
  expect(await colours(await bytesOf(url), 1, 1)).toEqual(['white']);
});

it('turns a picture upright, and drops what its camera wrote', async () => {
  const tiff = [77, 77, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];
  const exif = Buffer.concat([Buffer.from('Exif\0\0'), Buffer.from(tiff), Buffer.from('52.5200N 13.4050E')]);
  const head = Buffer.from([0xff, 0xe1, 0, exif.length + 2]);
  const file = await jpeg();
  const { url } = await answer(await put(ada, Buffer.concat([file.subarray(0, 2), head, exif, file.subarray(2)])));
  const picture = await bytesOf(url);
  expect(await colours(picture, 1, 2)).toEqual(['red', 'blue']);
  for (const word of ['Exif', '52.52', 'Lavc']) expect(picture.includes(word)).toBe(false);
});
