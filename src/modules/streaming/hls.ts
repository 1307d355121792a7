import { trackPath } from './media-resource.js';
import { type Listed, peakBitsPerSecond, segmentDurations, type Track } from './presentation.js';

const VERSION = 7;
const AUDIO_GROUP = 'audio';

/** Multivariant playlist (RFC 8216, 4.3.4): one variant a rung, the lowest first, all with the same sound. */
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
        URI: quoted(trackPath(run, track.name, 'index.m3u8')),
      })}`,
    );
  }
  for (const track of video) {
    const average = averageBitsPerSecond(track, sound);
    lines.push(
      `#EXT-X-STREAM-INF:${attributes({
        BANDWIDTH: peakBitsPerSecond(track) + (sound ? peakBitsPerSecond(sound) : 0),
        'AVERAGE-BANDWIDTH': average,
        CODECS: quoted([track.codecs, sound?.codecs].filter(Boolean).join(',')),
        RESOLUTION: track.width && track.height ? `${track.width}x${track.height}` : null,
        'FRAME-RATE': track.frameRate && (track.frameRate.num / track.frameRate.den).toFixed(3),
        AUDIO: sound && quoted(AUDIO_GROUP),
      })}`,
      trackPath(run, track.name, 'index.m3u8'),
    );
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Media playlist of the whole track (RFC 8216, 4.3.3), complete from the first second: every segment is listed, also those
 * that are still to be made.
 */
export function mediaPlaylist(track: Track): string {
  const seconds = segmentDurations(track).map((duration) => duration / track.timescale);
  const longest = seconds.reduce((longest, duration) => Math.max(longest, duration), 0);
  const lines = [
    '#EXTM3U',
    `#EXT-X-VERSION:${VERSION}`,
    // Rounded, as RFC 8216 compares: 4.010667 s is within a target of 4.
    `#EXT-X-TARGETDURATION:${Math.max(1, Math.round(longest))}`,
    '#EXT-X-MEDIA-SEQUENCE:1',
    '#EXT-X-PLAYLIST-TYPE:VOD',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    '#EXT-X-MAP:URI="init.mp4"',
  ];
  seconds.forEach((duration, index) => {
    lines.push(`#EXTINF:${duration.toFixed(6)},`, `${index + 1}.m4s`);
  });
  return `${lines.join('\n')}\n#EXT-X-ENDLIST\n`;
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
