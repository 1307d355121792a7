/** What a media address names, after the token and the video. */
export type MediaResource =
  | { readonly kind: 'master' }
  /** `planned`: with the rungs that have not begun yet. */
  | { readonly kind: 'manifest'; readonly planned: boolean }
  | { readonly kind: 'playlist'; readonly run: number; readonly rendition: string }
  | { readonly kind: 'keys'; readonly run: number; readonly rendition: string }
  | { readonly kind: 'init'; readonly run: number; readonly rendition: string }
  | { readonly kind: 'segment'; readonly run: number; readonly rendition: string; readonly number: number }
  | { readonly kind: 'still'; readonly run: number; readonly still: StillKind; readonly number: number }
  | { readonly kind: 'storyboard'; readonly run: number }
  | { readonly kind: 'download'; readonly run: number };

export type StillKind = 'POSTER' | 'THUMBNAIL' | 'STORYBOARD';

const STILL = /^r(\d{1,9})\/(poster|thumbnail|storyboard)\/(\d{1,6})\.jpg$/;
const TRACK_FILE = /^r(\d{1,9})\/([a-z0-9]{1,32})\/(?:(index\.m3u8|iframes\.m3u8|init\.mp4)|([1-9]\d{0,6})\.m4s)$/;
const OF_RUN = /^r(\d{1,9})\/(?:(storyboard\.vtt)|download\.mp4)$/;
const KINDS = { 'index.m3u8': 'playlist', 'iframes.m3u8': 'keys', 'init.mp4': 'init' } as const;

/** Null for anything that this server never hands out. */
export function mediaResource(path: string): MediaResource | null {
  if (path === 'master.m3u8') return { kind: 'master' };
  if (path === 'manifest.mpd' || path === 'planned.mpd') return { kind: 'manifest', planned: path === 'planned.mpd' };
  const ofRun = OF_RUN.exec(path);
  if (ofRun) return { kind: ofRun[2] ? 'storyboard' : 'download', run: Number(ofRun[1]) };
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
  return { kind: KINDS[file as keyof typeof KINDS], run: Number(run), rendition };
}

export function stillPath(run: number, still: StillKind, number: number): string {
  return `r${run}/${still.toLowerCase()}/${number}.jpg`;
}

/** @param file `index.m3u8`, `iframes.m3u8`, `init.mp4` or `<number>.m4s` */
export function trackPath(run: number, rendition: string, file: string): string {
  return `r${run}/${rendition}/${file}`;
}

export function downloadPath(run: number): string {
  return `r${run}/download.mp4`;
}
