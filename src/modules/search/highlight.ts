import { joinsOf, type Word, wordsOf } from './fold.js';

/** How much of a description is shown, in characters. */
const PIECE = 160;
const BEFORE = 40;
/** How much of one is read for it: a page has a hundred, and each server shows many. */
const READ = 1_000;
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** What was looked for, in the words of the index. */
export interface Sought {
  isFound(word: string): boolean;
  /** These are found together, and none of their words alone. */
  readonly phrases: readonly (readonly string[])[];
}

type Run = Pick<Word, 'start' | 'end'>;

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (sign) => ENTITIES[sign] as string);

/** As much of a text as is read for its piece. */
export const beginning = (text: string): string => text.slice(0, READ);

/** HTML of a text in which only `<mark>` is markup. Neighbours with nothing but spaces between them are one mark. */
export function marked(text: string, sought: Sought): string {
  return mark(text, foundIn(text, wordsOf(text), sought));
}

/** The piece of a text around what was found first in its beginning, on one line; null when nothing was. */
export function piece(text: string, sought: Sought): string | null {
  const words = wordsOf(beginning(text));
  const [first] = foundIn(beginning(text), words, sought);
  if (first === undefined) return null;
  const { start: at } = first;
  const start = words.find((word) => word.start >= at - BEFORE)?.start ?? 0;
  const inside = words.filter((word) => word.start >= start && word.end <= Math.max(start + PIECE, at));
  const end = Math.max(inside.at(-1)?.end ?? 0, first.end);
  const isWhole = text.length <= READ && end >= (words.at(-1) as Word).end;
  const shown = text
    .slice(start === words[0]?.start ? 0 : start, isWhole ? start + 2 * PIECE : end)
    .replace(/\s+/g, ' ');
  const [head, tail] = [start === words[0]?.start ? '' : '… ', isWhole ? '' : ' …'];
  return `${head}${marked(shown, sought)}${tail}`;
}

/** Where what was looked for stands, the first first. */
function foundIn(text: string, words: readonly Word[], { isFound, phrases }: Sought): Run[] {
  const found: Run[] = [...words, ...joinsOf(text, words)].filter(({ folded }) => isFound(folded));
  for (const phrase of phrases) {
    words.forEach(({ start }, at) => {
      if (!phrase.every((word, n) => words[at + n]?.folded === word)) return;
      found.push({ start, end: (words[at + phrase.length - 1] as Word).end });
    });
  }
  return found.sort((one, other) => one.start - other.start);
}

function mark(text: string, found: readonly Run[]): string {
  const runs: { start: number; end: number }[] = [];
  for (const { start, end } of found) {
    const before = runs.at(-1);
    if (before && /^\s*$/.test(text.slice(before.end, start))) before.end = Math.max(before.end, end);
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
