-- How often videos are watched (docs/decisions/0032-views.md). Views are collected in Redis; what it has counted of a video in an
-- hour is written here as it stands, so that writing it again changes nothing. Another era is counted from nothing again.
CREATE TABLE view_bucket (
  hour timestamptz NOT NULL,
  video_id uuid NOT NULL CONSTRAINT fk_view_bucket_video REFERENCES video,
  era uuid NOT NULL,
  count bigint NOT NULL CHECK (count >= 0),
  PRIMARY KEY (hour, video_id, era)
) WITH (fillfactor = 50);

-- A row for every video that was ever listed, or viewed.
CREATE TABLE video_popularity (
  video_id uuid PRIMARY KEY CONSTRAINT fk_video_popularity_video REFERENCES video,
  view_count bigint NOT NULL DEFAULT 0 CHECK (view_count >= 0), -- the sum of its buckets, those that were forgotten included
  -- log2 of the sum of 2^(t / 48 h) over its views and, as four of them, its publication; t counts from 2020. All that is summed
  -- decays alike, so the order needs no writing while time passes.
  trend double precision NOT NULL,
  is_published boolean NOT NULL DEFAULT false -- whether the publication is in it
) WITH (fillfactor = 70);
