import { CLEAN_OUTPUT, type FfmpegCommand, GLOBAL } from './ffmpeg-command.js';
import { frameTime, type Timing } from './timing.js';

/** One picture file to be made, as the `still` row says it. */
export interface Still {
  readonly kind: 'POSTER' | 'THUMBNAIL' | 'STORYBOARD';
  /** From 0, within its kind. */
  readonly number: number;
  readonly file: string;
  /** Time of the picture, or of a storyboard's first tile. */
  readonly atMs: number;
  /** Of the picture, or of one tile. */
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly tiles: number;
  readonly intervalMs: number;
}

const COLUMNS = 5;
const ROWS = 5;
const TILE_SHORT_SIDE = 90;
/** At most this many tiles: a longer video takes every second, third … key frame. */
const MAX_TILES = 400;
const POSTER_AT = 0.15;
const THUMBNAILS_AT = [0.25, 0.5, 0.75];

/** What will be made of a rung of this size. Every picture is one of our own key frames, two seconds apart, so that nothing else is decoded. */
export function stillsPlan(timing: Timing, rung: { width: number; height: number }): Still[] {
  const keys = Math.ceil(timing.frames / timing.gopFrames);
  const step = Math.ceil(keys / MAX_TILES);
  const atKey = (key: number) => Math.round(frameTime(timing, key * timing.gopFrames) * 1000);
  const single = (kind: 'POSTER' | 'THUMBNAIL', number: number, share: number): Still => ({
    ...{ kind, number, file: `${kind.toLowerCase()}-${number}.jpg`, atMs: atKey(keyAt(keys, share)) },
    ...{ width: rung.width, height: rung.height, columns: 1, tiles: 1, intervalMs: 0 },
  });
  const all = Math.ceil(keys / step);
  const storyboards = Array.from({ length: Math.ceil(all / (COLUMNS * ROWS)) }, (_, number): Still => {
    const first = number * COLUMNS * ROWS;
    return {
      ...{ kind: 'STORYBOARD', number, file: `storyboard-${number}.jpg`, atMs: atKey(first * step) },
      ...tileSize(rung),
      ...{ columns: COLUMNS, tiles: Math.min(COLUMNS * ROWS, all - first), intervalMs: atKey(step) },
    };
  });
  return [
    single('POSTER', 0, POSTER_AT),
    ...THUMBNAILS_AT.map((share, n) => single('THUMBNAIL', n, share)),
    ...storyboards,
  ];
}

/**
 * One run makes them all, from the lowest rung's own file (its init and all its segments): 0.1 CPU seconds a minute of video.
 * Where two pictures fall on the same key frame they are made twice.
 */
export function stillsArguments(path: string, timing: Timing, rung: { width: number; height: number }): FfmpegCommand {
  const keys = Math.ceil(timing.frames / timing.gopFrames);
  const step = Math.ceil(keys / MAX_TILES);
  const tile = tileSize(rung);
  const wanted = [POSTER_AT, ...THUMBNAILS_AT].map((share) => keyAt(keys, share));
  const graph = [
    `[0:v]split=${wanted.length + 1}${wanted.map((_, n) => `[k${n}]`).join('')}[all]`,
    ...wanted.map((key, n) => `[k${n}]select=eq(n\\,${key})[s${n}]`),
    `[all]select=not(mod(n\\,${step})),scale=${tile.width}:${tile.height},tile=${COLUMNS}x${ROWS}[tiles]`,
  ].join(';');
  const names = ['poster-0.jpg', ...THUMBNAILS_AT.map((_, n) => `thumbnail-${n}.jpg`)];
  return {
    inputs: [
      { options: [...GLOBAL, '-filter_complex', graph, ...['-threads', '1'], '-skip_frame', 'nokey', '-an'], path },
    ],
    outputs: [
      ...names.map((name, n) => ({
        options: ['-map', `[s${n}]`, '-frames:v', '1', ...JPEG, '-update', '1'],
        path: name,
      })),
      {
        options: ['-map', '[tiles]', '-fps_mode', 'passthrough', ...JPEG, '-start_number', '0'],
        path: 'storyboard-%d.jpg',
      },
    ],
  };
}

const JPEG = ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p', '-q:v', '4', ...CLEAN_OUTPUT, '-f', 'image2'];

function keyAt(keys: number, share: number): number {
  return Math.min(keys - 1, Math.floor(keys * share));
}

function tileSize({ width, height }: { width: number; height: number }): { width: number; height: number } {
  const scale = TILE_SHORT_SIDE / Math.min(width, height);
  return { width: 2 * Math.round((width * scale) / 2), height: 2 * Math.round((height * scale) / 2) };
}
