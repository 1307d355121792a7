import { ApiError } from '../../client/src/api/index.js';

/** Played, wherever in the video: less is a look. Of a shorter one nearly all; to drag it to its end plays nothing. */
const VIEW_SECONDS = 3;
const NEARLY_ALL = 0.9;
const EVENTS = ['timeupdate', 'ended'];

/**
 * Calls `tell` when the video is being watched: after some seconds of it, or nearly all of a shorter one. Once; again only while
 * nobody heard it and it plays on.
 * @returns how to stop
 */
export function tellOfView(video: HTMLVideoElement, tell: () => Promise<void>): () => void {
  let isOver = false;
  const look = () => {
    // What has no length yet, or no end, is not a short one.
    if (playedSeconds(video) < Math.min(VIEW_SECONDS, NEARLY_ALL * (video.duration || Infinity))) return;
    leave();
    // Whoever watches is not bothered with what became of it.
    tell().catch((error) => {
      if (error instanceof ApiError && error.code === 'OFFLINE' && !isOver) listen();
    });
  };
  const listen = () => {
    for (const name of EVENTS) video.addEventListener(name, look);
  };
  const leave = () => {
    for (const name of EVENTS) video.removeEventListener(name, look);
  };
  listen();
  return () => {
    isOver = true;
    leave();
  };
}

function playedSeconds({ played }: HTMLVideoElement): number {
  let seconds = 0;
  for (let part = 0; part < played.length; part++) seconds += played.end(part) - played.start(part);
  return seconds;
}
