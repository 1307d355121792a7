import { Injectable } from '@nestjs/common';
import { Database, sqlState, type Tx } from '../../common/database/index.js';
import { decodeCursor, encodeCursor, invalidCursor } from '../../common/graphql/index.js';
import { LISTED_ANYWHERE, type VideoRow, VideosService } from '../videos/index.js';
import { foldedWords } from './fold.js';
import { marked, piece } from './highlight.js';
import { IndexWriter } from './index-writer.js';
import { dictionaryOf } from './languages.js';
import { matches, type Understood } from './matches.js';
import { SearchTooBroad } from './search.errors.js';
import { searchesTooBroad } from './search.metrics.js';
import { type FoundPage, type FoundVideos, SearchIndex, type VideoSearch } from './search-index.js';
import { isSegment, type Segment, segmentsOf } from './segments.js';
import { type Spellings, tsQuery } from './ts-query.js';
import { type TypedQuery, typedQuery } from './typed-query.js';
import { understand } from './understand.js';

/** Of one statement; the slowest that we know takes a twentieth of it. */
const STATEMENT_MS = 1_000;
/** SQLSTATE query_canceled. */
const CANCELLED = '57014';
/** Where all words stand in so many titles, the videos with the best scores are asked first. */
const FREQUENT = 2_000;
/** … and are enough when so many of them match. */
const ENOUGH = 200;
/** Of one part of a list: so many matches are ranked. */
const MOST = 10_000;
/** Words in fewer titles are suggested only where somebody finds something by them. */
const SURE = 50;
/** Titles and words among which suggestions are sought. */
const TITLES_LOOKED_AT = 500;
const WORDS_LOOKED_AT = 24;

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
      return { rows: [], hasNextPage: false, correctedQuery: null, highlights };
    }
    return this.bounded(async (tx) => {
      const understood = await understand(tx, typed, true);
      const page = await this.page(tx, search, typed, understood, first, place);
      const { correctedQuery, spellings } = understood;
      const highlights = (videos: readonly VideoRow[]) => this.highlights(typed, spellings, videos);
      return { ...page, correctedQuery, highlights };
    });
  }

  async countVideos(search: VideoSearch): Promise<number | null> {
    const typed = typedQuery(search.text, 'query');
    if (typed.all.length === 0) return 0;
    return this.bounded(async (tx) => {
      const understood = await understand(tx, typed, true);
      const list = { isFrequent: false, titles: apart(understood), orderBy: search.orderBy, after: null };
      let sum = 0;
      for (const segment of segmentsOf(list)) {
        const { sql, values } = matches(search, typed, understood, segment);
        const [row] = await tx.query<{ count: number }>(
          `SELECT count(*)::int AS count FROM (${sql} LIMIT ${MOST}) m`,
          values,
        );
        sum += row?.count ?? 0;
        if (sum >= MOST) return null;
      }
      return sum;
    });
  }

  async channels(text: string, first: number, after: string | null): Promise<FoundPage> {
    const typed = typedQuery(text, 'query');
    const [rank, id] = after === null ? [null, null] : decodeCursor(after, 'integer', 'integer');
    if (typed.all.length === 0) return { rows: [], hasNextPage: false };
    return this.bounded(async (tx) => {
      const { spellings } = await understand(tx, typed, false);
      const begun = typed.isOpen ? typed.words.at(-1) : undefined;
      const rows = await tx.query<{ id: string; rank: number; place: number }>(
        `SELECT channel_id AS id, rank, id AS place FROM (
           SELECT s.channel_id, s.id, (4000 * ts_rank('{0.05,0.1,0.3,1}', s.tsv, $1::tsquery))::int + s.score AS rank
           FROM channel_search s WHERE s.tsv @@ $1::tsquery LIMIT ${MOST}) m
         ${id === null ? '' : 'WHERE (m.rank, m.id) < ($3::bigint, $4::bigint)'} ORDER BY m.rank DESC, m.id DESC LIMIT $2`,
        [tsQuery(typed, spellings, { begun }), first + 1, ...(id === null ? [] : [rank, id])],
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
    const found = await this.bounded(async (tx) => {
      const titles = await tx.query<{ id: string }>(
        `SELECT video_id AS id FROM (SELECT s.video_id, s.score, s.id FROM video_search s
           WHERE s.tier = 0 AND s.tsv @@ $1::tsquery LIMIT ${TITLES_LOOKED_AT}) m ORDER BY m.score DESC, m.id DESC LIMIT $2`,
        [query, 2 * first],
      );
      const words =
        begun === undefined || begun.length < 2 ? [] : await this.visibleWords(tx, typed.all.slice(0, -1), begun);
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

  private async page(
    tx: Tx,
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
      const from = after?.segment === segment ? after : null;
      const found = await this.segment(tx, search, typed, understood, segment, first + 1 - rows.length, from);
      if (segment === 'FIRST' && from === null && (found[0]?.all ?? 0) < ENOUGH) {
        // Those of best score are too few to rank among: all at once, then.
        waiting = ['ALL', ...waiting.filter((other) => other !== 'REST')];
        continue;
      }
      for (const { videoId, rank, id } of found) rows.push({ id: videoId, place: encodeCursor(segment, rank, id) });
    }
    return { rows: rows.slice(0, first), hasNextPage: rows.length > first };
  }

  private segment(
    tx: Tx,
    search: VideoSearch,
    typed: TypedQuery,
    understood: Understood,
    segment: Segment,
    count: number,
    after: Place | null,
  ): Promise<{ videoId: string; rank: number; id: number; all: number }[]> {
    const { sql, values } = matches(search, typed, understood, segment);
    const bind = (value: unknown) => `$${values.push(value)}`;
    const behind = after ? `WHERE (rank, id) < (${bind(after.rank)}::bigint, ${bind(after.id)}::bigint)` : '';
    // Newest first needs no ranking, so nothing has to be found before what is shown.
    const found =
      search.orderBy === 'NEWEST' && segment === 'ALL'
        ? `SELECT id, rank, 0 AS all FROM (${sql}) m`
        : `SELECT id, rank, (count(*) OVER ())::int AS all FROM (${sql} LIMIT ${MOST}) m`;
    return tx.query(
      `SELECT s.video_id AS "videoId", p.rank, p.id, p.all
       FROM (SELECT * FROM (${found}) f ${behind} ORDER BY rank DESC, id DESC LIMIT ${bind(count)}) p
       JOIN video_search s ON s.id = p.id ORDER BY p.rank DESC, p.id DESC`,
      values,
    );
  }

  /** Stems are compared where words begin alike: others have none in common. */
  private async highlights(typed: TypedQuery, spellings: Spellings, videos: readonly VideoRow[]): Promise<string[][]> {
    const asked = [...typed.words, ...typed.phrases.flat()];
    const direct = new Set([...asked, ...asked.flatMap((word) => spellings.get(word) ?? [])]);
    const heads = new Set([...direct].map((word) => word.slice(0, 2)));
    const wanted = videos.flatMap((video) => {
      const dictionary = dictionaryOf(video.language);
      const words = dictionary === null ? [] : foldedWords(`${video.title} ${video.description}`);
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
      const described = piece(video.description, isFound);
      return [marked(video.title, isFound), ...(described === null ? [] : [described])];
    });
  }

  /** Words that begin so, most frequent first: those that something in lists has; of the best, with the words before. */
  private async visibleWords(tx: Tx, before: readonly string[], begun: string): Promise<string[]> {
    const words = await tx.query<{ word: string; df: number }>(
      `SELECT word, df FROM search_word WHERE word LIKE $1 AND df > 0 ORDER BY df DESC, word LIMIT ${WORDS_LOOKED_AT}`,
      [`${begun}%`],
    );
    const isSure = ({ df }: { df: number }) => before.length === 0 && df >= SURE;
    const unsure = words.filter((word) => !isSure(word)).map(({ word }) => word);
    if (unsure.length === 0) return words.map(({ word }) => word);
    // One statement, planned with the values of each.
    const found = await tx.query<{ at: number }>(
      unsure
        .map(
          (_, at) => `SELECT ${at} AS at WHERE EXISTS (
             SELECT FROM (SELECT s.video_id FROM video_search s WHERE s.tsv @@ $${at + 1}::tsquery
                          ${before.length > 0 ? 'AND s.tier = 0' : ''} LIMIT ${SURE}) s
             JOIN video v ON v.id = s.video_id AND ${LISTED_ANYWHERE})`,
        )
        .join(' UNION ALL '),
      unsure.map((word) =>
        tsQuery({ words: [...new Set([...before, word])], phrases: [] }, new Map(), { label: 'AC' }),
      ),
    );
    const seen = new Set(found.map(({ at }) => unsure[at]));
    return words.filter((word) => isSure(word) || seen.has(word.word)).map(({ word }) => word);
  }

  private async bounded<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    try {
      return await this.db.tx(async (tx) => {
        await tx.query(`SET LOCAL statement_timeout = ${STATEMENT_MS}`);
        return work(tx);
      });
    } catch (error) {
      if (sqlState(error) !== CANCELLED) throw error;
      searchesTooBroad.inc();
      throw new SearchTooBroad();
    }
  }
}

/** Where titles that stand apart do, if there are any. */
const apart = ({ titles }: Understood) => (titles.keys.length > 0 ? titles.at : null);

/** @throws InvalidInput INVALID_CURSOR */
function placeOf(cursor: string): Place {
  const [segment, rank, id] = decodeCursor(cursor, 'text', 'integer', 'integer');
  if (isSegment(segment)) return { segment, rank, id };
  throw invalidCursor();
}
