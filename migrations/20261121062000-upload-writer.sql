-- Who appends where at this moment. A row that is gone is a fence: what its writer settles after that does not count.
CREATE TABLE upload_writer (
  id uuid PRIMARY KEY,
  session_id uuid NOT NULL CONSTRAINT fk_upload_writer_session REFERENCES upload_session,
  span int8range NOT NULL,                    -- from where it began to where its request ends
  begun_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_upload_writer_session ON upload_writer (session_id);
