import { PassThrough, Readable } from 'node:stream';
import { IncomingBytes } from './incoming-bytes.js';

const body = (...texts: string[]) =>
  Readable.from(
    texts.map((text) => Buffer.from(text)),
    { objectMode: false },
  );

/** Gives these, and then nothing, for ever. */
function silentAfter(...texts: string[]): PassThrough {
  const stream = new PassThrough();
  for (const text of texts) stream.write(text);
  return stream;
}
async function read(bytes: IncomingBytes, most: number, ms = 10_000): Promise<string> {
  let text = '';
  for await (const chunk of bytes.piece({ most, dueMs: () => ms })) text += chunk.toString();
  return text;
}

it('cuts a body into pieces of a bounded size, wherever its reads end', async () => {
  const bytes = new IncomingBytes(body('abc', 'defgh', 'i', 'jklmnop'));
  const pieces: string[] = [];
  while (await bytes.any(1_000)) pieces.push(await read(bytes, 4));
  expect(pieces).toEqual(['abcd', 'efgh', 'ijkl', 'mnop']);
  expect(bytes.ended).toBe('END');
  expect(bytes.received).toBe(16);
});

it('gives what arrived before a cut, also what nobody had read yet', async () => {
  const stream = silentAfter('abc');
  const bytes = new IncomingBytes(stream);
  expect(await bytes.any(1_000)).toBe(true);
  stream.write('de');
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.destroy(new Error('connection reset'));
  await closed;
  expect(await read(bytes, 100)).toBe('abcde');
  expect(bytes.ended).toBe('CUT');
  expect(await bytes.any(10)).toBe(false);
});

it('ends a piece in time, and goes on with the next', async () => {
  const stream = silentAfter('abc');
  const bytes = new IncomingBytes(stream);
  expect(await read(bytes, 100, 10)).toBe('abc');
  expect(bytes.ended).toBeUndefined();
  expect(await bytes.any(10)).toBe(false);
  stream.end('d');
  expect(await read(bytes, 100)).toBe('d');
});

it('asks anew when a piece is due with each byte that comes', async () => {
  const stream = silentAfter('abc');
  const bytes = new IncomingBytes(stream);
  const piece = bytes.piece({ most: 100, dueMs: (taken) => (taken >= 4 ? 0 : 60_000) });
  expect((await piece.next()).value?.toString()).toBe('abc');
  const next = piece.next();
  stream.write('d');
  expect((await next).value?.toString()).toBe('d');
  expect((await piece.next()).done).toBe(true);
});

it('takes a bounded part ahead of an earlier piece, and is not due before that is settled', async () => {
  const stream = silentAfter('abcdefgh');
  const bytes = new IncomingBytes(stream);
  let settle: () => void = () => undefined;
  const earlier = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const piece = bytes.piece({ most: 6, dueMs: () => 0, earlier, ahead: 4 });
  expect((await piece.next()).value?.toString()).toBe('abcd');
  const next = piece.next();
  expect(await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 20, 'waits'))])).toBe('waits');
  settle();
  expect((await next).done).toBe(true);
  expect(await read(bytes, 4)).toBe('efgh');
});

it('stops soon, and gives what has arrived', async () => {
  const bytes = new IncomingBytes(silentAfter('abcdef', 'ghi'));
  const piece = bytes.piece({ most: 2, dueMs: () => 10_000 });
  expect((await piece.next()).value?.toString()).toBe('ab');
  bytes.stop();
  // However long settling took meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(bytes.ended).toBeUndefined();
  expect(await read(bytes, 100)).toBe('cdefghi');
  expect(bytes.ended).toBe('STOPPED');
});

it('stops who waits', async () => {
  const bytes = new IncomingBytes(silentAfter());
  const waiting = bytes.any(60_000);
  bytes.stop();
  expect(await waiting).toBe(false);
  expect(bytes.ended).toBe('STOPPED');
});

it('does not hear out who sends on after it was told to stop', async () => {
  const stream = silentAfter();
  const sending = setInterval(() => stream.write('x'), 5);
  const bytes = new IncomingBytes(stream);
  bytes.stop();
  expect((await read(bytes, 1_000)).length).toBeLessThan(100);
  expect(bytes.ended).toBe('STOPPED');
  clearInterval(sending);
});

it('keeps nothing of what was read', async () => {
  const before = process.memoryUsage().arrayBuffers;
  const stream = Readable.from(
    (async function* () {
      for (let k = 0; k < 400; k++) yield Buffer.alloc(1024 * 1024, k);
    })(),
    { objectMode: false },
  );
  const bytes = new IncomingBytes(stream);
  let most = 0;
  while (await bytes.any(1_000)) {
    for await (const _ of bytes.piece({ most: 8 * 1024 * 1024, dueMs: () => 10_000 })) {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }
  }
  expect(most).toBeLessThan(200 * 1024 * 1024);
});
