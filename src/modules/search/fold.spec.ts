import { foldedWords, joinsOf, wordsOf } from './fold.js';

it.each([
  ['', []],
  ['Hello, World!', ['hello', 'world']],
  ['AC/DC – live', ['ac', 'dc', 'live']],
  ['Café Crème brûlée', ['cafe', 'creme', 'brulee']],
  ['Cafe\u0301', ['cafe']],
  ['Straße STRASSE', ['strasse', 'strasse']],
  ['Łódź, Ærø, ĞÜLŞEN, İstanbul', ['lodz', 'aero', 'gulsen', 'istanbul']],
  ['Ёлка и йод, красивый КРАСИВЫЙ', ['елка', 'и', 'йод', 'красивый', 'красивый']],
  ['и\u0306 ў Й', ['й', 'у', 'й']],
  ['Οδυσσέας', ['οδυσσεασ']],
  ['شُكْرًا', ['شكرا']],
  ['हिन्दी', ['हिन्दी']],
  ['東京タワー', ['東', '京', 'タ', 'ワ', 'ー']],
  ['ﾊﾟｰﾃｨｰ パーティー', ['パ', 'ー', 'テ', 'ィ', 'ー', 'パ', 'ー', 'テ', 'ィ', 'ー']],
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

it('changes no letter that it takes a short way with', () => {
  const plain =
    '0-9 a-z а-я \u0E01-\u0E30 \u0E32 \u0E40-\u0E46 \u3041-\u3096 \u30A1-\u30FA \u30FC \u3400-\u4DBF \u4E00-\u9FFF';
  const changed = plain.split(' ').flatMap((range) => {
    const [first, last = first] = range.split('-').map((letter) => letter.codePointAt(0) as number) as [number, number];
    const letters = Array.from({ length: last - first + 1 }, (_, at) => String.fromCodePoint(first + at));
    // Behind an accent there is no short way.
    return letters.filter((letter) => foldedWords(`é${letter}`).join('') !== `e${letter}`);
  });
  expect(changed).toEqual([]);
});

it.each([
  ['AC/DC: e-mail & self-hosted', ['acdc', 'email', 'selfhosted']],
  ["Don't, l’été", ['dont', 'lete']],
  ['rock-n-roll -- so. And 3.5, 2026-11-22 - or v2.0', ['rocknroll', 'v20']],
  ['plain words', []],
  [`${'x'.repeat(40)}-${'y'.repeat(40)}`, []],
])('%j may be written with %j', (text, joined) => {
  expect(joinsOf(text).map(({ folded }) => folded)).toEqual(joined);
});

it('says of which words what may be joined is', () => {
  expect(joinsOf('The AC/DC film')).toEqual([{ folded: 'acdc', of: ['ac', 'dc'], at: 2, start: 4, end: 9 }]);
});
