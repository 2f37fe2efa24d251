-- The order in which emails that are due go out. Position 0 is a link that someone waits
-- for. A notice has one more than the number of emails that already waited for its user, so
-- a user with many of them delays nobody else's first.
ALTER TABLE outbox ADD COLUMN position BIGINT NOT NULL DEFAULT 1;
UPDATE outbox SET position = 0 WHERE mail = '"reset_password"';
DROP INDEX outbox_next_attempt_at;
CREATE INDEX outbox_position ON outbox (position, next_attempt_at);
