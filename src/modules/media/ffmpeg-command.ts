/** What one ffmpeg run reads and writes. Pure builders make it; the engine alone starts it, and puts its guard before each input. */
export interface FfmpegCommand {
  readonly inputs: readonly { readonly options: readonly string[]; readonly path: string }[];
  /** A path relative to the job's work directory: what a store's path holds (`%`, `:`) cannot become a pattern or a protocol. */
  readonly outputs: readonly { readonly options: readonly string[]; readonly path: string }[];
}

/** Before the first input: quiet on the terminal, talkative in the log (the frame rate filter's count is printed at this level only), progress on stdout. */
export const GLOBAL: readonly string[] = [
  ...['-nostdin', '-hide_banner', '-v', 'verbose', '-nostats', '-progress', 'pipe:1', '-stats_period', '1'],
  ...['-filter_complex_threads', '1'],
];

/** Nothing of the source's metadata, and nothing of the encoder's version: the same piece is the same bytes anywhere. */
export const CLEAN_OUTPUT: readonly string[] = ['-map_metadata', '-1', '-map_chapters', '-1', '-fflags', '+bitexact'];

/** Seconds to the microsecond, never in exponent form. */
export function decimal(seconds: number): string {
  return seconds.toFixed(6).replace(/\.?0+$/, '');
}
