-- What a channel shows of itself (docs/decisions/0030-channel-images.md). One that is shown has object_key; one that waits to be made has
-- source_key; one of which nothing could be made has neither, until the next one comes.
CREATE TABLE channel_image (
  id uuid PRIMARY KEY,                  -- in its address
  channel_id uuid NOT NULL CONSTRAINT fk_channel_image_channel REFERENCES channel,
  kind text NOT NULL CONSTRAINT ck_channel_image_kind CHECK (kind IN ('AVATAR', 'BANNER')),
  source_key text CONSTRAINT fk_channel_image_source REFERENCES stored_object,
  object_key text CONSTRAINT fk_channel_image_object REFERENCES stored_object,
  size_bytes int,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT ck_channel_image_one CHECK (source_key IS NULL OR object_key IS NULL)
);
CREATE UNIQUE INDEX uq_channel_image_shown ON channel_image (channel_id, kind) WHERE object_key IS NOT NULL;
CREATE UNIQUE INDEX uq_channel_image_next ON channel_image (channel_id, kind) WHERE object_key IS NULL;
-- Objects go one at a time: each asks whether it is named here.
CREATE INDEX ix_channel_image_source ON channel_image (source_key) WHERE source_key IS NOT NULL;
CREATE INDEX ix_channel_image_object ON channel_image (object_key) WHERE object_key IS NOT NULL;
