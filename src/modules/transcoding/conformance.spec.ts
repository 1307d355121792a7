import { type MadePart, type MadeRendition, presentationFaults } from './conformance.js';

/** 10.5 s at 30 frames a second: two whole segments and one of 2.5 s. */
const LENGTHS = [61_440, 61_440, 38_400];
const SOUND_LENGTHS = [188 * 1024, 187 * 1024, 504_000 - 375 * 1024];

function parts(lengths: readonly number[], bytes: readonly number[]): MadePart[] {
  let decodeTime = 0;
  return lengths.map((duration, index) => {
    const byteSize = bytes[index] ?? 0;
    const part = { number: index + 1, decodeTime, duration, byteOffset: 100, byteSize, objectBytes: 100 + byteSize };
    decodeTime += duration;
    return part;
  });
}

const RUNG: MadeRendition = {
  ...{ name: '360p', kind: 'VIDEO', timescale: 15_360, codecs: 'avc1.64001e' },
  ...{ segmentCount: 3, segmentDuration: 61_440, totalDuration: 161_280 },
  // The last needs most: 150,000 bytes in 2.5 s.
  ...{ peakBitsPerSecond: 480_000, averageBitsPerSecond: Math.round((500_000 * 8) / 10.5) },
  init: { codecs: 'avc1.64001e', timescale: 15_360 },
  segments: parts(LENGTHS, [200_000, 150_000, 150_000]),
};
const LOWER: MadeRendition = { ...RUNG, name: '240p' };
const SOUND: MadeRendition = {
  ...{ name: 'audio', kind: 'AUDIO', timescale: 48_000, codecs: 'mp4a.40.2' },
  ...{ segmentCount: 3, segmentDuration: 192_000, totalDuration: 504_000 },
  ...{ peakBitsPerSecond: 128_000, averageBitsPerSecond: Math.round((162_000 * 8) / 10.5) },
  init: { codecs: 'mp4a.40.2', timescale: 48_000 },
  segments: parts(SOUND_LENGTHS, [62_000, 62_000, 38_000]),
};

const changed = (segments: readonly MadePart[], number: number, change: Partial<MadePart>) =>
  segments.map((part) => (part.number === number ? { ...part, ...change } : part));
const faults = (rung: Partial<MadeRendition>, sound: Partial<MadeRendition> = {}) =>
  presentationFaults([LOWER, { ...RUNG, ...rung }, { ...SOUND, ...sound }]);

describe('presentationFaults', () => {
  it('finds nothing in what is right, with and without sound', () => {
    expect(faults({})).toEqual([]);
    expect(presentationFaults([RUNG])).toEqual([]);
  });

  it('wants a picture', () => {
    expect(presentationFaults([SOUND])).toEqual(['there is no picture']);
  });

  it('wants the codecs and the timescale that the init segment says', () => {
    expect(faults({ init: null })).toEqual(['360p: there is no init segment']);
    expect(faults({ codecs: 'avc1.640015' })).toEqual([
      '360p: is said to be avc1.640015, and its init segment says avc1.64001e',
    ]);
    expect(faults({}, { init: { codecs: 'mp4a.40.2', timescale: 44_100 } })).toEqual([
      'audio: the timescale is 44100, not 48000',
    ]);
  });

  it('wants every segment', () => {
    expect(faults({ segments: RUNG.segments.slice(0, 2) })).toContain('360p: 2 of 3 segments');
    expect(faults({ segments: changed(RUNG.segments, 3, { number: 4 }) })).toContain('360p: segment 3 is missing');
  });

  it('wants no gap between the times that segments say', () => {
    expect(faults({ segments: changed(RUNG.segments, 2, { decodeTime: 61_952 }) })).toEqual([
      '360p: segment 2 begins at 61952, not at 61440',
    ]);
    expect(faults({ segments: changed(RUNG.segments, 1, { decodeTime: 512 }) })[0]).toBe(
      '360p: segment 1 begins at 512, not at 0',
    );
    expect(faults({ segments: RUNG.segments.map((part) => ({ ...part, decodeTime: null })) })).toEqual([]);
  });

  it('wants the durations that manifests told', () => {
    // A frame more in one and less in the next: neither the sum nor the times are wrong.
    const moved = parts([61_952, 60_928, 38_400], [200_000, 150_000, 150_000]);
    expect(faults({ segments: moved })).toEqual([
      '360p: segment 1 ends at 61952, and is said to end at 61440',
      '360p: its segments begin and end at other times than those of 240p',
    ]);
    const sound = parts([187 * 1024, 188 * 1024, 120_000], [62_000, 62_000, 38_000]);
    expect(faults({}, { segments: sound })).toEqual(['audio: segment 1 ends at 191488, and is said to end at 192512']);
  });

  it('wants all rungs aligned', () => {
    const coarse = {
      segmentDuration: 122_880,
      segmentCount: 2,
      segments: parts([122_880, 38_400], [350_000, 150_000]),
    };
    expect(faults(coarse)).toContain('360p: its segments begin and end at other times than those of 240p');
    const finer = {
      ...{ timescale: 30_720, segmentDuration: 122_880, totalDuration: 322_560 },
      init: { codecs: 'avc1.64001e', timescale: 30_720 },
      segments: parts(
        LENGTHS.map((length) => 2 * length),
        [200_000, 150_000, 150_000],
      ),
    };
    expect(faults(finer)).toEqual([]);
  });

  it('wants the whole length, of sound to one AAC frame', () => {
    const short = parts([61_440, 61_440, 37_888], [200_000, 150_000, 150_000]);
    expect(faults({ segments: short })).toContain('360p: lasts 160768, not 161280');
    const rest = SOUND_LENGTHS[2] ?? 0;
    const longer = (samples: number) => ({
      averageBitsPerSecond: Math.round((162_000 * 8 * 48_000) / (504_000 + samples)),
      segments: parts([...SOUND_LENGTHS.slice(0, 2), rest + samples], [62_000, 62_000, 38_000]),
    });
    expect(faults({}, longer(512))).toEqual([]);
    expect(faults({}, longer(1025))).toEqual([
      'audio: lasts 505025, not 504000',
      'audio: its length is 0.021 s from that of the picture',
    ]);
  });

  it('wants sound and picture of one length, whatever was planned', () => {
    const segments = parts([188 * 1024, 187 * 1024, 100_000], [62_000, 62_000, 38_000]);
    const averageBitsPerSecond = Math.round((162_000 * 8 * 48) / 484);
    expect(faults({}, { totalDuration: 484_000, averageBitsPerSecond, peakBitsPerSecond: 146_000, segments })).toEqual([
      'audio: its length is 0.417 s from that of the picture',
    ]);
  });

  it('wants every object there, and as long as its segments reach', () => {
    expect(faults({ segments: changed(RUNG.segments, 2, { objectBytes: null }) })).toEqual([
      '360p: segment 2 is not in the store',
    ]);
    expect(faults({ segments: changed(RUNG.segments, 3, { objectBytes: 150_099 }) })).toEqual([
      '360p: segment 3 reaches beyond its object',
    ]);
  });

  it('wants the rates that are told to be true', () => {
    expect(faults({ peakBitsPerSecond: 479_000 })).toEqual([
      '360p: is said to need 479000 bit/s at most, and needs 480000',
    ]);
    expect(faults({ averageBitsPerSecond: 380_000 })).toEqual([
      '360p: is said to need 380000 bit/s on average, and needs 380952',
    ]);
  });

  it('knows that a short last segment counts with the one before it', () => {
    // 0.5 s at the end, too short to count alone: with the 4 s before it they need more than any one whole segment.
    const segments = parts([61_440, 61_440, 7_680], [100_000, 200_000, 60_000]);
    const rung = { ...RUNG, totalDuration: 130_560, segments, averageBitsPerSecond: Math.round((360_000 * 8) / 8.5) };
    const together = Math.ceil((260_000 * 8) / 4.5);
    expect(presentationFaults([{ ...rung, peakBitsPerSecond: 400_000 }])).toEqual([
      `360p: is said to need 400000 bit/s at most, and needs ${together}`,
    ]);
    expect(presentationFaults([{ ...rung, peakBitsPerSecond: together }])).toEqual([]);
  });
});
