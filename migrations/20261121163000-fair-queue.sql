-- Whose work a job is and when its turn is (docs/decisions/0020-fair-queue.md), and what an operator asks of it.
ALTER TABLE job
  ADD COLUMN owner uuid,                               -- who shares the queue with others; NULL: goes before all who do
  ADD COLUMN subject uuid,                             -- what it is done for: a video
  ADD COLUMN cost real NOT NULL DEFAULT 1,             -- how much work, in a unit of its queue's own
  ADD COLUMN turn double precision NOT NULL DEFAULT 0, -- virtual time of its queue; smaller runs first
  ADD COLUMN started_at timestamptz,                   -- the latest attempt
  ADD COLUMN worker text,                              -- that has it, or had it last
  ADD COLUMN last_log text;                            -- the end of what a program said in the attempt that failed last

CREATE INDEX ix_job_turn ON job (queue, turn, priority, run_at) WHERE state = 'QUEUED';
DROP INDEX ix_job_due;
CREATE INDEX ix_job_owner ON job (queue, owner, turn) WHERE state <> 'DONE' AND owner IS NOT NULL;
CREATE INDEX ix_job_subject ON job (subject, created_at, id) WHERE subject IS NOT NULL;
CREATE INDEX ix_job_of_subjects ON job (state, created_at, id) WHERE subject IS NOT NULL;

-- What a run was planned with, so that all its pieces are made alike. The default is what the version before makes them with.
ALTER TABLE transcode_source
  ADD COLUMN settings jsonb NOT NULL DEFAULT '{"preset": "veryfast", "crf": 23, "segmentsPerPiece": 3}';
