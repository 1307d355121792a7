import type { Packets } from './packets.js';
import { MAX_PIXELS, type Probe, type VideoStream } from './probe.js';

/** Why a file is refused. Part of the API (`failureCode`): never renamed. */
export type RefusalCode =
  | 'EMPTY_FILE'
  | 'NOT_VIDEO'
  | 'FORBIDDEN_CONTAINER'
  | 'TRUNCATED'
  | 'CORRUPT'
  | 'DURATION_MISMATCH'
  | 'TOO_LONG'
  | 'FPS_TOO_HIGH'
  | 'TOO_MANY_STREAMS'
  | 'DIMENSIONS_OUT_OF_RANGE'
  | 'UNSUPPORTED_CODEC'
  | 'ENCRYPTED'
  | 'NO_VIDEO_STREAM'
  | 'METADATA_TOO_LARGE';

export type Verdict =
  | { readonly accepted: true }
  /** `message`: for the person who uploaded the file. */
  | { readonly accepted: false; readonly code: RefusalCode; readonly message: string };

export const LIMITS = {
  maxSeconds: 12 * 3600,
  maxFps: 300,
  maxStreams: 32,
  minSide: 16,
  maxSide: 8192,
  maxPixels: MAX_PIXELS,
  maxMetadataBytes: 1024 * 1024,
  /** Share by which two statements of a length may differ, and seconds that are always forgiven. */
  durationTolerance: 0.05,
  durationSlack: 1,
  /** Share of the indexed pictures that may be missing: writers that are stopped leave the last ones out. */
  lostShare: 0.001,
} as const;

const TRUNCATED = refuse(
  'TRUNCATED',
  'The end of the video is missing. Please upload the whole file; a recording that broke off can often be repaired by the app that made it.',
);
const DAMAGED = refuse(
  'CORRUPT',
  'The file is damaged: parts of the picture are not where its index says. Please save it again in another program and upload it anew.',
);
const MISMATCH = refuse('DURATION_MISMATCH', 'The video says that it is much longer or shorter than what it holds.');

/** What ffmpeg decodes well, and people really have. */
const CODECS = new Set([
  ...[
    'h264',
    'hevc',
    'vp8',
    'vp9',
    'av1',
    'mpeg1video',
    'mpeg2video',
    'mpeg4',
    'h263',
    'h261',
    'msmpeg4v1',
    'msmpeg4v2',
    'msmpeg4v3',
  ],
  ...['wmv1', 'wmv2', 'wmv3', 'vc1', 'flv1', 'vp6', 'vp6f', 'vp6a', 'svq1', 'svq3', 'theora', 'cinepak', 'dvvideo'],
  ...[
    'prores',
    'dnxhd',
    'cfhd',
    'mjpeg',
    'jpeg2000',
    'ffv1',
    'huffyuv',
    'ffvhuff',
    'utvideo',
    'rawvideo',
    'v210',
    'png',
    'qtrle',
  ],
]);

/**
 * Judges a file by its header. What only decoding shows (a hole, flipped bits) comes out later, by the checks on each piece.
 * Where more than one thing is wrong, the first that a person could act on is named.
 */
export function verdict(probe: Probe, limits: typeof LIMITS = LIMITS): Verdict {
  const { container, video } = probe;
  if (container.kind === 'empty') return refuse('EMPTY_FILE', 'The file is empty.');
  if (container.kind === 'list') {
    return refuse(
      'FORBIDDEN_CONTAINER',
      'This is a playlist or a description that points to other files, not a video itself.',
    );
  }
  if (container.kind === 'other' && probe.demuxer === null) {
    return refuse('NOT_VIDEO', 'This file is not a video in a format that we know.');
  }
  if (container.truncated) return TRUNCATED;
  if (probe.tooMuchOutput || probe.metadataBytes > limits.maxMetadataBytes) {
    return refuse(
      'METADATA_TOO_LARGE',
      'The titles and tags inside the file are too large. Please save it again without them.',
    );
  }
  if (probe.demuxer === null || probe.streamCount === 0)
    return refuse('CORRUPT', 'The file is damaged: its structure cannot be read.');
  if (probe.streamCount > limits.maxStreams) {
    return refuse(
      'TOO_MANY_STREAMS',
      `The file holds ${probe.streamCount} tracks; at most ${limits.maxStreams} are possible.`,
    );
  }
  if (probe.encrypted) return refuse('ENCRYPTED', 'The video is encrypted (DRM), so it cannot be processed.');
  if (!video) return refuse('NO_VIDEO_STREAM', 'There is no picture in this file, only sound or other data.');
  return judgeVideo(probe, video, limits);
}

function judgeVideo(probe: Probe, video: VideoStream, limits: typeof LIMITS): Verdict {
  if (!video.codec || !CODECS.has(video.codec)) {
    return refuse(
      'UNSUPPORTED_CODEC',
      `The picture is coded in a way that we cannot read (${video.codec ?? 'unknown'}).`,
    );
  }
  if (!fits(probe, video, limits)) {
    const size = video.codedWidth ? `is ${video.width}×${video.height}` : 'is far too large';
    return refuse(
      'DIMENSIONS_OUT_OF_RANGE',
      `The picture ${size}; each side must have ${limits.minSide} to ${limits.maxSide} pixels.`,
    );
  }
  if (video.codedWidth === 0 || video.pixelFormat === null)
    return refuse('CORRUPT', 'The file is damaged: nothing can be learnt about its picture.');
  const rate = video.avgFrameRate ?? video.realFrameRate;
  if (rate && rate.num / rate.den > limits.maxFps) return tooFast(rate.num / rate.den, limits);
  if (!hasOneLength(probe, limits)) return MISMATCH;
  const seconds = Math.max(video.duration ?? 0, (probe.durationMs ?? 0) / 1000);
  return seconds > limits.maxSeconds ? tooLong(seconds, limits) : { accepted: true };
}

function tooFast(rate: number, limits: typeof LIMITS): Verdict {
  return refuse(
    'FPS_TOO_HIGH',
    `The video has ${Math.round(rate)} pictures a second; at most ${limits.maxFps} are possible.`,
  );
}

function tooLong(seconds: number, limits: typeof LIMITS): Verdict {
  return refuse(
    'TOO_LONG',
    `The video lasts ${Math.round(seconds / 360) / 10} hours; at most ${limits.maxSeconds / 3600} are possible.`,
  );
}

/**
 * Judges what is behind an accepted header: an index that names what is not there, lengths that are not those of the media.
 * What only decoding shows is left to the checks of each piece.
 */
export function packetVerdict(probe: Probe, packets: Packets, limits: typeof LIMITS = LIMITS): Verdict {
  if (!packets.ended) return { accepted: true };
  const { kind, fragmented } = probe.container;
  const missing = packets.isCut ? TRUNCATED : DAMAGED;
  if (packets.count === 0) return packets.read === 'tail' ? TRUNCATED : missing;
  if (packets.astray > 0) return refuse('CORRUPT', 'The file is damaged: its index leads to places without a picture.');
  const isIndexed = kind === 'mp4' && !fragmented && packets.read === 'all';
  if (isIndexed && packets.declaredCount !== null) {
    const lost = packets.declaredCount - packets.count;
    if (lost > Math.max(2, packets.declaredCount * limits.lostShare)) return missing;
  }
  // A transport stream declares nothing: what ffprobe says of its length is an estimate.
  if (kind !== 'mpegts' && packets.start !== null && packets.end !== null) {
    const judged = judgeLength(probe, packets, { start: packets.start, end: packets.end }, limits);
    if (!judged.accepted) return judged;
  }
  const seconds = (packets.end ?? 0) - (packets.start ?? 0);
  if (packets.read === 'all' && seconds > 0 && packets.count > 2 && packets.count / seconds > limits.maxFps * 1.05) {
    return tooFast(packets.count / seconds, limits);
  }
  return seconds > limits.maxSeconds ? tooLong(seconds, limits) : { accepted: true };
}

function judgeLength(
  probe: Probe,
  packets: Packets,
  { start, end }: { start: number; end: number },
  limits: typeof LIMITS,
): Verdict {
  const isMp4 = probe.container.kind === 'mp4';
  const declared = packets.declaredSeconds;
  const begin = packets.read === 'all' ? start : isMp4 ? 0 : (probe.video?.startTime ?? 0);
  if (declared !== null && !isNear(declared, end - begin, limits)) {
    return packets.isCut && end - begin < declared ? TRUNCATED : MISMATCH;
  }
  // An MP4's own length follows its edit list, which was left out here; the header's verdict compared it.
  if (isMp4 || probe.durationMs === null || packets.lastEnd === null) return { accepted: true };
  const whole = probe.durationMs / 1000;
  // Writers do not agree whether a file that starts later is shorter by that.
  const found = [packets.lastEnd, packets.lastEnd - (packets.read === 'all' ? (packets.firstStart ?? 0) : 0)];
  if (found.some((length) => isNear(whole, length, limits))) return { accepted: true };
  return packets.isCut && packets.lastEnd < whole ? TRUNCATED : MISMATCH;
}

/** ffprobe's decoder stops at the pixel limit and then knows no size; as people see it, a picture may still be stretched beyond all measure. */
function fits({ log }: Probe, video: VideoStream, limits: typeof LIMITS): boolean {
  const { codedWidth, codedHeight, width, height } = video;
  if (codedWidth === 0 || codedHeight === 0) return !/Picture size \S+ (exceeds|is invalid)/.test(log);
  const sides = [codedWidth, codedHeight, width, height];
  return (
    sides.every((side) => side >= limits.minSide && side <= limits.maxSide) &&
    Math.max(codedWidth * codedHeight, width * height) <= limits.maxPixels
  );
}

/** What the file says of its length and what the index of its longest track adds up to. (The number of frames tells nothing: an edit list may hide most of them.) */
function hasOneLength({ durationMs, longestStream, lastEnd }: Probe, limits: typeof LIMITS): boolean {
  if (durationMs === null || longestStream === null) return true;
  // The length of an MP4 counts from zero, also where all of it starts later.
  return [longestStream, lastEnd ?? longestStream].some((length) => isNear(durationMs / 1000, length, limits));
}

function isNear(one: number, other: number, limits: typeof LIMITS): boolean {
  return Math.abs(one - other) <= Math.max(one, other) * limits.durationTolerance + limits.durationSlack;
}

function refuse(code: RefusalCode, message: string): Verdict {
  return { accepted: false, code, message };
}
