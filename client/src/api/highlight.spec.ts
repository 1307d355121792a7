import { highlightParts } from './highlight.js';

const marked = (highlight: string) =>
  highlightParts(highlight)
    .map(({ text, marked }) => (marked ? `[${text}]` : text))
    .join('');

describe('highlightParts', () => {
  it('tells what is marked from what is not, in order', () => {
    expect(highlightParts('The <mark>locks</mark> of <mark>Delft</mark>')).toEqual([
      { text: 'The ', marked: false },
      { text: 'locks', marked: true },
      { text: ' of ', marked: false },
      { text: 'Delft', marked: true },
    ]);
    expect(highlightParts('')).toEqual([]);
    expect(highlightParts('<mark></mark>')).toEqual([]);
  });

  it('takes escapes back once', () => {
    expect(marked('<mark>AC</mark> &amp; DC &lt;b&gt; &quot;x&quot; &#39;y&#39;')).toBe(`[AC] & DC <b> "x" 'y'`);
    expect(marked('&amp;lt;mark&amp;gt; &amp;amp;')).toBe('&lt;mark&gt; &amp;');
  });

  it('takes for markup only what the server makes', () => {
    expect(marked('&lt;mark&gt;a&lt;/mark&gt; <script>alert(1)</script> <mark class="x">b</mark>')).toBe(
      '<mark>a</mark> <script>alert(1)</script> <mark class="x">b',
    );
  });

  it('leaves alone what is no escape', () => {
    expect(marked('R&D; &nope; &#; &#1; & &AMP; &toString;')).toBe('R&D; &nope; &#; &#1; & &AMP; &toString;');
  });

  it('marks to the end what is not closed, and nothing by what is not opened', () => {
    expect(marked('a <mark>b')).toBe('a [b]');
    expect(marked('a</mark> b')).toBe('a b');
    expect(marked('<mark>a<mark>b</mark>c</mark>d')).toBe('[a][b]cd');
  });
});
