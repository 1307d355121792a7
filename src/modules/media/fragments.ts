import { createHash } from 'node:crypto';
import { type ByteSource, boxesOf, contentOf, findBox, innerBoxes, withFile } from './boxes.js';

/** One segment of a fragmented MP4: a moof and its mdat, with what stands before them. Times in the track's timescale. */
export interface Fragment {
  readonly offset: number;
  readonly size: number;
  readonly samples: number;
  readonly decodeTime: number;
  readonly duration: number;
  /** Of the first sample, with all that stands before it: what one key frame takes. null where the index does not say. */
  readonly keyBytes: number | null;
}

export interface Init {
  /** ftyp and moov as they stand in the file. */
  readonly bytes: Buffer;
  readonly sha256: string;
  readonly timescale: number;
  /** RFC 6381, such as `avc1.64001f` or `mp4a.40.2`. */
  readonly codecs: string;
}

export interface FragmentedFile {
  /** null: a media segment alone. */
  readonly init: Init | null;
  readonly fragments: readonly Fragment[];
}

/** Our encoder writes about 2 kB a segment: more is not its work. */
const MAX_INDEX_BYTES = 4 * 1024 * 1024;

/**
 * Reads the index boxes of a fragmented MP4 with one track; the media itself is skipped.
 * @throws MalformedFragments when it is not one
 */
export function readFragments(path: string): Promise<FragmentedFile> {
  return withFile(path, fragmentsOf);
}

export class MalformedFragments extends Error {}

export async function fragmentsOf(source: ByteSource): Promise<FragmentedFile> {
  const fragments: Fragment[] = [];
  let init: Init | null = null;
  let defaults = { duration: 0, size: 0 };
  let moof: (Timed & { offset: number }) | null = null;
  let start = 0;
  for await (const box of boxesOf(source)) {
    const end = box.offset + box.size;
    if (end > source.sizeBytes) throw new MalformedFragments(`${box.type} reaches past the end of the file`);
    const whole = ['moov', 'moof'].includes(box.type);
    if (whole && end - start > MAX_INDEX_BYTES) throw new MalformedFragments(`${box.type} of ${box.size} bytes`);
    if (box.type === 'moov') {
      init = initOf(await source.read(start, end - start));
      defaults = trackDefaults(init.bytes);
      start = end;
    } else if (box.type === 'moof') {
      const content = contentOf(await source.read(box.offset, box.size), { ...box, offset: 0 });
      moof = { ...fragmentTimes(content, defaults), offset: box.offset };
    } else if (box.type === 'mdat') {
      if (!moof) throw new MalformedFragments('mdat without a moof');
      const { samples, decodeTime, duration, keyEnd } = moof;
      const keyBytes = keyEnd === null ? null : moof.offset - start + keyEnd;
      fragments.push({ offset: start, size: end - start, samples, decodeTime, duration, keyBytes });
      moof = null;
      start = end;
    }
  }
  if (moof) throw new MalformedFragments('moof without its mdat');
  return { init, fragments };
}

/** @param bytes ftyp and moov of one track */
export function initOf(bytes: Buffer): Init {
  return {
    bytes,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    timescale: timescaleOf(bytes),
    codecs: codecsOf(bytes),
  };
}

function timescaleOf(init: Buffer): number {
  const mdhd = need(findBox(init, ['moov', 'trak', 'mdia', 'mdhd']), 'mdhd');
  return mdhd.readUInt32BE(mdhd[0] === 1 ? 20 : 12);
}

interface Defaults {
  readonly duration: number;
  readonly size: number;
}

function trackDefaults(init: Buffer): Defaults {
  const trex = findBox(init, ['moov', 'mvex', 'trex']);
  return { duration: trex?.readUInt32BE(12) ?? 0, size: trex?.readUInt32BE(16) ?? 0 };
}

interface Timed extends Pick<Fragment, 'samples' | 'decodeTime' | 'duration'> {
  /** Where the first sample ends, from the start of the moof. */
  readonly keyEnd: number | null;
}

/** ISO/IEC 14496-12, 8.8.7 (tfhd), 8.8.8 (trun), 8.8.12 (tfdt). */
function fragmentTimes(moof: Buffer, track: Defaults): Timed {
  const traf = need(findBox(moof, ['traf']), 'traf');
  const tfdt = need(findBox(traf, ['tfdt']), 'tfdt');
  const own = ownDefaults(need(findBox(traf, ['tfhd']), 'tfhd'), track);
  let [samples, duration] = [0, 0];
  let keyEnd: number | null = null;
  for (const box of innerBoxes(traf)) {
    if (box.type !== 'trun') continue;
    const trun = contentOf(traf, box);
    const flags = trun.readUInt32BE(0) & 0xffffff;
    const count = trun.readUInt32BE(4);
    const fields = [0x100, 0x200, 0x400, 0x800].filter((flag) => flags & flag).length;
    const first = 8 + (flags & 0x1 ? 4 : 0) + (flags & 0x4 ? 4 : 0);
    if (first + count * fields * 4 > trun.length) throw new MalformedFragments('trun is shorter than its samples');
    if (samples === 0 && count > 0 && own.fromMoof && flags & 0x1) {
      keyEnd = trun.readInt32BE(8) + (flags & 0x200 ? trun.readUInt32BE(first + (flags & 0x100 ? 4 : 0)) : own.size);
    }
    samples += count;
    if (!(flags & 0x100)) duration += count * own.duration;
    else for (let i = 0; i < count; i++) duration += trun.readUInt32BE(first + i * fields * 4);
  }
  const decodeTime = tfdt[0] === 1 ? Number(tfdt.readBigUInt64BE(4)) : tfdt.readUInt32BE(4);
  return { samples, decodeTime, duration, keyEnd };
}

function ownDefaults(tfhd: Buffer, track: Defaults): Defaults & { fromMoof: boolean } {
  const flags = tfhd.readUInt32BE(0) & 0xffffff;
  const at = 8 + (flags & 0x1 ? 8 : 0) + (flags & 0x2 ? 4 : 0);
  const duration = flags & 0x8 ? tfhd.readUInt32BE(at) : track.duration;
  const size = flags & 0x10 ? tfhd.readUInt32BE(at + (flags & 0x8 ? 4 : 0)) : track.size;
  return { duration, size, fromMoof: !(flags & 0x1) };
}

/** The codecs parameter (RFC 6381) of the one track: profile, constraints and level from avcC, the object type from esds. */
export function codecsOf(init: Buffer): string {
  const stsd = need(findBox(init, ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd']), 'stsd').subarray(8);
  for (const entry of innerBoxes(stsd)) {
    const content = contentOf(stsd, entry);
    if (entry.type === 'avc1' || entry.type === 'avc3') {
      const avcC = need(findBox(content.subarray(78), ['avcC']), 'avcC');
      return `${entry.type}.${avcC.toString('hex', 1, 4)}`;
    }
    if (entry.type === 'mp4a') {
      return `mp4a.${audioObject(need(findBox(content.subarray(28), ['esds']), 'esds').subarray(4))}`;
    }
  }
  throw new MalformedFragments('a codec that is not ours');
}

/** Descriptors of ISO/IEC 14496-1, 7.2.6: 3 holds 4 (what it is), which holds 5 (its settings; the first five bits are the audio object type). */
function audioObject(descriptors: Buffer): string {
  let [at, kind] = [0, ''];
  while (at + 2 <= descriptors.length) {
    const tag = descriptors[at++];
    while ((descriptors[at++] ?? 0) & 0x80);
    if (tag === 0x03) at += 3;
    else if (tag === 0x04) {
      kind = need(descriptors.subarray(at, at + 1), 'esds').toString('hex');
      at += 13;
    } else if (tag === 0x05) {
      const [a = 0, b = 0] = descriptors.subarray(at, at + 2);
      const object = a >> 3 === 31 ? 32 + ((a & 7) << 3) + (b >> 5) : a >> 3;
      return `${kind}.${object}`;
    } else break;
  }
  throw new MalformedFragments('esds without its settings');
}

function need(box: Buffer | null, name: string): Buffer {
  if (!box?.length) throw new MalformedFragments(`${name} is missing`);
  return box;
}
