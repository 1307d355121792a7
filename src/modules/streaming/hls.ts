import { trackPath } from './media-resource.js';
import { type Listed, peakBitsPerSecond, segmentDurations, type Track } from './presentation.js';

const VERSION = 7;
const AUDIO_GROUP = 'audio';
/** Without it Shaka looks for captions in the middle and in the last segment before it begins, and those may be far from made. */
const NO_CAPTIONS = { 'CLOSED-CAPTIONS': 'NONE' };

/**
 * Multivariant playlist (RFC 8216, 4.3.4): one variant a rung, the lowest first, all with the same sound; then the sound
 * alone, and the lowest rung's key frames once they are all there.
 */
export function masterPlaylist(run: number, { video, audio }: Listed): string {
  const sound = audio[0];
  const lines = ['#EXTM3U', `#EXT-X-VERSION:${VERSION}`, '#EXT-X-INDEPENDENT-SEGMENTS'];
  for (const track of audio) {
    const isDefault = track === sound ? 'YES' : 'NO';
    lines.push(
      `#EXT-X-MEDIA:${attributes({
        TYPE: 'AUDIO',
        'GROUP-ID': quoted(AUDIO_GROUP),
        NAME: quoted(track.name),
        DEFAULT: isDefault,
        AUTOSELECT: 'YES',
        CHANNELS: quoted('2'),
        URI: quoted(trackPath(run, track.address, 'index.m3u8')),
      })}`,
    );
  }
  for (const track of video) {
    lines.push(
      `#EXT-X-STREAM-INF:${attributes({
        BANDWIDTH: peakBitsPerSecond(track) + (sound ? peakBitsPerSecond(sound) : 0),
        'AVERAGE-BANDWIDTH': averageBitsPerSecond(track, sound),
        CODECS: quoted([track.codecs, sound?.codecs].filter(Boolean).join(',')),
        RESOLUTION: resolution(track),
        'FRAME-RATE': track.frameRate && (track.frameRate.num / track.frameRate.den).toFixed(3),
        AUDIO: sound && quoted(AUDIO_GROUP),
        ...NO_CAPTIONS,
      })}`,
      trackPath(run, track.address, 'index.m3u8'),
    );
  }
  // For links that carry no picture. Players that have both drop it, or come to it last: it stands behind all rungs.
  if (sound) {
    lines.push(
      `#EXT-X-STREAM-INF:${attributes({
        BANDWIDTH: peakBitsPerSecond(sound),
        'AVERAGE-BANDWIDTH': sound.measured?.averageBitsPerSecond,
        CODECS: quoted(sound.codecs ?? ''),
        AUDIO: quoted(AUDIO_GROUP),
        ...NO_CAPTIONS,
      })}`,
      trackPath(run, sound.address, 'index.m3u8'),
    );
  }
  const [lowest] = video;
  if (lowest?.keyBytes) {
    lines.push(
      `#EXT-X-I-FRAME-STREAM-INF:${attributes({
        BANDWIDTH: peakOfKeys(lowest, lowest.keyBytes),
        CODECS: quoted(lowest.codecs ?? ''),
        RESOLUTION: resolution(lowest),
        URI: quoted(trackPath(run, lowest.address, 'iframes.m3u8')),
      })}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Media playlist of the whole track (RFC 8216, 4.3.3), complete from the first second: every segment is listed, also those
 * that are still to be made.
 */
export function mediaPlaylist(track: Track): string {
  const seconds = secondsOf(track);
  const lines = head(seconds);
  seconds.forEach((duration, index) => {
    lines.push(`#EXTINF:${duration.toFixed(6)},`, `${index + 1}.m4s`);
  });
  return `${lines.join('\n')}\n#EXT-X-ENDLIST\n`;
}

/**
 * I-frame playlist (RFC 8216, 4.3.3.6): of each segment the range that holds its first key frame and no other, for previews and
 * for winding. Null until all segments are there, since only then the ranges are known.
 */
export function keyPlaylist(track: Track): string | null {
  const { keyBytes } = track;
  if (!keyBytes) return null;
  const seconds = secondsOf(track);
  const lines = [...head(seconds), '#EXT-X-I-FRAMES-ONLY'];
  seconds.forEach((duration, index) => {
    lines.push(`#EXTINF:${duration.toFixed(6)},`, `#EXT-X-BYTERANGE:${keyBytes[index]}@0`, `${index + 1}.m4s`);
  });
  return `${lines.join('\n')}\n#EXT-X-ENDLIST\n`;
}

function head(seconds: readonly number[]): string[] {
  const longest = seconds.reduce((longest, duration) => Math.max(longest, duration), 0);
  return [
    '#EXTM3U',
    `#EXT-X-VERSION:${VERSION}`,
    // Rounded, as RFC 8216 compares: 4.010667 s is within a target of 4.
    `#EXT-X-TARGETDURATION:${Math.max(1, Math.round(longest))}`,
    '#EXT-X-MEDIA-SEQUENCE:1',
    '#EXT-X-PLAYLIST-TYPE:VOD',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    '#EXT-X-MAP:URI="init.mp4"',
  ];
}

function secondsOf(track: Track): number[] {
  return segmentDurations(track).map((duration) => duration / track.timescale);
}

/** The highest rate of any key frame over the time that it stands for. A last one for an instant does not count. */
function peakOfKeys(track: Track, keyBytes: readonly number[]): number {
  const seconds = secondsOf(track);
  const rates = seconds.map((length, index) => Math.ceil(((keyBytes[index] ?? 0) * 8) / length));
  const counting = rates.filter((_, index) => (seconds[index] ?? 0) * 2 >= (seconds[0] ?? 0));
  return counting.reduce((highest, rate) => Math.max(highest, rate), 0);
}

function resolution({ width, height }: Track): string | null {
  return width && height ? `${width}x${height}` : null;
}

function averageBitsPerSecond(track: Track, sound: Track | undefined): number | null {
  if (!track.measured || (sound && !sound.measured)) return null;
  return track.measured.averageBitsPerSecond + (sound?.measured?.averageBitsPerSecond ?? 0);
}

function attributes(values: Record<string, string | number | null | undefined>): string {
  return Object.entries(values)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}

function quoted(value: string): string {
  return `"${value}"`;
}
