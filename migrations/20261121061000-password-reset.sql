-- The link that was mailed last; asking again replaces it.
CREATE TABLE password_reset (
  user_id uuid PRIMARY KEY CONSTRAINT fk_password_reset_user REFERENCES app_user ON DELETE CASCADE,
  token_hash bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  CONSTRAINT uq_password_reset_token UNIQUE (token_hash)
);
