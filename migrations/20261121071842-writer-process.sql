-- What a writer's process is called at the database, so that one that is gone is not waited for (NULL: not known), and how
-- far it has come, for whoever asks another process.
ALTER TABLE upload_writer
  ADD COLUMN process text,
  ADD COLUMN received bigint NOT NULL DEFAULT 0,
  ADD COLUMN told_at timestamptz NOT NULL DEFAULT now();
