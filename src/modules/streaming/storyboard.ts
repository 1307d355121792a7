/** One picture of tiles, each tile one moment of the video; tiles go from left to right, then down. */
export interface StoryboardSheet {
  readonly number: number;
  /** When the first tile's moment begins. */
  readonly atMs: number;
  /** Of one tile, in pixels. */
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly tiles: number;
  readonly intervalMs: number;
}

/**
 * The storyboard as WebVTT: each cue's text is the address of a sheet, relative to the track, with the tile as a spatial
 * media fragment (`#xywh=x,y,w,h`, pixels), which is what players read for previews on the seek bar.
 */
export function storyboardTrack(sheets: readonly StoryboardSheet[], durationMs: number): string {
  const cues: string[] = [];
  for (const sheet of sheets) {
    for (let tile = 0; tile < sheet.tiles; tile++) {
      const start = sheet.atMs + tile * sheet.intervalMs;
      const end = Math.min(start + sheet.intervalMs, durationMs);
      if (end <= start) continue;
      const x = (tile % sheet.columns) * sheet.width;
      const y = Math.floor(tile / sheet.columns) * sheet.height;
      cues.push(
        `${timestamp(start)} --> ${timestamp(end)}\nstoryboard/${sheet.number}.jpg#xywh=${x},${y},${sheet.width},${sheet.height}\n`,
      );
    }
  }
  return ['WEBVTT\n', ...cues].join('\n');
}

function timestamp(ms: number): string {
  const part = (value: number, digits = 2) => String(Math.floor(value)).padStart(digits, '0');
  return `${part(ms / 3_600_000)}:${part((ms / 60_000) % 60)}:${part((ms / 1000) % 60)}.${part(ms % 1000, 3)}`;
}
