import { foldedWords } from './fold.js';
import type { VideoFilter, VideoSearch } from './search-index.js';
import type { Segment } from './segments.js';
import { type Spellings, tsQuery } from './ts-query.js';
import type { TypedQuery } from './typed-query.js';
import { tagLexeme } from './vector.js';

/** Descriptions are searched without words of so many titles, where there is a rarer one. */
const TOO_FREQUENT = 10_000;

/** What the words of a query may mean. */
export interface Understood {
  readonly spellings: Spellings;
  /** In how many titles each is; 0 of unknown words. */
  readonly df: ReadonlyMap<string, number>;
  /** Titles that stand apart, and in which part of the list. */
  readonly titles: { readonly at: 'TITLE' | 'NEAR'; readonly keys: readonly string[] };
  /** Those of the query that something has. */
  readonly joins: TypedQuery['joins'];
  /** Words that were taken for mistakes, with what they may stand for. */
  readonly typos: ReadonlyMap<string, readonly string[]>;
}

const rankOf = (row: string, query: string) =>
  `((4000 * ts_rank('{0.05,0.1,0.3,1}', ${row}.tsv, ${query}))::int + ${row}.score)::bigint`;

/**
 * A statement for the rows of one part of a list, `id` and `rank`, unordered. It is planned with its values: a plan for any value
 * would not take the index of tier 0, nor walk the newest.
 */
export function matches(
  search: VideoSearch,
  { words, phrases }: TypedQuery,
  { df, spellings, titles, joins }: Understood,
  segment: Segment,
): { sql: string; values: unknown[] } {
  const typed = { words, phrases, joins };
  const values: unknown[] = [];
  const bind = (value: unknown) => `$${values.push(value)}`;
  const isNewest = search.orderBy === 'NEWEST';
  const keys = () => `ARRAY(SELECT hashtextextended(t, 0) FROM unnest(${bind(titles.keys)}::text[]) t)`;
  const isApart = titles.keys.length > 0 && !(isNewest && titles.at === 'TITLE');
  const filters = filtersOf(search.filter, bind);

  if (segment === 'TITLE' || segment === 'NEAR') {
    const conditions = [`s.title_key = ANY (${keys()})`, ...filters];
    const rank = isNewest ? 's.listed_ms' : 's.score::bigint';
    return { sql: `SELECT s.id, ${rank} AS rank FROM video_search s WHERE ${conditions.join(' AND ')}`, values };
  }
  if (segment !== 'BODY' && segment !== 'BODY_FIRST') {
    const query = `${bind(tsQuery(typed, spellings))}::tsquery`;
    const conditions = [`s.tsv @@ ${query}`, ...filters];
    if (segment !== 'ALL') conditions.push(segment === 'FIRST' ? 's.tier = 0' : 's.tier = 1');
    if (isApart) conditions.push(`s.title_key <> ALL (${keys()})`);
    const rank = isNewest ? 's.listed_ms' : rankOf('s', query);
    return { sql: `SELECT s.id, ${rank} AS rank FROM video_search s WHERE ${conditions.join(' AND ')}`, values };
  }
  const rarer = words.filter((word) => (df.get(word) ?? 0) < TOO_FREQUENT);
  const asked = rarer.length > 0 ? { ...typed, words: rarer } : typed;
  const query = `${bind(tsQuery(asked, spellings))}::tsquery`;
  // What has all of it in title and tags stands before: in the body these have weights of their own.
  const before = `NOT b.tsv @@ ${bind(tsQuery(typed, spellings, { label: 'ABC' }))}::tsquery`;
  const conditions = [`b.tsv @@ ${query}`, before, ...filters];
  if (!isNewest) conditions.push(segment === 'BODY_FIRST' ? 'b.tier = 0' : 'b.tier = 1');
  if (isApart) {
    conditions.push(`b.id <> ALL (ARRAY(SELECT id FROM video_search WHERE title_key = ANY (${keys()}) LIMIT 1000))`);
  }
  const join = isNewest || filters.length > 0 ? 'JOIN video_search s ON s.id = b.id' : '';
  const rank = isNewest ? 's.listed_ms' : rankOf('b', query);
  return {
    sql: `SELECT b.id, ${rank} AS rank FROM video_search_body b ${join} WHERE ${conditions.join(' AND ')}`,
    values,
  };
}

/** Conditions on a row `s`. */
function filtersOf(filter: VideoFilter, bind: (value: unknown) => string): string[] {
  const { channelId, publishedAfter, publishedBefore, minDurationMs, maxDurationMs, tags, language } = filter;
  const conditions: string[] = [];
  if (channelId !== undefined) conditions.push(`s.channel_id = ${bind(channelId)}::uuid`);
  if (publishedAfter) conditions.push(`s.listed_ms >= ${bind(publishedAfter.getTime())}::bigint`);
  if (publishedBefore) conditions.push(`s.listed_ms < ${bind(publishedBefore.getTime())}::bigint`);
  if (minDurationMs !== undefined) conditions.push(`s.duration_ms >= ${bind(minDurationMs)}::int`);
  if (maxDurationMs !== undefined) conditions.push(`s.duration_ms <= ${bind(maxDurationMs)}::int`);
  if (language !== undefined) {
    const given = `${bind(language)}::text`;
    conditions.push(`(s.language = ${given} OR s.language LIKE ${given} || '-%')`);
  }
  if (tags && tags.length > 0) {
    const all = tags.map((tag) => `'${tagLexeme(foldedWords(tag))}'`).join(' & ');
    conditions.push(`s.tsv @@ ${bind(all)}::tsquery`);
  }
  return conditions;
}
