import { type Box, type ByteSource, boxesOf } from './boxes.js';

function box(type: string, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32BE(size);
  bytes.write(type, 4, 'latin1');
  return bytes;
}
/** Fragments, as a recorder writes them: a small box before each larger one. */
const FILE = Buffer.concat(
  Array.from({ length: 400 }, (_, n) => [box('moof', 100 + (n % 7)), box('mdat', n % 50 === 49 ? 100_000 : 60)]).flat(),
);
async function boxesIn(arrived = FILE.length): Promise<{ boxes: Box[]; reads: number; bytes: number }> {
  let [reads, bytes] = [0, 0];
  const source: ByteSource = {
    sizeBytes: FILE.length,
    read: async (offset, length) => {
      reads++;
      const end = Math.min(FILE.length, offset + length);
      bytes += end - offset;
      return end > arrived ? Buffer.alloc(0) : FILE.subarray(offset, end);
    },
  };
  const boxes: Box[] = [];
  for await (const each of boxesOf(source)) boxes.push(each);
  return { boxes, reads, bytes };
}

it('reads small boxes many at a time, and of a large one little more than its header', async () => {
  const { boxes, reads, bytes } = await boxesIn();
  expect(boxes).toHaveLength(800);
  for (const { type, offset, size } of boxes) {
    expect([type, size]).toEqual([FILE.toString('latin1', offset + 4, offset + 8), FILE.readUInt32BE(offset)]);
  }
  expect(boxes.reduce((sum, { size }) => sum + size, 0)).toBe(FILE.length);
  expect(reads).toBeLessThan(50);
  expect(bytes).toBeLessThan(150_000);
});

it('finds every box whose header is there, of a file that still arrives', async () => {
  const { boxes } = await boxesIn();
  for (const arrived of [0, 15, 16, 3_999, 4_000, 5_000, 20_000]) {
    const expected = boxes.filter(({ offset }) => offset + 16 <= arrived);
    expect((await boxesIn(arrived)).boxes).toEqual(expected);
  }
});
