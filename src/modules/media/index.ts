export {
  AUDIO_INIT,
  AUDIO_PLAYLIST,
  type AudioSegment,
  audioArguments,
  audioPlan,
  finishedAudio,
} from './audio-arguments.js';
export { DOWNLOAD_FILE, downloadArguments } from './download-arguments.js';
export type { FfmpegCommand } from './ffmpeg-command.js';
export { FfmpegEngine, findMediaPrograms } from './ffmpeg-engine.js';
export {
  codecsOf,
  type Fragment,
  type FragmentedFile,
  type Init,
  initOf,
  MalformedFragments,
  readFragments,
} from './fragments.js';
export { MediaModule } from './media.module.js';
export {
  MediaEngine,
  type MediaFailure,
  type MediaJob,
  type MediaProgress,
  MediaRunError,
  type SandboxLevel,
} from './media-engine.js';
export { NEEDED_PARTS } from './needed-parts.js';
export { type PieceOptions, pieceArguments, type Rung } from './piece-arguments.js';
export { type CheckResult, checkAudio, checkPiece, type PieceExpected } from './piece-check.js';
export { type AudioStream, mainAudio, type Probe, type Rational, type VideoStream } from './probe.js';
export { needsRemux, remuxArguments } from './remux-arguments.js';
export { type Still, stillsArguments, stillsPlan } from './stills-arguments.js';
export { AUDIO_RATE, audioSamples, frameTime, isConstantRate, type Timing, timing } from './timing.js';
export { type RefusalCode, type Verdict, verdict } from './verdict.js';
