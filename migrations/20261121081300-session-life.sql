-- Unfinished uploads of one user: their list, their number, and the one of a fingerprint.
CREATE INDEX ix_upload_session_unfinished ON upload_session (owner_id, created_at DESC, id DESC) WHERE state = 'OPEN';

-- The expiry that was announced last; a later byte moves expires_at on, and a new announcement is due.
ALTER TABLE upload_session ADD COLUMN expiry_announced timestamptz;
-- A partial index of these alone would look to the planner as large as the whole one, which reads whatever was announced; an
-- expression leaves it no choice.
CREATE INDEX ix_upload_session_announce ON upload_session (nullif(expires_at, expiry_announced)) WHERE state = 'OPEN';

-- What all users hold together is summed where INSTALLATION_QUOTA_BYTES bounds it.
CREATE INDEX ix_app_user_holding ON app_user (used_bytes) WHERE used_bytes > 0;
