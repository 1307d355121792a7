import { CLEAN_OUTPUT, type FfmpegCommand, GLOBAL } from './ffmpeg-command.js';
import type { Probe, VideoStream } from './probe.js';

/** Codecs that QuickTime's container has no name for, though the allowed inputs may bring them. */
const MATROSKA_ONLY = new Set(['flv1', 'vp6f', 'vp6a', 'vp8', 'theora', 'ffv1', 'huffyuv', 'msmpeg4v2']);

/**
 * Must the picture be copied into another container before pieces of it can be made? Where there is no index, seeking misses frames
 * (a transport stream lost 750 of 1300), and a recording that was streamed does not say how long it is.
 */
export function needsRemux(probe: Probe): boolean {
  const { kind, fragmented } = probe.container;
  return !(kind === 'mp4' || kind === 'matroska') || fragmented || !probe.video?.duration;
}

/** Copies the picture alone, without decoding. Probe the result and plan from that; the sound is still read from the original. */
export function remuxArguments(path: string, video: VideoStream): { command: FfmpegCommand; file: string } {
  const format = MATROSKA_ONLY.has(video.codec ?? '') ? 'matroska' : 'mov';
  const file = format === 'mov' ? 'picture.mov' : 'picture.mkv';
  const command: FfmpegCommand = {
    inputs: [{ options: [...GLOBAL, ...['-threads', '1'], '-fflags', '+genpts'], path }],
    outputs: [{ options: ['-map', `0:${video.index}`, '-c', 'copy', ...CLEAN_OUTPUT, '-f', format], path: file }],
  };
  return { command, file };
}
