-- Newest videos, what is watched now, and what goes with a video (docs/decisions/0033-feeds.md).

-- Reading goes on while these are built; what changes videos waits, a second or so for each million of them.
CREATE INDEX ix_video_newest ON video (listed_at DESC, id DESC)
  WHERE listed_at IS NOT NULL AND deleted_at IS NULL AND visibility = 'PUBLIC' AND verified_at IS NOT NULL AND state IN ('PLAYABLE', 'READY');
-- A channel's list for those who do not edit it: however much of it is private. Counted in the index alone.
CREATE INDEX ix_video_channel_listed ON video (channel_id, created_at DESC, id DESC) INCLUDE (publish_at)
  WHERE deleted_at IS NULL AND visibility = 'PUBLIC' AND verified_at IS NOT NULL AND state IN ('PLAYABLE', 'READY');

-- What is watched now, as it was at one moment: whoever reads page after page reads one generation.
CREATE TABLE trending_generation (
  generation bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  looked_at timestamptz NOT NULL DEFAULT now()       -- it was the ranking until then
);
CREATE TABLE trending (
  generation bigint NOT NULL CONSTRAINT fk_trending_generation REFERENCES trending_generation ON DELETE CASCADE,
  rank int NOT NULL,                                 -- from 1
  -- Names a video, and holds none: a foreign key would write to a thousand rows of videos each time.
  video_id uuid NOT NULL,
  PRIMARY KEY (generation, rank)
);

-- What listed videos are about: their tags, and words of their titles. By term the best first, so that a term which stands in a
-- million of them is read no further than one which stands in fifty.
CREATE TABLE video_term (
  video_id uuid NOT NULL CONSTRAINT fk_video_term_video REFERENCES video,
  term text NOT NULL,
  score int NOT NULL,                                -- grows with the views and with the day of publication
  PRIMARY KEY (video_id, term)
);
CREATE INDEX ix_video_term ON video_term (term, score DESC, video_id);
-- Those that are listed by now are read by a job.
INSERT INTO job (name, queue, payload)
SELECT 'MakeVideoTerms', 'default', '{"after": "00000000-0000-0000-0000-000000000000"}' WHERE EXISTS (SELECT FROM video WHERE listed_at IS NOT NULL);

-- What goes with a video, as it was chosen when somebody asked for it.
CREATE TABLE related_videos (
  video_id uuid PRIMARY KEY CONSTRAINT fk_related_videos_video REFERENCES video,
  made_at timestamptz NOT NULL DEFAULT now(),
  ids uuid[] NOT NULL
);
CREATE INDEX ix_related_videos_made ON related_videos (made_at);
