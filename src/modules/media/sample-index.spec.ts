import type { ByteSource } from './boxes.js';
import {
  firstShown,
  openingSpans,
  pictureSpans,
  readSampleIndex,
  type SampleIndex,
  soundSpans,
} from './sample-index.js';

const u32 = (...values: number[]) => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, 4 * i);
  return bytes;
};
const box = (type: string, ...content: Buffer[]) => {
  const body = Buffer.concat(content);
  return Buffer.concat([u32(body.length + 8), Buffer.from(type, 'latin1'), body]);
};
const full = (type: string, ...values: number[]) => box(type, u32(0, ...values));

interface Track {
  handler: string;
  scale: number;
  sizes: number[];
  chunks: number[];
  perChunk: number;
  duration: number;
  keys?: number[];
  delays?: [number, number][];
  edits?: [number, number][];
  /** In the place of a table as it should be. */
  tables?: Record<string, Buffer>;
}

const trak = ({ handler, scale, sizes, chunks, perChunk, duration, keys, delays, edits, tables = {} }: Track) =>
  box(
    'trak',
    ...(edits ? [box('edts', full('elst', edits.length, ...edits.flatMap((edit) => [...edit, 0x10000])))] : []),
    box(
      'mdia',
      full('mdhd', 0, 0, scale, 0, 0),
      box('hdlr', u32(0, 0), Buffer.from(handler, 'latin1'), u32(0, 0, 0)),
      box(
        'minf',
        box(
          'stbl',
          tables.stts ?? full('stts', 1, sizes.length, duration),
          ...(delays ? [full('ctts', delays.length, ...delays.flat())] : []),
          tables.stsc ?? full('stsc', 1, 1, perChunk, 1),
          tables.stsz ?? full('stsz', 0, sizes.length, ...sizes),
          tables.stco ?? full('stco', chunks.length, ...chunks),
          ...(keys ? [tables.stss ?? full('stss', keys.length, ...keys)] : []),
        ),
      ),
    ),
  );
const moov = (...traks: Buffer[]) => box('moov', full('mvhd', 0, 0, 1000, 0, 0), ...traks);

/** Ten seconds of one frame a second, a key frame every fourth, and sound between. */
const MEDIA = 1_000_000;
const picture: Track = {
  ...{ handler: 'vide', scale: 10, sizes: Array.from({ length: 10 }, () => 300_000), perChunk: 1, duration: 10 },
  ...{ chunks: Array.from({ length: 10 }, (_, i) => MEDIA + i * 1_000_000), keys: [1, 5, 9] },
};
const sound: Track = {
  ...{ handler: 'soun', scale: 100, sizes: Array.from({ length: 20 }, () => 1_000), perChunk: 2, duration: 50 },
  chunks: Array.from({ length: 10 }, (_, i) => MEDIA + i * 1_000_000 + 600_000),
};
const SIZE = 12_000_000;

/** A file whose boxes stand where they do; its media is never read. */
function sourceOf(boxes: [number, Buffer][], has = (_start: number, _end: number) => true): ByteSource {
  return {
    sizeBytes: SIZE,
    read: async (offset, length) => {
      const end = Math.min(SIZE, offset + length);
      if (!has(offset, end)) return Buffer.alloc(0);
      const bytes = Buffer.alloc(end - offset);
      for (const [at, content] of boxes) {
        const from = Math.max(offset, at);
        if (from < Math.min(end, at + content.length)) content.copy(bytes, from - offset, from - at);
      }
      return bytes;
    },
  };
}
const mdat = (size: number) => Buffer.concat([u32(size), Buffer.from('mdat')]);
const inFront = (index: Buffer): [number, Buffer][] => [
  [0, index],
  [index.length, mdat(SIZE - index.length)],
];
const read = async (...tracks: Track[]) => readSampleIndex(sourceOf(inFront(moov(...tracks.map(trak)))));
async function indexOf(...tracks: Track[]): Promise<SampleIndex> {
  const index = await read(...tracks);
  if (!index || !('tracks' in index)) throw new Error('no index');
  return index;
}
const spans = (...pairs: [number, number][]) => pairs.map(([start, end]) => ({ start, end }));
const frames = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i): [number, number] => [
    MEDIA + (first + i) * 1_000_000,
    MEDIA + (first + i) * 1_000_000 + 300_000,
  ]);

test('a part of the picture is from the key frame before it to the last frame decoded by then', async () => {
  const index = await indexOf(picture, sound);
  expect(pictureSpans(index, 5.5, 7.5)).toEqual(spans(...frames(4, 7)));
  // A key frame so near may be passed over by who seeks.
  expect(pictureSpans(index, 4.1, 4.2)).toEqual(spans(...frames(0, 4)));
  expect(pictureSpans(index, Number.NEGATIVE_INFINITY, 1)).toEqual(spans(...frames(0, 1)));
  expect(pictureSpans(index, 8.5, 99)).toEqual(spans(...frames(8, 9)));
});

test('sound is chunks from the start', async () => {
  const index = await indexOf(picture, sound);
  expect(soundSpans(index, 1.9)).toEqual(spans([1_600_000, 1_602_000], [2_600_000, 2_602_000]));
  expect(soundSpans(await indexOf(picture), 9)).toEqual([]);
});

test('what is near is read with it', async () => {
  const chunks = Array.from({ length: 10 }, (_, i) => MEDIA + i * 310_000);
  expect(pictureSpans(await indexOf({ ...picture, chunks }), 0, 2)).toEqual(spans([MEDIA, MEDIA + 920_000]));
});

test('to open it takes the boxes, and what is first of each track', async () => {
  const index = await indexOf(picture, sound);
  const [head, ...rest] = openingSpans(index);
  expect(head?.start).toBe(0);
  expect(head?.end).toBeLessThan(1_000);
  expect(rest).toEqual(
    spans([1_000_000, 1_300_000], [1_600_000, 1_602_000], [2_000_000, 2_300_000], [2_600_000, 2_602_000]),
  );
});

test('an edit moves the clock, and so does a wait before it', async () => {
  // Two seconds in; half a second later.
  const index = await indexOf({
    ...picture,
    edits: [
      [500, 0xffffffff],
      [9_000, 20],
    ],
  });
  expect(pictureSpans(index, 3.5, 3.6)).toEqual(spans(...frames(4, 5)));
  expect(firstShown(index)).toBe(0);
  expect(
    firstShown(
      await indexOf({
        ...picture,
        edits: [
          [700, 0xffffffff],
          [9_000, 0],
        ],
      }),
    ),
  ).toBe(0.7);
  expect(
    await read({
      ...picture,
      edits: [
        [1, 0],
        [1, 40],
      ],
    }),
  ).toBeNull();
});

test('pictures that are shown later than they are decoded are found by both times', async () => {
  const delays: [number, number][] = [
    [1, 10],
    [1, 30],
    [8, 0],
  ];
  const index = await indexOf({ ...picture, delays });
  expect(firstShown(index)).toBe(1);
  expect(pictureSpans(index, Number.NEGATIVE_INFINITY, 1.5)).toEqual(spans(...frames(0, 1)));
  // Negative: shown before.
  const early = await indexOf({
    ...picture,
    delays: [
      [7, 0],
      [1, -50],
    ],
  });
  expect(pictureSpans(early, Number.NEGATIVE_INFINITY, 2)).toEqual(spans(...frames(0, 7)));
});

test('an index at the end is found behind the media', async () => {
  const index = moov(trak(picture), trak(sound));
  const boxes: [number, Buffer][] = [
    [0, mdat(11_500_000)],
    [11_500_000, index],
    [11_500_000 + index.length, box('free', Buffer.alloc(100))],
  ];
  const found = await readSampleIndex(sourceOf(boxes));
  expect(found && 'outside' in found && found.outside[0]).toEqual({ start: 0, end: 16 });
  expect(found && 'outside' in found && found.outside[1]).toEqual({
    start: 11_500_000,
    end: 11_500_000 + index.length,
  });
  const front = (_: number, end: number) => end <= 65_536;
  expect(await readSampleIndex(sourceOf(boxes, front))).toEqual({ missing: { start: 11_500_000, end: SIZE } });
});

test('an index that has not all arrived is what is missing; what is behind the media is not', async () => {
  const index = moov(trak(picture));
  const has = (length: number) => (_: number, end: number) => end <= length;
  expect(await readSampleIndex(sourceOf(inFront(index), has(index.length - 1)))).toEqual({
    missing: { start: 0, end: index.length },
  });
  expect(await readSampleIndex(sourceOf(inFront(index), has(index.length + 16)))).toHaveProperty('tracks');
});

describe('there is none', () => {
  test('of what is no film, or has fragments, several pictures or none', async () => {
    expect(await readSampleIndex(sourceOf([[0, box('oops', Buffer.alloc(20))]]))).toBeNull();
    expect(await readSampleIndex(sourceOf([[0, Buffer.from('Dear diary')]]))).toBeNull();
    expect(await readSampleIndex(sourceOf(inFront(moov(trak(picture), box('mvex')))))).toBeNull();
    expect(
      await readSampleIndex(
        sourceOf([
          [0, moov(trak(picture))],
          [moov(trak(picture)).length, box('moof')],
        ]),
      ),
    ).toBeNull();
    expect(await read(picture, picture)).toBeNull();
    expect(await read(sound)).toBeNull();
  });

  test.each<[string, Partial<Track>]>([
    ['sizes that end too early', { tables: { stsz: full('stsz', 0, 10, 1, 2, 3) } }],
    [
      'more samples than anybody has',
      { tables: { stsz: full('stsz', 7, 0xffffffff), stts: full('stts', 1, 0xffffffff, 1) } },
    ],
    ['samples that lie nowhere', { chunks: picture.chunks.slice(3) }],
    ['places that end too early', { tables: { stco: full('stco', 1_000_000, 1, 2) } }],
    ['chunks without a size', { tables: { stsc: full('stsc', 0) } }],
    ['times that end too early', { tables: { stts: full('stts', 99, 1, 1) } }],
    ['key frames that end too early', { tables: { stss: full('stss', 99, 1) } }],
    ['no time scale', { scale: 0 }],
  ])('with %s', async (_, changes) => {
    expect(await read({ ...picture, ...changes })).toBeNull();
  });

  test('with a million boxes, soon', async () => {
    const empty = Buffer.alloc(8_000_000, u32(8, 0));
    const begun = performance.now();
    expect(await readSampleIndex(sourceOf(inFront(box('moov', empty))))).toBeNull();
    expect(await readSampleIndex(sourceOf([[0, Buffer.concat([mdat(8), empty])]]))).toBeNull();
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});
