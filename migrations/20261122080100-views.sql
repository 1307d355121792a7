-- How often videos are watched (docs/decisions/0032-views.md). Views are collected in Redis; what it has counted of a video in an
-- hour is written here as it stands, so that writing it again changes nothing. Another era is counted from nothing again.
CREATE TABLE view_bucket (
  hour timestamptz NOT NULL,
  video_id uuid NOT NULL CONSTRAINT fk_view_bucket_video REFERENCES video,
  era uuid NOT NULL,
  count bigint NOT NULL CHECK (count >= 0),
  PRIMARY KEY (hour, video_id, era)
) WITH (fillfactor = 50);
-- For what must be found whatever became of it: all of a video.
CREATE INDEX ix_view_bucket_video ON view_bucket (video_id, hour);

-- A row for every video that was ever listed, or viewed.
CREATE TABLE video_popularity (
  video_id uuid PRIMARY KEY CONSTRAINT fk_video_popularity_video REFERENCES video,
  view_count bigint NOT NULL DEFAULT 0 CHECK (view_count >= 0), -- the sum of its buckets, those that were forgotten included
  -- log2 of the sum of 2^(t / 48 h) over its views and, as four of them, its publication; t counts from 2020. All that is summed
  -- decays alike, so the order needs no writing while time passes.
  trend double precision NOT NULL,
  is_published boolean NOT NULL DEFAULT false -- whether the publication is in it
) WITH (fillfactor = 70);

INSERT INTO video_popularity (video_id, trend, is_published)
SELECT id, (extract(epoch FROM listed_at) - 1577836800)::float8 / 172800 + 2, true
FROM video WHERE listed_at IS NOT NULL AND deleted_at IS NULL;

CREATE INDEX ix_video_popularity_trend ON video_popularity (trend DESC, video_id);
