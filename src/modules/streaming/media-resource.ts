/** What a media address names, after the token and the video. */
export type MediaResource =
  | { readonly kind: 'master' }
  | { readonly kind: 'manifest' }
  | { readonly kind: 'playlist'; readonly run: number; readonly rendition: string }
  | { readonly kind: 'init'; readonly run: number; readonly rendition: string }
  | { readonly kind: 'segment'; readonly run: number; readonly rendition: string; readonly number: number }
  | { readonly kind: 'still'; readonly run: number; readonly still: StillKind; readonly number: number }
  | { readonly kind: 'storyboard'; readonly run: number };

export type StillKind = 'POSTER' | 'THUMBNAIL' | 'STORYBOARD';

const STILL = /^r(\d{1,9})\/(poster|thumbnail|storyboard)\/(\d{1,6})\.jpg$/;
const TRACK_FILE = /^r(\d{1,9})\/([a-z0-9]{1,32})\/(?:(index\.m3u8|init\.mp4)|([1-9]\d{0,6})\.m4s)$/;
const STORYBOARD = /^r(\d{1,9})\/storyboard\.vtt$/;

/** Null for anything that this server never hands out. */
export function mediaResource(path: string): MediaResource | null {
  if (path === 'master.m3u8') return { kind: 'master' };
  if (path === 'manifest.mpd') return { kind: 'manifest' };
  const storyboard = STORYBOARD.exec(path);
  if (storyboard) return { kind: 'storyboard', run: Number(storyboard[1]) };
  const [, stillRun, still, stillNumber] = STILL.exec(path) ?? [];
  if (still) {
    return {
      kind: 'still',
      run: Number(stillRun),
      still: still.toUpperCase() as StillKind,
      number: Number(stillNumber),
    };
  }
  const [, run, rendition, file, number] = TRACK_FILE.exec(path) ?? [];
  if (!rendition) return null;
  if (number) return { kind: 'segment', run: Number(run), rendition, number: Number(number) };
  return { kind: file === 'init.mp4' ? 'init' : 'playlist', run: Number(run), rendition };
}

export function stillPath(run: number, still: StillKind, number: number): string {
  return `r${run}/${still.toLowerCase()}/${number}.jpg`;
}

/** @param file `index.m3u8`, `init.mp4` or `<number>.m4s` */
export function trackPath(run: number, rendition: string, file: string): string {
  return `r${run}/${rendition}/${file}`;
}
