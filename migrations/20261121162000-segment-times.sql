-- Both null in what a version before made.
ALTER TABLE segment
  ADD COLUMN decode_time bigint,              -- of the first sample, as the segment itself says; in the rendition's timescale
  ADD COLUMN key_bytes int;                   -- pictures: from byte_offset to the end of the first sample, a key frame
