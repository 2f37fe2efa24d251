-- A second factor of an account. Two-factor authentication is on while an account has at
-- least one that isn't removed. A removed one stays for 30 days, so that "this wasn't me" can
-- restore it.
CREATE TABLE factors (
    id           TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind         TEXT   NOT NULL, -- phone, authenticator
    name         TEXT   NOT NULL, -- the user's name for an authenticator app
    phone        TEXT,            -- of a phone: the number in E.164
    secret       TEXT,            -- of an authenticator app: sealed with SECRET_KEY
    last_step    BIGINT NOT NULL, -- of an authenticator app: the time step of the last code
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    removed_at   BIGINT
);
CREATE INDEX factors_user_id ON factors (user_id);
CREATE INDEX factors_active ON factors (user_id, kind) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX factors_one_phone ON factors (user_id) WHERE kind = 'phone' AND removed_at IS NULL;
CREATE INDEX factors_removed_at ON factors (removed_at);

-- A number that "this wasn't me" restored is the former one, so it counts from the beginning.
INSERT INTO factors (id, user_id, kind, name, phone, last_step, created_at)
SELECT id || '-phone', id, 'phone', '', verification_phone, 0,
    CASE
        WHEN former_phone = verification_phone THEN created_at
        ELSE COALESCE(phone_changed_at, created_at)
    END
FROM users
WHERE verification_phone IS NOT NULL;

INSERT INTO factors (id, user_id, kind, name, phone, last_step, created_at, removed_at)
SELECT id || '-former', id, 'phone', '', former_phone, 0, created_at, phone_changed_at
FROM users
WHERE former_phone IS NOT NULL AND phone_changed_at IS NOT NULL
    AND (verification_phone IS NULL OR verification_phone <> former_phone);

ALTER TABLE users DROP COLUMN verification_phone;
ALTER TABLE users DROP COLUMN former_phone;
ALTER TABLE users DROP COLUMN phone_changed_at;

-- The factors tell what a link restores. It needs only the time of its event.
ALTER TABLE mail_tokens ADD COLUMN event_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mail_tokens ADD COLUMN undoes_factors BIGINT NOT NULL DEFAULT 0;
UPDATE mail_tokens
SET event_at = created_at,
    undoes_factors = CASE WHEN former_phone IS NULL THEN 0 ELSE 1 END;
ALTER TABLE mail_tokens DROP COLUMN former_phone;
