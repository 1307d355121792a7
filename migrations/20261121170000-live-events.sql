-- Event streams: what happened in a topic, for whoever listens (docs/decisions/0023-event-streams.md).
CREATE TABLE live_event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- what clients know a repeat by; says nothing of the order of commits
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),     -- with a snapshot as cursor: what has come to light since
  topic text NOT NULL,
  body jsonb NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_live_event_tail ON live_event (xid, id);
CREATE INDEX ix_live_event_topic ON live_event (topic, xid, id);

-- Neither table is in a backup: transaction ids mean nothing elsewhere, and the restored database begins a new era.
CREATE TABLE live_era (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  swept xid8 NOT NULL DEFAULT '0',                    -- the newest transaction of which an event is gone
  one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO live_era DEFAULT VALUES;
