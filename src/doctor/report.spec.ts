import { type Area, examine, findingsOf, inWords } from './check.js';
import { inLines } from './report.js';

const check = (code: string, what: string | null | Error, more: object = {}) => ({
  code,
  right: `${code} is right`,
  todo: `Mend ${code}.`,
  ...more,
  look: async () => {
    if (what instanceof Error) throw what;
    return what;
  },
});

const area: Area = {
  name: 'things',
  checks: [
    check('A', null),
    check('B', 'B is broken.'),
    check('C', 'C is old.', { warning: true }),
    check('D', new Error('no connection'), { needed: true }),
    check('E', null),
  ],
};

test('what is wrong is named with what to do, and what cannot be judged then is not', async () => {
  const outcomes = await examine(area);
  expect(findingsOf(outcomes)).toEqual([
    { area: 'things', code: 'B', severity: 'error', what: 'B is broken.', todo: 'Mend B.' },
    { area: 'things', code: 'C', severity: 'warning', what: 'C is old.', todo: 'Mend C.' },
    { area: 'things', code: 'D', severity: 'error', what: 'no connection.', todo: 'Mend D.' },
  ]);
  expect(inLines(outcomes, new Set(['C']))).toBe(`things
  ✔ A is right
  ✖ B: B is broken.
    → Mend B.
  – C, which is ignored: C is old.
  ✖ D: no connection.
    → Mend D.
  – not to be judged yet: E is right

2 things are wrong.
`);
});

test('what hangs is a finding, and what it leaves, too', async () => {
  const hangs = { ...check('H', null), look: () => new Promise<null>(() => undefined) };
  const outcomes = await examine(
    { name: 'x', checks: [hangs], close: () => Promise.reject(new Error('still there')) },
    20,
  );
  expect(findingsOf(outcomes)).toMatchObject([
    { code: 'H', what: 'There was no answer within 0.02 s.' },
    { code: 'DOCTOR_LEFTOVERS', what: 'still there.' },
  ]);
});

test('errors that hide their reason are put in words', () => {
  expect(inWords(new Error('fetch failed', { cause: new Error('self-signed certificate') }))).toBe(
    'fetch failed: self-signed certificate.',
  );
  expect(inWords(new AggregateError([new Error('connect ECONNREFUSED ::1:1')], ''))).toBe(
    'connect ECONNREFUSED ::1:1.',
  );
});
