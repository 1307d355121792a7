import type { MediaRanges } from './container.js';
import { INPUT_GUARD, type Probe } from './probe.js';

/** What going through the packets of a file found, without decoding them. Seconds are on the file's own clock, edit lists aside. */
export interface Packets {
  /** `all`: every packet was asked for; `tail`: those of the end alone, of a file that is too large for more. */
  readonly read: 'all' | 'tail';
  /** false: the time for it ran out, so that nothing follows from what was not found. */
  readonly ended: boolean;
  /** Of the picture, like what follows. */
  readonly count: number;
  /** By the file's own tables; null where there are none. */
  readonly declaredCount: number | null;
  readonly declaredSeconds: number | null;
  /** null: no packet with a time. */
  readonly start: number | null;
  readonly end: number | null;
  /** Packets that the index puts where no media is. */
  readonly astray: number;
  /** Of all tracks. */
  readonly firstStart: number | null;
  readonly lastEnd: number | null;
  /** The file ends where by its own words something should follow. */
  readonly isCut: boolean;
  /** Every packet of the picture in the order of decoding; null where they are too many to keep, or lack a time or a place. */
  readonly pictures: readonly PicturePacket[] | null;
}

export interface PicturePacket {
  readonly pts: number;
  readonly isKey: boolean;
  /** Where in the file its bytes are. */
  readonly offset: number;
  readonly size: number;
}

const MAX_PICTURES = 200_000;

/** Up to this size all packets are looked at: 0.2 s of CPU time for most. */
export const ALL_PACKETS_BYTES = 100 * 1024 * 1024;
/** Of what is larger, the last part of its length. */
const TAIL_SHARE = 0.05;

/**
 * Arguments of ffprobe: one line a packet, then one a stream. Edit lists are left out, since what they hide is in the file
 * and in its index all the same.
 */
export function packetArguments(path: string, probe: Probe): { args: string[]; read: Packets['read'] } {
  const { video, container } = probe;
  const isLarge = probe.sizeBytes > ALL_PACKETS_BYTES;
  const from = (video?.startTime ?? 0) + (video?.duration ?? 0) * (1 - TAIL_SHARE) - 1;
  return {
    read: isLarge ? 'tail' : 'all',
    args: [
      ...['-hide_banner', '-v', 'error'],
      ...INPUT_GUARD,
      ...(container.kind === 'mp4' ? ['-ignore_editlist', '1'] : []),
      ...['-print_format', 'csv', '-show_entries'],
      'packet=stream_index,pts_time,dts_time,duration_time,size,pos,flags:stream=index,duration,nb_frames',
      ...(isLarge ? ['-read_intervals', `${Math.max(0, from).toFixed(3)}%`] : []),
      ...['-i', path],
    ],
  };
}

/** Adds up what ffprobe prints, line by line. */
export class PacketCounter {
  private count = 0;
  private astray = 0;
  private pictures: PicturePacket[] | null = [];
  private declared: { count: number | null; seconds: number | null } = { count: null, seconds: null };
  private readonly own = new Span();
  private readonly all = new Span();

  /** @param picture index of the stream that is the picture */
  constructor(
    private readonly picture: number,
    private readonly media: MediaRanges | null,
  ) {}

  line(line: string): void {
    const [kind, index, ...fields] = line.split(',');
    if (kind === 'stream' && Number(index) === this.picture) {
      this.declared = { seconds: number(fields[0]), count: number(fields[1]) };
    }
    if (kind !== 'packet') return;
    const [pts, dts, duration, size, pos] = fields.slice(0, 5).map(number);
    const at = pts ?? dts ?? null;
    if (at !== null) this.all.take(at, duration ?? 0);
    if (Number(index) !== this.picture) return;
    this.count++;
    if (at !== null) this.own.take(at, duration ?? 0);
    if (typeof pos === 'number' && !this.holds(pos, size ?? 0)) this.astray++;
    this.keep(pts, pos, size, fields[5]?.includes('K') === true);
  }

  private keep(pts?: number | null, offset?: number | null, size?: number | null, isKey?: boolean): void {
    const isWhole = typeof pts === 'number' && typeof offset === 'number' && typeof size === 'number';
    if (!isWhole || this.count > MAX_PICTURES) this.pictures = null;
    else this.pictures?.push({ pts, offset, size, isKey: isKey === true });
  }

  result(end: { readonly ended: boolean; readonly log: string }, read: Packets['read']): Packets {
    return {
      read,
      ended: end.ended,
      count: this.count,
      declaredCount: this.declared.count,
      declaredSeconds: this.declared.seconds,
      start: this.own.start,
      end: this.own.end,
      astray: this.astray,
      firstStart: this.all.start,
      lastEnd: this.all.end,
      pictures: read === 'all' && end.ended ? this.pictures : null,
      isCut: this.media?.isOpen === true || /ended prematurely|partial file|Truncat/i.test(end.log),
    };
  }

  private holds(pos: number, size: number): boolean {
    return this.media === null || this.media.ranges.some(({ start, end }) => pos >= start && pos + size <= end);
  }
}

class Span {
  start: number | null = null;
  end: number | null = null;

  take(at: number, duration: number): void {
    this.start = Math.min(this.start ?? at, at);
    this.end = Math.max(this.end ?? at, at + duration);
  }
}

function number(text: string | undefined): number | null {
  const value = Number.parseFloat(text ?? '');
  return Number.isFinite(value) ? value : null;
}
