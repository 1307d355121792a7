-- Web Push (docs/decisions/0029-web-push.md). The pair of keys stands beside the subscriptions, and is backed up with them: push
-- services deliver to a subscription what is signed with the key that it was made with, and nothing else.
CREATE TABLE push_key (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  public_key text NOT NULL,
  private_key text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE push_subscription (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL CONSTRAINT fk_push_subscription_user REFERENCES app_user ON DELETE CASCADE,
  session_id uuid NOT NULL CONSTRAINT fk_push_subscription_session REFERENCES login_session ON DELETE CASCADE,
  endpoint text NOT NULL,
  p256dh text NOT NULL,
  auth text NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  failing_since timestamptz                   -- nothing was delivered since
);
CREATE UNIQUE INDEX ux_push_subscription_endpoint ON push_subscription (endpoint);
CREATE INDEX ix_push_subscription_user ON push_subscription (user_id, registered_at);
CREATE INDEX ix_push_subscription_session ON push_subscription (session_id);
