-- Apart from the column, whose lock would keep everybody from reading videos as long as this takes.
-- What is in lists by now is no news.
UPDATE video SET listed_at = greatest(published_at, publish_at)
WHERE deleted_at IS NULL AND visibility = 'PUBLIC' AND verified_at IS NOT NULL AND state IN ('PLAYABLE', 'READY')
  AND (publish_at IS NULL OR publish_at <= now());
