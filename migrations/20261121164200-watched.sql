-- To the hour. What was there before counts as watched now: nobody wrote down when it was.
ALTER TABLE video ADD COLUMN watched_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX ix_video_watched ON video (watched_at, id) WHERE state = 'READY' AND deleted_at IS NULL;
