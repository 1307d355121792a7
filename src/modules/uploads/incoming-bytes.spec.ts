import { IncomingBytes } from './incoming-bytes.js';

const buffers = (...texts: string[]) => texts.map((text) => Buffer.from(text));

async function* cutAfter(...texts: string[]): AsyncGenerator<Buffer> {
  yield* buffers(...texts);
  throw new Error('connection reset');
}
async function* whole(...texts: string[]): AsyncGenerator<Buffer> {
  yield* buffers(...texts);
}
/** Gives these, and then nothing, for ever. */
function silentAfter(...texts: string[]): AsyncIterator<Buffer> {
  const given = buffers(...texts).values();
  return {
    next: async () => {
      const { value } = given.next();
      return value ? { value } : new Promise(() => undefined);
    },
  };
}
async function read(bytes: IncomingBytes, most: number, ms = 10_000): Promise<string> {
  let text = '';
  for await (const chunk of bytes.piece(most, ms)) text += chunk.toString();
  return text;
}

it('cuts a body into pieces of a bounded size, wherever its reads end', async () => {
  const bytes = new IncomingBytes(whole('abc', 'defgh', 'i', 'jklmnop'));
  const pieces: string[] = [];
  while (await bytes.any(1_000)) pieces.push(await read(bytes, 4));
  expect(pieces).toEqual(['abcd', 'efgh', 'ijkl', 'mnop']);
  expect(bytes.ended).toBe('END');
});

it('gives what arrived before a cut', async () => {
  const bytes = new IncomingBytes(cutAfter('abc', 'de'));
  expect(await read(bytes, 100)).toBe('abcde');
  expect(bytes.ended).toBe('CUT');
  expect(await bytes.any(10)).toBe(false);
});

it('ends a piece in time, and goes on with the next', async () => {
  const bytes = new IncomingBytes(silentAfter('abc'));
  expect(await read(bytes, 100, 10)).toBe('abc');
  expect(bytes.ended).toBeUndefined();
  expect(await bytes.any(10)).toBe(false);
});

it('stops soon, and gives what has arrived', async () => {
  const bytes = new IncomingBytes(silentAfter('abcdef', 'ghi'));
  const piece = bytes.piece(2, 10_000);
  expect((await piece.next()).value?.toString()).toBe('ab');
  bytes.stop();
  expect(bytes.ended).toBeUndefined();
  expect(await read(bytes, 100)).toBe('cdefghi');
  expect(bytes.ended).toBe('STOPPED');
});

it('does not hear out who sends on after it was told to stop', async () => {
  const bytes = new IncomingBytes(
    (async function* () {
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        yield Buffer.from('x');
      }
    })(),
  );
  bytes.stop();
  expect((await read(bytes, 1_000)).length).toBeLessThan(100);
  expect(bytes.ended).toBe('STOPPED');
});

it('keeps nothing of what was read', async () => {
  const before = process.memoryUsage().arrayBuffers;
  const bytes = new IncomingBytes(
    (async function* () {
      for (let k = 0; k < 400; k++) yield Buffer.alloc(1024 * 1024, k);
    })(),
  );
  let most = 0;
  while (await bytes.any(1_000)) {
    for await (const _ of bytes.piece(8 * 1024 * 1024, 10_000)) {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }
  }
  expect(most).toBeLessThan(200 * 1024 * 1024);
});
