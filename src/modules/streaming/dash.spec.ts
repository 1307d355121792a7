import { dashManifest } from './dash.js';
import { listed, type Track } from './presentation.js';

const RUNG: Track = {
  name: '240p',
  address: '240p',
  kind: 'VIDEO',
  width: 426,
  height: 240,
  frameRate: { num: 30_000, den: 1001 },
  timescale: 30_000,
  maxBitsPerSecond: 400_000,
  segmentCount: 5,
  segmentDuration: 120_120,
  totalDuration: 599 * 1001,
  codecs: 'avc1.640015',
  started: true,
  measured: null,
  keyBytes: null,
};
const SOUND: Track = {
  ...RUNG,
  name: 'audio',
  address: 'audio',
  kind: 'AUDIO',
  width: null,
  height: null,
  frameRate: null,
  timescale: 48_000,
  maxBitsPerSecond: 128_000,
  segmentDuration: 192_192,
  totalDuration: 959_359,
  codecs: 'mp4a.40.2',
};

function manifest(...tracks: Track[]): string {
  const found = listed(tracks);
  if (!found) throw new Error('nothing plays');
  return dashManifest(3, found);
}

describe('MPD', () => {
  it('is static and gives every exact time', () => {
    expect(manifest(RUNG, SOUND)).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static" mediaPresentationDuration="PT19.986633S" minBufferTime="PT2S">
  <Period id="0" start="PT0S">
    <AdaptationSet id="0" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">
      <Representation id="240p" bandwidth="500000" codecs="avc1.640015" width="426" height="240" sar="1:1" frameRate="30000/1001">
        <SegmentTemplate timescale="30000" startNumber="1" initialization="r3/240p/init.mp4" media="r3/240p/$Number$.m4s">
          <SegmentTimeline>
            <S t="0" d="120120" r="3"/>
            <S d="119119"/>
          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
    <AdaptationSet id="1" contentType="audio" mimeType="audio/mp4" segmentAlignment="true" startWithSAP="1">
      <Representation id="audio" bandwidth="160000" codecs="mp4a.40.2" audioSamplingRate="48000">
        <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2"/>
        <SegmentTemplate timescale="48000" startNumber="1" initialization="r3/audio/init.mp4" media="r3/audio/$Number$.m4s">
          <SegmentTimeline>
            <S t="0" d="192512" r="2"/>
            <S d="191488"/>
            <S d="190335"/>
          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
  </Period>
</MPD>
`);
  });

  it('has no audio set for a silent video, and one representation a rung', () => {
    const text = manifest(RUNG, { ...RUNG, name: '360p', address: '360pv2', width: 640, height: 360 });
    expect(text).not.toContain('audio');
    // A rung that was made anew is the same rung at other addresses.
    expect(text).toContain('initialization="r3/360pv2/init.mp4" media="r3/360pv2/$Number$.m4s"');
    expect([...text.matchAll(/<Representation id="(\w+)"/g)].map(([, id]) => id)).toEqual(['240p', '360p']);
  });

  it('lets no value break the document', () => {
    expect(manifest({ ...RUNG, codecs: 'a"<&' })).toContain('codecs="a&quot;&lt;&amp;"');
  });
});
