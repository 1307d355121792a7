import type { Sql } from '../../common/database/index.js';
import type { Understood } from './matches.js';
import { deletesOf, isNear } from './near.js';
import type { TypedQuery } from './typed-query.js';

/** A last word in fewer titles may be the beginning of another, and any a typo … */
const RARE = 20;
/** … of one in so many times as many. */
const LIKELIER = 50;
const COMPLETIONS = 8;
const NEIGHBOURS = 24;
const CANDIDATES = 200;

interface Known {
  readonly word: string;
  readonly df: number;
}

/** What the index has of the words, and of words like them. @param isVideos also titles, and what the last word may begin */
export async function understand(sql: Sql, typed: TypedQuery, isVideos: boolean): Promise<Understood> {
  const words = [...new Set([...typed.words, ...typed.phrases.flat(), ...typed.joins.map(({ folded }) => folded)])];
  const title = typed.all.join(' ');
  const known = await sql.query<{ word: string; df: number; stems: string[]; isTitle: boolean }>(
    `SELECT t.word, coalesce(w.df, 0) AS df, EXISTS (SELECT FROM video_search WHERE title_key = hashtextextended($2, 0)) AS "isTitle",
            ARRAY(SELECT DISTINCT stem FROM search_state, unnest(dictionaries) d, unnest(ts_lexize(d::regdictionary, t.word)) stem
                  WHERE stem <> t.word AND stem <> '') AS stems
     FROM unnest($1::text[]) t(word) LEFT JOIN search_word w USING (word)`,
    [words, title],
  );
  const df = new Map(known.map((row) => [row.word, row.df]));
  const spellings = new Map(known.map((row) => [row.word, row.stems]));
  const add = (word: string, more: readonly string[]) => spellings.set(word, [...(spellings.get(word) ?? []), ...more]);
  const isRare = (word: string) => (df.get(word) ?? 0) < RARE;
  const isTitle = isVideos && known[0]?.isTitle === true;

  const last = isVideos && typed.isOpen ? typed.words.at(-1) : undefined;
  const completions = last !== undefined && isRare(last) ? await completionsOf(sql, last) : [];
  if (last !== undefined) add(last, completions);
  // A title that was typed in full is not one of another that differs in a word.
  const near = await neighboursOf(sql, isTitle ? typed.words.filter(isRare) : typed.words);
  const typos = new Map<string, string[]>();
  for (const word of typed.words.filter(isRare)) {
    const least = LIKELIER * (df.get(word) ?? 0);
    const meant = (near.get(word) ?? []).filter((other) => other.df >= least).map((other) => other.word);
    if (meant.length === 0) continue;
    add(word, meant);
    typos.set(word, meant);
  }
  const titles = isVideos && !isTitle ? await titlesNear(sql, typed.all, near) : [];
  const isWhole = (word: string) => word !== last || completions.length === 0;
  return {
    ...{ spellings, df },
    joins: typed.joins.filter(({ folded }) => df.get(folded)),
    // A word that is one by itself is not taken for a mistake before what it finds.
    titles: isTitle ? { at: 'TITLE', keys: [title] } : { at: typos.size > 0 ? 'TITLE' : 'NEAR', keys: titles },
    typos: new Map(isTitle ? [] : [...typos].filter(([word]) => isWhole(word))),
  };
}

async function completionsOf(sql: Sql, word: string): Promise<string[]> {
  if ([...word].length < 2) return [];
  const rows = await sql.query<{ word: string }>(
    'SELECT word FROM search_word WHERE word LIKE $1 AND df > 0 AND word <> $2 ORDER BY df DESC, word LIMIT $3',
    [`${word}%`, word, COMPLETIONS],
  );
  return rows.map((row) => row.word);
}

/** Known words one edit away, most frequent first. */
async function neighboursOf(sql: Sql, words: readonly string[]): Promise<Map<string, Known[]>> {
  const asked = words
    .map((word) => ({ word, deletes: [...word].length > 1 ? deletesOf(word) : [] }))
    .filter(({ deletes }) => deletes.length > 0);
  if (asked.length === 0) return new Map();
  // One statement, planned with the values of each.
  const candidates = asked.map(
    (_, at) => `(SELECT ${at} AS at, word, df FROM search_word WHERE deletes && $${at + 1}::text[] AND df > 0
                 ORDER BY df DESC, word LIMIT ${CANDIDATES})`,
  );
  const rows = await sql.query<Known & { at: number }>(
    candidates.join(' UNION ALL '),
    asked.map(({ deletes }) => deletes),
  );
  return new Map(
    asked.map(({ word }, at) => {
      const others = rows.filter((row) => row.at === at && row.word !== word && isNear(word, row.word));
      return [word, others.slice(0, NEIGHBOURS)];
    }),
  );
}

/** Titles that are the query with one word replaced. */
async function titlesNear(
  sql: Sql,
  all: readonly string[],
  near: ReadonlyMap<string, readonly Known[]>,
): Promise<string[]> {
  const titles = all.flatMap((typed, at) => (near.get(typed) ?? []).map(({ word }) => all.with(at, word).join(' ')));
  if (titles.length === 0) return [];
  const rows = await sql.query<{ title: string }>(
    `SELECT title FROM unnest($1::text[]) WITH ORDINALITY t(title, place)
     WHERE EXISTS (SELECT FROM video_search WHERE title_key = hashtextextended(title, 0)) ORDER BY place LIMIT $2`,
    [titles, NEIGHBOURS],
  );
  return rows.map(({ title }) => title);
}
