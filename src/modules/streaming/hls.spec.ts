import { keyPlaylist, masterPlaylist, mediaPlaylist } from './hls.js';
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
  segmentCount: 3,
  segmentDuration: 120_120,
  totalDuration: 300_300,
  codecs: 'avc1.640015',
  started: true,
  measured: null,
  keyBytes: null,
};
const HIGHER: Track = {
  ...RUNG,
  name: '720p',
  address: '720p',
  width: 1280,
  height: 720,
  maxBitsPerSecond: 2_800_000,
  codecs: 'avc1.64001f',
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
  totalDuration: 480_480,
  codecs: 'mp4a.40.2',
};

function master(...tracks: Track[]): string {
  const found = listed(tracks);
  if (!found) throw new Error('nothing plays');
  return masterPlaylist(2, found);
}

describe('master playlist', () => {
  it('lists the lowest rung first, all with the same sound', () => {
    expect(master(RUNG, HIGHER, SOUND)).toBe(
      `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="audio",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="r2/audio/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=660000,CODECS="avc1.640015,mp4a.40.2",RESOLUTION=426x240,FRAME-RATE=29.970,AUDIO="audio",CLOSED-CAPTIONS=NONE
r2/240p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3660000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="audio",CLOSED-CAPTIONS=NONE
r2/720p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=160000,CODECS="mp4a.40.2",AUDIO="audio",CLOSED-CAPTIONS=NONE
r2/audio/index.m3u8
`,
    );
  });

  it('names no sound where there is none', () => {
    const text = master(RUNG);
    expect(text).not.toMatch(/audio|mp4a/i);
    expect(text).toContain('BANDWIDTH=500000,CODECS="avc1.640015",');
  });

  it('has the key frames of the lowest rung, once they are known', () => {
    const text = master({ ...RUNG, keyBytes: [8_008, 12_000, 5_005] }, { ...HIGHER, keyBytes: [1, 1, 1] }, SOUND);
    expect(text.split('\n').at(-2)).toBe(
      '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=23977,CODECS="avc1.640015",RESOLUTION=426x240,URI="r2/240p/iframes.m3u8"',
    );
    expect(text.match(/I-FRAME-STREAM-INF/g)).toHaveLength(1);
    // A last one that stands for an instant is no rate that anybody sees.
    const short = { ...RUNG, totalDuration: 241_241, keyBytes: [8_008, 12_000, 5_005] };
    expect(master(short)).toContain('#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=23977,');
  });

  it('tells measured rates once both picture and sound are measured', () => {
    const measuredRung = { ...RUNG, measured: { peakBitsPerSecond: 450_000, averageBitsPerSecond: 310_000 } };
    const measuredSound = { ...SOUND, measured: { peakBitsPerSecond: 131_000, averageBitsPerSecond: 128_500 } };
    expect(master(measuredRung, SOUND)).not.toContain('AVERAGE-BANDWIDTH');
    expect(master(measuredRung, measuredSound)).toContain('BANDWIDTH=581000,AVERAGE-BANDWIDTH=438500,');
  });
});

describe('media playlist', () => {
  it('is complete from the first second', () => {
    expect(mediaPlaylist(RUNG)).toBe(`#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4"
#EXTINF:4.004000,
1.m4s
#EXTINF:4.004000,
2.m4s
#EXTINF:2.002000,
3.m4s
#EXT-X-ENDLIST
`);
  });

  it('stays within the target duration as RFC 8216 rounds, and adds up', () => {
    const text = mediaPlaylist({ ...SOUND, segmentDuration: 192_000, segmentCount: 5, totalDuration: 960_000 });
    const durations = [...text.matchAll(/#EXTINF:([\d.]+),/g)].map(([, seconds]) => Number(seconds));
    const target = Number(/TARGETDURATION:(\d+)/.exec(text)?.[1]);
    expect(durations).toHaveLength(5);
    expect(durations[0]).toBe(4.010667);
    for (const duration of durations) expect(Math.round(duration)).toBeLessThanOrEqual(target);
    expect(durations.reduce((sum, duration) => sum + duration, 0)).toBeCloseTo(20, 4);
  });

  it('has a target of one second at least', () => {
    expect(mediaPlaylist({ ...RUNG, segmentCount: 1, totalDuration: 1001 })).toContain('#EXT-X-TARGETDURATION:1\n');
  });
});

describe('I-frame playlist', () => {
  it('gives of each segment the range with its first picture', () => {
    expect(keyPlaylist({ ...RUNG, keyBytes: [8_008, 12_000, 5_005] })).toBe(`#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4"
#EXT-X-I-FRAMES-ONLY
#EXTINF:4.004000,
#EXT-X-BYTERANGE:8008@0
1.m4s
#EXTINF:4.004000,
#EXT-X-BYTERANGE:12000@0
2.m4s
#EXTINF:2.002000,
#EXT-X-BYTERANGE:5005@0
3.m4s
#EXT-X-ENDLIST
`);
  });

  it('is not there while ranges are missing', () => {
    expect(keyPlaylist(RUNG)).toBeNull();
  });
});
