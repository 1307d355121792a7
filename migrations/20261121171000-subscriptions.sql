-- Who follows which channel (docs/decisions/0024-following.md).
CREATE TABLE channel_subscription (
  channel_id uuid NOT NULL CONSTRAINT fk_channel_subscription_channel REFERENCES channel,
  user_id uuid NOT NULL CONSTRAINT fk_channel_subscription_user REFERENCES app_user,
  notify text NOT NULL CHECK (notify IN ('ALL', 'HIGHLIGHTS', 'NONE')),
  created_at timestamptz NOT NULL DEFAULT now(),
  notify_since timestamptz NOT NULL DEFAULT now(),   -- told of nothing before
  PRIMARY KEY (channel_id, user_id)                  -- also the order in which followers are told of a video
);
CREATE INDEX ix_channel_subscription_user ON channel_subscription (user_id, created_at DESC, channel_id DESC);
CREATE INDEX ix_channel_subscription_channel ON channel_subscription (channel_id, created_at DESC, user_id DESC);

-- Beside the channel's row: whoever follows waits for nobody who changes the channel. No row is none.
CREATE TABLE subscriber_count (
  channel_id uuid PRIMARY KEY CONSTRAINT fk_subscriber_count_channel REFERENCES channel,
  subscribers bigint NOT NULL CHECK (subscribers >= 0)
) WITH (fillfactor = 50);

-- When it first was public and played: its place in feeds (docs/decisions/0024-following.md). published_at tells when it first
-- played.
ALTER TABLE video ADD COLUMN listed_at timestamptz;
