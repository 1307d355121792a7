import { CLEAN_OUTPUT, decimal, type FfmpegCommand, GLOBAL } from './ffmpeg-command.js';
import type { AudioStream } from './probe.js';
import { AUDIO_RATE, audioSamples, frameTime, type Timing } from './timing.js';

/** AAC-LC packs this many samples into a frame. */
const AAC_FRAME = 1024;

export const AUDIO_PLAYLIST = 'ff.m3u8';
export const AUDIO_INIT = 'init.mp4';

/**
 * The whole sound track, once (in pieces, AAC leaves audible seams): as long as the picture, padded or cut, in step with it, stereo.
 * A segment is final once `ff.m3u8` lists it.
 * @param videoStart the picture's start on this very file's clock, in seconds
 * @param samples fewer than all, where more of the file is not there yet
 * @param timing of the output; after a remux that of the remuxed picture, while the sound still comes from the original
 */
export function audioArguments(options: {
  path: string;
  audio: AudioStream;
  videoStart: number;
  timing: Timing;
  bitsPerSecond: number;
  samples?: number | undefined;
}): FfmpegCommand {
  const { path, audio, videoStart, timing, bitsPerSecond, samples = audioSamples(timing) } = options;
  const filter = [
    `asetpts=PTS-(${decimal(videoStart)})/TB`,
    `aresample=async=1000:first_pts=0:osr=${AUDIO_RATE}`,
    'apad',
    `atrim=end_sample=${samples}`,
  ].join(',');
  return {
    inputs: [{ options: [...GLOBAL, ...['-threads', '1'], '-copyts', '-vn', '-sn', '-dn'], path }],
    outputs: [
      {
        options: [
          ...['-map', `0:${audio.index}`, '-af', filter, '-ac', '2', '-c:a', 'aac', '-b:a', String(bitsPerSecond)],
          // The encoder's first frame is silence that leads in: without it the sound would be 21 ms late.
          ...['-bsf:a', 'noise=drop=eq(n\\,0)', ...CLEAN_OUTPUT, '-flags:a', '+bitexact', '-threads', '1'],
          ...['-f', 'hls', '-hls_time', decimal(frameTime(timing, timing.segmentFrames))],
          ...['-hls_playlist_type', 'event', '-hls_segment_type', 'fmp4'],
          ...['-hls_segment_options', 'movflags=+cmaf+frag_discont', '-start_number', '1'],
          ...['-hls_fmp4_init_filename', AUDIO_INIT, '-hls_segment_filename', 's%05d.m4s'],
        ],
        path: AUDIO_PLAYLIST,
      },
    ],
  };
}

/** The segments that ffmpeg has finished, in order, from its growing playlist. */
export function finishedAudio(playlist: string): string[] {
  return playlist.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

export interface AudioSegment {
  /** From 1. */
  readonly number: number;
  /** As ffmpeg names it. */
  readonly file: string;
  /** In samples, like `duration`. */
  readonly decodeTime: number;
  readonly duration: number;
}

/** The sound's segments, known before it is encoded: each ends with the first AAC frame that reaches the end of the picture's segment, the last with the picture. */
export function audioPlan(timing: Timing): AudioSegment[] {
  const total = audioSamples(timing);
  const segmentMicros = Math.round(frameTime(timing, timing.segmentFrames) * 1e6);
  const plan: AudioSegment[] = [];
  for (let decodeTime = 0; decodeTime < total; ) {
    const number = plan.length + 1;
    const end = Math.ceil((number * segmentMicros * AUDIO_RATE) / 1e6 / AAC_FRAME) * AAC_FRAME;
    const duration = Math.min(total, end) - decodeTime;
    plan.push({ number, file: `s${String(number).padStart(5, '0')}.m4s`, decodeTime, duration });
    decodeTime += duration;
  }
  return plan;
}
