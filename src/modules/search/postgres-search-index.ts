import { Injectable } from '@nestjs/common';
import { Database, type Sql } from '../../common/database/index.js';
import { decodeCursor, encodeCursor, invalidCursor } from '../../common/graphql/index.js';
import { LISTED_ANYWHERE, type VideoRow, VideosService } from '../videos/index.js';
import { type Bounded, bounded } from './bounded.js';
import { correctedQuery } from './corrected.js';
import { foldedWords, joinsOf, wordsOf } from './fold.js';
import { beginning, marked, piece } from './highlight.js';
import { IndexWriter } from './index-writer.js';
import { dictionaryOf } from './languages.js';
import { matches, type Understood } from './matches.js';
import { type FoundPage, type FoundVideos, SearchIndex, type VideoSearch } from './search-index.js';
import { isSegment, type Segment, segmentsOf } from './segments.js';
import { tsQuery } from './ts-query.js';
import { type TypedQuery, typedQuery } from './typed-query.js';
import { understand } from './understand.js';

/** Where all words stand in so many titles, the videos with the best scores are asked first. */
const FREQUENT = 2_000;
/** … and are enough when so many of them match. */
const ENOUGH = 200;
/** Of one part of a list: so many matches are ranked. */
const MOST = 10_000;
/** Of descriptions, which are long: one word that stands in all of them is not to cost what was found before. */
const MOST_BODIES = 1_000;
/** What is hidden is told apart from what matches up to so many: of more, one does not show. */
const COUNTED = 1_000;
/** Titles and words among which suggestions are sought, and words before those that are looked at. */
const TITLES_LOOKED_AT = 500;
const WORDS_LOOKED_AT = 8;
const WORDS_BEFORE = 3;
/** Of what has a word, so much is looked at for something that is listed. */
const PROBED = 50;

interface Place {
  readonly segment: Segment;
  readonly rank: number;
  readonly id: number;
}

/** Full text search of PostgreSQL: docs/decisions/0031-search.md has the steps, and what they were chosen from. */
@Injectable()
export class PostgresSearchIndex extends SearchIndex {
  constructor(
    private readonly db: Database,
    private readonly writer: IndexWriter,
    private readonly rows: VideosService,
  ) {
    super();
  }

  async videos(search: VideoSearch, first: number, after: string | null): Promise<FoundVideos> {
    const typed = typedQuery(search.text, 'query');
    const place = after === null ? null : placeOf(after);
    if (typed.all.length === 0) {
      const highlights = async (videos: readonly VideoRow[]) => videos.map(() => []);
      return { rows: [], hasNextPage: false, correctedQuery: () => null, highlights };
    }
    return bounded(this.db, async (sql) => {
      const understood = await understand(sql, typed, true);
      const page = await this.page(sql, search, typed, understood, first, place);
      return {
        ...page,
        correctedQuery: (videos) => correctedQuery(typed.all, understood.typos, videos.map(titleAndTags)),
        highlights: (videos) => this.highlights(typed, understood, videos),
      };
    });
  }

  async countVideos(search: VideoSearch): Promise<number | null> {
    const typed = typedQuery(search.text, 'query');
    if (typed.all.length === 0) return 0;
    return bounded(this.db, async (sql) => {
      const understood = await understand(sql, typed, true);
      const list = { isFrequent: false, titles: apart(understood), orderBy: search.orderBy, after: null };
      let [matching, listed] = [0, 0];
      for (const segment of segmentsOf(list)) {
        const part = () => this.countPart(sql, search, typed, understood, segment);
        const found = isBody(segment) ? await sql.unlessLate(part) : await part();
        if (found === null || found.matching >= mostOf(segment)) return null;
        matching += found.matching;
        listed += found.listed;
        if (matching >= MOST) return null;
      }
      return matching < COUNTED ? listed : matching;
    });
  }

  async channels(text: string, first: number, after: string | null): Promise<FoundPage> {
    const typed = typedQuery(text, 'query');
    const [rank, id] = after === null ? [null, null] : decodeCursor(after, 'integer', 'integer');
    if (typed.all.length === 0) return { rows: [], hasNextPage: false };
    return bounded(this.db, async (sql) => {
      const { spellings, joins } = await understand(sql, typed, false);
      const begun = typed.isOpen ? typed.words.at(-1) : undefined;
      const rows = await sql.query<{ id: string; rank: number; place: number }>(
        `SELECT channel_id AS id, rank, id AS place FROM (
           SELECT s.channel_id, s.id, (4000 * ts_rank('{0.05,0.1,0.3,1}', s.tsv, $1::tsquery))::int + s.score AS rank
           FROM channel_search s WHERE s.tsv @@ $1::tsquery LIMIT ${MOST}) m
         ${id === null ? '' : 'WHERE (m.rank, m.id) < ($3::bigint, $4::bigint)'} ORDER BY m.rank DESC, m.id DESC LIMIT $2`,
        [tsQuery({ ...typed, joins }, spellings, { begun }), first + 1, ...(id === null ? [] : [rank, id])],
      );
      const shown = rows.slice(0, first).map((row) => ({ id: row.id, place: encodeCursor(row.rank, row.place) }));
      return { rows: shown, hasNextPage: rows.length > first };
    });
  }

  async suggestions(prefix: string, first: number): Promise<string[]> {
    const typed = typedQuery(prefix, 'prefix');
    const begun = typed.isOpen ? typed.words.at(-1) : undefined;
    if (typed.words.length === 0) return [];
    const query = tsQuery({ words: typed.words, phrases: typed.phrases }, new Map(), { begun, label: 'A' });
    const found = await bounded(this.db, async (sql) => {
      const titles = await sql.query<{ id: string }>(
        `SELECT video_id AS id FROM (SELECT s.video_id, s.score, s.id FROM video_search s
           WHERE s.tier = 0 AND s.tsv @@ $1::tsquery LIMIT ${TITLES_LOOKED_AT}) m ORDER BY m.score DESC, m.id DESC LIMIT $2`,
        [query, 2 * first],
      );
      const words =
        begun === undefined || begun.length < 2 ? [] : await this.visibleWords(sql, typed.all.slice(0, -1), begun);
      return {
        titles: titles.map(({ id }) => id),
        texts: words.map((word) => [...typed.all.slice(0, -1), word].join(' ')),
      };
    });
    const listed = await this.rows.listedByIds(found.titles);
    const titles = found.titles.flatMap((id) => listed.get(id)?.title ?? []);
    // Half of them are titles, more where words are few.
    const room = Math.max(first - found.texts.length, Math.ceil(first / 2));
    const all = new Map<string, string>();
    for (const text of [...titles.slice(0, room), ...found.texts, ...titles.slice(room)]) {
      const key = foldedWords(text).join(' ');
      if (!all.has(key)) all.set(key, text);
    }
    return [...all.values()].slice(0, first);
  }

  updateVideos(videoIds: readonly string[]): Promise<void> {
    return this.writer.updateVideos(videoIds);
  }

  updateChannels(channelIds: readonly string[]): Promise<void> {
    return this.writer.updateChannels(channelIds);
  }

  rescore(videoIds: readonly string[]): Promise<void> {
    return this.writer.rescore(videoIds);
  }

  /** Only what is listed: how many others match is not to be told from where a page ends. */
  private async page(
    sql: Bounded,
    search: VideoSearch,
    typed: TypedQuery,
    understood: Understood,
    first: number,
    after: Place | null,
  ): Promise<FoundPage> {
    const words = [...typed.words, ...typed.phrases.flat()];
    const isFrequent = words.every((word) => (understood.df.get(word) ?? 0) >= FREQUENT);
    const { orderBy } = search;
    let waiting = segmentsOf({ isFrequent, titles: apart(understood), orderBy, after: after?.segment ?? null });
    const rows: { id: string; place: string }[] = [];
    for (let segment = waiting.shift(); segment && rows.length <= first; segment = waiting.shift()) {
      let from = after?.segment === segment ? after : null;
      for (let isOver = false; !isOver && rows.length <= first; ) {
        const count = first + 1 - rows.length;
        const part = () => this.part(sql, search, typed, understood, segment as Segment, count, from);
        const found = isBody(segment) && rows.length > 0 ? await sql.unlessLate(part) : await part();
        if (found === null) return { rows, hasNextPage: false };
        if (segment === 'FIRST' && from === null && (found[0]?.all ?? 0) < ENOUGH) {
          // Those of best score are too few to rank among: all at once, then.
          waiting = ['ALL', ...waiting.filter((other) => other !== 'REST')];
          break;
        }
        for (const { videoId, rank, id, isListed } of found) {
          if (isListed) rows.push({ id: videoId, place: encodeCursor(segment, rank, id) });
        }
        const last = found.at(-1);
        isOver = found.length < count;
        if (last) from = { segment, rank: last.rank, id: last.id };
      }
    }
    return { rows: rows.slice(0, first), hasNextPage: rows.length > first };
  }

  private part(
    sql: Sql,
    search: VideoSearch,
    typed: TypedQuery,
    understood: Understood,
    segment: Segment,
    count: number,
    after: Place | null,
  ): Promise<{ videoId: string; rank: number; id: number; all: number; isListed: boolean }[]> {
    const { sql: matching, values } = matches(search, typed, understood, segment);
    const bind = (value: unknown) => `$${values.push(value)}`;
    const behind = after ? `WHERE (rank, id) < (${bind(after.rank)}::bigint, ${bind(after.id)}::bigint)` : '';
    const isNewest = search.orderBy === 'NEWEST' && (segment === 'ALL' || segment === 'BODY');
    // Newest first needs no ranking, so nothing has to be found before what is shown. Frequent words that seldom stand together
    // have to: from the newest on all videos might be passed.
    const isFound = segment === 'ALL' && typed.words.length + typed.phrases.flat().length > 1;
    const found = isNewest
      ? `SELECT id, rank, 0 AS all FROM (${matching}${isFound ? ' OFFSET 0' : ''}) m`
      : `SELECT id, rank, (count(*) OVER ())::int AS all FROM (${matching} LIMIT ${mostOf(segment)}) m`;
    return sql.query(
      `SELECT s.video_id AS "videoId", p.rank, p.id, p.all,
              EXISTS (SELECT FROM video v WHERE v.id = s.video_id AND ${LISTED_ANYWHERE}) AS "isListed"
       FROM (SELECT * FROM (${found}) f ${behind} ORDER BY rank DESC, id DESC LIMIT ${bind(count)}) p
       JOIN video_search s ON s.id = p.id ORDER BY p.rank DESC, p.id DESC`,
      values,
    );
  }

  /** How many match, and how many of those are listed, where that can be told apart. */
  private async countPart(
    sql: Sql,
    search: VideoSearch,
    typed: TypedQuery,
    understood: Understood,
    segment: Segment,
  ): Promise<{ matching: number; listed: number }> {
    const { sql: matching, values } = matches(search, typed, understood, segment);
    const [row] = await sql.query<{ matching: number; listed: number }>(
      `WITH m AS MATERIALIZED (SELECT id FROM (${matching} LIMIT ${mostOf(segment)}) found)
       SELECT count(*)::int AS matching, CASE WHEN count(*) < ${COUNTED} THEN
         (SELECT count(*)::int FROM m JOIN video_search s USING (id) JOIN video v ON v.id = s.video_id AND ${LISTED_ANYWHERE})
         ELSE 0 END AS listed FROM m`,
      values,
    );
    return row ?? { matching: 0, listed: 0 };
  }

  /** Stems are compared where words begin alike: others have none in common. */
  private async highlights(
    typed: TypedQuery,
    { spellings, joins }: Understood,
    videos: readonly VideoRow[],
  ): Promise<string[][]> {
    const phrases = typed.phrases.filter((phrase) => phrase.length > 1);
    const single = typed.phrases.filter((phrase) => phrase.length === 1).flat();
    const asked = [...typed.words, ...joins.map(({ folded }) => folded)];
    const direct = new Set([...asked, ...single, ...asked.flatMap((word) => spellings.get(word) ?? [])]);
    const heads = new Set([...direct].map((word) => word.slice(0, 2)));
    const wanted = videos.flatMap((video) => {
      const dictionary = dictionaryOf(video.language);
      const words = dictionary === null ? [] : foldedWords(`${video.title} ${beginning(video.description)}`);
      const alike = new Set(words.filter((word) => !direct.has(word) && heads.has(word.slice(0, 2))));
      return [...alike].map((word) => ({ dictionary, word }));
    });
    const stems = new Map<string, string>();
    if (wanted.length > 0) {
      const rows = await this.db.query<{ dictionary: string; word: string; stem: string | null }>(
        `SELECT dictionary, word, (ts_lexize(dictionary::regdictionary, word))[1] AS stem
         FROM json_to_recordset($1) AS t(dictionary text, word text) GROUP BY 1, 2`,
        [JSON.stringify(wanted)],
      );
      for (const { dictionary, word, stem } of rows) if (stem !== null) stems.set(`${dictionary} ${word}`, stem);
    }
    return videos.map((video) => {
      const dictionary = dictionaryOf(video.language);
      const isFound = (word: string) => direct.has(word) || direct.has(stems.get(`${dictionary} ${word}`) ?? '');
      const described = piece(video.description, { isFound, phrases });
      return [marked(video.title, { isFound, phrases }), ...(described === null ? [] : [described])];
    });
  }

  /** Words that begin so, most frequent first, that something in lists has in its title or tags, with the words before. */
  private async visibleWords(sql: Sql, before: readonly string[], begun: string): Promise<string[]> {
    const words = await sql.query<{ word: string }>(
      `SELECT word FROM search_word WHERE word LIKE $1 AND df > 0 ORDER BY df DESC, word LIMIT ${WORDS_LOOKED_AT}`,
      [`${begun}%`],
    );
    if (words.length === 0) return [];
    const beside = before.slice(-WORDS_BEFORE);
    // One statement, planned with the values of each.
    const found = await sql.query<{ at: number }>(
      words
        .map(
          (_, at) => `SELECT ${at} AS at WHERE EXISTS (
             SELECT FROM (SELECT s.video_id FROM video_search s WHERE s.tsv @@ $${at + 1}::tsquery
                          ${beside.length > 0 ? 'AND s.tier = 0' : ''} LIMIT ${PROBED}) s
             JOIN video v ON v.id = s.video_id AND ${LISTED_ANYWHERE})`,
        )
        .join(' UNION ALL '),
      words.map(({ word }) =>
        tsQuery({ words: [...new Set([...beside, word])], phrases: [] }, new Map(), { label: 'AC' }),
      ),
    );
    const listed = new Set(found.map(({ at }) => at));
    return words.filter((_, at) => listed.has(at)).map(({ word }) => word);
  }
}

const isBody = (segment: Segment) => segment === 'BODY_FIRST' || segment === 'BODY';
const mostOf = (segment: Segment) => (isBody(segment) ? MOST_BODIES : MOST);

/** The words that typos are sought in. */
function titleAndTags({ title, tags }: VideoRow): string[] {
  const text = [title, ...tags].join(', ');
  const words = wordsOf(text);
  return [...words, ...joinsOf(text, words)].map(({ folded }) => folded);
}

/** Where titles that stand apart do, if there are any. */
const apart = ({ titles }: Understood) => (titles.keys.length > 0 ? titles.at : null);

/** @throws InvalidInput INVALID_CURSOR */
function placeOf(cursor: string): Place {
  const [segment, rank, id] = decodeCursor(cursor, 'text', 'integer', 'integer');
  if (isSegment(segment)) return { segment, rank, id };
  throw invalidCursor();
}
