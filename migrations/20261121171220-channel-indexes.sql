-- Channels are read meanwhile.
CREATE UNIQUE INDEX uq_channel_handle_look ON channel (handle_look);
-- Members in the order of their joining; owners are counted by it too.
CREATE INDEX ix_channel_member_channel ON channel_member (channel_id, created_at, user_id);
