-- Deleting an object's row asks every table that may name it, also this one.
CREATE INDEX ix_transcode_source_picture ON transcode_source (picture_key) WHERE picture_key IS NOT NULL;
