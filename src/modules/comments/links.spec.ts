import { linksIn } from './links.js';

const urls = (text: string) => linksIn(text).map(({ url }) => url);

it('finds where an address stands', () => {
  const text = '🎬 see https://example.org/a?b=c#d, and go';
  expect(linksIn(text)).toEqual([{ start: 7, length: 27, url: 'https://example.org/a?b=c#d' }]);
  expect(text.slice(7, 34)).toBe('https://example.org/a?b=c#d');
});

it.each([
  ['(https://example.org/)', 'https://example.org/'],
  ['https://example.org/a_(b)', 'https://example.org/a_(b)'],
  ['(https://example.org/a_(b)).', 'https://example.org/a_(b)'],
  ['HTTP://EXAMPLE.org.', 'http://example.org/'],
  ['https://example.org/one…', 'https://example.org/one'],
  // Cyrillic letters that look like another's name.
  ['https://раураl.com/', 'https://xn--l-7sba6dbr.com/'],
])('%s', (text, url) => {
  expect(urls(text)).toEqual([url]);
});

it.each([
  'javascript:alert(1)',
  'data:text/html,x',
  'ftp://example.org/',
  'file:///etc/passwd',
  'https://bank.example@evil.example/',
  'https://',
  'example.org',
  'xhttps:/ /example.org',
])('%s is none', (text) => {
  expect(urls(text)).toEqual([]);
});

it('has an end', () => {
  expect(linksIn('https://example.org/ '.repeat(100))).toHaveLength(20);
});
