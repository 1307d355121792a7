import { type Box, type ByteSource, boxesIn, boxesOf, findBox } from './boxes.js';

/** Half-open, in bytes of the file. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** The samples of one track of an MP4 or MOV, in decoding order; of a track that is no picture a whole chunk is one entry. */
export interface SampleTable {
  readonly kind: 'picture' | 'sound' | 'other';
  readonly count: number;
  readonly offsets: Float64Array;
  readonly sizes: Float64Array;
  /** Seconds on the file's own clock, as ffmpeg counts them: edits are applied. */
  readonly decoded: Float64Array;
  readonly shown: Float64Array;
  /** 1: decoding can begin here. */
  readonly keys: Uint8Array;
}

/** What of a file is where, by its index alone. A stranger's claim: what is cut by it still has to pass the checks of a piece. */
export interface SampleIndex {
  /** What is read before any sample: all boxes but the media, and of these their heads. */
  readonly outside: readonly Span[];
  readonly tracks: readonly SampleTable[];
}

/** Of an index, and of all that stands outside the media. Three hours have some 10 MB. */
const MAX_INDEX_BYTES = 32 * 1024 * 1024;
/** 41 bytes of memory each. Nine hours of 30 frames a second. */
const MAX_ENTRIES = 1_000_000;
const MAX_SAMPLES = 8_000_000;
const MAX_BOXES = 100;
const MAX_TRACKS = 32;
const FIRST_BOXES = new Set(['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide']);
const MEDIA = new Set(['mdat', 'free', 'skip', 'wide']);
const HEAD_BYTES = 16;

/** Gaps that are cheaper to read than to leave out. */
const GAP_BYTES = 128 * 1024;
/** What ffmpeg reads of every track before it says what is in it: a second, or what it gives up after. */
const OPENING_SECONDS = 1;
const OPENING_BYTES = 5_000_000;
/** ffmpeg seeks somewhat earlier than it was asked to where pictures are reordered (3/23 s), and time stamps are never exact. */
const SEEK_MARGIN = 0.3;

/**
 * Reads the index of an MP4 or MOV. The media itself is not read; a source that does not have some bytes yet gives none.
 *
 * @returns `missing`: what the source does not have and the index needs. Null: there is no index that serves: another
 * container, fragments, several pictures or edits, sound in samples without sizes, or more of it all than is read here;
 * then only the whole file will do
 */
export async function readSampleIndex(source: ByteSource): Promise<SampleIndex | { missing: Span } | null> {
  const outside: Span[] = [];
  let moov: Box | null = null;
  let next = 0;
  let bytes = 0;
  for await (const box of boxesOf(source)) {
    if (outside.length === 0 && !FIRST_BOXES.has(box.type)) return null;
    if (box.type === 'moof' || outside.length >= MAX_BOXES) return null;
    if (box.type === 'moov') moov ??= box;
    next = box.offset + box.size;
    const span = { start: box.offset, end: MEDIA.has(box.type) ? Math.min(next, box.offset + HEAD_BYTES) : next };
    bytes += span.end - span.start;
    if (bytes > MAX_INDEX_BYTES) return null;
    outside.push({ start: span.start, end: Math.min(span.end, source.sizeBytes) });
  }
  if (!moov) return missingAt(source, next);
  const { offset, size } = moov;
  if (offset + size > source.sizeBytes) return null;
  const read = await source.read(offset, size);
  if (read.length < size) return { missing: { start: offset, end: offset + size } };
  const tracks = tracksOf(read.subarray(moov.headerSize));
  return tracks && { outside, tracks };
}

/** Nothing was read there: is it the end of what is a file, or of what has arrived of it? */
async function missingAt(source: ByteSource, at: number): Promise<{ missing: Span } | null> {
  if (at >= source.sizeBytes || (await source.read(at, 1)).length > 0) return null;
  return { missing: { start: at, end: Math.min(source.sizeBytes, at + MAX_INDEX_BYTES) } };
}

/** What is read to learn what the file holds, before a place in it is looked for. */
export function openingSpans({ outside, tracks }: SampleIndex): Span[] {
  return merged([
    ...outside,
    ...tracks.flatMap((track) => {
      let end = 0;
      for (let bytes = 0; end < track.count; end++) {
        const seconds = at(track.decoded, end) - at(track.decoded, 0);
        bytes += at(track.sizes, end);
        if (end > 0 && (seconds > OPENING_SECONDS || bytes > OPENING_BYTES)) break;
      }
      return spansOf(track, 0, end);
    }),
  ]);
}

/** What a decoder needs to show the picture from one time to another, in seconds on the file's own clock. */
export function pictureSpans({ tracks }: SampleIndex, from: number, until: number): Span[] {
  const track = tracks.find(({ kind }) => kind === 'picture');
  if (!track) return [];
  let first = 0;
  for (let i = 0; i < track.count && at(track.decoded, i) <= from - SEEK_MARGIN; i++) {
    if (track.keys[i] && at(track.shown, i) <= from - SEEK_MARGIN) first = i;
  }
  return merged(spansOf(track, first, endBy(track, until)));
}

/** What a decoder needs of all sound tracks, from the start to a time in seconds on the file's own clock. */
export function soundSpans({ tracks }: SampleIndex, until: number): Span[] {
  const sounds = tracks.filter(({ kind }) => kind === 'sound');
  return merged(sounds.flatMap((track) => spansOf(track, 0, endBy(track, until))));
}

/** When the first picture is shown, in seconds on the file's own clock; what stands before 0 is cut away. */
export function firstShown({ tracks }: SampleIndex): number {
  const track = tracks.find(({ kind }) => kind === 'picture');
  return Math.max(0, track ? at(track.shown, 0) : 0);
}

/** Sorted, and as one where little or nothing is between them. */
export function merged(spans: readonly Span[], gap = GAP_BYTES): Span[] {
  const all: { start: number; end: number }[] = [];
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    const last = all.at(-1);
    if (last && start <= last.end + gap) last.end = Math.max(last.end, end);
    else all.push({ start, end });
  }
  return all;
}

/** Behind the last entry that begins in time: pictures may be shown before or after they are decoded. */
function endBy(track: SampleTable, until: number): number {
  let end = 0;
  for (let i = 0; i < track.count; i++) {
    if (Math.min(at(track.decoded, i), at(track.shown, i)) <= until) end = i + 1;
  }
  return end;
}

function spansOf({ offsets, sizes }: SampleTable, first: number, end: number): Span[] {
  const spans: { start: number; end: number }[] = [];
  for (let i = first; i < end; i++) {
    const start = at(offsets, i);
    const last = spans.at(-1);
    // In the order of decoding most of them follow each other; the rest is for `merged`.
    if (last && start >= last.start && start <= last.end + GAP_BYTES)
      last.end = Math.max(last.end, start + at(sizes, i));
    else spans.push({ start, end: start + at(sizes, i) });
  }
  return spans;
}

const at = (values: Float64Array, index: number): number => values[index] ?? 0;

/** Null where something is not as it should be, or beyond what is read here. */
function tracksOf(moov: Buffer): SampleTable[] | null {
  if (findBox(moov, ['mvex'])) return null;
  const traks = boxesIn(moov, 'trak', MAX_TRACKS + 1);
  const movieScale = timescaleOf(findBox(moov, ['mvhd']));
  if (movieScale === null || traks.length === 0 || traks.length > MAX_TRACKS) return null;
  const left = { samples: MAX_SAMPLES, entries: MAX_ENTRIES };
  try {
    const tracks = traks.map((trak) => tableOf(trak, movieScale, left));
    return tracks.filter(({ kind }) => kind === 'picture').length === 1 ? tracks : null;
  } catch (error) {
    // A table that ends too early.
    if (error instanceof Unfit || error instanceof RangeError) return null;
    throw error;
  }
}

class Unfit extends Error {}

function tableOf(trak: Buffer, movieScale: number, left: { samples: number; entries: number }): SampleTable {
  const box = (...path: string[]) => findBox(trak, path);
  const handler = box('mdia', 'hdlr')?.toString('latin1', 8, 12);
  const kind = handler === 'vide' ? 'picture' : handler === 'soun' ? 'sound' : 'other';
  const scale = timescaleOf(box('mdia', 'mdhd'));
  const stbl = box('mdia', 'minf', 'stbl');
  if (!stbl || scale === null) throw new Unfit();
  const shift = shiftOf(box('edts', 'elst'), movieScale, scale);
  const need = (type: string) => {
    const found = findBox(stbl, [type]);
    if (!found) throw new Unfit();
    return found;
  };
  const sizes = sizesOf(need('stsz'), kind);
  const chunks = chunksOf(stbl);
  const durations = new Runs(need('stts'), 8);
  const delays = findBox(stbl, ['ctts']);
  const delay = delays && new Runs(delays, 8);
  const runs = new ChunkRuns(need('stsc'));

  left.samples -= sizes.count;
  left.entries -= kind === 'picture' ? sizes.count : chunks.count;
  if (left.samples < 0 || left.entries < 0) throw new Unfit();
  const length = kind === 'picture' ? sizes.count : Math.min(chunks.count, sizes.count);
  const [offsets, bytes, decoded, shown] = [0, 0, 0, 0].map(() => new Float64Array(length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const keys = keysOf(findBox(stbl, ['stss']), kind === 'picture', length);
  let sample = 0;
  let entry = 0;
  let time = 0;
  for (let chunk = 0; chunk < chunks.count && sample < sizes.count; chunk++) {
    let offset = chunks.offset(chunk);
    const inChunk = Math.min(runs.of(chunk), sizes.count - sample);
    for (let i = 0; i < inChunk; i++, sample++) {
      const size = sizes.size(sample);
      const isNew = kind === 'picture' || i === 0;
      if (isNew) {
        offsets[entry] = offset;
        decoded[entry] = shift + time / scale;
        shown[entry] = shift + (time + (delay?.next() ?? 0)) / scale;
        entry++;
      }
      bytes[entry - 1] = at(bytes, entry - 1) + size;
      offset += size;
      time += durations.next();
    }
  }
  // Samples that lie nowhere.
  if (sample < sizes.count) throw new Unfit();
  return { kind, count: entry, offsets, sizes: bytes, decoded, shown, keys };
}

/** Seconds by which the file's own clock is ahead of the track's: at most a wait and one edit, as cameras and encoders write it. */
function shiftOf(elst: Buffer | null, movieScale: number, scale: number): number {
  if (!elst) return 0;
  const isLong = elst.readUInt8(0) === 1;
  const count = elst.readUInt32BE(4);
  if (count > 2) throw new Unfit();
  let wait = 0;
  let edits = 0;
  let shift = 0;
  for (let i = 0; i < count; i++) {
    const place = 8 + i * (isLong ? 20 : 12);
    const duration = isLong ? Number(elst.readBigUInt64BE(place)) : elst.readUInt32BE(place);
    const from = isLong ? Number(elst.readBigInt64BE(place + 8)) : elst.readInt32BE(place + 4);
    if (from === -1 && edits === 0) wait += duration / movieScale;
    else if (from < 0 || edits++ > 0) throw new Unfit();
    else shift = -from / scale;
  }
  return wait + shift;
}

function sizesOf(stsz: Buffer, kind: SampleTable['kind']): { count: number; size(sample: number): number } {
  const fixed = stsz.readUInt32BE(4);
  const count = stsz.readUInt32BE(8);
  // Sound in samples of one size is raw, and what that size means differs between writers.
  if (fixed > 0 && kind === 'sound') throw new Unfit();
  if (fixed > 0) return { count, size: () => fixed };
  if (12 + 4 * count > stsz.length) throw new Unfit();
  return { count, size: (sample) => stsz.readUInt32BE(12 + 4 * sample) };
}

function chunksOf(stbl: Buffer): { count: number; offset(chunk: number): number } {
  const short = findBox(stbl, ['stco']);
  const table = short ?? findBox(stbl, ['co64']);
  if (!table) throw new Unfit();
  const count = table.readUInt32BE(4);
  if (8 + (short ? 4 : 8) * count > table.length) throw new Unfit();
  const offset = (chunk: number) =>
    short ? table.readUInt32BE(8 + 4 * chunk) : Number(table.readBigUInt64BE(8 + 8 * chunk));
  return { count, offset };
}

/** Without a table every sample is one. */
function keysOf(stss: Buffer | null, isPicture: boolean, count: number): Uint8Array {
  const keys = new Uint8Array(count);
  if (!stss || !isPicture) return keys.fill(1);
  const listed = stss.readUInt32BE(4);
  if (listed === 0 || 8 + 4 * listed > stss.length) throw new Unfit();
  for (let i = 0; i < listed; i++) {
    const number = stss.readUInt32BE(8 + 4 * i);
    if (number > 0 && number <= count) keys[number - 1] = 1;
  }
  return keys;
}

/** Pairs of a count and a value, one value at a time; the last goes on. */
class Runs {
  private left = 0;
  private place = 8;
  private value = 0;
  private readonly end: number;

  constructor(
    private readonly table: Buffer,
    private readonly step: number,
  ) {
    this.end = 8 + step * table.readUInt32BE(4);
    if (this.end > table.length) throw new Unfit();
  }

  next(): number {
    while (this.left === 0 && this.place < this.end) {
      this.left = this.table.readUInt32BE(this.place);
      this.value = this.table.readInt32BE(this.place + 4);
      this.place += this.step;
    }
    if (this.left > 0) this.left--;
    return this.value;
  }
}

/** How many samples each chunk has: entries of a first chunk, from 1, and a count. */
class ChunkRuns {
  private entry = 0;
  private readonly entries: number;

  constructor(private readonly table: Buffer) {
    this.entries = table.readUInt32BE(4);
    if (this.entries === 0 || 8 + 12 * this.entries > table.length) throw new Unfit();
  }

  /** To be asked in order. */
  of(chunk: number): number {
    while (this.entry + 1 < this.entries && this.table.readUInt32BE(8 + 12 * (this.entry + 1)) <= chunk + 1)
      this.entry++;
    return this.table.readUInt32BE(8 + 12 * this.entry + 4);
  }
}

/** Ticks a second, of an mvhd or mdhd. */
function timescaleOf(header: Buffer | null): number | null {
  if (!header || header.length < 24) return null;
  return header.readUInt32BE(header.readUInt8(0) === 1 ? 20 : 12) || null;
}
