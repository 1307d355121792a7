import type { ByteSource } from './boxes.js';
import { mediaRanges, readContainer } from './container.js';

function sourceOf(bytes: Buffer): ByteSource {
  return { sizeBytes: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) };
}

function box(type: string, content: Buffer | string = '', size?: number): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(size ?? body.length + 8);
  header.write(type, 4, 'latin1');
  return Buffer.concat([header, body]);
}

const read = (...parts: (Buffer | string)[]) =>
  readContainer(sourceOf(Buffer.concat(parts.map((part) => Buffer.from(part)))));
const ftyp = box('ftyp', 'isom0000');
const moov = box('moov', box('mvhd', 'x'.repeat(100)));

it('tells an MP4 that is whole from one that is cut', async () => {
  expect(await read(ftyp, moov, box('mdat', 'film'))).toMatchObject({ kind: 'mp4', truncated: false });
  expect(await read(ftyp, box('mdat', 'film'), moov)).toMatchObject({ truncated: false });
  expect(await read(ftyp, moov, box('mdat', 'film', 5000))).toMatchObject({ truncated: true });
  expect(await read(ftyp, box('mdat', 'film'))).toMatchObject({ truncated: true });
  expect(await read(ftyp, moov, box('mdat', 'film to the end', 0))).toMatchObject({ truncated: false });
  expect(await read(ftyp, box('moov', 'x', 9999))).toMatchObject({ truncated: true });
  expect(await read(ftyp, moov, box('mdat', 'film'), '<html>whatever follows</html>')).toMatchObject({
    truncated: false,
  });
});

it('reads large boxes by their long size', async () => {
  const large = Buffer.alloc(16);
  large.writeUInt32BE(1);
  large.write('mdat', 4);
  large.writeBigUInt64BE(20n, 8);
  expect(await read(ftyp, large, 'film', moov)).toMatchObject({ truncated: false });
  large.writeBigUInt64BE(2n ** 62n, 8);
  expect(await read(ftyp, moov, large, 'film')).toMatchObject({ truncated: true });
});

it('sees fragments and enciphered tracks', async () => {
  expect(await read(ftyp, moov, box('moof'), box('mdat'))).toMatchObject({ fragmented: true });
  const track = (entry: string) => {
    const stsd = box('stsd', Buffer.concat([Buffer.alloc(8), box(entry, 'x'.repeat(80))]));
    return box('trak', Buffer.concat([box('tkhd', 'x'), box('mdia', box('minf', box('stbl', stsd)))]));
  };
  const film = (...entries: string[]) => read(ftyp, box('moov', Buffer.concat(entries.map(track))), box('mdat'));
  expect(await film('avc1', 'mp4a')).toMatchObject({ encrypted: false });
  expect(await film('avc1', 'enca')).toMatchObject({ encrypted: true });
  expect(await film('encv')).toMatchObject({ encrypted: true });
});

it('ends on boxes without end', async () => {
  const many = Buffer.concat(Array.from({ length: 60_000 }, () => box('free')));
  expect(await read(ftyp, many)).toMatchObject({ kind: 'mp4', truncated: false });
});

it('tells a damaged box from a cut', async () => {
  expect(await read(ftyp, box('moov', 'x'.repeat(100), 4), box('mdat', 'film'))).toMatchObject({ truncated: false });
  expect(await read(ftyp, moov, box('mdat', 'film'), box('free', 'x'.repeat(100), 4))).toMatchObject({
    truncated: false,
  });
});

it('knows where the media is', async () => {
  const media = (...parts: Buffer[]) => mediaRanges(sourceOf(Buffer.concat(parts)));
  const at = ftyp.length + moov.length + 8;
  expect(await media(ftyp, moov, box('mdat', 'film'), box('free'))).toEqual({
    ranges: [{ start: at, end: at + 4 }],
    isOpen: false,
  });
  expect(await media(ftyp, moov, box('mdat', 'film', 0))).toEqual({
    ranges: [{ start: at, end: at + 4 }],
    isOpen: true,
  });
  expect(await media(Buffer.from('no film'))).toBeNull();
  expect(await media(ftyp, ...Array.from({ length: 300 }, () => box('mdat', 'x')))).toBeNull();
});

it('knows how long a Matroska file says it is', async () => {
  const ebml = Buffer.from('1a45dfa384aabbccdd', 'hex');
  const segment = (size: string, length: number) =>
    [Buffer.from(`18538067${size}`, 'hex'), Buffer.alloc(length)] as const;
  expect(await read(ebml, ...segment('0100000000000064', 100))).toMatchObject({ kind: 'matroska', truncated: false });
  expect(await read(ebml, ...segment('0100000000000064', 99))).toMatchObject({ truncated: true });
  expect(await read(ebml, ...segment('01ffffffffffffff', 20))).toMatchObject({ truncated: false });
  expect(await read(ebml, ...segment('ffffffffff', 20))).toMatchObject({ truncated: false });
});

it.each([
  ['', 'empty'],
  ['#EXTM3U\n', 'list'],
  ['\uFEFF  #EXTM3U\n', 'list'],
  ['ffconcat version 1.0', 'list'],
  ['<?xml version="1.0"?>\n<!-- x --><MPD xmlns="urn">', 'list'],
  ['v=0\r\no=-', 'list'],
  ['[playlist]\n', 'list'],
  ['<html>', 'other'],
  ['YUV4MPEG2 W16', 'other'],
  ['FLV\u0001', 'flv'],
  ['ftyp', 'other'],
])('takes %j for %s', async (text, kind) => {
  expect(await read(text)).toMatchObject({ kind });
});

it('knows transport streams of both packet sizes', async () => {
  const packets = (before: number) =>
    Buffer.concat(
      Array.from({ length: 4 }, () => Buffer.concat([Buffer.alloc(before), Buffer.from([0x47]), Buffer.alloc(187)])),
    );
  expect(await read(packets(0))).toMatchObject({ kind: 'mpegts' });
  expect(await read(packets(4))).toMatchObject({ kind: 'mpegts' });
});
