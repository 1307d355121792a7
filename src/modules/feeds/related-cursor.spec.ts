import { randomUUID } from 'node:crypto';
import { encodeCursor } from '../../common/graphql/index.js';
import { decodeRelated, encodeRelated } from './related-cursor.js';

const ids = (count: number) => [...Array(count).keys()].map(() => randomUUID());

test.each([0, 1, 48])('%i that follow come back', (count) => {
  const following = ids(count);
  expect(decodeRelated(encodeRelated(following))).toEqual(following);
});

test.each([
  ['that follow too many', encodeRelated(ids(49))],
  ['that is cut', encodeRelated(ids(2)).slice(0, -4)],
  ['of another list', encodeCursor('2026-11-22 08:00:00+00', randomUUID())],
  ['of nothing', '-'],
])('a place %s is none', (_what, cursor) => {
  expect(() => decodeRelated(cursor)).toThrow(expect.objectContaining({ code: 'INVALID_CURSOR' }));
});
