import { type Word, wordsOf } from './fold.js';

/** How much of a description is shown, in characters. */
const PIECE = 160;
const BEFORE = 40;
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (sign) => ENTITIES[sign] as string);

/** HTML of a text in which only `<mark>` is markup. Neighbours with nothing but spaces between them are one mark. */
export function marked(text: string, isFound: (word: string) => boolean): string {
  return mark(text, wordsOf(text), isFound);
}

/** The piece of a text around the first word that was found, on one line; null when none was. */
export function piece(text: string, isFound: (word: string) => boolean): string | null {
  const words = wordsOf(text);
  const first = words.findIndex((word) => isFound(word.folded));
  if (first < 0) return null;
  const at = (words[first] as Word).start;
  const start = words.find((word) => word.start >= at - BEFORE)?.start ?? 0;
  const inside = words.filter((word) => word.start >= start && word.end <= Math.max(start + PIECE, at));
  const end = Math.max(inside.at(-1)?.end ?? 0, (words[first] as Word).end);
  const isWhole = end >= (words.at(-1) as Word).end;
  const shown = text
    .slice(start === words[0]?.start ? 0 : start, isWhole ? start + 2 * PIECE : end)
    .replace(/\s+/g, ' ');
  const [head, tail] = [start === words[0]?.start ? '' : '… ', isWhole ? '' : ' …'];
  return `${head}${mark(shown, wordsOf(shown), isFound)}${tail}`;
}

function mark(text: string, words: readonly Word[], isFound: (word: string) => boolean): string {
  const runs: { start: number; end: number }[] = [];
  for (const { folded, start, end } of words) {
    if (!isFound(folded)) continue;
    const before = runs.at(-1);
    if (before && /^\s*$/.test(text.slice(before.end, start))) before.end = end;
    else runs.push({ start, end });
  }
  let html = '';
  let done = 0;
  for (const { start, end } of runs) {
    html += `${escapeHtml(text.slice(done, start))}<mark>${escapeHtml(text.slice(start, end))}</mark>`;
    done = end;
  }
  return html + escapeHtml(text.slice(done));
}
