import type { ByteSource } from './boxes.js';
import type { Packets, PicturePacket } from './packets.js';
import { type CopyCandidate, hasPlainKeys, whyNotCopy } from './picture-copy.js';
import type { Probe, VideoStream } from './probe.js';
import type { Timing } from './timing.js';

const timing = {
  ...{ fpsNum: 25, fpsDen: 1, v0: 0, videoStart: 0, frames: 30, gopFrames: 6, segmentFrames: 12, segmentCount: 3 },
  ...{ timescale: 12_800, frameDuration: 512 },
} satisfies Timing;
const rung = { name: '360p', width: 640, height: 360, maxBitsPerSecond: 800_000 };
const video = {
  ...{ codec: 'h264', pixelFormat: 'yuv420p', width: 640, height: 360, rotation: 0, sar: { num: 1, den: 1 } },
  ...{ interlaced: false, colorSpace: 'bt709', colorPrimaries: null, colorTransfer: 'bt709', colorRange: 'tv' },
};

/** Frames 0 3 1 2 6 4 5 …: every third is decoded before the two that it is shown after, within each segment. */
const ORDER = Array.from({ length: 30 }, (_, n) => {
  const at = n % 12;
  return n - at + (at === 0 || at > 9 || n >= 28 ? at : at % 3 === 1 ? at + 2 : at - 1);
});
const pictures: PicturePacket[] = ORDER.map((frame, n) => ({
  ...{ pts: 0.08 + frame / 25, isKey: n % 6 === 0, offset: n * 1000, size: 1000 },
}));

function candidate(
  over: { video?: Partial<VideoStream>; container?: object; pictures?: PicturePacket[] | null } = {},
): CopyCandidate {
  const probe = {
    video: { ...video, ...over.video },
    container: { kind: 'mp4', fragmented: false, ...over.container },
  } as unknown as Probe;
  const packets = { pictures: over.pictures === undefined ? pictures : over.pictures } as Packets;
  return { probe, packets, timing, rung };
}
const changed = (n: number, change: Partial<PicturePacket>) =>
  pictures.map((each, at) => (at === n ? { ...each, ...change } : each));
function swapped(one: number, other: number): PicturePacket[] {
  const pts = (n: number) => pictures[n]?.pts ?? 0;
  return pictures.map((each, n) =>
    n === one ? { ...each, pts: pts(other) } : n === other ? { ...each, pts: pts(one) } : each,
  );
}

it('copies what lies on the grid as it is', () => {
  expect(new Set(ORDER).size).toBe(30);
  expect(whyNotCopy(candidate())).toBeNull();
});

it.each<[string, Parameters<typeof candidate>[0], RegExp]>([
  ['another codec', { video: { codec: 'hevc' } }, /H\.264/],
  ['10 bits', { video: { pixelFormat: 'yuv420p10le' } }, /8 bits/],
  ['Matroska', { container: { kind: 'matroska' } }, /MP4/],
  ['fragments', { container: { fragmented: true } }, /MP4/],
  ['another size', { video: { width: 642 } }, /size/],
  ['a turn', { video: { rotation: 180 } }, /turned/],
  ['wide samples', { video: { sar: { num: 16, den: 11 } } }, /stretched/],
  ['fields', { video: { interlaced: true } }, /interlaced/],
  ['colours of BT.2020', { video: { colorPrimaries: 'bt2020' } }, /colours/],
  ['the full range', { video: { colorRange: 'pc' } }, /colours/],
  ['packets that are not all known', { pictures: null }, /packets/],
  [
    'pictures that an edit list hides',
    { pictures: [...pictures, { ...pictures[0], pts: 1.28 } as PicturePacket] },
    /31 pictures/,
  ],
  ['a picture shown late', { pictures: changed(29, { pts: 1.27 }) }, /rate/],
  ['two pictures at once', { pictures: changed(29, { pts: pictures[28]?.pts ?? 0 }) }, /rate/],
  ['a segment that begins without a key', { pictures: changed(12, { isKey: false }) }, /segment 2 begins/],
  ['an open group: shown before its key, decoded after', { pictures: swapped(11, 13) }, /segment 1 is not closed/],
  ['a rate above the cap', { pictures: pictures.map((each) => ({ ...each, size: 4100 })) }, /rate is above/],
  ['a segment above the cap', { pictures: changed(5, { size: 60_000 }) }, /segment is above/],
])('encodes %s', (_, over, reason) => {
  expect(whyNotCopy(candidate(over))).toMatch(reason);
});

describe('key pictures', () => {
  const unit = (type: number, length = 4) => {
    const bytes = Buffer.alloc(4 + length);
    bytes.writeUInt32BE(length);
    bytes[4] = 0x60 | type;
    return bytes;
  };
  const plain = (...units: Buffer[]) => {
    const sample = Buffer.concat(units);
    const source: ByteSource = {
      sizeBytes: 30_000,
      read: async (offset, length) => (offset % 12_000 === 0 ? sample : Buffer.alloc(0)).subarray(0, length),
    };
    return hasPlainKeys(source, candidate().packets as Packets, timing);
  };

  it('are those that decoding can start at, with nothing but remarks before', async () => {
    expect(await plain(unit(9, 2), unit(6, 30), unit(5, 900))).toBe(true);
    expect(await plain(unit(1, 900))).toBe(false);
    expect(await plain(unit(6, 30), unit(1, 900))).toBe(false);
    expect(await plain(unit(7, 20), unit(8, 4), unit(5, 900))).toBe(false);
    expect(await plain(unit(6, 30))).toBe(false);
    expect(await plain(Buffer.from('000000000000', 'hex'))).toBe(false);
    expect(await plain(Buffer.from('7fffffff65', 'hex'))).toBe(false);
    expect(await plain()).toBe(false);
  });
});
