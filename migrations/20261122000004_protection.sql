-- What limits count: one row for each attempt and limit (models/throttle.rs).
CREATE TABLE throttle_hits (
    id           TEXT   NOT NULL PRIMARY KEY,
    attempt      TEXT   NOT NULL, -- all hits of one attempt have the same
    limit_name   TEXT   NOT NULL, -- in models/limits.rs
    bucket       TEXT   NOT NULL, -- SHA-256 of the limit and of whom it counts
    challenge_id TEXT,            -- whose right code takes it back
    at           BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX throttle_hits_bucket ON throttle_hits (bucket, at);
CREATE INDEX throttle_hits_attempt ON throttle_hits (attempt);
CREATE INDEX throttle_hits_challenge_id ON throttle_hits (challenge_id);
CREATE INDEX throttle_hits_expires_at ON throttle_hits (expires_at);

-- A row to lock while a bucket's hits are counted and one is added.
CREATE TABLE throttle_locks (
    bucket     TEXT   NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX throttle_locks_expires_at ON throttle_locks (expires_at);

-- What happened to an account, for its owner to read: 90 days.
CREATE TABLE activity (
    id         TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    event      TEXT   NOT NULL, -- in models/activity.rs
    address    TEXT,            -- none for what the operator did
    user_agent TEXT,
    failure    BIGINT NOT NULL, -- somebody tried to get in and did not
    at         BIGINT NOT NULL,
    number     BIGINT NOT NULL  -- in their order, of those of an account in one second
);
CREATE INDEX activity_user_id ON activity (user_id, failure, at, number);
CREATE INDEX activity_at ON activity (at);

-- Ten a set, each good once. A used one stays until the set goes.
CREATE TABLE recovery_codes (
    code_hash  TEXT   NOT NULL PRIMARY KEY, -- SHA-256 with the user's id
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX recovery_codes_user_id ON recovery_codes (user_id);

-- Codes sent and codes entered rightly, by country and day (UTC).
CREATE TABLE sms_days (
    day     TEXT   NOT NULL, -- 2026-11-22
    country TEXT   NOT NULL, -- a region code, or - for numbers of no country
    sent    BIGINT NOT NULL,
    entered BIGINT NOT NULL,
    PRIMARY KEY (day, country)
);

-- A link to a new password was asked for, for an address that may be nobody's:
-- the mail worker finds out, so that the answer's time tells nothing.
CREATE TABLE reset_requests (
    id         TEXT   NOT NULL PRIMARY KEY,
    email_key  TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX reset_requests_created_at ON reset_requests (created_at);
CREATE INDEX reset_requests_email_key ON reset_requests (email_key);

-- Attempts in which the mail server had all of a mail and did not answer.
ALTER TABLE outbox ADD COLUMN unanswered BIGINT NOT NULL DEFAULT 0;

ALTER TABLE users ADD COLUMN locked_at BIGINT; -- by the operator

-- Where a log-in came from, for its owner to recognise.
ALTER TABLE sessions ADD COLUMN address TEXT;
ALTER TABLE sessions ADD COLUMN user_agent TEXT;

ALTER TABLE challenges ADD COLUMN country TEXT; -- of the number, for sms_days

-- For the purge.
CREATE INDEX sessions_expires_at ON sessions (expires_at);
CREATE INDEX sessions_idle_expires_at ON sessions (idle_expires_at);
CREATE INDEX challenges_expires_at ON challenges (expires_at);
CREATE INDEX mail_tokens_expires_at ON mail_tokens (expires_at);
