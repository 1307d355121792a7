import type { Sql } from '../../common/database/index.js';
import type { Understood } from './matches.js';
import { deletesOf, isNear } from './near.js';
import type { TypedQuery } from './typed-query.js';

/** A last word in fewer titles may be the beginning of another. */
const FINISHED = 20;
const COMPLETIONS = 8;
const NEIGHBOURS = 24;
const CANDIDATES = 200;

/** What the index has of the words, and of words like them. @param isVideos also titles, and what the last word may begin */
export async function understand(sql: Sql, typed: TypedQuery, isVideos: boolean): Promise<Understood> {
  const words = [...new Set([...typed.words, ...typed.phrases.flat()])];
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
  if (isVideos && known[0]?.isTitle)
    return { spellings, df, titles: { at: 'TITLE', keys: [title] }, correctedQuery: null };

  const last = isVideos && typed.isOpen ? typed.words.at(-1) : undefined;
  const completions = last !== undefined && (df.get(last) ?? 0) < FINISHED ? await completionsOf(sql, last) : [];
  if (last !== undefined) add(last, completions);
  const near = await neighboursOf(sql, typed.words);
  const titles = isVideos ? await titlesNear(sql, typed.all, near) : [];
  const unknown = typed.words.filter((word) => !df.get(word));
  const corrected = new Map<string, string>();
  for (const word of unknown) {
    const [best, ...others] = near.get(word) ?? [];
    if (best === undefined) continue;
    add(word, [best, ...others]);
    if (word !== last || completions.length === 0) corrected.set(word, best);
  }
  const instead = typed.all.map((word) => corrected.get(word) ?? word).join(' ');
  return {
    ...{ spellings, df },
    // A word that is one by itself is not taken for a mistake before what it finds.
    titles: { at: unknown.length > 0 ? 'TITLE' : 'NEAR', keys: titles },
    correctedQuery: corrected.size === 0 ? null : (titles[0] ?? instead),
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
async function neighboursOf(sql: Sql, words: readonly string[]): Promise<Map<string, string[]>> {
  const asked = words
    .map((word) => ({ word, deletes: [...word].length > 1 ? deletesOf(word) : [] }))
    .filter(({ deletes }) => deletes.length > 0);
  if (asked.length === 0) return new Map();
  // One statement, planned with the values of each.
  const candidates = asked.map(
    (_, at) => `(SELECT ${at} AS at, word FROM search_word WHERE deletes && $${at + 1}::text[] AND df > 0
                 ORDER BY df DESC, word LIMIT ${CANDIDATES})`,
  );
  const rows = await sql.query<{ at: number; word: string }>(
    candidates.join(' UNION ALL '),
    asked.map(({ deletes }) => deletes),
  );
  return new Map(
    asked.map(({ word }, at) => {
      const others = rows.filter((row) => row.at === at && row.word !== word && isNear(word, row.word));
      return [word, others.slice(0, NEIGHBOURS).map((row) => row.word)];
    }),
  );
}

/** Titles that are the query with one word replaced. */
async function titlesNear(
  sql: Sql,
  all: readonly string[],
  near: ReadonlyMap<string, readonly string[]>,
): Promise<string[]> {
  const titles = all.flatMap((word, at) => (near.get(word) ?? []).map((other) => all.with(at, other).join(' ')));
  if (titles.length === 0) return [];
  const rows = await sql.query<{ title: string }>(
    `SELECT title FROM unnest($1::text[]) WITH ORDINALITY t(title, place)
     WHERE EXISTS (SELECT FROM video_search WHERE title_key = hashtextextended(title, 0)) ORDER BY place LIMIT $2`,
    [titles, NEIGHBOURS],
  );
  return rows.map(({ title }) => title);
}
