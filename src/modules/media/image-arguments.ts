import { CLEAN_OUTPUT, type FfmpegCommand, GLOBAL } from './ffmpeg-command.js';
import type { ImageFile, ImageFormat } from './image-file.js';

/** The demuxer and the decoder of each format: nothing else opens the file, whatever it may be besides. */
const READERS: Record<ImageFormat, readonly [string, string]> = {
  jpeg: ['jpeg_pipe', 'mjpeg'],
  png: ['png_pipe', 'png'],
  gif: ['gif', 'gif'],
  webp: ['webp_pipe', 'webp'],
};
/** By EXIF's orientation. */
const TURNS: Record<number, string> = {
  2: 'hflip',
  3: 'hflip,vflip',
  4: 'vflip',
  5: 'transpose=0',
  6: 'transpose=1',
  7: 'transpose=3',
  8: 'transpose=2',
};

export const IMAGE_OUTPUT = 'image.jpg';

/**
 * The first picture of the file, upright, its middle cut to the shape of `size` and scaled to it, on white where it is
 * transparent, without any metadata. It is cut before it is scaled: of a very long one nothing huge is made.
 */
export function imageArguments(
  path: string,
  { format, orientation }: Pick<ImageFile, 'format' | 'orientation'>,
  { width, height }: { width: number; height: number },
): FfmpegCommand {
  const [demuxer, decoder] = READERS[format];
  const shape = [
    TURNS[orientation] ?? 'null',
    `crop=min(iw\\,ih*${width}/${height}):min(ih\\,iw*${height}/${width})`,
    `scale=${width}:${height}`,
    ...['setsar=1', 'format=rgba', 'split'],
  ].join(',');
  const graph = [
    `[0:v]${shape}[picture][copy]`,
    '[copy]lutrgb=r=255:g=255:b=255:a=255[white]',
    '[white][picture]overlay=format=rgb[flat]',
  ].join(';');
  return {
    inputs: [
      {
        options: [
          ...[...GLOBAL, '-filter_complex', graph, '-threads', '1', '-noautorotate'],
          // After the engine's own list of containers, in place of it.
          ...['-format_whitelist', demuxer, '-codec_whitelist', decoder, '-f', demuxer, '-c:v', decoder],
        ],
        path,
      },
    ],
    outputs: [
      {
        options: [
          ...['-map', '[flat]', '-frames:v', '1', '-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p', '-q:v', '3'],
          ...['-flags:v', '+bitexact', ...CLEAN_OUTPUT, '-f', 'image2', '-update', '1'],
        ],
        path: IMAGE_OUTPUT,
      },
    ],
  };
}
