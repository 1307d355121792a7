-- Who was told of what (docs/decisions/0027-notifications.md). The cause is the id of what happened, or made of it: telling
-- somebody twice of one thing is the same row.
CREATE TABLE notification (
  recipient_id uuid NOT NULL CONSTRAINT fk_notification_recipient REFERENCES app_user ON DELETE CASCADE,
  cause uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('NEW_VIDEO', 'UPLOAD_FINISHED', 'UPLOAD_FAILED', 'COMMENT', 'REPLY', 'NEW_FOLLOWER')),
  channel_id uuid,                            -- what it is about, perhaps gone by now
  video_id uuid,
  comment_id uuid,
  actor_id uuid,                              -- whose doing it is
  is_hidden boolean NOT NULL DEFAULT false,   -- not wanted in the inbox
  created_at timestamptz NOT NULL DEFAULT now(),
  read_at timestamptz,
  PRIMARY KEY (recipient_id, cause)
);
CREATE INDEX ix_notification_inbox ON notification (recipient_id, created_at DESC, cause DESC) WHERE NOT is_hidden;
CREATE INDEX ix_notification_age ON notification (created_at);
CREATE INDEX ix_notification_unread ON notification (recipient_id, created_at) WHERE read_at IS NULL AND NOT is_hidden;

-- A video was published, once. Followers beyond a number get no rows: what was told to all is merged into each inbox at reading.
CREATE TABLE channel_notification (
  cause uuid PRIMARY KEY,                     -- the video
  channel_id uuid NOT NULL CONSTRAINT fk_channel_notification_channel REFERENCES channel,
  is_broadcast boolean NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_channel_notification_broadcast ON channel_notification (channel_id, created_at DESC, cause DESC) WHERE is_broadcast;
CREATE INDEX ix_channel_notification_age ON channel_notification (created_at);

CREATE TABLE broadcast_read (
  recipient_id uuid NOT NULL CONSTRAINT fk_broadcast_read_recipient REFERENCES app_user ON DELETE CASCADE,
  cause uuid NOT NULL CONSTRAINT fk_broadcast_read_cause REFERENCES channel_notification ON DELETE CASCADE,
  read_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (recipient_id, cause)
);
CREATE INDEX ix_broadcast_read_cause ON broadcast_read (cause);

-- All up to here is read, however much it is: one row a person.
CREATE TABLE notification_mark (
  user_id uuid PRIMARY KEY CONSTRAINT fk_notification_mark_user REFERENCES app_user ON DELETE CASCADE,
  read_until timestamptz NOT NULL
);

-- What differs from all of it.
CREATE TABLE notification_preference (
  user_id uuid NOT NULL CONSTRAINT fk_notification_preference_user REFERENCES app_user ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('NEW_VIDEO', 'UPLOAD_FINISHED', 'UPLOAD_FAILED', 'COMMENT', 'REPLY', 'NEW_FOLLOWER')),
  inbox boolean NOT NULL,
  live boolean NOT NULL,
  push boolean NOT NULL,
  PRIMARY KEY (user_id, kind)
);
