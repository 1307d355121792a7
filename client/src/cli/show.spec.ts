import { PassThrough } from 'node:stream';
import { bars, jsonLines, lines, type Row } from './show.js';

const row = (change: Partial<Row> = {}): Row => ({
  file: { path: '/films/walk.mp4', name: 'walk.mp4', sizeBytes: 10_000_000 },
  ...{ state: 'sending', committedBytes: 2_500_000, bytesPerSecond: 1_000_000, secondsLeft: 7.5 },
  ...change,
});

function terminal(columns: number) {
  const stream = Object.assign(new PassThrough(), { columns });
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => String(stream.read() ?? '') };
}

it('draws a bar for each file, over what it drew before, in the width that there is', () => {
  const { stream, text } = terminal(60);
  const show = bars(stream);
  show.begin(row());
  show.begin(row({ state: 'waiting' }));
  show.close();
  const [first, second] = text().split('\n');
  expect(first).toBe(` ${'█'.repeat(6)}${'░'.repeat(18)}  25 % of 10.0 MB, 1.0 MB/s, 8 s l`);
  expect(second).toContain('waiting for');
  show.end(row(), 'done', {});
  // Up two lines, and the rest is wiped.
  expect(text()).toContain('\x1b[2A\r\x1b[J');
});

it('lets no file name speak to the terminal', () => {
  const { stream, text } = terminal(200);
  const show = bars(stream);
  show.begin(row({ file: { path: 'x', name: 'a\x1b[2Jb\x07\n.mp4', sizeBytes: 1 }, committedBytes: 0 }));
  show.close();
  expect(text()).toContain(' a?[2Jb??.mp4\n');
});

it('writes a line when a state changes, elsewhere', () => {
  const { stream, text } = terminal(0);
  const show = lines(stream);
  const one = row();
  show.begin(one);
  show.changed(one);
  show.changed(one);
  one.state = 'completing';
  show.changed(one);
  expect(text()).toBe(
    'walk.mp4: 10.0 MB, begun\nwalk.mp4: 25 % of 10.0 MB, 1.0 MB/s, 8 s left\nwalk.mp4: 25 % of 10.0 MB, being checked\n',
  );
});

it('writes facts for programs', () => {
  const { stream, text } = terminal(0);
  const show = jsonLines(stream);
  const one = row();
  show.begin(one);
  show.changed(one);
  show.end(one, 'in words', { event: 'failed', code: 'X' });
  expect(
    text()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { event: 'begun', file: '/films/walk.mp4', sizeBytes: 10_000_000 },
    expect.objectContaining({ event: 'progress', state: 'sending', committedBytes: 2_500_000, secondsLeft: 7.5 }),
    { event: 'failed', file: '/films/walk.mp4', code: 'X' },
  ]);
});

it('lets nobody speak to the terminal in facts either, and loses nothing of them', () => {
  const { stream, text } = terminal(0);
  const all = String.fromCharCode(...Array(0xa1).keys());
  jsonLines(stream).say('', { event: 'failed', message: all });
  const line = text();
  expect(line.trimEnd()).not.toMatch(/\p{Cc}/u);
  expect(JSON.parse(line)).toEqual({ event: 'failed', message: all });
});
