import { useEffect, useRef } from 'react';
import { spread, tilesOf } from './storyboard.js';

/** A pointer that only passes asks for nothing. */
const INTENT_MS = 300;
const FRAMES = 10;
/** With so many, it is over in 5 s: what moves for longer has to have a button that stops it. */
const FRAME_MS = 500;

/** Not for who wants things to stand still, nor for who counts their bytes. */
export function mayPreview(): boolean {
  const { connection } = navigator as Navigator & { connection?: { saveData?: boolean } };
  return !connection?.saveData && !window.matchMedia('(prefers-reduced-motion: reduce)').matches;
}

/** Runs through the video once, in some pictures of its storyboard, and leaves the poster. */
export function Preview({ address }: { address: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const over = new AbortController();
    const shown = canvas.current;
    if (!shown) return;
    // What cannot be shown, as with an address that has ended, is not missed: the poster is behind it.
    const hide = () => {
      shown.hidden = true;
    };
    void run(address, shown, over.signal).then(hide, hide);
    return () => over.abort();
  }, [address]);
  return (
    <div aria-hidden="true">
      <canvas ref={canvas} className="preview" hidden />
    </div>
  );
}

async function run(address: string, canvas: HTMLCanvasElement, signal: AbortSignal): Promise<void> {
  await pause(INTENT_MS, signal);
  const response = await fetch(address, { signal });
  if (!response.ok) return;
  for (const { sheet, x, y, width, height } of spread(tilesOf(await response.text(), address), FRAMES)) {
    const image = new Image();
    image.src = sheet;
    await image.decode();
    signal.throwIfAborted();
    Object.assign(canvas, { width, height, hidden: false });
    canvas.getContext('2d')?.drawImage(image, x, y, width, height, 0, 0, width, height);
    await pause(FRAME_MS, signal);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
