-- Sluice's first schema. Every time is the database's clock. Foreign keys live here, not in the entities.

CREATE TABLE installation (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  setup_token_hash bytea,
  setup_completed_at timestamptz
);
INSERT INTO installation DEFAULT VALUES;

-- ── durable jobs ────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE job (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  queue text NOT NULL,
  payload jsonb NOT NULL,
  dedupe_key text,
  priority int NOT NULL DEFAULT 100,          -- smaller runs first
  state text NOT NULL DEFAULT 'QUEUED' CHECK (state IN ('QUEUED', 'RUNNING', 'DONE')),
  run_at timestamptz NOT NULL DEFAULT now(),
  attempts int NOT NULL DEFAULT 0,
  lease uuid,
  lease_until timestamptz,
  last_error text,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  CONSTRAINT uq_job_dedupe_key UNIQUE (dedupe_key)
);
CREATE INDEX ix_job_due ON job (queue, priority, run_at) WHERE state = 'QUEUED';
CREATE INDEX ix_job_lease ON job (lease_until) WHERE state = 'RUNNING';
CREATE INDEX ix_job_finished ON job (finished_at) WHERE state = 'DONE';

-- ── storage ─────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE stored_object (
  key text PRIMARY KEY,
  size_bytes bigint,
  state text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'KEPT', 'DELETING')),
  created_at timestamptz NOT NULL DEFAULT now(), -- or signed, or seen to be written, last
  changed_at timestamptz NOT NULL DEFAULT now(),
  sweep_after timestamptz,                    -- DELETING: a straggler may still land, so look again then
  due_at timestamptz NOT NULL DEFAULT now()   -- DELETING: the collector takes it (again) then
);
CREATE INDEX ix_stored_object_pending ON stored_object (created_at) WHERE state = 'PENDING';
CREATE INDEX ix_stored_object_deleting ON stored_object (due_at) WHERE state = 'DELETING';
CREATE INDEX ix_stored_object_kept ON stored_object (key COLLATE "C") WHERE state = 'KEPT'; -- the check reads in the store's order

-- ── people ──────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE app_user (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email text NOT NULL,
  email_key text NOT NULL,                    -- lower case, NFKC: what makes two addresses the same
  display_name text NOT NULL,
  password_hash text NOT NULL,
  role text NOT NULL DEFAULT 'MEMBER' CHECK (role IN ('MEMBER', 'ADMIN')),
  used_bytes bigint NOT NULL DEFAULT 0 CHECK (used_bytes >= 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT uq_app_user_email_key UNIQUE (email_key)
);

CREATE TABLE login_session (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL CONSTRAINT fk_login_session_user REFERENCES app_user ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  revoke_reason text
);
CREATE INDEX ix_login_session_user ON login_session (user_id);
CREATE INDEX ix_login_session_end ON login_session (least(expires_at, revoked_at));

CREATE TABLE refresh_token (
  hash bytea PRIMARY KEY,
  session_id uuid NOT NULL CONSTRAINT fk_refresh_token_session REFERENCES login_session ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at timestamptz
);
CREATE INDEX ix_refresh_token_session ON refresh_token (session_id);
CREATE INDEX ix_refresh_token_used ON refresh_token (used_at) WHERE used_at IS NOT NULL;

CREATE TABLE channel (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  handle text NOT NULL,
  handle_key text NOT NULL,
  name text NOT NULL,
  description text,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT uq_channel_handle_key UNIQUE (handle_key)
);

CREATE TABLE channel_member (
  channel_id uuid NOT NULL CONSTRAINT fk_channel_member_channel REFERENCES channel ON DELETE CASCADE,
  user_id uuid NOT NULL CONSTRAINT fk_channel_member_user REFERENCES app_user ON DELETE CASCADE,
  role text NOT NULL CHECK (role IN ('OWNER', 'EDITOR', 'VIEWER')),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (channel_id, user_id)
);
CREATE INDEX ix_channel_member_user ON channel_member (user_id, created_at DESC, channel_id DESC);

-- ── videos ──────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE video (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  channel_id uuid NOT NULL CONSTRAINT fk_video_channel REFERENCES channel,
  owner_id uuid NOT NULL CONSTRAINT fk_video_owner REFERENCES app_user,
  title text NOT NULL,
  description text NOT NULL DEFAULT '',
  visibility text NOT NULL DEFAULT 'PRIVATE' CHECK (visibility IN ('PUBLIC', 'UNLISTED', 'PRIVATE')),
  state text NOT NULL DEFAULT 'UPLOADING' CHECK (state IN ('UPLOADING', 'PROCESSING', 'PLAYABLE', 'READY', 'FAILED', 'BLOCKED')),
  failure_code text,
  failure_message text,
  failure_retryable boolean,
  run int NOT NULL DEFAULT 1,                 -- jobs, prefixes and publish belong to one
  access_epoch int NOT NULL DEFAULT 1,        -- playback tokens belong to one
  verified_at timestamptz,                    -- the upload completed and its digest was right
  publish_at timestamptz,
  published_at timestamptz,                   -- first seen READY
  duration_ms int,
  width int,
  height int,
  frame_rate double precision,
  stage text NOT NULL DEFAULT 'QUEUED' CHECK (stage IN ('QUEUED', 'PROBING', 'SCANNING', 'ENCODING', 'PUBLISHING', 'DONE', 'FAILED')),
  processing_started_at timestamptz,
  processing_finished_at timestamptz,
  processing_attempts int NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz
);
CREATE INDEX ix_video_unfinished ON video (id) WHERE state IN ('PROCESSING', 'PLAYABLE') AND deleted_at IS NULL;
CREATE INDEX ix_video_channel ON video (channel_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;

-- ── uploads: design in docs/uploads-ledger.md ───────────────────────────────────────────────────────────────────

CREATE TABLE upload_session (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  owner_id uuid NOT NULL CONSTRAINT fk_upload_session_owner REFERENCES app_user,
  channel_id uuid NOT NULL CONSTRAINT fk_upload_session_channel REFERENCES channel,
  video_id uuid NOT NULL CONSTRAINT fk_upload_session_video REFERENCES video,
  file_name text NOT NULL,
  content_type text,
  size_bytes bigint NOT NULL CHECK (size_bytes > 0),
  sha256 bytea,
  fingerprint text,
  idempotency_key text NOT NULL,
  input_hash bytea NOT NULL,
  state text NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'COMPLETING', 'COMPLETED', 'CANCELLED', 'EXPIRED')),
  paused_at timestamptz,
  epoch int NOT NULL DEFAULT 1,
  covered int8multirange NOT NULL DEFAULT '{}',
  failure_code text,
  failure_message text,
  master_key text,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL DEFAULT now() + interval '7 days',
  completed_at timestamptz,
  CONSTRAINT uq_upload_session_idempotency UNIQUE (owner_id, idempotency_key),
  CONSTRAINT uq_upload_session_video UNIQUE (video_id)
);
CREATE INDEX ix_upload_session_owner ON upload_session (owner_id, created_at DESC, id DESC);
CREATE INDEX ix_upload_session_expiry ON upload_session (expires_at) WHERE state = 'OPEN';

CREATE TABLE upload_chunk (
  object_key text PRIMARY KEY CONSTRAINT fk_upload_chunk_object REFERENCES stored_object,
  session_id uuid NOT NULL CONSTRAINT fk_upload_chunk_session REFERENCES upload_session,
  span int8range NOT NULL,
  sha256 bytea NOT NULL,
  verified boolean NOT NULL DEFAULT true,
  covers int8multirange NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_upload_chunk_session ON upload_chunk (session_id, lower(span));

CREATE TABLE upload_target (
  session_id uuid NOT NULL CONSTRAINT fk_upload_target_session REFERENCES upload_session,
  span int8range NOT NULL,
  sha256 bytea NOT NULL,
  object_key text NOT NULL,                   -- ends in its generation: one that is being deleted is never signed again
  state text NOT NULL DEFAULT 'SIGNED' CHECK (state IN ('SIGNED', 'FAILED')),
  failures int NOT NULL DEFAULT 0,
  failure_reason text,
  signed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (session_id, span, sha256),
  CONSTRAINT uq_upload_target_object UNIQUE (object_key)
);

-- ── transcoding ─────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE transcode_source (
  video_id uuid NOT NULL CONSTRAINT fk_transcode_source_video REFERENCES video,
  run int NOT NULL,
  probe jsonb NOT NULL,                       -- of the master: sound is read by it
  picture jsonb,                              -- of the picture's copy, where the master cannot be read in pieces
  picture_key text CONSTRAINT fk_transcode_source_picture REFERENCES stored_object,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (video_id, run)
);
-- Deleting an object's row asks every table that may name it.
CREATE INDEX ix_transcode_source_picture ON transcode_source (picture_key) WHERE picture_key IS NOT NULL;

CREATE TABLE rendition (
  video_id uuid NOT NULL CONSTRAINT fk_rendition_video REFERENCES video,
  run int NOT NULL,
  name text NOT NULL,                         -- '360p', 'audio'
  kind text NOT NULL CHECK (kind IN ('VIDEO', 'AUDIO')),
  position int NOT NULL,                      -- 0 is the lowest rung
  width int,
  height int,
  frame_rate_num int,
  frame_rate_den int,
  timescale int NOT NULL,
  max_bits_per_second int NOT NULL,
  average_bits_per_second int,
  segment_count int NOT NULL,
  segment_duration bigint NOT NULL,           -- in timescale; video segments, the last may be shorter
  total_duration bigint NOT NULL,             -- in timescale
  codecs text,                                -- RFC 6381, from the init segment
  init bytea,                                 -- ftyp + moov, about 1 kB, the same for every piece
  PRIMARY KEY (video_id, run, name)
);

CREATE TABLE piece (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  video_id uuid NOT NULL CONSTRAINT fk_piece_video REFERENCES video,
  run int NOT NULL,
  kind text NOT NULL CHECK (kind IN ('FIRST', 'VIDEO', 'AUDIO', 'STILLS')),
  number int NOT NULL,
  first_frame int NOT NULL DEFAULT 0,
  frame_count int NOT NULL DEFAULT 0,
  done_at timestamptz,
  progress real NOT NULL DEFAULT 0,           -- 0 to 1, of the attempt under way
  strikes int NOT NULL DEFAULT 0,             -- attempts that the input ended: failed checks, a killed worker
  fault text,                                 -- of the last strike; WORKER_KILLED until an attempt says otherwise
  CONSTRAINT uq_piece UNIQUE (video_id, run, kind, number)
);

CREATE TABLE segment (
  video_id uuid NOT NULL,
  run int NOT NULL,
  rendition text NOT NULL,
  number int NOT NULL,                        -- from 1
  object_key text NOT NULL CONSTRAINT fk_segment_object REFERENCES stored_object,
  byte_offset bigint NOT NULL,
  byte_size int NOT NULL,
  duration bigint NOT NULL,                   -- in the rendition's timescale
  PRIMARY KEY (video_id, run, rendition, number),
  CONSTRAINT fk_segment_rendition FOREIGN KEY (video_id, run, rendition) REFERENCES rendition
);
CREATE INDEX ix_segment_object ON segment (object_key);

CREATE TABLE still (
  video_id uuid NOT NULL CONSTRAINT fk_still_video REFERENCES video,
  run int NOT NULL,
  kind text NOT NULL CHECK (kind IN ('POSTER', 'THUMBNAIL', 'STORYBOARD')),
  number int NOT NULL,
  at_ms int NOT NULL,
  width int NOT NULL,
  height int NOT NULL,
  columns int NOT NULL DEFAULT 1,             -- STORYBOARD: tiles of width × height, one every interval_ms
  tiles int NOT NULL DEFAULT 1,
  interval_ms int NOT NULL DEFAULT 0,
  object_key text NOT NULL CONSTRAINT fk_still_object REFERENCES stored_object,
  PRIMARY KEY (video_id, run, kind, number)
);
CREATE INDEX ix_still_object ON still (object_key);
