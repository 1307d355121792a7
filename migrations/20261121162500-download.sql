ALTER TABLE video ADD COLUMN downloadable boolean NOT NULL DEFAULT false;

-- One file of picture and sound, for videos whose owner allows it.
CREATE TABLE download (
  video_id uuid NOT NULL CONSTRAINT fk_download_video REFERENCES video,
  run int NOT NULL,
  object_key text NOT NULL CONSTRAINT fk_download_object REFERENCES stored_object,
  size_bytes bigint NOT NULL,
  PRIMARY KEY (video_id, run)
);
CREATE INDEX ix_download_object ON download (object_key);
