import { randomUUID } from 'node:crypto';
import { viewerOf, viewersKey } from './viewer.js';

const key = viewersKey('a secret of at least 32 characters');
const [film, other] = [randomUUID(), randomUUID()];
const anonymous = { block: '192.0.2.1', userAgent: 'Mozilla/5.0' };
const hex = (video: string, watcher: Parameters<typeof viewerOf>[2], by = key) =>
  viewerOf(by, video, watcher).id.toString('hex');

test('the same watcher of the same video is the same viewer', () => {
  expect(hex(film, anonymous)).toBe(hex(film, { ...anonymous }));
  expect(hex(film, { userId: film })).toBe(hex(film, { userId: film }));
});

test('another address, program, video, user or secret is another viewer', () => {
  const ids = [
    hex(film, anonymous),
    hex(other, anonymous),
    hex(film, { ...anonymous, block: '192.0.2.2' }),
    hex(film, { ...anonymous, userAgent: 'curl/8' }),
    hex(film, { userId: film }),
    hex(film, { userId: other }),
    hex(film, anonymous, viewersKey('another secret of 32 characters')),
  ];
  expect(new Set(ids).size).toBe(ids.length);
});

test('who is not signed in counts for their block, whatever program they use; who is signed in for none', () => {
  const { block } = viewerOf(key, film, anonymous);
  expect(block).toHaveLength(6);
  expect(viewerOf(key, film, { ...anonymous, userAgent: 'curl/8' }).block).toEqual(block);
  expect(viewerOf(key, film, { ...anonymous, block: '192.0.2.2' }).block).not.toEqual(block);
  expect(viewerOf(key, film, { userId: film }).block).toHaveLength(0);
});
