import { CLEAN_OUTPUT, decimal, type FfmpegCommand, GLOBAL } from './ffmpeg-command.js';
import type { VideoStream } from './probe.js';
import { frameTime, type Timing } from './timing.js';

export interface Rung {
  /** The file's name in the work directory will be `<name>.mp4`. */
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly maxBitsPerSecond: number;
}

export interface PieceOptions {
  readonly path: string;
  readonly video: VideoStream;
  readonly timing: Timing;
  /** First frame of the piece: a whole number of segments from the start. */
  readonly firstFrame: number;
  readonly frames: number;
  /** Highest first: each is scaled from the one before it. */
  readonly rungs: readonly Rung[];
  readonly preset: string;
  readonly crf: number;
  /** Somebody waits for this one: decoded on several processors, which costs some memory and a tenth more of their time. */
  readonly urgent?: boolean;
}

/** More are idle while the first encoder alone is at work. */
const URGENT_DECODERS = 4;

/** Before the wanted frame: decoders land on a key frame at or before it, and time stamps are never exact. */
const PREROLL = 0.5;
/** Behind the last one: pictures stand in the order of decoding. */
const AFTER = 1;

/**
 * x264's VBV begins each piece as if its buffer were nearly full, and with one thread lets single frames take what later ones need:
 * at their cap, pieces came out 7 % larger than one run over the whole and worse to look at. Half full is where a long run
 * keeps it, a third of the tolerance is what x264 itself allows with three threads.
 */
const X264_PARAMS = 'stitchable=1:vbv-init=0.5:ratetol=0.33';

const TONE_MAP =
  'zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p';

/** What of the picture a piece is made from: seconds on the file's own clock. Its arguments say the same to ffmpeg. */
export function pieceWindow(timing: Timing, firstFrame: number, frames: number): { from: number; until: number } {
  const at = (frame: number) => timing.videoStart + frameTime(timing, frame);
  return { from: at(firstFrame) - PREROLL, until: at(firstFrame + frames) + AFTER };
}

/** One piece of a video: one decode, every rung, each a fragmented MP4 whose init and times are those of the whole. */
export function pieceArguments(options: PieceOptions): FfmpegCommand {
  const { path, timing, firstFrame, frames, rungs } = options;
  const start = frameTime(timing, firstFrame);
  const seek = Math.max(0, timing.v0 + start - PREROLL);
  const end = timing.v0 + frameTime(timing, firstFrame + frames) + AFTER;
  return {
    inputs: [
      {
        options: [
          ...GLOBAL,
          ...['-filter_complex', filterGraph(options)],
          ...['-threads', String(options.urgent ? URGENT_DECODERS : 1)],
          ...['-copyts', '-ss', decimal(seek), '-t', decimal(end - seek)],
        ],
        path,
      },
    ],
    outputs: rungs.map((rung, k) => ({ options: rungOptions(options, rung, k), path: `${rung.name}.mp4` })),
  };
}

function filterGraph({ video, timing, firstFrame, frames, rungs }: PieceOptions): string {
  const top = [
    `setpts=PTS-(${decimal(timing.videoStart)})/TB`,
    ...(video.interlaced ? ['bwdif=mode=send_frame:deint=interlaced'] : []),
    `fps=fps=${timing.fpsNum}/${timing.fpsDen}:start_time=${decimal(frameTime(timing, firstFrame))}:round=near`,
    'tpad=stop=-1:stop_mode=clone',
    `trim=end_frame=${frames}`,
    'setpts=N',
  ];
  return rungs
    .map((rung, k) => {
      const chain = [
        ...(k === 0 ? top : []),
        `scale=${rung.width}:${rung.height}:flags=bicubic`,
        'setsar=1',
        ...(k === 0 && video.hdr ? [TONE_MAP] : []),
      ].join(',');
      const from = k === 0 ? `0:${video.index}` : `x${k - 1}`;
      return k === rungs.length - 1 ? `[${from}]${chain}[v${k}]` : `[${from}]${chain},split=2[v${k}][x${k}]`;
    })
    .join(';');
}

function rungOptions(options: PieceOptions, rung: Rung, k: number): string[] {
  const { timing, firstFrame, frames, preset, crf } = options;
  return [
    ...['-map', `[v${k}]`, '-frames:v', String(frames)],
    // Manifests say that no captions are in the picture.
    ...['-c:v', 'libx264', '-preset', preset, '-crf', String(crf), '-a53cc', '0'],
    ...['-maxrate', String(rung.maxBitsPerSecond), '-bufsize', String(2 * rung.maxBitsPerSecond)],
    ...['-g', String(timing.gopFrames), '-keyint_min', String(timing.gopFrames), '-sc_threshold', '0'],
    ...['-profile:v', 'high', '-pix_fmt', 'yuv420p', '-threads', '1', '-x264-params', X264_PARAMS],
    ...['-color_primaries', 'bt709', '-color_trc', 'bt709', '-colorspace', 'bt709', '-color_range', 'tv'],
    ...CLEAN_OUTPUT,
    ...['-flags:v', '+bitexact', '-video_track_timescale', String(timing.timescale)],
    ...['-output_ts_offset', decimal(frameTime(timing, firstFrame))],
    ...fragmentOptions(timing, firstFrame / timing.segmentFrames + 1),
  ];
}

/** One fragment a segment, counted from this number, and an init that is the same whatever follows it. */
export function fragmentOptions(timing: Timing, firstSegment: number): string[] {
  const segmentMicros = Math.round(frameTime(timing, timing.segmentFrames) * 1e6);
  return [
    ...['-f', 'mp4', '-movflags', '+cmaf+frag_keyframe+delay_moov+frag_discont+skip_trailer'],
    ...['-fragment_index', String(firstSegment), '-min_frag_duration', String(segmentMicros - 100_000)],
  ];
}
