import type { ByteSource } from './boxes.js';
import { CLEAN_OUTPUT, decimal, type FfmpegCommand, GLOBAL } from './ffmpeg-command.js';
import type { Packets, PicturePacket } from './packets.js';
import { fragmentOptions, type Rung } from './piece-arguments.js';
import type { Probe } from './probe.js';
import { frameTime, type Timing } from './timing.js';

/** What manifests allow a single segment before its rate is measured, over the rung's cap. */
const PEAK_FACTOR = 1.25;
/** Seconds; times are printed to the microsecond. */
const TIME_TOLERANCE = 0.0005;
/** Bytes in which the first slice of a key picture is found; settings and remarks stand before it. */
const HEAD_BYTES = 64 * 1024;
const SLICE = 1;
const IDR_SLICE = 5;
const SETTINGS = [7, 8];

export interface CopyCandidate {
  readonly probe: Probe;
  readonly packets: Packets | null;
  readonly timing: Timing;
  readonly rung: Rung;
}

/**
 * Can the picture be one of the rungs as it is? Then players switch between it and the encoded ones: same size, rate and colours, every segment
 * begins with a key picture that nothing looks back over, and no segment is larger than the rung's cap allows.
 * @returns null where it can, else why it cannot
 */
export function whyNotCopy({ probe, packets, timing, rung }: CopyCandidate): string | null {
  const { video, container } = probe;
  if (video?.codec !== 'h264' || video.pixelFormat !== 'yuv420p') return 'it is not H.264 of 8 bits in 4:2:0';
  if (container.kind !== 'mp4' || container.fragmented) return 'it is not an MP4 with one index';
  if (video.width !== rung.width || video.height !== rung.height) return `its size is not that of ${rung.name}`;
  if (video.rotation !== 0 || video.sar.num !== video.sar.den || video.interlaced)
    return 'it is turned, stretched or interlaced';
  const colours = [video.colorSpace, video.colorPrimaries, video.colorTransfer];
  if (colours.some((name) => name !== null && name !== 'bt709') || video.colorRange === 'pc')
    return 'its colours are not BT.709';
  if (!packets?.pictures) return 'its packets are not known';
  return whyNotOnGrid(packets.pictures, timing) ?? whyTooLarge(packets.pictures, timing, rung);
}

/** Packets in the order of decoding: whatever follows the key picture of a segment must be shown after it, and whatever precedes it before. */
function whyNotOnGrid(pictures: readonly PicturePacket[], timing: Timing): string | null {
  if (pictures.length !== timing.frames)
    return `it has ${pictures.length} pictures, of which ${timing.frames} are shown`;
  const first = pictures.reduce((least, { pts }) => Math.min(least, pts), Number.POSITIVE_INFINITY);
  const seen = new Uint8Array(timing.frames);
  for (const [n, { pts, isKey }] of pictures.entries()) {
    const frame = Math.round(((pts - first) * timing.fpsNum) / timing.fpsDen);
    if (frame < 0 || frame >= timing.frames || seen[frame]) return 'its rate is not constant';
    if (Math.abs(frameTime(timing, frame) - (pts - first)) > TIME_TOLERANCE) return 'its rate is not constant';
    seen[frame] = 1;
    const segment = Math.floor(n / timing.segmentFrames);
    if (n % timing.segmentFrames === 0 && (frame !== n || !isKey))
      return `segment ${segment + 1} begins without a key picture`;
    // Each stretch of a segment's length holds just that segment's pictures: nothing reaches over its ends.
    if (Math.floor(frame / timing.segmentFrames) !== segment) return `segment ${segment + 1} is not closed`;
  }
  return null;
}

function whyTooLarge(pictures: readonly PicturePacket[], timing: Timing, rung: Rung): string | null {
  const rate = (from: number, to: number) => {
    const bytes = pictures.slice(from, to).reduce((sum, { size }) => sum + size, 0);
    return (8 * bytes) / frameTime(timing, Math.min(to, timing.frames) - from);
  };
  if (rate(0, timing.frames) > rung.maxBitsPerSecond) return 'its rate is above the cap';
  for (let from = 0; from < timing.frames; from += timing.segmentFrames) {
    if (rate(from, from + timing.segmentFrames) > rung.maxBitsPerSecond * PEAK_FACTOR)
      return 'a segment is above the cap';
  }
  return null;
}

/**
 * Is the first picture of every segment one that decoding can start at (IDR)? A file may mark others as key pictures, too. Settings within
 * the media would be others than those of the init segment.
 */
export async function hasPlainKeys(source: ByteSource, packets: Packets, timing: Timing): Promise<boolean> {
  const keys = packets.pictures?.filter((_, n) => n % timing.segmentFrames === 0) ?? [];
  for (const { offset, size } of keys) {
    if (!isPlainKey(await source.read(offset, Math.min(size, HEAD_BYTES)), size)) return false;
  }
  return keys.length > 0;
}

/** Units of ISO/IEC 14496-15 with a length of four bytes before each; the five last bits of the first byte are its type. */
function isPlainKey(bytes: Buffer, size: number): boolean {
  for (let at = 0; at + 5 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = (bytes[at + 4] ?? 0) & 0x1f;
    if (length === 0 || at + 4 + length > size || SETTINGS.includes(type) || type === SLICE) return false;
    if (type === IDR_SLICE) return true;
    at += 4 + length;
  }
  return false;
}

/** The whole picture as one file like that of a piece, without encoding: the same boxes, grid and times. */
export function copyArguments(path: string, probe: Probe, timing: Timing, rung: Rung): FfmpegCommand {
  return {
    inputs: [{ options: [...GLOBAL, ...['-threads', '1'], '-copyts'], path }],
    outputs: [
      {
        options: [
          ...['-map', `0:${probe.video?.index ?? 0}`, '-c', 'copy', ...CLEAN_OUTPUT],
          ...['-video_track_timescale', String(timing.timescale)],
          ...['-output_ts_offset', decimal(-timing.videoStart), '-avoid_negative_ts', 'disabled'],
          ...fragmentOptions(timing, 1),
        ],
        path: `${rung.name}.mp4`,
      },
    ],
  };
}
