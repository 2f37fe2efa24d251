-- Mail that is still to be sent. What it says is made when it is sent, from the
-- facts: a link's token is never in the database in clear.
CREATE TABLE outbox (
    id              TEXT   NOT NULL PRIMARY KEY,
    user_id         TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    mail            TEXT   NOT NULL, -- JSON: which mail, and its facts
    attempts        BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL, -- moves ahead while somebody is sending it
    last_error      TEXT
);
CREATE INDEX outbox_next_attempt_at ON outbox (next_attempt_at);
CREATE INDEX outbox_user_id ON outbox (user_id);
-- However often somebody asks for a new password, one mail at a time waits.
CREATE UNIQUE INDEX outbox_one_reset ON outbox (user_id) WHERE mail = '"reset_password"';

-- A link that was mailed: to a new password, or to undo what a notice tells of.
-- All of a user's links for a purpose go with the use of one.
CREATE TABLE mail_tokens (
    token_hash   TEXT   NOT NULL PRIMARY KEY, -- SHA-256 of what the link carries
    user_id      TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose      TEXT   NOT NULL, -- reset_password, not_me
    event        TEXT,            -- not_me: what the notice told of
    former_phone TEXT,            -- not_me: the number before it
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX mail_tokens_user_id ON mail_tokens (user_id, purpose);

ALTER TABLE users ADD COLUMN failed_logins BIGINT NOT NULL DEFAULT 0; -- since the last right one
ALTER TABLE users ADD COLUMN unfinished_login_notice_at BIGINT;       -- the last such notice
