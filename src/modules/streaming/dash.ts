import { trackPath } from './media-resource.js';
import { type Listed, peakBitsPerSecond, segmentDurations, type Track } from './presentation.js';

/** Static MPD (ISO/IEC 23009-1, live profile of numbered segments) over the same segments as HLS. */
export function dashManifest(run: number, { video, audio }: Listed): string {
  const longest = Math.max(...video.map((track) => track.totalDuration / track.timescale));
  return `<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static"${attributes({
    mediaPresentationDuration: `PT${longest.toFixed(6)}S`,
    minBufferTime: 'PT2S',
  })}>
  <Period id="0" start="PT0S">
${adaptationSet(0, 'video', run, video)}${adaptationSet(1, 'audio', run, audio)}  </Period>
</MPD>
`;
}

function adaptationSet(id: number, contentType: 'video' | 'audio', run: number, tracks: readonly Track[]): string {
  if (tracks.length === 0) return '';
  return `    <AdaptationSet${attributes({
    id,
    contentType,
    mimeType: `${contentType}/mp4`,
    segmentAlignment: 'true',
    startWithSAP: 1,
  })}>
${tracks.map((track) => representation(run, track)).join('')}    </AdaptationSet>
`;
}

function representation(run: number, track: Track): string {
  const stereo =
    '        <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2"/>\n';
  return `      <Representation${attributes({
    id: track.name,
    bandwidth: peakBitsPerSecond(track),
    codecs: track.codecs,
    width: track.width,
    height: track.height,
    sar: track.kind === 'VIDEO' ? '1:1' : null,
    frameRate: track.frameRate && `${track.frameRate.num}/${track.frameRate.den}`,
    audioSamplingRate: track.kind === 'AUDIO' ? track.timescale : null,
  })}>
${track.kind === 'AUDIO' ? stereo : ''}        <SegmentTemplate${attributes({
    timescale: track.timescale,
    startNumber: 1,
    initialization: trackPath(run, track.address, 'init.mp4'),
    media: trackPath(run, track.address, '$Number$.m4s'),
  })}>
          <SegmentTimeline>
${timeline(track)}          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
`;
}

/** One `S` for each stretch of equal durations; `r` counts the repeats after the first. */
function timeline(track: Track): string {
  const runs: { duration: number; count: number }[] = [];
  for (const duration of segmentDurations(track)) {
    const last = runs.at(-1);
    if (last?.duration === duration) last.count++;
    else runs.push({ duration, count: 1 });
  }
  return runs
    .map(({ duration, count }, index) => {
      const start = index === 0 ? 0 : null;
      return `            <S${attributes({ t: start, d: duration, r: count > 1 ? count - 1 : null })}/>\n`;
    })
    .join('');
}

function attributes(values: Record<string, string | number | null>): string {
  return Object.entries(values)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => ` ${name}="${escaped(String(value))}"`)
    .join('');
}

function escaped(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
