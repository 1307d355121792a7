-- A rung that is the source's own picture, copied instead of encoded: its segments are there from the plan on, and pieces leave it out.
ALTER TABLE rendition ADD COLUMN copied boolean NOT NULL DEFAULT false;
