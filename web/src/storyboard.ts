/** One picture of a storyboard: a part of a sheet. */
export interface Tile {
  readonly sheet: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** In the order of a WebVTT track whose cues name them (`#xywh=`), with addresses that are resolved against its own. */
export function tilesOf(track: string, address: string): Tile[] {
  return [...track.matchAll(/^(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)$/gm)].map(([, path, x, y, width, height]) => ({
    sheet: new URL(path ?? '', address).href,
    x: Number(x),
    y: Number(y),
    width: Number(width),
    height: Number(height),
  }));
}

/** At most `most` of them, evenly spread, from the first on. */
export function spread<Item>(items: readonly Item[], most: number): Item[] {
  const step = Math.max(1, items.length / most);
  return items.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
}
