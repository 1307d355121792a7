-- Rungs that are made when somebody asks for them: docs/decisions/0022-on-demand-rungs.md. A file, and so a transaction, for each
-- table: whoever works with two of them meanwhile waits for one lock, and is not waited for.
ALTER TABLE rendition
  ADD COLUMN on_demand text CHECK (on_demand IN ('ABSENT', 'ASKED', 'MADE', 'FAILED')), -- NULL: made with the video
  ADD COLUMN asked_at timestamptz,            -- when it became ASKED last
  ADD COLUMN edition int NOT NULL DEFAULT 1;  -- raised when its segments go: those made next have other addresses
CREATE INDEX ix_rendition_asked ON rendition (video_id) WHERE on_demand = 'ASKED';
