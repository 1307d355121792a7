-- Channels that can be deleted, handles that look like another's, and members who were asked (docs/decisions/0026-channels.md).
ALTER TABLE channel
  ADD COLUMN deleted_at timestamptz,    -- its handle is nobody's for ever
  ADD COLUMN handle_look text;          -- see handleLook; NULL for one that looked like an older one's when this came

-- NULL: was asked, and has not answered. Whoever is a member by now is one, and whom the version before this one makes.
ALTER TABLE channel_member ADD COLUMN accepted_at timestamptz DEFAULT now();
