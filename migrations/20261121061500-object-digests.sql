-- What an object's bytes were when it was stored, so that they can be compared with what is there later, in any store.
-- NULL: stored by a version that did not record it.
ALTER TABLE stored_object ADD COLUMN sha256 bytea;
UPDATE stored_object o SET sha256 = c.sha256 FROM upload_chunk c WHERE c.object_key = o.key;
