import { foldedWords, wordsOf } from './fold.js';

it.each([
  ['', []],
  ['Hello, World!', ['hello', 'world']],
  ['AC/DC – live', ['ac', 'dc', 'live']],
  ['Café Crème brûlée', ['cafe', 'creme', 'brulee']],
  ['Cafe\u0301', ['cafe']],
  ['Straße STRASSE', ['strasse', 'strasse']],
  ['Łódź, Ærø, ĞÜLŞEN, İstanbul', ['lodz', 'aero', 'gulsen', 'istanbul']],
  ['Ёлка и йод', ['елка', 'и', 'иод']],
  ['Οδυσσέας', ['οδυσσεασ']],
  ['شُكْرًا', ['شكرا']],
  ['हिन्दी', ['हिन्दी']],
  ['東京タワー', ['東', '京', 'タ', 'ワ', 'ー']],
  ['한국어 영화', ['한국어', '영화']],
  ['ﬁlm ２０２６ ½', ['film', '2026', '12']],
  ["'; DROP TABLE video; --", ['drop', 'table', 'video']],
  ["a'b\\c:*&|!<->(d)", ['a', 'b', 'c', 'd']],
  ['👩‍👩‍👧 …', []],
])('%j is %j', (text, words) => {
  expect(foldedWords(text)).toEqual(words);
});

it('says where each word stands', () => {
  const text = '¡Olé, Straße!';
  expect(wordsOf(text).map(({ start, end }) => text.slice(start, end))).toEqual(['Olé', 'Straße']);
});

it('cuts what is no word', () => {
  expect(foldedWords('x'.repeat(5_000))).toEqual(['x'.repeat(60)]);
});
