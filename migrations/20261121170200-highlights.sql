-- What a channel wants those of its followers to hear of too who asked for highlights alone.
ALTER TABLE video ADD COLUMN is_highlight boolean NOT NULL DEFAULT false;
-- As it was when the video was published: all batches of one fan-out see the same.
ALTER TABLE channel_notification ADD COLUMN is_highlight boolean NOT NULL DEFAULT false;
