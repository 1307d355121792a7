import { CLEAN_OUTPUT, type FfmpegCommand, GLOBAL } from './ffmpeg-command.js';

export const DOWNLOAD_FILE = 'download.mp4';

/**
 * One MP4 with its index at the front, of a rung and the sound as they were made: nothing is encoded anew. ffmpeg reads
 * the pictures of our fragments two frames late; but it also lets each input begin at 0, and these are two.
 *
 * @param picture a rung's own file: its init segment and all its segments
 * @param sound likewise; null: there is none
 */
export function downloadArguments(picture: string, sound: string | null): FfmpegCommand {
  return {
    inputs: [
      { options: [...GLOBAL, '-threads', '1'], path: picture },
      ...(sound ? [{ options: ['-threads', '1'], path: sound }] : []),
    ],
    outputs: [
      {
        options: [
          ...['-map', '0:v', ...(sound ? ['-map', '1:a'] : []), '-c', 'copy'],
          ...[...CLEAN_OUTPUT, '-movflags', '+faststart', '-f', 'mp4'],
        ],
        path: DOWNLOAD_FILE,
      },
    ],
  };
}
