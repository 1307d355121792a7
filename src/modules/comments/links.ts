/** An address within a text. `start` and `length` count UTF-16 code units, as JavaScript's strings do. */
export interface TextLink {
  readonly start: number;
  readonly length: number;
  /** As a browser would open it, with the host in ASCII: what looks like another's shows what it is. */
  readonly url: string;
}

const MOST = 20;
const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\\^{|}\p{Cc}]+/giu;
const CLOSING = /[.,:;!?…'")\]}]+$/u;

/** Web addresses (http and https, and nothing else) in a plain text, at most 20, in its order. */
export function linksIn(text: string): TextLink[] {
  const links: TextLink[] = [];
  for (const match of text.matchAll(ADDRESS)) {
    const shown = withoutClosing(match[0]);
    const url = safe(shown);
    if (url !== null) links.push({ start: match.index, length: shown.length, url });
    if (links.length === MOST) break;
  }
  return links;
}

/** The end of a sentence is no part of the address, nor is a bracket that was opened before it. */
function withoutClosing(address: string): string {
  const end = CLOSING.exec(address)?.[0] ?? '';
  const kept = address.slice(0, address.length - end.length);
  return end.startsWith(')') && kept.includes('(') ? `${kept})` : kept;
}

function safe(address: string): string | null {
  if (!URL.canParse(address)) return null;
  const url = new URL(address);
  // A name and password ahead of the host are there to deceive.
  return url.username === '' && url.password === '' ? url.href : null;
}
