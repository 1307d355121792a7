/** A piece of a text, and whether it is what was searched for. */
export interface TextPart {
  readonly text: string;
  readonly marked: boolean;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

/**
 * The pieces of a highlight of a search, in their order: text for React or `textContent`, so that nobody needs `innerHTML`.
 * Only `<mark>` and `</mark>` are markup in it; everything else is text, in which `&amp;`, `&lt;`, `&gt;`,
 * `&quot;` and `&#39;` are escapes.
 */
export function highlightParts(highlight: string): readonly TextPart[] {
  // Every other piece is what stood before `mark>`: nothing, or a slash.
  return highlight.split(/<(\/?)mark>/).flatMap((piece, n, pieces) => {
    if (n % 2 === 1 || piece === '') return [];
    return [{ text: unescaped(piece), marked: pieces[n - 1] === '' }];
  });
}

/** In one pass: `&amp;lt;` is the text `&lt;`. */
const unescaped = (text: string) => text.replace(/&[#\w]{2,4};/g, (whole) => ESCAPES[whole] ?? whole);
