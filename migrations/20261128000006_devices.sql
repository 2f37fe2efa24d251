-- A browser that has logged in to an account. Its cookie holds a token, which serves all
-- accounts of the browser. A session without authenticated_at began on a trusted device, with
-- the password alone.
CREATE TABLE devices (
    id            TEXT   NOT NULL PRIMARY KEY,
    user_id       TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash    TEXT   NOT NULL, -- SHA-256 of the cookie's value
    user_agent    TEXT   NOT NULL, -- of the last login
    address       TEXT   NOT NULL, -- of the last login
    created_at    BIGINT NOT NULL,
    last_seen_at  BIGINT NOT NULL,
    trusted_until BIGINT,          -- logins need no code until then
    auth_version  BIGINT NOT NULL, -- trust ends when it differs from the account's
    CONSTRAINT devices_token_hash UNIQUE (token_hash, user_id)
);
CREATE INDEX devices_user_id ON devices (user_id, last_seen_at);
CREATE INDEX devices_last_seen_at ON devices (last_seen_at);

ALTER TABLE sessions ADD COLUMN device_id TEXT REFERENCES devices (id) ON DELETE SET NULL;
CREATE INDEX sessions_device_id ON sessions (device_id);
