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
} as const;

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
  if (container.truncated) {
    return refuse(
      'TRUNCATED',
      'The end of the video is missing. Please upload the whole file; a recording that broke off can often be repaired by the app that made it.',
    );
  }
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
  if (rate && rate.num / rate.den > limits.maxFps) {
    return refuse(
      'FPS_TOO_HIGH',
      `The video has ${Math.round(rate.num / rate.den)} pictures a second; at most ${limits.maxFps} are possible.`,
    );
  }
  if (!hasOneLength(probe, limits)) {
    return refuse('DURATION_MISMATCH', 'The video says that it is much longer or shorter than what it holds.');
  }
  const seconds = Math.max(video.duration ?? 0, (probe.durationMs ?? 0) / 1000);
  return seconds > limits.maxSeconds
    ? refuse(
        'TOO_LONG',
        `The video lasts ${Math.round(seconds / 360) / 10} hours; at most ${limits.maxSeconds / 3600} are possible.`,
      )
    : { accepted: true };
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
function hasOneLength({ durationMs, longestStream }: Probe, limits: typeof LIMITS): boolean {
  if (durationMs === null || longestStream === null) return true;
  const whole = durationMs / 1000;
  const slack = Math.max(whole, longestStream) * limits.durationTolerance + limits.durationSlack;
  return Math.abs(whole - longestStream) <= slack;
}

function refuse(code: RefusalCode, message: string): Verdict {
  return { accepted: false, code, message };
}
