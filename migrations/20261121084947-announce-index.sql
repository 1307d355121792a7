-- A partial index looked to the planner as large as the whole one, which reads whatever was announced; an expression leaves
-- it no choice.
DROP INDEX ix_upload_session_announce;
CREATE INDEX ix_upload_session_announce ON upload_session (nullif(expires_at, expiry_announced)) WHERE state = 'OPEN';
