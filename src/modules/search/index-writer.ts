import { Injectable } from '@nestjs/common';
import { Database, type Sql, type Tx } from '../../common/database/index.js';
import { LISTED_ANYWHERE, LISTED_WHEN_DUE } from '../videos/index.js';
import { foldedWords, joinsOf } from './fold.js';
import { dictionaryOf } from './languages.js';
import { deletesOf } from './near.js';
import { indexed } from './search.metrics.js';
import { tagLexeme, vectorOf } from './vector.js';

/** Whoever writes the index holds it shared, who exchanges its tables alone. */
const INDEX_LOCK = 7_481_920_114;
/** Of one transaction: soon over for who waits for one of them, and fewer locks than PostgreSQL has room for in each. */
const AT_ONCE = 50;
const FIRST = '00000000-0000-0000-0000-000000000000';

/** The tables that videos are found by. */
export const TABLES = ['video_search', 'video_search_body'];
/** The tables in use, or those that are to take their place. */
export type Tables = '' | '_next';

interface Source {
  id: string;
  channelId: string;
  title: string;
  description: string;
  tags: string[];
  language: string | null;
  durationMs: number;
  channelName: string;
}

/** Ten times the views are worth four years. Nothing in it depends on the time of asking, so that places in lists last. */
const scoreOf = (views: string, listedMs: string) =>
  `(round(1000 * log(${views} + 1)) + (${listedMs} / 1000 - 1479000000) / 126144)::int`;
const LISTED_MS = 'floor(extract(epoch FROM v.listed_at) * 1000)::bigint';

/** Keeps the tables of the index what the videos and channels are. */
@Injectable()
export class IndexWriter {
  /** Tier 0 has as many rows, or one in twenty. */
  readonly firstTier: number = 20_000;

  constructor(private readonly db: Database) {}

  async updateVideos(videoIds: readonly string[]): Promise<void> {
    await this.ofVideos(videoIds, (tx, ids) => this.write(tx, ids, ''));
    indexed.inc({ of: 'videos' }, videoIds.length);
  }

  async rescore(videoIds: readonly string[]): Promise<void> {
    await this.ofVideos(videoIds, (tx, ids) =>
      tx.query(
        `WITH scored AS (
           UPDATE video_search s SET score = ${scoreOf('p.view_count', 's.listed_ms')} FROM video_popularity p
           WHERE p.video_id = s.video_id AND s.video_id = ANY($1::uuid[]) RETURNING s.id, s.score
         ) UPDATE video_search_body b SET score = scored.score FROM scored WHERE b.id = scored.id`,
        [ids],
      ),
    );
    indexed.inc({ of: 'scores' }, videoIds.length);
  }

  async updateChannels(channelIds: readonly string[]): Promise<void> {
    await this.held(channelIds, async (tx, ids) => {
      const rows = await tx.query<{ id: string; name: string; handle: string }>(
        'SELECT id, name, handle FROM channel WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL ORDER BY id',
        [ids],
      );
      const words: string[] = [];
      const vectors = rows.map(({ id, name, handle }) => {
        const [named, handled] = [foldedWords(name), foldedWords(handle)];
        words.push(...named, ...handled);
        const parts = [
          { words: named, label: 'A' },
          { words: handled.length > 1 ? [...handled, handled.join('')] : handled, label: 'C' },
        ] as const;
        return { id, tsv: vectorOf(parts, [], () => null) };
      });
      await tx.query(
        'DELETE FROM channel_search WHERE channel_id = ANY($1::uuid[]) AND channel_id <> ALL($2::uuid[])',
        [ids, rows.map(({ id }) => id)],
      );
      await tx.query(
        `INSERT INTO channel_search AS s (channel_id, score, tsv)
         SELECT t.id, round(1000 * log(coalesce(n.subscribers, 0) + 1)), t.tsv::tsvector
         FROM json_to_recordset($1) AS t(id uuid, tsv text) LEFT JOIN subscriber_count n ON n.channel_id = t.id ORDER BY t.id
         ON CONFLICT (channel_id) DO UPDATE SET score = excluded.score, tsv = excluded.tsv`,
        [JSON.stringify(vectors)],
      );
      await addWords(tx, words);
    });
    indexed.inc({ of: 'channels' }, channelIds.length);
  }

  /** What these videos' rows say now, into the tables; those that stand in no list come out of them. */
  async write(tx: Tx, videoIds: readonly string[], tables: Tables): Promise<void> {
    const rows = await tx.query<Source>(
      `SELECT v.id, v.channel_id AS "channelId", v.title, v.description, v.tags, v.language, coalesce(v.duration_ms, 0) AS "durationMs",
              c.name AS "channelName"
       FROM video v JOIN channel c ON c.id = v.channel_id WHERE v.id = ANY($1::uuid[]) AND v.listed_at IS NOT NULL AND ${LISTED_ANYWHERE}`,
      [videoIds],
    );
    await tx.query(
      `WITH gone AS (DELETE FROM video_search${tables} WHERE video_id = ANY($1::uuid[]) AND video_id <> ALL($2::uuid[]) RETURNING id)
       DELETE FROM video_search_body${tables} b USING gone WHERE b.id = gone.id`,
      [videoIds, rows.map(({ id }) => id)],
    );
    if (rows.length === 0) return;
    const { entries, words } = await entriesOf(tx, rows);
    await tx.query(
      `WITH t AS (
         SELECT t.*, ${LISTED_MS} AS listed_ms, ${scoreOf('coalesce(p.view_count, 0)', LISTED_MS)} AS score, v.channel_id, v.duration_ms, v.language
         FROM json_to_recordset($1) AS t(video_id uuid, title text, tsv text, body text)
           JOIN video v ON v.id = t.video_id LEFT JOIN video_popularity p ON p.video_id = t.video_id
       ), narrow AS (
         INSERT INTO video_search${tables} AS s (id, video_id, channel_id, listed_ms, duration_ms, language, score, tier, title_key, tsv)
         SELECT coalesce(o.id, nextval('video_search_id')), t.video_id, t.channel_id, t.listed_ms, coalesce(t.duration_ms, 0), t.language,
                t.score, CASE WHEN t.score >= state.tier_from THEN 0 ELSE 1 END, hashtextextended(t.title, 0), t.tsv::tsvector
         FROM t CROSS JOIN search_state state LEFT JOIN video_search o ON o.video_id = t.video_id ORDER BY t.video_id
         ON CONFLICT (video_id) DO UPDATE SET channel_id = excluded.channel_id, listed_ms = excluded.listed_ms,
           duration_ms = excluded.duration_ms, language = excluded.language, score = excluded.score, tier = excluded.tier,
           title_key = excluded.title_key, tsv = excluded.tsv
         RETURNING id, video_id, score, tier
       )
       INSERT INTO video_search_body${tables} AS b (id, score, tier, tsv)
       SELECT narrow.id, narrow.score, narrow.tier, t.body::tsvector FROM narrow JOIN t USING (video_id)
       ON CONFLICT (id) DO UPDATE SET score = excluded.score, tier = excluded.tier, tsv = excluded.tsv`,
      [JSON.stringify(entries)],
    );
    await addWords(tx, words);
  }

  /** Nobody writes to the index until the transaction is over. */
  async lock(tx: Tx): Promise<void> {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [INDEX_LOCK]);
  }

  /** What was made by a reindex that did not come to its end. */
  async dropNext(tx: Tx): Promise<void> {
    for (const table of TABLES) await tx.query(`DROP TABLE IF EXISTS ${table}_next`);
    await tx.query('DELETE FROM search_touched');
  }

  /** Draws the line between the tiers by what the videos are, not by what the index has of them: a reindex does so before it begins. */
  async drawLine(): Promise<void> {
    await this.db.tx(async (tx) => {
      await takesLong(tx);
      await tx.query(
        `WITH scored AS (
           SELECT ${scoreOf('coalesce(p.view_count, 0)', LISTED_MS)} AS score
           FROM video v LEFT JOIN video_popularity p ON p.video_id = v.id WHERE v.listed_at IS NOT NULL AND ${LISTED_WHEN_DUE}
         ) UPDATE search_state SET tier_from = coalesce((SELECT score FROM scored ORDER BY score DESC
             OFFSET greatest($1, (SELECT count(*) / 20 FROM scored)) LIMIT 1), -2147483648)`,
        [this.firstTier],
      );
    });
  }

  /** For one of all who ask at the same time, once a day; one that broke off is done again by whoever asks an hour later. */
  async maintainWhenDue(signal?: AbortSignal): Promise<void> {
    const [due] = await this.db.query(
      `UPDATE search_state SET maintain_at = now() + interval '1 hour' WHERE maintain_at <= now() RETURNING maintain_at`,
    );
    if (due) await this.maintain(signal);
  }

  /** Counts words anew, draws the line between the tiers, and scores channels. */
  async maintain(signal?: AbortSignal): Promise<void> {
    await this.db.tx(async (tx) => {
      const [broken] = await tx.query(
        `UPDATE search_state SET rebuild = NULL, rebuild_at = NULL WHERE rebuild_at < now() - interval '1 day' RETURNING rebuild`,
      );
      if (broken) await this.dropNext(tx);
    });
    await this.countWords();
    await this.scoreChannels(signal);
    await this.drawLine();
    await this.moveTiers(signal);
    if (!signal?.aborted) await this.db.query(`UPDATE search_state SET maintain_at = now() + interval '1 day'`);
  }

  /** A word in nothing for two nights goes; in between it may be written anew while this counts. */
  private async countWords(): Promise<void> {
    await this.db.tx(async (tx) => {
      const [mine] = await tx.query<{ first: boolean }>(
        `SELECT pg_try_advisory_xact_lock(hashtextextended('search words', 0)) AS first`,
      );
      // Of two the other does it: a reindex may end while a worker counts.
      if (!mine?.first) return;
      await takesLong(tx);
      await tx.query(
        `WITH n AS (
           SELECT w.word, coalesce(s.ndoc, 0) AS df FROM search_word w LEFT JOIN
             ts_stat('SELECT tsv FROM video_search UNION ALL SELECT tsv FROM channel_search', 'ac') s USING (word)
         ), gone AS (
           DELETE FROM search_word w USING n WHERE n.word = w.word AND w.df = 0 AND n.df = 0
         ) UPDATE search_word w SET df = n.df FROM n WHERE n.word = w.word AND n.df <> w.df`,
      );
    });
    await this.db.query('ANALYZE search_word');
  }

  private async scoreChannels(signal?: AbortSignal): Promise<void> {
    for (let after: string | undefined = FIRST; after && !signal?.aborted; ) {
      const rows: { id: string }[] = await this.db.query(
        `SELECT channel_id AS id FROM channel_search s JOIN subscriber_count n USING (channel_id)
         WHERE s.score <> round(1000 * log(n.subscribers + 1)) AND channel_id > $1 ORDER BY channel_id LIMIT $2`,
        [after, AT_ONCE],
      );
      await this.updateChannels(rows.map(({ id }) => id));
      after = rows.at(-1)?.id;
    }
  }

  private async moveTiers(signal?: AbortSignal): Promise<void> {
    for (let after: number | undefined = 0; after !== undefined && !signal?.aborted; ) {
      const rows: { id: number; videoId: string }[] = await this.db.query(
        `SELECT id, video_id AS "videoId" FROM video_search, search_state
         WHERE (tier = 0) <> (score >= tier_from) AND id > $1 ORDER BY id LIMIT $2`,
        [after, AT_ONCE],
      );
      await this.ofVideos(
        rows.map(({ videoId }) => videoId),
        (tx, ids) =>
          tx.query(
            `WITH moved AS (
               UPDATE video_search SET tier = 1 - tier FROM search_state
               WHERE video_id = ANY($1::uuid[]) AND (tier = 0) <> (score >= tier_from) RETURNING id, tier
             ) UPDATE video_search_body b SET tier = moved.tier FROM moved WHERE b.id = moved.id`,
            [ids],
          ),
      );
      after = rows.at(-1)?.id;
    }
  }

  /** Writes to the tables in use, beside others who do, and notes it for the reindex that is under way. */
  private async ofVideos(
    videoIds: readonly string[],
    write: (tx: Tx, ids: string[]) => Promise<unknown>,
  ): Promise<void> {
    await this.held(videoIds, async (tx, ids) => {
      await tx.query('SELECT pg_advisory_xact_lock_shared($1)', [INDEX_LOCK]);
      await tx.query(
        `INSERT INTO search_touched SELECT id FROM unnest($1::uuid[]) id
         WHERE EXISTS (SELECT FROM search_state WHERE rebuild IS NOT NULL) ORDER BY id ON CONFLICT DO NOTHING`,
        [ids],
      );
      await write(tx, ids);
    });
  }

  /**
   * Some at once, each held in the order of ids against all who write of it to the index: the last to read it is the last to write.
   * Its own row is not locked, so nobody who changes it waits: of that change there is a job, later.
   */
  private async held(ids: readonly string[], write: (tx: Tx, ids: string[]) => Promise<unknown>): Promise<void> {
    const sorted = ids.toSorted();
    for (let from = 0; from < sorted.length; from += AT_ONCE) {
      const some = sorted.slice(from, from + AT_ONCE);
      await this.db.tx(async (tx) => {
        await tx.query(
          `SELECT pg_advisory_xact_lock(hashtextextended('search ' || id, 0)) FROM unnest($1::text[]) id`,
          [some],
        );
        await write(tx, some);
      });
    }
  }
}

/** Nobody waits for it: the bound of statements is for those that somebody does. */
export async function takesLong(tx: Tx): Promise<void> {
  await tx.query('SET LOCAL statement_timeout = 0');
}

/** What is to be written of videos, and the words that can be suggested and corrected. */
async function entriesOf(sql: Sql, rows: readonly Source[]) {
  const folded = rows.map((row) => ({
    ...row,
    dictionary: dictionaryOf(row.language),
    titleWords: foldedWords(row.title),
    titleJoins: joinsOf(row.title),
    tagWords: row.tags.map(foldedWords),
    // No sign that joins stands between two tags.
    tagJoins: joinsOf(row.tags.join(', ')),
    channelWords: foldedWords(row.channelName),
    textWords: foldedWords(row.description),
  }));
  const stems = await stemsOf(
    sql,
    folded.map(({ dictionary, titleWords, textWords }) => ({ dictionary, words: [...titleWords, ...textWords] })),
  );
  const entries = folded.map((video) => {
    const stemOf = (word: string) => stems.get(video.dictionary ?? '')?.get(word) ?? null;
    const tags = video.tagWords.filter((tag) => tag.length > 0).map(tagLexeme);
    const title = { words: video.titleWords, joins: video.titleJoins, label: 'A', stems: 'B' } as const;
    const tagged = { words: video.tagWords.flat(), joins: video.tagJoins, label: 'C' } as const;
    const body = [
      { words: video.channelWords, label: 'D' },
      { words: video.textWords, label: 'D', stems: 'D' },
    ] as const;
    return {
      video_id: video.id,
      title: video.titleWords.join(' '),
      tsv: vectorOf([title, tagged], tags, stemOf),
      body: vectorOf([title, tagged, ...body], tags, stemOf),
    };
  });
  const words = folded.flatMap(({ titleWords, tagWords, titleJoins, tagJoins }) => [
    ...[...titleWords, ...tagWords.flat()],
    ...[...titleJoins, ...tagJoins].map((join) => join.folded),
  ]);
  return { entries, words };
}

/** By dictionary, what PostgreSQL makes of each word; words that say nothing have no stem. Notes the dictionaries in use. */
async function stemsOf(
  sql: Sql,
  texts: readonly { dictionary: string | null; words: readonly string[] }[],
): Promise<Map<string, Map<string, string>>> {
  const wanted = new Map<string, Set<string>>();
  for (const { dictionary, words } of texts) {
    if (dictionary === null) continue;
    const all = wanted.get(dictionary) ?? new Set();
    for (const word of words) all.add(word);
    wanted.set(dictionary, all);
  }
  const stems = new Map<string, Map<string, string>>();
  for (const [dictionary, words] of wanted) {
    const rows = await sql.query<{ word: string; stem: string }>(
      `SELECT word, (ts_lexize($1::text::regdictionary, word))[1] AS stem FROM unnest($2::text[]) word`,
      [dictionary, [...words]],
    );
    stems.set(dictionary, new Map(rows.filter(({ stem }) => stem !== null).map(({ word, stem }) => [word, stem])));
  }
  await sql.query(
    `UPDATE search_state SET dictionaries = ARRAY(SELECT DISTINCT unnest(dictionaries || $1::text[]) ORDER BY 1)
     WHERE NOT dictionaries @> $1::text[]`,
    [[...wanted.keys()]],
  );
  return stems;
}

/** In one order, whoever else does the same. */
async function addWords(sql: Sql, words: readonly string[]): Promise<void> {
  const missing = await sql.query<{ word: string }>(
    `SELECT word FROM unnest($1::text[]) word WHERE NOT EXISTS (SELECT FROM search_word w WHERE w.word = word.word AND w.df > 0)`,
    [[...new Set(words)]],
  );
  if (missing.length === 0) return;
  const rows = missing.map(({ word }) => ({ word, deletes: deletesOf(word) }));
  await sql.query(
    `INSERT INTO search_word (word, df, deletes) SELECT word, 1, deletes FROM json_to_recordset($1) AS t(word text, deletes text[])
     ORDER BY word ON CONFLICT (word) DO UPDATE SET df = greatest(search_word.df, 1)`,
    [JSON.stringify(rows)],
  );
}
