-- Apart from the tables: their foreign keys lock videos against writing until what they stand beside is committed. Here rows are
-- locked, and no table but this one, however long it takes.
INSERT INTO video_popularity (video_id, trend, is_published)
SELECT id, (extract(epoch FROM listed_at) - 1577836800)::float8 / 172800 + 2, true
FROM video WHERE listed_at IS NOT NULL AND deleted_at IS NULL
ON CONFLICT (video_id) DO NOTHING;

CREATE INDEX ix_video_popularity_trend ON video_popularity (trend DESC, video_id);
