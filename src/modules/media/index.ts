export {
  AUDIO_INIT,
  AUDIO_PLAYLIST,
  audioArguments,
  audioPlan,
  finishedAudio,
} from './audio-arguments.js';
export { type ByteSource, withFile } from './boxes.js';
export { readContainer } from './container.js';
export { DOWNLOAD_FILE, downloadArguments } from './download-arguments.js';
export { examine } from './examine.js';
export { FfmpegEngine, findMediaPrograms } from './ffmpeg-engine.js';
export {
  type FragmentedFile,
  type Init,
  initOf,
  MalformedFragments,
  readFragments,
} from './fragments.js';
export { IMAGE_OUTPUT, imageArguments } from './image-arguments.js';
export { type ImageFile, readImage } from './image-file.js';
export { MediaModule } from './media.module.js';
export {
  type Haste,
  MediaEngine,
  type MediaProgress,
  MediaRunError,
} from './media-engine.js';
export { NEEDED_PARTS } from './needed-parts.js';
export { ALL_PACKETS_BYTES } from './packets.js';
export { type CopyCandidate, copyArguments, hasPlainKeys, whyNotCopy } from './picture-copy.js';
export { pieceArguments, pieceWindow, type Rung } from './piece-arguments.js';
export {
  type CheckResult,
  checkAudio,
  checkPiece,
  checkSegments,
  damagedFrames,
} from './piece-check.js';
export { MAX_PIXELS, mainAudio, type Probe } from './probe.js';
export { needsRemux, remuxArguments } from './remux-arguments.js';
export {
  firstShown,
  openingSpans,
  pictureSpans,
  readSampleIndex,
  type SampleIndex,
  soundSpans,
} from './sample-index.js';
export { type Still, stillsArguments, stillsPlan } from './stills-arguments.js';
export { AUDIO_RATE, audioSamples, frameTime, isConstantRate, type Timing, timing } from './timing.js';
export { type RefusalCode, type Verdict, verdict } from './verdict.js';
