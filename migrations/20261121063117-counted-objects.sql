-- What an operator's metrics ask for, at any size of the installation: how much is stored, how long the oldest job waits.

-- Each row is what one statement added to a state, and took from it; their sum is what there is. Written by triggers,
-- folded together by the workers (StorageUsage). Rows are only added, so that nobody waits for anybody.
CREATE TABLE stored_object_change (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  state text NOT NULL,
  objects bigint NOT NULL,
  bytes numeric NOT NULL
);

CREATE FUNCTION note_stored_objects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- A trigger knows of the rows before and after only what its event has.
  IF TG_OP = 'INSERT' THEN
    INSERT INTO stored_object_change (state, objects, bytes)
    SELECT state, count(*), coalesce(sum(size_bytes), 0) FROM after GROUP BY state;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO stored_object_change (state, objects, bytes)
    SELECT state, -count(*), -coalesce(sum(size_bytes), 0) FROM before GROUP BY state;
  ELSE
    INSERT INTO stored_object_change (state, objects, bytes)
    SELECT state, sum(objects), sum(bytes)
    FROM (SELECT state, 1 AS objects, coalesce(size_bytes, 0) AS bytes FROM after
          UNION ALL SELECT state, -1, -coalesce(size_bytes, 0) FROM before) change
    GROUP BY state HAVING sum(objects) <> 0 OR sum(bytes) <> 0;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER note_inserts AFTER INSERT ON stored_object
  REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION note_stored_objects();
CREATE TRIGGER note_updates AFTER UPDATE ON stored_object
  REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION note_stored_objects();
CREATE TRIGGER note_deletes AFTER DELETE ON stored_object
  REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION note_stored_objects();

-- Making the triggers locked out who writes, so this is what they go on from.
INSERT INTO stored_object_change (state, objects, bytes)
SELECT state, count(*), coalesce(sum(size_bytes), 0) FROM stored_object GROUP BY state;

CREATE INDEX ix_job_age ON job (queue, run_at) WHERE state = 'QUEUED';
CREATE INDEX ix_upload_session_completing ON upload_session (id) WHERE state = 'COMPLETING';
