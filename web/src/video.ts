import { messageOf } from './page.js';
import type { Rung } from './quality-menu.js';
import { live, request, type UserError } from './session.js';

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
  plannedDashUrl: string;
  mp4Url: string | null;
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
  renditions: Rendition[];
}
export interface Rendition {
  name: string;
  state: string;
  progress: number;
}
export interface Video extends Progress {
  description: string;
  visibility: string;
  publishedAt: string | null;
  tags: string[];
  viewCount: number;
  likeCount: number;
  viewerHasLiked: boolean;
  viewerCanEdit: boolean;
  channel: VideoChannel;
  storyboardUrl: string | null;
  playback: Playback | null;
  uploadSession: Upload | null;
}

export interface VideoChannel {
  id: string;
  name: string;
  handle: string;
  avatarUrl: string | null;
  bannerUrl: string | null;
  subscriberCount: number;
  viewerSubscription: { notify: 'ALL' | 'HIGHLIGHTS' | 'NONE' } | null;
}

const CHANNEL = `channel { id name handle avatarUrl bannerUrl subscriberCount viewerSubscription { notify } }`;
const MAKING = `failure { code message retryable } processing { stage progress secondsLeft } renditions { name state progress }`;
const PLAYBACK = `playback { hlsUrl plannedDashUrl mp4Url posterUrl expiresAt } storyboardUrl`;
const AGAIN_MS = 2_000;
const UPLOAD = `id state progress sizeBytes committedBytes secondsLeft pausedAt failure { code message retryable }`;

/** Null when it is missing, or not for this viewer. */
export async function fetchVideo(id: string): Promise<Video | null> {
  const { video } = await request<{ video: Video | null }>(
    `query Watch($id: ID!) { video(id: $id) {
      description visibility publishedAt tags viewCount likeCount viewerHasLiked viewerCanEdit ${CHANNEL} title state ${MAKING} ${PLAYBACK} uploadSession { ${UPLOAD} } } }`,
    { id },
  );
  return video;
}

/** Addresses that are good for longer. Null when it is missing, or not for this viewer. */
export async function fetchPlayback(id: string): Promise<Pick<Video, 'playback' | 'storyboardUrl'> | null> {
  const { video } = await request<{ video: Pick<Video, 'playback' | 'storyboardUrl'> | null }>(
    `query Playback($id: ID!) { video(id: $id) { ${PLAYBACK} } }`,
    { id },
  );
  return video;
}

/**
 * Has a rung made that is ON_DEMAND.
 * @returns how far it is
 * @throws whose message says why it is not made
 */
export async function requestRendition(videoId: string, name: string): Promise<Rendition> {
  const { asked } = await request<{ asked: { rendition: Rendition | null; userErrors: UserError[] } }>(
    `mutation ($input: RequestRenditionInput!) { asked: requestRendition(input: $input) {
      rendition { name state progress } userErrors { code message field } } }`,
    { input: { videoId, name } },
  );
  if (!asked.rendition) throw new Error(asked.userErrors.map(({ message }) => message).join(' '));
  return asked.rendition;
}

/** Ends when it is missing, or not for this viewer any more. */
export const videoProgress = (videoId: string, signal: AbortSignal) =>
  states<Progress>(`title state ${MAKING}`, videoId, signal);

/** As `videoProgress`, of a video that is made: nobody counts its segments for each of its viewers. */
export const videoState = (videoId: string, signal: AbortSignal) =>
  states<Pick<Progress, 'title' | 'state'>>('title state', videoId, signal);

async function* states<T>(fields: string, videoId: string, signal: AbortSignal): AsyncGenerator<T> {
  const stream = live<{ videoProgress: T }>(
    `subscription Progress($videoId: ID!) { videoProgress(videoId: $videoId) { ${fields} } }`,
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
/** Nothing of it is being made, or will be by itself. */
export const settled = ({ state, renditions }: Progress) =>
  ['READY', 'FAILED', 'BLOCKED'].includes(state) &&
  renditions.every(({ state }) => ['READY', 'FAILED', 'ON_DEMAND'].includes(state));
export const isSending = (upload: Upload | null) => upload !== null && ['OPEN', 'COMPLETING'].includes(upload.state);

/**
 * What the viewer may choose from, the lowest first. Of what is being made, a rung plays that is made as far as the lowest:
 * others would be waited for. So what is made on demand plays once all of it is there.
 */
export function offered({ renditions }: Progress): Rung[] {
  const lowest = renditions[0]?.progress ?? 0;
  return renditions
    .filter(({ state }) => state !== 'FAILED')
    .map((rendition) => ({
      name: rendition.name,
      playable: rendition.state === 'READY' || (rendition.state === 'PLAYABLE' && rendition.progress >= lowest),
      note: noteOf(rendition),
    }));
}

const NOTES: Record<string, string> = {
  ON_DEMAND: 'made when chosen',
  PENDING: 'waiting',
  READY: '',
  FAILED: 'failed',
};
export const noteOf = ({ state, progress }: Rendition) => NOTES[state] ?? percent(progress);

export const percent = (share: number) => `${Math.floor(share * 100)} %`;

/**
 * Reads a stream into `take` until the returned function is called. The socket below comes back by itself after a cut. One that
 * ends is told to `ended`, and read again: a server that goes away ends what it sent, too.
 */
export function follow<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  take: (value: T) => void,
  tell: (problem: string) => void,
  ended?: () => Promise<void>,
): () => void {
  const controller = new AbortController();
  const read = async () => {
    do {
      for await (const value of open(controller.signal)) {
        if (controller.signal.aborted) return;
        take(value);
      }
      if (!controller.signal.aborted) await ended?.();
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    } while (ended && !controller.signal.aborted);
  };
  read().catch((error) => {
    if (!controller.signal.aborted) tell(messageOf(error));
  });
  return () => controller.abort();
}
