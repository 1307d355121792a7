import { type Box, type ByteSource, boxesOf } from './boxes.js';

/**
 * What a file is by its first bytes, and how its outermost structure ends.
 * `truncated`: it says itself that it is longer than it is, or its index is missing.
 * `fragmented`: an MP4 whose index is spread over the file (moof boxes).
 */
export interface Container {
  readonly kind: 'empty' | 'mp4' | 'matroska' | 'avi' | 'mpegts' | 'flv' | 'list' | 'other';
  readonly truncated: boolean;
  readonly fragmented: boolean;
  /** An MP4 of which a track is enciphered; ffmpeg shows such a track as if it were not, and decodes noise. */
  readonly encrypted: boolean;
}

const HEAD_BYTES = 4096;
const MAX_BOXES = 50_000;
const MAX_MEDIA_BOXES = 200;
/** Sample entries of ISO/IEC 23001-7 (Common Encryption) and of the shops before it. */
const ENCIPHERED = new Set(['encv', 'enca', 'drmi', 'drms']);
const MP4_START = new Set(['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'styp', 'pnot', 'uuid']);
/** Text formats that make a player open other files or addresses. */
const LIST =
  /^(#EXTM3U|ffconcat version|\[playlist\]|v=0\r?\n|(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)?<(MPD|SmoothStreamingMedia|smil|asx)\b)/i;

export async function readContainer(source: ByteSource): Promise<Container> {
  const head = await source.read(0, HEAD_BYTES);
  const kind = kindOf(head);
  switch (kind) {
    case 'mp4':
      return { kind, ...(await structureOfMp4(source)) };
    case 'matroska':
      return { kind, ...PLAIN, truncated: endOfMatroska(head) > source.sizeBytes };
    case 'avi':
      return { kind, ...PLAIN, truncated: head.readUInt32LE(4) + 8 > source.sizeBytes };
    default:
      return { kind, ...PLAIN };
  }
}

function kindOf(head: Buffer): Container['kind'] {
  if (head.length === 0) return 'empty';
  if (head.length >= 8 && MP4_START.has(head.toString('latin1', 4, 8))) return 'mp4';
  if (head.length >= 8 && head.readUInt32BE(0) === 0x1a45dfa3) return 'matroska';
  if (head.length >= 12 && /^RIFF[\s\S]{4}AVI $/.test(head.toString('latin1', 0, 12))) return 'avi';
  if (head.toString('latin1', 0, 3) === 'FLV') return 'flv';
  if (isTransportStream(head)) return 'mpegts';
  return LIST.test(head.toString('utf8').replace(/^\uFEFF?\s*/, '')) ? 'list' : 'other';
}

/** Packets of 188 bytes that start with 0x47, or of 192 with a time stamp of 4 bytes before (M2TS). */
function isTransportStream(head: Buffer): boolean {
  return [
    [0, 188],
    [4, 192],
  ].some(([start = 0, step = 0]) => {
    const places = [start, start + step, start + 2 * step].filter((at) => at < head.length);
    return head.length > start + step && places.every((at) => head[at] === 0x47);
  });
}

const PLAIN = { truncated: false, fragmented: false, encrypted: false };

/**
 * Bytes behind the film, such as a web page glued on, are no fault: only boxes that hold the film must fit. Where the boxes stop
 * making sense before an index was found, the file is damaged, not cut: ffprobe will not open it either.
 */
async function structureOfMp4(source: ByteSource): Promise<Omit<Container, 'kind'>> {
  let [index, cut, fragmented, encrypted] = [false, false, false, false];
  let [boxes, end] = [0, 0];
  for await (const box of boxesOf(source)) {
    end = box.offset + box.size;
    if (['moov', 'moof', 'mdat'].includes(box.type) && end > source.sizeBytes) cut = true;
    if (box.type === 'moof') fragmented = true;
    if (box.type === 'moov' && !cut) {
      index = true;
      encrypted = await hasEncipheredTrack(source, box);
    }
    if (++boxes > MAX_BOXES) break;
  }
  const reachesTheEnd = end + 8 > source.sizeBytes;
  return { truncated: cut || (!index && reachesTheEnd), fragmented, encrypted };
}

/** Where an MP4 keeps its media. */
export interface MediaRanges {
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
  /** The last one goes on to the end of the file, wherever that is: a cut would not show. */
  readonly isOpen: boolean;
}

/** null: not an MP4, or one of more pieces than are looked at. */
export async function mediaRanges(source: ByteSource): Promise<MediaRanges | null> {
  if (kindOf(await source.read(0, HEAD_BYTES)) !== 'mp4') return null;
  const ranges: { start: number; end: number }[] = [];
  let isOpen = false;
  let boxes = 0;
  for await (const box of boxesOf(source)) {
    if (++boxes > MAX_MEDIA_BOXES) return null;
    if (box.type !== 'mdat') continue;
    ranges.push({ start: box.offset + box.headerSize, end: box.offset + box.size });
    isOpen = (await source.read(box.offset, 4)).readUInt32BE(0) === 0;
  }
  return { ranges, isOpen };
}

async function hasEncipheredTrack(source: ByteSource, moov: Box): Promise<boolean> {
  for await (const stsd of boxesAt(source, moov, ['trak', 'mdia', 'minf', 'stbl', 'stsd'])) {
    const first = await source.read(stsd.offset + stsd.headerSize + 8, 8);
    if (ENCIPHERED.has(first.toString('latin1', 4, 8))) return true;
  }
  return false;
}

/** Every box that `path` leads to from `parent`. */
async function* boxesAt(source: ByteSource, parent: Box, path: readonly string[]): AsyncGenerator<Box> {
  const [type, ...rest] = path;
  let boxes = 0;
  for await (const box of boxesOf(source, parent.offset + parent.headerSize, parent.offset + parent.size)) {
    if (++boxes > MAX_BOXES) return;
    if (box.type === type) yield* rest.length > 0 ? boxesAt(source, box, rest) : [box];
  }
}

/** Where the one Segment says that it ends (RFC 8794, 6.2); 0 where its size is unknown, as in a recording that was streamed. */
function endOfMatroska(head: Buffer): number {
  const ebml = sizeAt(head, 4);
  if (!ebml) return 0;
  const segment = ebml.next + ebml.value;
  if (segment + 12 > head.length || head.readUInt32BE(segment) !== 0x18538067) return 0;
  const size = sizeAt(head, segment + 4);
  return size && !size.unknown ? size.next + size.value : 0;
}

function sizeAt(bytes: Buffer, at: number): { value: number; next: number; unknown: boolean } | null {
  const first = bytes[at] ?? 0;
  const length = Math.clz32(first) - 23;
  if (first === 0 || at + length > bytes.length) return null;
  const ones = 2 ** (7 * length) - 1;
  let value = first & (0xff >> length);
  for (let i = 1; i < length; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return { value, next: at + length, unknown: value >= ones };
}
