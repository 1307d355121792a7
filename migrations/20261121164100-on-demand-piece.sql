ALTER TABLE piece
  ADD COLUMN rendition text,                  -- RUNG: the only one that it makes
  DROP CONSTRAINT piece_kind_check,
  ADD CONSTRAINT piece_kind_check CHECK (kind IN ('FIRST', 'VIDEO', 'AUDIO', 'STILLS', 'RUNG')),
  DROP CONSTRAINT uq_piece,
  ADD CONSTRAINT uq_piece UNIQUE NULLS NOT DISTINCT (video_id, run, kind, rendition, number);
