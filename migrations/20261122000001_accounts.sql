-- Valid on SQLite and on PostgreSQL: ids are random text made by the program,
-- times are Unix seconds, flags are 0 or 1.

CREATE TABLE users (
    id                 TEXT   NOT NULL PRIMARY KEY,
    username           TEXT   NOT NULL, -- as typed
    username_key       TEXT   NOT NULL, -- without regard to case
    email              TEXT   NOT NULL,
    email_key          TEXT   NOT NULL,
    password_hash      TEXT   NOT NULL, -- a PHC string, with its parameters
    auth_version       BIGINT NOT NULL, -- raised by every change of password or factor
    verification_phone TEXT,            -- E.164; set = two-factor authentication is on
    about_me           TEXT   NOT NULL,
    created_at         BIGINT NOT NULL,
    last_seen_at       BIGINT,
    CONSTRAINT users_username_key UNIQUE (username_key),
    CONSTRAINT users_email_key UNIQUE (email_key)
);

-- One row a verification: a code asked for one purpose, by one user.
CREATE TABLE challenges (
    id           TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    auth_version BIGINT NOT NULL, -- what the account was when it was opened
    purpose      TEXT   NOT NULL, -- login, enable, reauth
    phone        TEXT   NOT NULL,
    provider_sid TEXT,            -- the verification at Twilio, where its answer came
    delivery     TEXT   NOT NULL, -- how the last sending ended
    next         TEXT,            -- where to go afterwards, a local path
    remember     BIGINT NOT NULL,
    sends        BIGINT NOT NULL,
    calls        BIGINT NOT NULL, -- those of the sends that "call me" asked for
    checks       BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_sent_at BIGINT,
    expires_at   BIGINT NOT NULL,
    closed_at    BIGINT,
    outcome      TEXT
);
CREATE INDEX challenges_user_id ON challenges (user_id, purpose, last_sent_at);
CREATE INDEX challenges_provider_sid ON challenges (provider_sid);

-- A row without user_id is not a log-in: it carries a message or a half log-in.
CREATE TABLE sessions (
    id               TEXT   NOT NULL PRIMARY KEY,
    token_hash       TEXT   NOT NULL, -- SHA-256 of the cookie's value
    user_id          TEXT   REFERENCES users (id) ON DELETE CASCADE,
    challenge_id     TEXT   REFERENCES challenges (id) ON DELETE SET NULL,
    authenticated_at BIGINT,          -- the last full log-in or re-authentication
    remember         BIGINT NOT NULL,
    data             TEXT   NOT NULL, -- JSON: messages for the next page
    created_at       BIGINT NOT NULL,
    last_active_at   BIGINT NOT NULL,
    idle_expires_at  BIGINT NOT NULL, -- moves with activity
    expires_at       BIGINT NOT NULL, -- never moves
    CONSTRAINT sessions_token_hash UNIQUE (token_hash)
);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_challenge_id ON sessions (challenge_id);
