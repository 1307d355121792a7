-- What search reads (docs/decisions/0031-search.md). All of it is made from other tables, and made anew by `npm run reindex`.
-- A key of its own, shorter than a UUID: `npm run reindex` keeps it, so that cursors outlive that.
CREATE SEQUENCE video_search_id;

-- Public videos that play, and no others. Titles and tags, in a narrow table.
CREATE TABLE video_search (
  id bigint NOT NULL DEFAULT nextval('video_search_id') CONSTRAINT pk_video_search PRIMARY KEY,
  video_id uuid NOT NULL,
  channel_id uuid NOT NULL,
  listed_ms bigint NOT NULL,       -- since 1970
  duration_ms int NOT NULL,
  language text,
  score int NOT NULL,              -- of age and views; never in an index: it changes often, and HOT
  tier smallint NOT NULL,          -- 0 has the best scores: frequent words are looked for there first
  title_key bigint NOT NULL,       -- of the words of the title
  tsv tsvector NOT NULL            -- A words of the title, B their stems, C words of tags, D whole tags
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX ix_video_search_video ON video_search (video_id);
CREATE INDEX ix_video_search_tsv ON video_search USING gin (tsv) WITH (fastupdate = off);
CREATE INDEX ix_video_search_first ON video_search USING gin (tsv) WITH (fastupdate = off) WHERE tier = 0;
CREATE INDEX ix_video_search_title ON video_search (title_key);
CREATE INDEX ix_video_search_listed ON video_search (listed_ms DESC, id DESC);
CREATE INDEX ix_video_search_channel ON video_search (channel_id);

-- The same with the name of the channel and the description (D).
CREATE TABLE video_search_body (
  id bigint NOT NULL CONSTRAINT pk_video_search_body PRIMARY KEY,
  score int NOT NULL,
  tier smallint NOT NULL,
  tsv tsvector NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX ix_video_search_body_tsv ON video_search_body USING gin (tsv) WITH (fastupdate = off);
CREATE INDEX ix_video_search_body_first ON video_search_body USING gin (tsv) WITH (fastupdate = off) WHERE tier = 0;

-- Channels that were not deleted. A the name's words, C the handle's.
CREATE TABLE channel_search (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_channel_search PRIMARY KEY,
  channel_id uuid NOT NULL CONSTRAINT uq_channel_search_channel UNIQUE,
  score int NOT NULL,
  tsv tsvector NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX ix_channel_search_tsv ON channel_search USING gin (tsv) WITH (fastupdate = off);

-- The words of titles, tags and channels, with what is left of each when one letter is missing: two words that share one of these
-- are at most two letters apart.
CREATE TABLE search_word (
  word text NOT NULL CONSTRAINT pk_search_word PRIMARY KEY,
  df int NOT NULL,                 -- how many titles, tags and channels have it, as of last night
  deletes text[] NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX ix_search_word_deletes ON search_word USING gin (deletes) WITH (fastupdate = off);
CREATE INDEX ix_search_word_prefix ON search_word (word text_pattern_ops);

CREATE TABLE search_state (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  tier_from int NOT NULL,          -- the least score of tier 0
  dictionaries text[] NOT NULL DEFAULT '{pg_catalog.english_stem}', -- whose stems are in the index
  rebuild uuid,                    -- the reindex that is under way
  rebuild_at timestamptz,          -- when it was last seen at work
  maintain_at timestamptz NOT NULL DEFAULT now() -- when words are counted next, and the line is drawn
);
-- Drawn before there are rows: whoever moves from one tier to the other gets new entries in each index.
INSERT INTO search_state (tier_from)
WITH scored AS (
  SELECT (round(1000 * log(coalesce(p.view_count, 0) + 1)) + (floor(extract(epoch FROM v.listed_at) * 1000)::bigint / 1000 - 1479000000) / 126144)::int AS score
  FROM video v LEFT JOIN video_popularity p ON p.video_id = v.id
  WHERE v.listed_at IS NOT NULL AND v.deleted_at IS NULL AND v.visibility = 'PUBLIC' AND v.verified_at IS NOT NULL AND v.state IN ('PLAYABLE', 'READY')
)
SELECT coalesce((SELECT score FROM scored ORDER BY score DESC OFFSET greatest(20000, (SELECT count(*) / 20 FROM scored)) LIMIT 1), -2147483648);
-- What changed while a reindex is under way.
CREATE TABLE search_touched (video_id uuid PRIMARY KEY);

-- What is there already is indexed by the first worker of this version; and once more when the last process of the version before is
-- gone, which tells nobody of what it publishes, renames and deletes.
INSERT INTO job (name, queue, payload, run_at)
SELECT 'IndexBehind', 'default', jsonb_build_object('of', kind, 'after', NULL), at
FROM unnest(ARRAY['channels', 'videos']) kind, unnest(ARRAY[now(), now() + interval '1 hour']) at
WHERE EXISTS (SELECT FROM channel);
