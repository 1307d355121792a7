import { correctedQuery } from './corrected.js';

const typos = new Map([['blakc', ['black', 'blank']]]);

it.each([
  ['what is shown', [['black', 'cats']], 'black cats'],
  ['what is shown, not what is likelier', [['blank', 'cats']], 'blank cats'],
  ['what is shown first', [['cats'], ['blank', 'cats'], ['black', 'cats']], 'blank cats'],
  [
    'what was found as it was typed',
    [
      ['black', 'cats'],
      ['blakc', 'cats'],
    ],
    null,
  ],
  ['what something else was found by', [['cats']], null],
  ['nothing', [], null],
])('tells of %s', (_, shown, corrected) => {
  expect(correctedQuery(['blakc', 'cats'], typos, shown)).toBe(corrected);
});

it('tells of nothing where nothing was mistyped', () => {
  expect(correctedQuery(['black', 'cats'], new Map(), [['black', 'cats']])).toBeNull();
});
