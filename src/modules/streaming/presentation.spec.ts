import { expectedCodecs, listed, peakBitsPerSecond, planned, segmentDurations, type Track } from './presentation.js';

const VIDEO: Track = {
  name: '360p',
  address: '360p',
  kind: 'VIDEO',
  width: 640,
  height: 360,
  frameRate: { num: 30, den: 1 },
  timescale: 15360,
  maxBitsPerSecond: 800_000,
  segmentCount: 3,
  segmentDuration: 61_440,
  totalDuration: 10.5 * 15360,
  codecs: 'avc1.64001e',
  started: true,
  measured: null,
  keyBytes: null,
};
const AUDIO: Track = {
  ...VIDEO,
  name: 'audio',
  address: 'audio',
  kind: 'AUDIO',
  width: null,
  height: null,
  frameRate: null,
  timescale: 48000,
  maxBitsPerSecond: 128_000,
  segmentDuration: 192_000,
  totalDuration: 504_000,
  codecs: 'mp4a.40.2',
};
const names = (tracks: readonly Track[] | undefined) => tracks?.map(({ name }) => name);

describe('listed', () => {
  it('offers only what can start', () => {
    const later = { ...VIDEO, name: '720p', started: false };
    const found = listed([VIDEO, later, AUDIO]);
    expect(names(found?.video)).toEqual(['360p']);
    expect(names(found?.audio)).toEqual(['audio']);
  });

  it('offers nothing before the picture, or before a sound that will come', () => {
    expect(listed([])).toBeNull();
    expect(listed([{ ...VIDEO, started: false }, AUDIO])).toBeNull();
    expect(listed([VIDEO, { ...AUDIO, started: false }])).toBeNull();
    expect(listed([{ ...VIDEO, codecs: null }])).toBeNull();
  });

  it('needs no sound where none is planned', () => {
    expect(names(listed([VIDEO])?.video)).toEqual(['360p']);
  });
});

describe('planned', () => {
  it('has every rung, those that are to come with the codecs that they will have', () => {
    const later = { ...VIDEO, name: '720p', width: 1280, height: 720, started: false, codecs: null };
    const found = planned([VIDEO, later, AUDIO]);
    expect(found?.video.map(({ name, codecs }) => [name, codecs])).toEqual([
      ['360p', 'avc1.64001e'],
      ['720p', 'avc1.64001f'],
    ]);
    expect(names(found?.audio)).toEqual(['audio']);
  });

  it('is nothing before anything plays', () => {
    expect(planned([{ ...VIDEO, started: false }])).toBeNull();
  });
});

describe('expectedCodecs', () => {
  // What x264 wrote for these (measured).
  it.each([
    [426, 240, 30, 'avc1.640015'],
    [640, 360, 30, 'avc1.64001e'],
    [854, 480, 30, 'avc1.64001f'],
    [1280, 720, 30, 'avc1.64001f'],
    [1920, 1080, 30, 'avc1.640028'],
  ])('is right for %ix%i at %i', (width, height, num, codecs) => {
    expect(expectedCodecs({ width, height, frameRate: { num, den: 1 } })).toBe(codecs);
  });
});

describe('segmentDurations', () => {
  it('cuts pictures on the grid; the last segment takes the rest', () => {
    expect(segmentDurations(VIDEO)).toEqual([61_440, 61_440, 2.5 * 15360]);
  });

  it('adds up exactly for 1001-based rates', () => {
    // 29.97 fps for 20 s: 599 frames of 1001 units, 120 a segment.
    const track = { ...VIDEO, timescale: 30_000, segmentCount: 5, segmentDuration: 120_120, totalDuration: 599 * 1001 };
    expect(segmentDurations(track)).toEqual([120_120, 120_120, 120_120, 120_120, 119 * 1001]);
  });

  it('ends a sound segment with the first AAC frame that reaches the grid', () => {
    // 187.5 frames are 4 s: 188, 187, 188, … frames, without drift.
    const track = { ...AUDIO, segmentCount: 5, totalDuration: 960_000 };
    expect(segmentDurations(track)).toEqual([188 * 1024, 187 * 1024, 188 * 1024, 187 * 1024, 960_000 - 750 * 1024]);
  });

  it('knows one short segment', () => {
    expect(segmentDurations({ ...VIDEO, segmentCount: 1, totalDuration: 512 })).toEqual([512]);
  });
});

describe('peakBitsPerSecond', () => {
  it('is 1.25 times the cap until all is measured', () => {
    expect(peakBitsPerSecond(VIDEO)).toBe(1_000_000);
    const measured = { peakBitsPerSecond: 912_345, averageBitsPerSecond: 612_000 };
    expect(peakBitsPerSecond({ ...VIDEO, measured })).toBe(912_345);
  });
});
