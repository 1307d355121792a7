import type { Container } from './container.js';

/** A fraction as the file states it: frames per second, or the shape of a sample. */
export interface Rational {
  readonly num: number;
  readonly den: number;
}

export interface VideoStream {
  /** Position among all streams of the file, as ffmpeg counts them. */
  readonly index: number;
  readonly codec: string | null;
  /** As people see it: after rotation, and with square samples. */
  readonly width: number;
  readonly height: number;
  readonly codedWidth: number;
  readonly codedHeight: number;
  /** Clockwise turn that a player makes before showing it. */
  readonly rotation: 0 | 90 | 180 | 270;
  readonly sar: Rational;
  readonly avgFrameRate: Rational | null;
  /** ffprobe's `r_frame_rate`: the lowest rate that hits every time stamp; far above the average when the rate varies. */
  readonly realFrameRate: Rational | null;
  /** Seconds, on the file's own clock. */
  readonly startTime: number;
  /** Seconds; null where the header does not say. */
  readonly duration: number | null;
  readonly frameCount: number | null;
  readonly pixelFormat: string | null;
  readonly colorTransfer: string | null;
  readonly colorPrimaries: string | null;
  readonly colorSpace: string | null;
  readonly colorRange: string | null;
  readonly interlaced: boolean;
  /** PQ or HLG: needs tone mapping on the way to BT.709. */
  readonly hdr: boolean;
}

export interface AudioStream {
  readonly index: number;
  readonly codec: string | null;
  readonly channels: number;
  readonly sampleRate: number;
  readonly isDefault: boolean;
  /** Seconds, on the file's own clock. */
  readonly startTime: number;
  readonly duration: number | null;
}

/** What the header of a file says. It is a stranger's claim: `verdict` judges it, and only checks on the output prove anything. */
export interface Probe {
  readonly sizeBytes: number;
  /** What the first bytes and the outermost boxes are. */
  readonly container: Container;
  /** The demuxer that ffprobe took, such as `matroska,webm`; null: none of the allowed ones opened the file. */
  readonly demuxer: string | null;
  readonly durationMs: number | null;
  /** Seconds, on the file's own clock: the earliest stream's start. */
  readonly formatStartTime: number;
  /** Seconds of the longest stream of any kind, by its own index; null where streams do not say. */
  readonly longestStream: number | null;
  /** Seconds, on the file's own clock: when the last stream ends; null where streams do not say. */
  readonly lastEnd: number | null;
  /** The picture to show: cover art and thumbnails do not count. */
  readonly video: VideoStream | null;
  readonly audio: readonly AudioStream[];
  readonly streamCount: number;
  readonly encrypted: boolean;
  readonly metadataBytes: number;
  /** ffprobe wrote more than anyone reads: the titles and tags are that large. */
  readonly tooMuchOutput: boolean;
  /** The end of what ffprobe complained about; it may have gone on all the same. */
  readonly log: string;
}

/** The demuxers that may open a stranger's file. Playlists and scripts, which name other files, are not among them. */
export const FORMAT_WHITELIST = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,flv';
/** 8K and a little: above it a decoder would ask for more memory than a worker has. */
export const MAX_PIXELS = 8192 * 5120;

/** Goes before every `-i`; behind it, ffmpeg takes the lists without a word and ignores them. */
export const INPUT_GUARD: readonly string[] = [
  ...['-protocol_whitelist', 'file'],
  ...['-format_whitelist', FORMAT_WHITELIST],
  ...['-max_pixels', String(MAX_PIXELS)],
];

/** Arguments of ffprobe for one file. */
export function probeArguments(path: string): string[] {
  return [
    ...['-hide_banner', '-v', 'error'],
    ...INPUT_GUARD,
    ...['-print_format', 'json=compact=1', '-show_format', '-show_streams'],
    ...['-i', path],
  ];
}

interface FfprobeStream {
  index?: number;
  codec_type?: string;
  codec_name?: string;
  width?: number;
  height?: number;
  sample_aspect_ratio?: string;
  avg_frame_rate?: string;
  r_frame_rate?: string;
  start_time?: string;
  duration?: string;
  nb_frames?: string;
  pix_fmt?: string;
  color_transfer?: string;
  color_primaries?: string;
  color_space?: string;
  color_range?: string;
  field_order?: string;
  channels?: number;
  sample_rate?: string;
  disposition?: Record<string, number>;
  tags?: Record<string, string>;
  side_data_list?: { side_data_type?: string; rotation?: number }[];
}

interface FfprobeOutput {
  streams?: FfprobeStream[];
  format?: {
    format_name?: string;
    duration?: string;
    start_time?: string;
    nb_streams?: number;
    tags?: Record<string, string>;
  };
}

/**
 * @param json      what ffprobe wrote; it may be cut short or empty when ffprobe failed
 * @param container what `readContainer` found
 * @param said      the end of ffprobe's log, and whether it was stopped because it wrote too much
 */
export function parseProbe(
  json: string,
  container: Container,
  sizeBytes: number,
  said: Pick<Probe, 'log' | 'tooMuchOutput'> = { log: '', tooMuchOutput: false },
): Probe {
  const { streams = [], format } = parseJson(json);
  const formatStartTime = seconds(format?.start_time) ?? 0;
  const formatDuration = seconds(format?.duration);
  const picture = streams.find((s) => s.codec_type === 'video' && !isStill(s));
  return {
    sizeBytes,
    container,
    demuxer: format?.format_name ?? null,
    durationMs: formatDuration === null ? null : Math.round(formatDuration * 1000),
    formatStartTime,
    longestStream: streams.reduce<number | null>(
      (most, s) => Math.max(most ?? 0, seconds(s.duration) ?? 0) || null,
      null,
    ),
    lastEnd: streams.reduce<number | null>((most, s) => {
      const duration = seconds(s.duration);
      return duration === null ? most : Math.max(most ?? 0, (seconds(s.start_time) ?? 0) + duration);
    }, null),
    video: picture ? videoOf(picture, formatStartTime, formatDuration) : null,
    audio: streams.filter((s) => s.codec_type === 'audio').map((s) => audioOf(s, formatStartTime)),
    streamCount: Math.max(streams.length, format?.nb_streams ?? 0),
    encrypted:
      container.encrypted ||
      streams.some((s) => s.side_data_list?.some((d) => d.side_data_type?.startsWith('Encryption'))),
    metadataBytes: [format?.tags, ...streams.map((s) => s.tags)].reduce((sum, tags) => sum + bytesOf(tags), 0),
    ...said,
  };
}

/** The sound track that players get: the one marked default, else the first. */
export function mainAudio(probe: Probe): AudioStream | null {
  return probe.audio.find((a) => a.isDefault && a.channels > 0) ?? probe.audio.find((a) => a.channels > 0) ?? null;
}

function videoOf(s: FfprobeStream, formatStart: number, formatDuration: number | null): VideoStream {
  const codedWidth = s.width ?? 0;
  const codedHeight = s.height ?? 0;
  const sar = rational(s.sample_aspect_ratio, ':') ?? { num: 1, den: 1 };
  const rotation = rotationOf(s);
  const square = Math.round((codedWidth * sar.num) / sar.den);
  const [width, height] = rotation % 180 === 0 ? [square, codedHeight] : [codedHeight, square];
  const startTime = seconds(s.start_time) ?? formatStart;
  return {
    index: s.index ?? 0,
    codec: known(s.codec_name),
    width,
    height,
    codedWidth,
    codedHeight,
    rotation,
    sar,
    avgFrameRate: rational(s.avg_frame_rate, '/'),
    realFrameRate: rational(s.r_frame_rate, '/'),
    startTime,
    duration: seconds(s.duration) ?? durationByEnd(s, startTime, formatDuration),
    frameCount: s.nb_frames === undefined ? null : Number(s.nb_frames),
    pixelFormat: known(s.pix_fmt),
    colorTransfer: known(s.color_transfer),
    colorPrimaries: known(s.color_primaries),
    colorSpace: known(s.color_space),
    colorRange: known(s.color_range),
    interlaced: /^(tt|bb|tb|bt)$/.test(s.field_order ?? ''),
    hdr: s.color_transfer === 'smpte2084' || s.color_transfer === 'arib-std-b67',
  };
}

/** Matroska has no duration per track: only the file's, or a tag of the track's, and both are the end on the file's own clock. */
function durationByEnd(s: FfprobeStream, startTime: number, formatDuration: number | null): number | null {
  const end = clock(s.tags?.DURATION) ?? formatDuration;
  return end === null || end <= startTime ? null : end - startTime;
}

function audioOf(s: FfprobeStream, formatStart: number): AudioStream {
  return {
    index: s.index ?? 0,
    codec: known(s.codec_name),
    channels: s.channels ?? 0,
    sampleRate: Number(s.sample_rate ?? 0),
    isDefault: s.disposition?.default === 1,
    startTime: seconds(s.start_time) ?? formatStart,
    duration: seconds(s.duration),
  };
}

function isStill(s: FfprobeStream): boolean {
  return s.disposition?.attached_pic === 1 || s.disposition?.timed_thumbnails === 1;
}

/** ffprobe gives the matrix's angle counter-clockwise, from -180 to 180; what is not a quarter turn is shown as it is. */
function rotationOf(s: FfprobeStream): 0 | 90 | 180 | 270 {
  const angle = s.side_data_list?.find((d) => d.rotation !== undefined)?.rotation ?? 0;
  const turn = (((-angle % 360) + 360) % 360) as 0 | 90 | 180 | 270;
  return turn % 90 === 0 ? turn : 0;
}

function parseJson(json: string): FfprobeOutput {
  try {
    return JSON.parse(json) as FfprobeOutput;
  } catch {
    return {}; // ffprobe was stopped in the middle: as good as an answer without streams
  }
}

function bytesOf(tags: Record<string, string> = {}): number {
  return Object.entries(tags).reduce((sum, [k, v]) => sum + Buffer.byteLength(k) + Buffer.byteLength(v), 0);
}

function known(name: string | undefined): string | null {
  return name && name !== 'unknown' ? name : null;
}

function seconds(text: string | undefined): number | null {
  const value = Number(text);
  return text === undefined || !Number.isFinite(value) ? null : value;
}

function clock(text: string | undefined): number | null {
  const match = /^(\d+):(\d{2}):(\d{2}(?:\.\d+)?)$/.exec(text ?? '');
  return match ? Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3]) : null;
}

function rational(text: string | undefined, separator: string): Rational | null {
  const [num, den] = (text ?? '').split(separator).map(Number);
  return num && den && num > 0 && den > 0 ? { num, den } : null;
}
