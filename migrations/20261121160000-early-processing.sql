-- What processing waits for of a file that still arrives; NULL: nothing before its end.
ALTER TABLE upload_session ADD COLUMN wanted int8multirange;

-- Planned before the upload's end: its READY wants the whole file looked at first.
ALTER TABLE transcode_source ADD COLUMN early boolean NOT NULL DEFAULT false;
