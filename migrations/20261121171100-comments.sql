-- Likes of videos, and what is said under them (docs/decisions/0025-comments.md). Counts stand in rows of their own: who
-- likes or comments waits for nobody who changes the video. No row is none.
CREATE TABLE video_like (
  video_id uuid NOT NULL CONSTRAINT fk_video_like_video REFERENCES video,
  user_id uuid NOT NULL CONSTRAINT fk_video_like_user REFERENCES app_user,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (video_id, user_id)
);
CREATE INDEX ix_video_like_user ON video_like (user_id);

CREATE TABLE video_like_count (
  video_id uuid PRIMARY KEY CONSTRAINT fk_video_like_count_video REFERENCES video,
  likes bigint NOT NULL CHECK (likes >= 0)
) WITH (fillfactor = 50);

CREATE TABLE comment (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  video_id uuid NOT NULL CONSTRAINT fk_comment_video REFERENCES video,
  parent_id uuid CONSTRAINT fk_comment_parent REFERENCES comment, -- a reply's; it has none itself: two levels
  author_id uuid NOT NULL CONSTRAINT fk_comment_author REFERENCES app_user,
  text text NOT NULL,                        -- empty once deleted
  like_count bigint NOT NULL DEFAULT 0 CHECK (like_count >= 0), -- none once deleted
  reply_count int NOT NULL DEFAULT 0 CHECK (reply_count >= 0), -- of those that are not deleted
  idempotency_key text,
  input_hash bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  edited_at timestamptz,
  deleted_at timestamptz,
  CONSTRAINT uq_comment_idempotency UNIQUE (author_id, idempotency_key)
);
-- A deleted comment stays in its list as long as there are replies to it.
CREATE INDEX ix_comment_newest ON comment (video_id, created_at DESC, id DESC)
  WHERE parent_id IS NULL AND (deleted_at IS NULL OR reply_count > 0);
CREATE INDEX ix_comment_top ON comment (video_id, like_count DESC, created_at DESC, id DESC)
  WHERE parent_id IS NULL AND (deleted_at IS NULL OR reply_count > 0);
CREATE INDEX ix_comment_replies ON comment (parent_id, created_at, id) WHERE parent_id IS NOT NULL AND deleted_at IS NULL;
-- For what must be found whatever became of it: all of a video, all of a comment.
CREATE INDEX ix_comment_video ON comment (video_id, id);
CREATE INDEX ix_comment_parent ON comment (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE comment_like (
  comment_id uuid NOT NULL CONSTRAINT fk_comment_like_comment REFERENCES comment ON DELETE CASCADE,
  user_id uuid NOT NULL CONSTRAINT fk_comment_like_user REFERENCES app_user,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (comment_id, user_id)
);
CREATE INDEX ix_comment_like_user ON comment_like (user_id);

CREATE TABLE video_discussion (
  video_id uuid PRIMARY KEY CONSTRAINT fk_video_discussion_video REFERENCES video,
  comments bigint NOT NULL DEFAULT 0 CHECK (comments >= 0), -- that are not deleted, replies included
  pinned_id uuid CONSTRAINT fk_video_discussion_pinned REFERENCES comment ON DELETE SET NULL
) WITH (fillfactor = 50);
CREATE INDEX ix_video_discussion_pinned ON video_discussion (pinned_id) WHERE pinned_id IS NOT NULL;
