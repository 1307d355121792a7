import { Injectable } from '@nestjs/common';
import { Database, type Sql, type Tx } from '../../common/database/index.js';
import { LISTED_ANYWHERE } from '../videos/index.js';
import { foldedWords, joinsOf } from './fold.js';
import { dictionaryOf } from './languages.js';
import { deletesOf } from './near.js';
import { indexed } from './search.metrics.js';
import { tagLexeme, vectorOf } from './vector.js';

/** Whoever writes the index holds it shared, who exchanges its tables alone. */
const INDEX_LOCK = 7_481_920_114;
/** Tier 0 has as many rows, or one in twenty. */
const FIRST_TIER = 20_000;
/** Changed in one statement. */
const TIERS_AT_ONCE = 1_000;

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
  constructor(private readonly db: Database) {}

  /** Whoever writes of the same videos at the same time waits: the last to read them is the last to write. */
  async updateVideos(videoIds: readonly string[]): Promise<void> {
    if (videoIds.length === 0) return;
    await this.db.tx(async (tx) => {
      await this.shareLock(tx);
      await tx.query('SELECT id FROM video WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE', [videoIds]);
      await this.write(tx, videoIds, '');
      await this.touch(tx, videoIds);
    });
    indexed.inc({ of: 'videos' }, videoIds.length);
  }

  async rescore(videoIds: readonly string[]): Promise<void> {
    if (videoIds.length === 0) return;
    await this.db.tx(async (tx) => {
      await this.shareLock(tx);
      // In one order, whoever else does the same.
      await tx.query('SELECT FROM video_search WHERE video_id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE', [
        videoIds,
      ]);
      await tx.query(
        `WITH scored AS (
           UPDATE video_search s SET score = ${scoreOf('p.view_count', 's.listed_ms')} FROM video_popularity p
           WHERE p.video_id = s.video_id AND s.video_id = ANY($1::uuid[]) RETURNING s.id, s.score
         ) UPDATE video_search_body b SET score = scored.score FROM scored WHERE b.id = scored.id`,
        [videoIds],
      );
      await this.touch(tx, videoIds);
    });
    indexed.inc({ of: 'scores' }, videoIds.length);
  }

  async updateChannels(channelIds: readonly string[]): Promise<void> {
    if (channelIds.length === 0) return;
    await this.db.tx(async (tx) => {
      await tx.query('SELECT id FROM channel WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE', [channelIds]);
      const rows = await tx.query<{ id: string; name: string; handle: string }>(
        'SELECT id, name, handle FROM channel WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL ORDER BY id',
        [channelIds],
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
        [channelIds, rows.map(({ id }) => id)],
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

  /** For who writes beside others who do. */
  async shareLock(tx: Tx): Promise<void> {
    await tx.query('SELECT pg_advisory_xact_lock_shared($1)', [INDEX_LOCK]);
  }

  /** Nobody writes to the index until the transaction is over. */
  async lock(tx: Tx): Promise<void> {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [INDEX_LOCK]);
  }

  /** Counts words anew, draws the line between the tiers, and scores channels. Two seconds for a million videos. */
  async maintain(signal?: AbortSignal): Promise<void> {
    await this.db.tx(async (tx) => {
      // Of one that was broken off.
      await tx.query(`UPDATE search_state SET rebuild = NULL WHERE rebuild_at < now() - interval '1 day'`);
      await tx.query(
        'DELETE FROM search_touched WHERE NOT EXISTS (SELECT FROM search_state WHERE rebuild IS NOT NULL)',
      );
    });
    await this.countWords();
    await this.db.query(
      `UPDATE channel_search s SET score = round(1000 * log(n.subscribers + 1)) FROM subscriber_count n
       WHERE n.channel_id = s.channel_id AND s.score <> round(1000 * log(n.subscribers + 1))`,
    );
    await this.drawTiers(signal);
  }

  /** A word in nothing for two nights goes; in between it may be written anew while this counts. */
  private async countWords(): Promise<void> {
    await this.db.query('DELETE FROM search_word WHERE df = 0');
    await this.db.query(
      `UPDATE search_word w SET df = n.df FROM (
         SELECT w.word, coalesce(s.ndoc, 0) AS df FROM search_word w LEFT JOIN
           ts_stat('SELECT tsv FROM video_search UNION ALL SELECT tsv FROM channel_search', 'ac') s USING (word)
       ) n WHERE n.word = w.word AND n.df <> w.df`,
    );
    await this.db.query('ANALYZE search_word');
  }

  private async drawTiers(signal?: AbortSignal): Promise<void> {
    await this.db.query(
      `UPDATE search_state SET tier_from = coalesce((SELECT score FROM video_search ORDER BY score DESC
         OFFSET greatest($1, (SELECT count(*) / 20 FROM video_search)) LIMIT 1), -2147483648)`,
      [FIRST_TIER],
    );
    for (let more = true; more && !signal?.aborted; ) {
      more = await this.db.tx(async (tx) => {
        await this.shareLock(tx);
        const moved = await tx.query<{ video_id: string }>(
          `WITH moved AS (
             UPDATE video_search s SET tier = 1 - s.tier WHERE s.id IN (
               SELECT id FROM video_search, search_state WHERE (tier = 0) <> (score >= tier_from) ORDER BY id LIMIT $1 FOR NO KEY UPDATE OF video_search)
             RETURNING id, video_id, tier
           ), body AS (UPDATE video_search_body b SET tier = moved.tier FROM moved WHERE b.id = moved.id)
           SELECT video_id FROM moved`,
          [TIERS_AT_ONCE],
        );
        return moved.length === TIERS_AT_ONCE;
      });
    }
  }

  private async touch(tx: Tx, videoIds: readonly string[]): Promise<void> {
    await tx.query(
      `INSERT INTO search_touched SELECT id FROM unnest($1::uuid[]) id
       WHERE EXISTS (SELECT FROM search_state WHERE rebuild IS NOT NULL) ORDER BY id ON CONFLICT DO NOTHING`,
      [videoIds],
    );
  }
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
  const rows = missing
    .map(({ word }) => ({ word, deletes: deletesOf(word) }))
    .sort((a, b) => (a.word < b.word ? -1 : 1));
  await sql.query(
    `INSERT INTO search_word (word, df, deletes) SELECT word, 1, deletes FROM json_to_recordset($1) AS t(word text, deletes text[])
     ON CONFLICT (word) DO UPDATE SET df = greatest(search_word.df, 1)`,
    [JSON.stringify(rows)],
  );
}
