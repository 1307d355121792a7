import { CLEAN_OUTPUT, type FfmpegCommand, GLOBAL } from './ffmpeg-command.js';
import type { Probe, VideoStream } from './probe.js';

/** What MP4 carries; Matroska takes all the rest. */
const MP4_CODECS = new Set(['h264', 'hevc', 'vp9', 'av1', 'mpeg4', 'mpeg2video', 'mpeg1video']);
/** Seconds. Writers of Matroska do not agree whether a file that starts later is shorter by that. */
const EARLY = 0.5;

/**
 * Must the picture be copied into another container before pieces of it can be made? Where there is no index, seeking misses frames
 * (a transport stream lost 750 of 1300), and a recording that was streamed does not say how long it is.
 */
export function needsRemux(probe: Probe): boolean {
  const { kind, fragmented } = probe.container;
  const indexed = (kind === 'mp4' && !fragmented) || (kind === 'matroska' && probe.formatStartTime < EARLY);
  return !indexed || !probe.video?.duration;
}

/** Copies the picture alone, without decoding. Probe the result and plan from that; the sound is still read from the original. */
export function remuxArguments(path: string, video: VideoStream): { command: FfmpegCommand; file: string } {
  const [format, file] = MP4_CODECS.has(video.codec ?? '') ? ['mp4', 'picture.mp4'] : ['matroska', 'picture.mkv'];
  const command: FfmpegCommand = {
    inputs: [{ options: [...GLOBAL, ...['-threads', '1'], '-fflags', '+genpts'], path }],
    outputs: [{ options: ['-map', `0:${video.index}`, '-c', 'copy', ...CLEAN_OUTPUT, '-f', format], path: file }],
  };
  return { command, file };
}
