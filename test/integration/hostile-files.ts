import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { findBox, innerBoxes } from '../../src/modules/media/boxes.js';
import type { RefusalCode } from '../../src/modules/media/index.js';
import { randomFrom } from '../support/random.js';
import { h264, make, picture, sound, words } from './media-clips.js';

/** A file of bad intent or bad luck, and what its owner is told. */
export interface HostileFile {
  readonly name: string;
  /** More than one where it is a matter of taste what is wrong with the file. */
  readonly codes: readonly RefusalCode[];
  /** The fault is in the pictures themselves: the header and the index are good, and only decoding the first piece shows it. */
  readonly shownByDecoding?: boolean;
  make(): Promise<string>;
}

/** Everything is made from a few clips of four seconds and from seeded numbers: the same bytes each time. */
export function hostileFiles(dir: string): HostileFile[] {
  const at = (name: string) => join(dir, name);
  const made = new Map<string, Promise<string>>();
  const once = (name: string, ...args: string[]) => {
    const found = made.get(name) ?? make(at(name), ...args);
    made.set(name, found);
    return found;
  };
  const film = [...picture(4, 25), ...sound(4)];
  const first = () => once('first.mp4', ...film, ...h264, ...words('-c:a aac -movflags +faststart'));
  const last = () => once('last.mp4', ...film, ...h264);
  const fragments = () => once('fragments.mp4', ...film, ...h264, ...words('-movflags +frag_keyframe+empty_moov'));
  const mkv = () => once('film.mkv', ...film, ...h264);
  const webm = () => once('film.webm', ...picture(4, 25), ...words('-c:v libvpx -deadline realtime'));
  const avi = () => once('film.avi', ...picture(4, 25), ...words('-c:v mpeg4'));
  const flv = () => once('film.flv', ...picture(4, 25), ...h264);
  const ts = () => once('film.ts', ...film, ...h264);

  let number = 0;
  const write = async (content: string | Buffer, extension = 'mp4') => {
    const path = at(`hostile-${number++}.${extension}`);
    await writeFile(path, content);
    return path;
  };
  const changed = async (source: () => Promise<string>, change: (bytes: Buffer) => Buffer) =>
    write(change(await readFile(await source())));
  const cut = (source: () => Promise<string>, share: number) =>
    changed(source, (bytes) => bytes.subarray(0, Math.round(bytes.length * share)));
  /** Overwrites bytes of a box of the film with its index first; the first track is the picture. */
  const patched = (path: string, offset: number, hex: string, source = first) =>
    changed(source, (bytes) => {
      Buffer.from(hex, 'hex').copy(boxOf(bytes, path), offset);
      return bytes;
    });
  const noisy = (damage: (media: Buffer) => void, source = first) =>
    changed(source, (bytes) => {
      damage(boxOf(bytes, 'mdat'));
      return bytes;
    });
  const made16000 = async () => {
    const content = await readFile(await once('png.mov', ...picture(0.04, 25), ...words('-frames:v 1 -c:v png')));
    const side = Buffer.from([0, 0, 0x3e, 0x80]);
    Buffer.concat([side, side]).copy(content, content.indexOf('IHDR') + 4);
    Buffer.from('3e803e80', 'hex').copy(content, content.indexOf('png ', content.indexOf('stsd')) + 28);
    return write(content, 'mov');
  };
  const titled = async (name: string, bytes: number) =>
    once(
      name,
      ...['-i', await first(), '-i', await write(`;FFMETADATA1\ntitle=${'x'.repeat(bytes)}\n`, 'txt')],
      ...words('-map_metadata 1 -map 0 -c copy'),
    );
  const encrypted = async (name: string, ...args: string[]) =>
    once(
      name,
      ...['-i', await first(), '-c', 'copy', ...args, '-encryption_scheme', 'cenc-aes-ctr'],
      ...['-encryption_key', '0'.repeat(32), '-encryption_kid', '1'.repeat(32)],
    );
  const tracks = (count: number) => Array.from({ length: count }, () => ['-map', '1']).flat();
  const EMPTY: RefusalCode[] = ['EMPTY_FILE'];
  const NOT_VIDEO: RefusalCode[] = ['NOT_VIDEO'];
  const LIST: RefusalCode[] = ['FORBIDDEN_CONTAINER'];
  const CUT: RefusalCode[] = ['TRUNCATED'];
  const BROKEN: RefusalCode[] = ['CORRUPT'];
  /** A size that is too large is a cut file's, too. */
  const CUT_OR_BROKEN: RefusalCode[] = ['TRUNCATED', 'CORRUPT'];
  /** Such a file declares a length, and nothing in it says that more was to come. */
  const CUT_OR_LENGTH: RefusalCode[] = ['TRUNCATED', 'DURATION_MISMATCH'];

  const refused = (name: string, codes: readonly RefusalCode[], make: () => Promise<string>): HostileFile => ({
    name,
    codes,
    make,
  });
  const decoded = (name: string, make: () => Promise<string>): HostileFile => ({
    ...{ name, codes: BROKEN, shownByDecoding: true },
    make,
  });

  return [
    refused('nothing at all', EMPTY, () => write('')),

    refused('a single byte', NOT_VIDEO, () => write('x')),
    refused('a text', NOT_VIDEO, () => write('Dear diary,\n'.repeat(100))),
    refused('a web page', NOT_VIDEO, () => write('<!doctype html><html><body>hello</body></html>')),
    refused('subtitles', NOT_VIDEO, () => write('1\n00:00:01,000 --> 00:00:02,000\nhello\n')),
    refused('an SVG picture', NOT_VIDEO, () =>
      write('<svg xmlns="http://www.w3.org/2000/svg"><image href="/x"/></svg>'),
    ),
    refused('a PNG picture', NOT_VIDEO, () => once('p.png', ...picture(0.04, 25), ...words('-frames:v 1'))),
    refused('a JPEG picture', NOT_VIDEO, () => once('p.jpg', ...picture(0.04, 25), ...words('-frames:v 1'))),
    refused('a GIF', NOT_VIDEO, () => once('p.gif', ...picture(0.5, 10))),
    refused('an MP3', NOT_VIDEO, () => once('a.mp3', ...sound(1))),
    refused('a WAV', NOT_VIDEO, () => once('a.wav', ...sound(1))),
    refused('an archive', NOT_VIDEO, () =>
      write(Buffer.concat([Buffer.from('PK\x03\x04\x14\0\0\0\x08\0'), noise(5000, 1)])),
    ),
    refused('a program', NOT_VIDEO, () => write(Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01\0'), noise(5000, 2)]))),
    refused('random bytes', NOT_VIDEO, () => write(noise(100_000, 3))),
    refused('zeros', NOT_VIDEO, () => write(Buffer.alloc(1_000_000))),
    refused('a stream of H.264 without a container', NOT_VIDEO, async () =>
      once('raw.h264', '-i', await first(), ...words('-an -c copy -f h264')),
    ),
    refused('YUV4MPEG', NOT_VIDEO, () => once('raw.y4m', ...picture(0.2, 25), ...words('-pix_fmt yuv420p'))),
    refused('Ogg', NOT_VIDEO, () => once('a.ogg', ...sound(1), ...words('-c:a libvorbis'))),
    refused('compressed zeros', NOT_VIDEO, () => write(deflateSync(Buffer.alloc(10_000_000)))),

    refused('an HLS playlist of a file', LIST, async () =>
      write(`#EXTM3U\n#EXTINF:4,\n${await first()}\n#EXT-X-ENDLIST\n`),
    ),
    refused('an HLS playlist of an address', LIST, () => write('#EXTM3U\n#EXTINF:4,\nhttp://127.0.0.1:9/x.ts\n')),
    refused('an HLS playlist behind blanks', LIST, () =>
      write('\uFEFF \n\n#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n'),
    ),
    refused('an ffconcat script', LIST, async () => write(`ffconcat version 1.0\nfile ${await first()}\n`)),
    refused('a DASH manifest', LIST, () =>
      write('<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
    ),
    refused('a Smooth Streaming manifest', LIST, () =>
      write('<SmoothStreamingMedia MajorVersion="2"></SmoothStreamingMedia>'),
    ),
    refused('an SDP', LIST, () => write('v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=video 5004 RTP/AVP 96\r\n')),
    refused('a list of a web radio', LIST, () => write('[playlist]\nFile1=http://127.0.0.1:9/\n')),

    refused('half an MP4, index first', CUT, () => cut(first, 0.5)),
    refused('half an MP4, index last', CUT, () => cut(last, 0.5)),
    refused('all but the last byte', CUT, () => changed(first, (bytes) => bytes.subarray(0, -1))),
    refused('half an MP4 whose media has no end', CUT, () =>
      changed(first, (bytes) => withSize(bytes, 'mdat', 0).subarray(0, Math.round(bytes.length * 0.6))),
    ),
    refused('an MP4 whose media has no end, at nine tenths', CUT, () =>
      changed(first, (bytes) => withSize(bytes, 'mdat', 0).subarray(0, Math.round(bytes.length * 0.9))),
    ),
    refused('fragments cut within one', CUT, () => cut(fragments, 0.6)),
    refused('half a Matroska file', CUT, () => cut(mkv, 0.5)),
    refused('half a WebM', CUT, () => cut(webm, 0.5)),
    refused('half an AVI', CUT, () => cut(avi, 0.5)),
    refused('half an FLV', CUT_OR_LENGTH, () => cut(flv, 0.5)),
    refused('a streamed Matroska file with a length, cut', CUT_OR_LENGTH, () =>
      changed(mkv, (bytes) => unknownSize(bytes).subarray(0, Math.round(bytes.length * 0.5))),
    ),
    refused('a file type and nothing else', CUT, () =>
      changed(first, (bytes) => bytes.subarray(0, bytes.readUInt32BE(0))),
    ),
    refused('an index without media', CUT_OR_BROKEN, () =>
      changed(first, (bytes) => Buffer.concat([bytes.subarray(0, bytes.readUInt32BE(0)), boxWith(bytes, 'moov')])),
    ),

    refused('an index of noise', BROKEN, () =>
      changed(first, (bytes) => {
        boxOf(bytes, 'moov').fill(0xa5);
        return bytes;
      }),
    ),
    refused('an index of 4 bytes by its size', BROKEN, () => changed(first, (bytes) => withSize(bytes, 'moov', 4))),
    refused('an index that ends too early', BROKEN, () => changed(first, (bytes) => withSize(bytes, 'moov', 600))),
    refused('an index beyond the end', CUT_OR_BROKEN, () =>
      changed(first, (bytes) => withSize(bytes, 'moov', 0x7fffffff)),
    ),
    refused('an index before a 64-bit size of nothing', CUT_OR_BROKEN, () =>
      changed(last, (bytes) =>
        withSize(bytes, 'mdat', 1).fill(0, bytes.indexOf('mdat') + 4, bytes.indexOf('mdat') + 12),
      ),
    ),
    refused('chunks far behind the end', BROKEN, () => patchedWords('stco', 8, (old) => old + 0x10000000)),
    refused('chunks in what follows the media', BROKEN, () =>
      changed(first, (bytes) => {
        shift(boxOf(bytes, `${STBL}/stco`), 8, (old) => old + bytes.length);
        return Buffer.concat([bytes, Buffer.from('<html></html>'.repeat(40_000))]);
      }),
    ),
    refused('chunks in the index itself', BROKEN, () => patchedWords('stco', 8, () => 64)),
    refused('samples longer than the file', BROKEN, () => patchedWords('stsz', 12, () => 0x7fffffff)),
    refused('two billion samples in a table', BROKEN, () => patched(`${STBL}/stsz`, 8, '7fffffff')),
    refused('two billion samples of one byte', BROKEN, () => patched(`${STBL}/stsz`, 4, '000000017fffffff')),
    refused('four billion times', ['CORRUPT', 'DURATION_MISMATCH'], () => patched(`${STBL}/stts`, 4, 'ffffffff')),
    refused('four billion chunks', BROKEN, () => patched(`${STBL}/stco`, 4, 'ffffffff')),
    refused('four billion chunk runs', BROKEN, () => patched(`${STBL}/stsc`, 4, 'ffffffff')),
    refused('four billion descriptions', BROKEN, () => patched(`${STBL}/stsd`, 4, 'ffffffff')),
    refused('a description of no bytes', ['CORRUPT', 'UNSUPPORTED_CODEC'], () =>
      patched(`${STBL}/stsd`, 8, '00000000'),
    ),
    refused('two billion samples in a fragment', ['CORRUPT', 'TRUNCATED', 'DURATION_MISMATCH'], () =>
      patched('moof/traf/trun', 4, '7fffffff', fragments),
    ),
    refused('ten thousand indexes, each in the other', BROKEN, () =>
      changed(first, (bytes) => nested(bytes, 'moov', 10_000)),
    ),
    refused('ten thousand tracks, each in the other', ['CORRUPT', 'NO_VIDEO_STREAM'], () =>
      changed(first, (bytes) => nested(bytes, 'trak', 10_000)),
    ),
    refused('sixty thousand empty boxes', BROKEN, () =>
      changed(first, (bytes) =>
        Buffer.concat([bytes.subarray(0, bytes.readUInt32BE(0)), ...Array.from({ length: 60_000 }, () => FREE), bytes]),
      ),
    ),
    refused('noise behind a Matroska header', ['CORRUPT', 'NO_VIDEO_STREAM', 'TRUNCATED'], () =>
      changed(mkv, (bytes) => Buffer.concat([bytes.subarray(0, 60), noise(50_000, 4)])),
    ),
    refused('noise behind an AVI header', BROKEN, () =>
      changed(avi, (bytes) => {
        noise(bytes.length - 20, 5).copy(bytes, 20);
        return bytes;
      }),
    ),
    refused('empty packets of a transport stream', ['CORRUPT', 'NO_VIDEO_STREAM'], () =>
      write(Buffer.concat(Array.from({ length: 2000 }, () => nullPacket()))),
    ),
    refused('noise behind the first packets of a transport stream', ['CORRUPT', 'NO_VIDEO_STREAM'], () =>
      changed(ts, (bytes) => {
        for (let packet = 6; packet * 188 < bytes.length; packet++) {
          noise(187, packet).copy(bytes, packet * 188 + 1);
        }
        return bytes;
      }),
    ),

    decoded('media of zeros', () => noisy((media) => media.fill(0))),
    decoded('media of noise', () => noisy((media) => noise(media.length, 6).copy(media))),
    decoded('a hole in the middle', () =>
      noisy((media) => media.fill(0, Math.round(media.length * 0.4), Math.round(media.length * 0.6))),
    ),
    decoded('a flipped bit in each 500 bytes', () => noisy((media) => flip(media, 500, 7))),
    decoded('a flipped bit in each 100 bytes', () => noisy((media) => flip(media, 100, 8))),
    decoded('media in another order', () =>
      noisy((media) => {
        const copy = Buffer.from(media);
        const block = 4096;
        const count = Math.floor(media.length / block);
        for (let n = 0; n < count; n++) copy.copy(media, ((n * 7 + 3) % count) * block, n * block, (n + 1) * block);
      }),
    ),
    decoded('a Matroska file with flipped bits', () =>
      changed(mkv, (bytes) => {
        flip(bytes.subarray(2000, -500), 300, 9);
        return bytes;
      }),
    ),

    refused('hours by its header, seconds by its index', ['DURATION_MISMATCH'], () =>
      patched('moov/mvhd', 16, '04000000'),
    ),
    refused('a quarter of its length by its track', ['DURATION_MISMATCH'], () =>
      changed(first, (bytes) => {
        const mdhd = boxOf(bytes, 'moov/trak/mdia/mdhd');
        mdhd.writeUInt32BE(mdhd.readUInt32BE(16) / 4, 16);
        return bytes;
      }),
    ),
    refused('times ten times as far apart', ['DURATION_MISMATCH'], () => patchedWords('stts', 12, (old) => old * 10)),
    refused('a Matroska file of a hundred times its length', ['DURATION_MISMATCH'], () => longer(mkv, 100)),
    refused('a Matroska file of a tenth of its length', ['DURATION_MISMATCH'], () => longer(mkv, 0.1)),
    refused('a WebM of twice its length', ['DURATION_MISMATCH'], () => longer(webm, 2)),
    refused('an FLV of a hundred times its length', ['DURATION_MISMATCH'], () =>
      changed(flv, (bytes) => {
        bytes.writeDoubleBE(400, bytes.indexOf('duration') + 9);
        return bytes;
      }),
    ),

    refused('a day of MP4', ['TOO_LONG'], () =>
      once('day.mp4', ...words('-f lavfi -i testsrc2=s=128x72:r=1/3600:d=86400'), ...h264),
    ),
    refused('a day of Matroska that does not say so', ['TOO_LONG'], () =>
      once('day.mkv', ...words('-f lavfi -i testsrc2=s=128x72:r=1/3600:d=86400'), ...h264, ...words('-live 1')),
    ),
    refused('500 pictures a second', ['FPS_TOO_HIGH'], () => once('500.mp4', ...picture(1, 500), ...h264)),
    refused('1000 pictures a second in Matroska', ['FPS_TOO_HIGH'], () =>
      once('1000.mkv', ...picture(1, 1000), ...h264),
    ),
    refused('40 tracks', ['TOO_MANY_STREAMS'], () =>
      once('tracks.mkv', ...picture(1, 25), ...sound(1), '-map', '0', ...tracks(39), ...h264, '-c:a', 'aac'),
    ),
    refused('40 tracks in MP4', ['TOO_MANY_STREAMS'], () =>
      once('tracks.mp4', ...picture(1, 25), ...sound(1), '-map', '0', ...tracks(39), ...h264, '-c:a', 'aac'),
    ),
    refused('8 by 8', ['DIMENSIONS_OUT_OF_RANGE'], () => once('tiny.mp4', ...picture(1, 25, '8x8'), ...h264)),
    refused('9000 wide', ['DIMENSIONS_OUT_OF_RANGE'], () => once('wide.mp4', ...picture(0.1, 25, '9000x32'), ...h264)),
    refused('a picture of a gigabyte', ['DIMENSIONS_OUT_OF_RANGE'], made16000),
    refused('stretched a hundredfold', ['DIMENSIONS_OUT_OF_RANGE'], () =>
      once('stretched.mp4', ...picture(0.2, 25), ...h264, ...words('-vf setsar=100/1')),
    ),
    refused('a codec of yesterday', ['UNSUPPORTED_CODEC'], () =>
      once('c.avi', ...picture(1, 25), ...words('-c:v msvideo1 -pix_fmt rgb555le')),
    ),
    refused('a codec that is none', ['UNSUPPORTED_CODEC'], () => patched(`${STBL}/stsd`, 12, '7a7a7a7a')),
    refused('Common Encryption', ['ENCRYPTED'], () => encrypted('enc.mp4', '-map', '0:v')),
    refused('Common Encryption of picture and sound', ['ENCRYPTED'], () => encrypted('enc2.mp4', '-map', '0')),
    refused('a sample entry of an old shop', ['ENCRYPTED'], () => patched(`${STBL}/stsd`, 12, '64726d69')),
    refused('sound alone', ['NO_VIDEO_STREAM'], () => once('a.m4a', ...sound(1), ...words('-c:a aac'))),
    refused('sound alone in Matroska', ['NO_VIDEO_STREAM'], () => once('a.mka', ...sound(1), ...words('-c:a aac'))),
    refused('sound alone in a transport stream', ['NO_VIDEO_STREAM'], () =>
      once('a.ts', ...sound(1), ...words('-c:a aac')),
    ),
    refused('sound with a cover', ['NO_VIDEO_STREAM'], () =>
      once(
        'cover.m4a',
        ...[...sound(1), ...picture(0.04, 25)],
        ...words('-map 0 -map 1 -frames:v 1 -c:v mjpeg -disposition:v attached_pic -c:a aac'),
      ),
    ),
    refused('2 MB of title', ['METADATA_TOO_LARGE'], () => titled('title.mkv', 2 << 20)),
    refused('12 MB of title', ['METADATA_TOO_LARGE'], () => titled('titles.mkv', 12 << 20)),
  ];

  function patchedWords(box: string, from: number, change: (old: number) => number): Promise<string> {
    return changed(first, (bytes) => {
      shift(boxOf(bytes, `${STBL}/${box}`), from, change);
      return bytes;
    });
  }

  /** Matroska's Duration is a double behind its id and size. */
  function longer(source: () => Promise<string>, factor: number): Promise<string> {
    return changed(source, (bytes) => {
      const place = bytes.indexOf(Buffer.from('448988', 'hex')) + 3;
      bytes.writeDoubleBE(bytes.readDoubleBE(place) * factor, place);
      return bytes;
    });
  }
}

const STBL = 'moov/trak/mdia/minf/stbl';
const FREE = Buffer.from('0000000866726565', 'hex');

/** The content of a box, as a view: what is written there is written into the file. */
function boxOf(bytes: Buffer, path: string): Buffer {
  const box = findBox(bytes, path.split('/'));
  if (!box) throw new Error(`there is no ${path}`);
  return box;
}

/** An outermost box with its header. */
function boxWith(bytes: Buffer, type: string): Buffer {
  const box = [...innerBoxes(bytes)].find((each) => each.type === type);
  if (!box) throw new Error(`there is no ${type}`);
  return bytes.subarray(box.offset, box.offset + box.size);
}

function withSize(bytes: Buffer, type: string, size: number): Buffer {
  boxWith(bytes, type).writeUInt32BE(size);
  return bytes;
}

function nested(bytes: Buffer, type: string, depth: number): Buffer {
  const content = boxOf(bytes, 'moov');
  const headers = Array.from({ length: depth }, (_, n) => {
    const header = Buffer.alloc(8);
    header.writeUInt32BE(content.length + 8 * (depth - n));
    header.write(n === 0 ? 'moov' : type, 4);
    return header;
  });
  return Buffer.concat([bytes.subarray(0, bytes.readUInt32BE(0)), ...headers, content, boxWith(bytes, 'mdat')]);
}

/** Changes each 32-bit word of a table. */
function shift(box: Buffer, from: number, change: (old: number) => number): void {
  for (let offset = from; offset + 4 <= box.length; offset += 4) {
    box.writeUInt32BE(change(box.readUInt32BE(offset)) >>> 0, offset);
  }
}

export function noise(length: number, seed: number): Buffer {
  const next = randomFrom(seed * 0x9e3779b9);
  return Buffer.from(Array.from({ length }, () => Math.floor(next() * 256)));
}

/** One bit in each so many bytes. */
function flip(bytes: Buffer, every: number, seed: number): void {
  const next = randomFrom(seed * 0x9e3779b9);
  for (let start = 0; start + every <= bytes.length; start += every) {
    const place = start + Math.floor(next() * every);
    bytes[place] = (bytes[place] ?? 0) ^ (1 << Math.floor(next() * 8));
  }
}

/** The Segment's size, of 8 bytes as ffmpeg writes it, as "unknown". */
function unknownSize(bytes: Buffer): Buffer {
  const segment = bytes.indexOf(Buffer.from('18538067', 'hex'));
  Buffer.from('01ffffffffffffff', 'hex').copy(bytes, segment + 4);
  return bytes;
}

function nullPacket(): Buffer {
  const packet = Buffer.alloc(188, 0xff);
  Buffer.from('471fff10', 'hex').copy(packet);
  return packet;
}
