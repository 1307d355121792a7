/* What a picture file says of itself, read before any decoder sees it. Pure. */

export type ImageFormat = 'jpeg' | 'png' | 'gif' | 'webp';

export interface ImageFile {
  readonly format: ImageFormat;
  /** In pixels, as stored. */
  readonly width: number;
  readonly height: number;
  /** How it has to be turned, as EXIF says it: 1 (as it is) to 8. */
  readonly orientation: number;
  /** What to decode: the first picture alone, without whatever else the file holds. */
  readonly bytes: Buffer;
}

const PNG = Buffer.from('89504e470d0a1a0a', 'hex');
const PNG_PARTS = new Set(['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND']);
/** Of a progressive JPEG, which has about ten: each passes over the whole picture, and takes some fifty bytes at least. */
const MOST_SCANS = 100;
const MOST_TAGS = 200;

/** Null for what is none of the four formats, or ends before its picture does. Its content may still be anything. */
export function readImage(bytes: Buffer): ImageFile | null {
  try {
    if (bytes.readUIntBE(0, 3) === 0xffd8ff) return readJpeg(bytes);
    if (bytes.subarray(0, 8).equals(PNG)) return readPng(bytes);
    const head = bytes.toString('latin1', 0, 12);
    if (/^GIF8[79]a/.test(head)) return readGif(bytes);
    return /^RIFF....WEBP$/s.test(head) ? readWebp(bytes) : null;
  } catch (error) {
    // A length that leads past the end. By name: in another realm Node's own are no instances.
    if ((error as Error).name === 'RangeError') return null;
    throw error;
  }
}

/** ISO/IEC 10918-1, annex B. */
function readJpeg(bytes: Buffer): ImageFile | null {
  const kept: Buffer[] = [bytes.subarray(0, 2)];
  let orientation = 1;
  let size: { width: number; height: number } | null = null;
  let scans = 0;
  for (let at = 2; ; ) {
    if (bytes.readUInt8(at) !== 0xff) return null;
    const marker = bytes.readUInt8(at + 1);
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker === 0xd9) {
      kept.push(bytes.subarray(at, at + 2));
      return size && scans > 0 ? { format: 'jpeg', ...size, orientation, bytes: Buffer.concat(kept) } : null;
    }
    const length = bytes.readUInt16BE(at + 2);
    if (length < 2) return null;
    let end = at + 2 + length;
    // Start of frame, of whatever kind; the three others of that row are tables.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      // A decoder may take either of two.
      if (size) return null;
      size = { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    }
    if (marker === 0xda) {
      if (++scans > MOST_SCANS) return null;
      end = scanEnd(bytes, end);
    }
    const exif = bytes.subarray(at + 4, end);
    if (marker === 0xe1 && exif.toString('latin1', 0, 6) === 'Exif\0\0') orientation = orientationOf(exif.subarray(6));
    // Of what applications wrote only JFIF's and Adobe's, which say how colours are stored.
    const isRemark = marker === 0xfe || (marker >= 0xe1 && marker <= 0xef && marker !== 0xee);
    if (!isRemark) kept.push(bytes.subarray(at, end));
    at = end;
  }
}

/** Where a marker is that is no part of the scan's data. */
function scanEnd(bytes: Buffer, from: number): number {
  for (let at = from; ; at += 2) {
    at = bytes.indexOf(0xff, at);
    if (at < 0) throw new RangeError('A scan is cut short.');
    const next = bytes.readUInt8(at + 1);
    if (next !== 0 && (next < 0xd0 || next > 0xd7)) return at;
  }
}

function readPng(bytes: Buffer): ImageFile | null {
  const kept: Buffer[] = [PNG];
  for (let at = 8, name = ''; name !== 'IEND'; ) {
    const end = at + 12 + bytes.readUInt32BE(at);
    name = bytes.toString('latin1', at + 4, at + 8);
    if (end > bytes.length || (name === 'IHDR') !== (at === 8)) return null;
    if (PNG_PARTS.has(name)) kept.push(bytes.subarray(at, end));
    at = end;
  }
  const size = { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  return { format: 'png', ...size, orientation: 1, bytes: Buffer.concat(kept) };
}

/** Of one that moves the first picture, and what says which of its colours is none. */
function readGif(bytes: Buffer): ImageFile | null {
  const tableLength = (flags: number) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  const pastBlocks = (from: number) => {
    let at = from;
    for (let length = 1; length > 0; at += length + 1) length = bytes.readUInt8(at);
    return at;
  };
  const head = bytes.subarray(0, 13 + tableLength(bytes.readUInt8(10)));
  let control: Buffer = Buffer.alloc(0);
  let at = head.length;
  while (bytes.readUInt8(at) === 0x21) {
    const end = pastBlocks(at + 2);
    if (bytes.readUInt8(at + 1) === 0xf9) control = bytes.subarray(at, end);
    at = end;
  }
  if (bytes.readUInt8(at) !== 0x2c) return null;
  const picture = bytes.subarray(at, pastBlocks(at + 11 + tableLength(bytes.readUInt8(at + 9))));
  const size = { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
  return { format: 'gif', ...size, orientation: 1, bytes: Buffer.concat([head, control, picture, Buffer.of(0x3b)]) };
}

interface Chunk {
  readonly name: string;
  readonly data: Buffer;
}

/** @throws RangeError for one that ends past the end */
function* chunksOf(bytes: Buffer): Generator<Chunk> {
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at + 4);
    if (at + 8 + length > bytes.length) throw new RangeError('A chunk is cut short.');
    yield { name: bytes.toString('latin1', at, at + 4), data: bytes.subarray(at + 8, at + 8 + length) };
    at += 8 + length + (length % 2);
  }
}

/** RFC 9649. */
function readWebp(bytes: Buffer): ImageFile | null {
  const chunks = [...chunksOf(bytes.subarray(12))];
  const frame = chunks.find(({ name }) => name === 'ANMF');
  // Place, size and duration stand before a frame's chunks.
  const parts = frame ? [...chunksOf(frame.data.subarray(16))] : chunks;
  const picture = parts.find(({ name }) => name === 'VP8 ' || name === 'VP8L');
  if (!picture) return null;
  const size = picture.name === 'VP8L' ? losslessSize(picture.data) : lossySize(picture.data);
  if (!size) return null;
  const alpha = picture.name === 'VP8 ' ? parts.find(({ name }) => name === 'ALPH') : undefined;
  const exif = chunks.find(({ name }) => name === 'EXIF');
  return {
    ...{ format: 'webp', ...size, orientation: exif ? orientationOf(exif.data) : 1 },
    bytes: webpOf(alpha ? [extended(size), alpha, picture] : [picture]),
  };
}

function losslessSize(data: Buffer): { width: number; height: number } | null {
  if (data.readUInt8(0) !== 0x2f) return null;
  const bits = data.readUInt32LE(1);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
}

function lossySize(data: Buffer): { width: number; height: number } | null {
  if (data.readUIntBE(3, 3) !== 0x9d012a) return null;
  return { width: data.readUInt16LE(6) & 0x3fff, height: data.readUInt16LE(8) & 0x3fff };
}

function extended({ width, height }: { width: number; height: number }): Chunk {
  const data = Buffer.alloc(10);
  data.writeUInt8(0x10, 0);
  data.writeUIntLE(width - 1, 4, 3);
  data.writeUIntLE(height - 1, 7, 3);
  return { name: 'VP8X', data };
}

function webpOf(chunks: readonly Chunk[]): Buffer {
  const body = chunks.flatMap(({ name, data }) => {
    const head = Buffer.alloc(8);
    head.write(name, 'latin1');
    head.writeUInt32LE(data.length, 4);
    return [head, data, Buffer.alloc(data.length % 2)];
  });
  const riff = Buffer.from('RIFF\0\0\0\0WEBP', 'latin1');
  riff.writeUInt32LE(4 + body.reduce((sum, part) => sum + part.length, 0), 4);
  return Buffer.concat([riff, ...body]);
}

/** The tag 0x0112 of a TIFF's first directory; 1 where it is not there, or nonsense. */
function orientationOf(tiff: Buffer): number {
  const isLittle = tiff.toString('latin1', 0, 2) === 'II';
  const number = (at: number, length: 2 | 4) => {
    if (at + length > tiff.length) return 0;
    return isLittle ? tiff.readUIntLE(at, length) : tiff.readUIntBE(at, length);
  };
  const directory = number(4, 4);
  for (let tag = 0; tag < Math.min(number(directory, 2), MOST_TAGS); tag++) {
    const at = directory + 2 + tag * 12;
    if (number(at, 2) !== 0x0112) continue;
    const value = number(at + 8, 2);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}
