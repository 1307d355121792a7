-- What a video is about, in its makers' words, and the language it is in (BCP 47): search and feeds go by them.
ALTER TABLE video ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
ALTER TABLE video ADD COLUMN language text;
