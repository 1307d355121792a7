/** Played, wherever in the video: less is a look. */
const VIEW_SECONDS = 3;

/** Calls `tell` once, when the video is being watched: after some seconds of it, or at the end of a shorter one. @returns how to stop */
export function tellOfView(video: HTMLVideoElement, tell: () => Promise<void>): () => void {
  const look = () => {
    if (!video.ended && playedSeconds(video) < VIEW_SECONDS) return;
    stop();
    // Whoever watches is not bothered with what became of it.
    tell().catch(() => undefined);
  };
  const stop = () => {
    for (const name of EVENTS) video.removeEventListener(name, look);
  };
  for (const name of EVENTS) video.addEventListener(name, look);
  return stop;
}

const EVENTS = ['timeupdate', 'ended'];

function playedSeconds({ played }: HTMLVideoElement): number {
  let seconds = 0;
  for (let part = 0; part < played.length; part++) seconds += played.end(part) - played.start(part);
  return seconds;
}
