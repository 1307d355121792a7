-- Reading goes on while these are built; what changes videos waits, a second or so for each million of them. Not CONCURRENTLY: that
-- waits for every open statement of the database, those of other processes that wait for this migration among them.
-- With what decides whether a video is listed, so that feeds and counts read the index alone.
CREATE INDEX ix_video_feed ON video (channel_id, listed_at DESC, id DESC) INCLUDE (state, verified_at, publish_at)
  WHERE listed_at IS NOT NULL AND deleted_at IS NULL AND visibility = 'PUBLIC';
CREATE INDEX ix_video_unlisted ON video (publish_at)
  WHERE listed_at IS NULL AND deleted_at IS NULL AND visibility = 'PUBLIC' AND verified_at IS NOT NULL AND state IN ('PLAYABLE', 'READY');
