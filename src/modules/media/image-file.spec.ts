import { readImage } from './image-file.js';

const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const segment = (marker: number, data: Buffer) =>
  Buffer.concat([Buffer.from([0xff, marker]), u16(data.length + 2), data]);
const frame = (width: number, height: number) =>
  segment(0xc0, Buffer.concat([Buffer.from([8]), u16(height), u16(width), Buffer.from([1, 1, 0x11, 0])]));
const START = Buffer.from([0xff, 0xd8]);
const SCAN = Buffer.concat([segment(0xda, Buffer.from([1, 1, 0, 0, 63, 0])), Buffer.from([1, 2, 3, 0xff, 0xd9])]);
const jpeg = (...parts: Buffer[]) => Buffer.concat([START, ...parts]);
const exif = (order: 'II' | 'MM', orientation: number) => {
  const little = [73, 73, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0];
  const big = [77, 77, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0];
  return segment(0xe1, Buffer.concat([Buffer.from('Exif\0\0'), Buffer.from(order === 'II' ? little : big)]));
};
const part = (name: string, ...data: number[]) => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length);
  head.write(name, 4, 'latin1');
  return Buffer.concat([head, Buffer.from(data), Buffer.alloc(4)]);
};
const png = (...parts: Buffer[]) => Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...parts]);
const HEADER = part('IHDR', ...[0, 0, 1, 0], ...[0, 0, 0, 200], ...[8, 2, 0, 0, 0]);
const [DATA, END] = [part('IDAT', 1, 2, 3), part('IEND')];
const GIF = Buffer.from('GIF89a\x00\x01\x40\x00\x80\x00\x00abcdef', 'latin1');
const GIF_CONTROL = Buffer.from([0x21, 0xf9, 4, 1, 0, 0, 0, 0]);
const GIF_PICTURE = Buffer.from([0x2c, 0, 0, 0, 0, 9, 0, 9, 0, 0, 2, 3, 1, 2, 3, 0]);
const chunk = (name: string, data: Buffer) => {
  const head = Buffer.alloc(8);
  head.write(name, 'latin1');
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
};
const webp = (...chunks: Buffer[]) => Buffer.concat([Buffer.from('RIFF\0\0\0\0WEBP', 'latin1'), ...chunks]);
const lossy = (width: number, height: number) =>
  chunk('VP8 ', Buffer.from([0, 0, 0, 0x9d, 1, 0x2a, width & 255, width >> 8, height & 255, height >> 8, 7]));

describe('JPEG', () => {
  it('says its size and how to turn it', () => {
    expect(readImage(jpeg(frame(640, 480), SCAN))).toMatchObject({
      format: 'jpeg',
      width: 640,
      height: 480,
      orientation: 1,
    });
    for (const order of ['II', 'MM'] as const) {
      expect(readImage(jpeg(exif(order, 6), frame(640, 480), SCAN))).toMatchObject({ orientation: 6 });
      expect(readImage(jpeg(exif(order, 77), frame(640, 480), SCAN))).toMatchObject({ orientation: 1 });
    }
  });

  it.each([
    ['without an end', jpeg(frame(640, 480), SCAN.subarray(0, -2))],
    ['without a size', jpeg(SCAN)],
    ['with two sizes, of which a decoder may take either', jpeg(frame(64, 64), frame(60_000, 60_000), SCAN)],
    ['that ends in its header', jpeg(frame(640, 480).subarray(0, 6))],
    ['whose segment leads past its end', jpeg(Buffer.from([0xff, 0xe0, 0xff, 0xff]))],
  ])('is none %s', (_, bytes) => {
    expect(readImage(bytes)).toBeNull();
  });
});

describe('only the first picture is kept', () => {
  const kept = (file: Buffer) => readImage(file)?.bytes.toString('hex');
  const remark = segment(0xe2, Buffer.from('ICC_PROFILE secret'));

  it('of a JPEG', () => {
    const tables = segment(0xdb, Buffer.alloc(65));
    const file = jpeg(remark, exif('II', 6), segment(0xfe, Buffer.from('secret')), tables, frame(64, 64), SCAN, SCAN);
    expect(kept(file)).toBe(jpeg(tables, frame(64, 64), SCAN).toString('hex'));
    const two = Buffer.concat([SCAN.subarray(0, -2), SCAN]);
    expect(kept(jpeg(frame(64, 64), two))).toBe(jpeg(frame(64, 64), two).toString('hex'));
  });

  it('of a PNG', () => {
    const parts = [
      HEADER,
      part('zTXt', 9, 9),
      part('acTL', 0),
      part('PLTE', 1, 2, 3),
      DATA,
      part('fdAT', 7),
      DATA,
      END,
    ];
    const file = png(...parts, Buffer.from('<script>'));
    expect(kept(file)).toBe(png(HEADER, part('PLTE', 1, 2, 3), DATA, DATA, END).toString('hex'));
    expect(readImage(file)).toMatchObject({ format: 'png', width: 256, height: 200 });
  });

  it('of a GIF', () => {
    const comment = Buffer.from([0x21, 0xfe, 2, 65, 66, 0]);
    const file = Buffer.concat([GIF, comment, GIF_CONTROL, GIF_PICTURE, GIF_CONTROL, GIF_PICTURE, Buffer.of(0x3b)]);
    expect(kept(file)).toBe(Buffer.concat([GIF, GIF_CONTROL, GIF_PICTURE, Buffer.of(0x3b)]).toString('hex'));
    expect(readImage(file)).toMatchObject({ format: 'gif', width: 256, height: 64 });
  });
});

it('a JPEG of a hundred thousand scans, each over the whole picture, is none', () => {
  const scans = Array.from({ length: 100_000 }, () => SCAN.subarray(0, -2));
  expect(readImage(jpeg(frame(6_400, 6_400), ...scans, SCAN))).toBeNull();
});

describe('WebP', () => {
  it('is its picture alone, whatever else there is', () => {
    const image = readImage(
      webp(chunk('VP8X', Buffer.alloc(10)), chunk('XMP ', Buffer.from('secret')), lossy(100, 50)),
    );
    expect(image).toMatchObject({ format: 'webp', width: 100, height: 50 });
    expect(image?.bytes.includes('secret')).toBe(false);
    expect(image && readImage(image.bytes)).toEqual(image);
  });

  it('that moves is its first picture', () => {
    const still = (width: number) => chunk('ANMF', Buffer.concat([Buffer.alloc(16), lossy(width, 50)]));
    const image = readImage(
      webp(chunk('VP8X', Buffer.alloc(10)), chunk('ANIM', Buffer.alloc(6)), still(100), still(90)),
    );
    expect(image).toMatchObject({ width: 100, height: 50 });
    expect(image?.bytes).toHaveLength(12 + lossy(100, 50).length);
  });

  it('that is cut short is none', () => {
    expect(readImage(webp(lossy(100, 50)).subarray(0, -3))).toBeNull();
  });
});

it.each([
  ['SVG', '<svg xmlns="http://www.w3.org/2000/svg"/>'],
  ['SVG behind a declaration', '<?xml version="1.0"?><svg/>'],
  ['a page', '<!doctype html>'],
  ['nothing', ''],
])('%s is no picture', (_, text) => {
  expect(readImage(Buffer.from(text, 'latin1'))).toBeNull();
});

it.each([
  ['PNG without a picture', png()],
  ['PNG with two headers', png(HEADER, HEADER, DATA, END)],
  ['PNG whose header comes late', png(DATA, HEADER, END)],
  ['PNG cut in its data', png(HEADER, DATA).subarray(0, -2)],
  ['PNG without an end', png(HEADER, DATA)],
  ['GIF without a picture', Buffer.concat([GIF, Buffer.of(0x3b)])],
  ['GIF cut in its picture', Buffer.concat([GIF, GIF_PICTURE.subarray(0, -2)])],
])('a %s is none', (_, bytes) => {
  expect(readImage(bytes)).toBeNull();
});
