import { messageOf } from './page.js';
import { live, request } from './session.js';

export type VideoState = 'UPLOADING' | 'PROCESSING' | 'PLAYABLE' | 'READY' | 'FAILED' | 'BLOCKED';

export const STATE_WORDS: Record<VideoState, string> = {
  UPLOADING: 'Uploading',
  PROCESSING: 'Processing',
  PLAYABLE: 'Playable, better quality follows',
  READY: 'Ready',
  FAILED: 'Failed',
  BLOCKED: 'Blocked',
};

export const STAGE_WORDS: Record<string, string> = {
  QUEUED: 'Waiting for its turn',
  PROBING: 'Looking at the file',
  SCANNING: 'Checking for malware',
  ENCODING: 'Encoding',
  PUBLISHING: 'Publishing',
  DONE: 'Done',
  FAILED: 'Failed',
};

interface Failure {
  code: string;
  message: string;
  retryable: boolean;
}
export interface Playback {
  hlsUrl: string;
  dashUrl: string;
  posterUrl: string | null;
  expiresAt: string | null;
}
export interface Upload {
  id: string;
  state: string;
  progress: number;
  sizeBytes: number;
  committedBytes: number;
  secondsLeft: number | null;
  pausedAt: string | null;
  failure: Failure | null;
}
/** What changes while a video is made. */
export interface Progress {
  title: string;
  state: VideoState;
  failure: Failure | null;
  processing: { stage: string; progress: number; secondsLeft: number | null } | null;
  renditions: { name: string; state: string }[];
}
export interface Video extends Progress {
  description: string;
  visibility: string;
  channel: { name: string; handle: string };
  storyboardUrl: string | null;
  playback: Playback | null;
  uploadSession: Upload | null;
}

const PROGRESS = `title state failure { code message retryable } processing { stage progress secondsLeft } renditions { name state }`;
const PLAYBACK = `playback { hlsUrl dashUrl posterUrl expiresAt } storyboardUrl`;
const UPLOAD = `id state progress sizeBytes committedBytes secondsLeft pausedAt failure { code message retryable }`;

/** Null when it is missing, or not for this viewer. */
export async function fetchVideo(id: string): Promise<Video | null> {
  const { video } = await request<{ video: Video | null }>(
    `query Watch($id: ID!) { video(id: $id) {
      description visibility channel { name handle } ${PROGRESS} ${PLAYBACK} uploadSession { ${UPLOAD} } } }`,
    { id },
  );
  return video;
}

/** Addresses that are good for longer. */
export async function fetchPlayback(id: string): Promise<Pick<Video, 'playback' | 'storyboardUrl'>> {
  const { video } = await request<{ video: Pick<Video, 'playback' | 'storyboardUrl'> | null }>(
    `query Playback($id: ID!) { video(id: $id) { ${PLAYBACK} } }`,
    { id },
  );
  return video ?? { playback: null, storyboardUrl: null };
}

export async function* videoProgress(videoId: string, signal: AbortSignal): AsyncGenerator<Progress> {
  const stream = live<{ videoProgress: Progress }>(
    `subscription Progress($videoId: ID!) { videoProgress(videoId: $videoId) { ${PROGRESS} } }`,
    { videoId },
    signal,
  );
  for await (const { videoProgress } of stream) yield videoProgress;
}

export async function* uploadProgress(sessionId: string, signal: AbortSignal): AsyncGenerator<Upload> {
  const stream = live<{ uploadProgress: Upload }>(
    `subscription Upload($sessionId: ID!) { uploadProgress(sessionId: $sessionId) { ${UPLOAD} } }`,
    { sessionId },
    signal,
  );
  for await (const { uploadProgress } of stream) yield uploadProgress;
}

export const plays = (video: { state: VideoState }) => video.state === 'PLAYABLE' || video.state === 'READY';
export const settled = (video: { state: VideoState }) => ['READY', 'FAILED', 'BLOCKED'].includes(video.state);
/** How many rungs a manifest would list now. */
export const rungs = (video: Progress) =>
  video.renditions.filter(({ state }) => ['PLAYABLE', 'READY'].includes(state)).length;

/** Reads a stream into `take` until the returned function is called. The socket below comes back by itself after a cut. */
export function follow<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  take: (value: T) => void,
  tell: (problem: string) => void,
): () => void {
  const controller = new AbortController();
  const read = async () => {
    for await (const value of open(controller.signal)) {
      if (controller.signal.aborted) return;
      take(value);
    }
  };
  read().catch((error) => {
    if (!controller.signal.aborted) tell(messageOf(error));
  });
  return () => controller.abort();
}
