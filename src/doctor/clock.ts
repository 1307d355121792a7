/** NTP keeps machines within a fraction of a second; HTTP tells whole seconds. */
export const MOST_SKEW_MS = 5_000;

/** `Its clock is 2 h 0 min ahead of the one here.` */
export function skewInWords(milliseconds: number): string {
  const seconds = Math.round(Math.abs(milliseconds) / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const long =
    hours > 0 ? `${hours} h ${minutes} min` : minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
  return `Its clock is ${long} ${milliseconds > 0 ? 'ahead of' : 'behind'} the one here.`;
}
