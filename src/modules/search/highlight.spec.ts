import { escapeHtml, marked, piece } from './highlight.js';

const found = {
  isFound: (word: string) => ['boat', 'cafe', 'script', 'mark', 'acdc'].includes(word),
  phrases: [
    ['new', 'york'],
    ['日', '本'],
  ],
};

it.each([
  ['A boat', 'A <mark>boat</mark>'],
  ['Café boat!', '<mark>Café boat</mark>!'],
  ['boat, café', '<mark>boat</mark>, <mark>café</mark>'],
  ['Nothing', 'Nothing'],
  ['New York, new boat', '<mark>New York</mark>, new <mark>boat</mark>'],
  ['本日は日本', '本日は<mark>日本</mark>'],
  ['AC/DC live', '<mark>AC/DC</mark> live'],
  [
    '<script>alert("boat")</script>',
    '&lt;<mark>script</mark>&gt;alert(&quot;<mark>boat</mark>&quot;)&lt;/<mark>script</mark>&gt;',
  ],
  ['</mark><img src=x onerror=a>', '&lt;/<mark>mark</mark>&gt;&lt;img src=x onerror=a&gt;'],
  ['a & b &amp; boat', 'a &amp; b &amp;amp; <mark>boat</mark>'],
])('%s', (text, html) => {
  expect(marked(text, found)).toBe(html);
});

it('has no markup but its own, whatever the text', () => {
  const signs = ['<', '>', '"', "'", '&', 'boat', 'mark', ' ', '</mark>', '<mark>', '\u0000', '💧'];
  for (let n = 0; n < 2_000; n++) {
    const text = Array.from(
      { length: 8 },
      (_, at) => signs[(n * 7 + at * at * 31 + ((n >> at) & 3)) % signs.length],
    ).join('');
    const bare = marked(text, found).replace(/<mark>(?:(?!<)[\s\S])*?<\/mark>/g, '');
    expect(bare).not.toMatch(/[<>"']/);
  }
});

describe('piece', () => {
  it('is null where nothing was found', () => {
    expect(piece('Nothing here', found)).toBeNull();
    expect(piece('', found)).toBeNull();
  });

  it('is the whole of what is short, on one line', () => {
    expect(piece('See:\nthe boat.', found)).toBe('See: the <mark>boat</mark>.');
  });

  it('is what stands around the first word that was found', () => {
    const text = `${'before '.repeat(100)}the boat ${'after '.repeat(100)}`;
    const html = piece(text, found) as string;
    expect(html).toMatch(/^… before .*the <mark>boat<\/mark> after .* …$/);
    expect(html.length).toBeLessThan(240);
  });
});

it('reads the beginning of what is long, whoever is told to go on', () => {
  expect(piece(`${'x '.repeat(500)}boat`, found)).toBeNull();
  expect(piece(`${'x '.repeat(480)}boat${' x'.repeat(500)}`, found)).toMatch(/^… .*<mark>boat<\/mark> .* …$/);
});

it('escapes what is markup', () => {
  expect(escapeHtml(`<a href="x">'&'</a>`)).toBe('&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;');
});
