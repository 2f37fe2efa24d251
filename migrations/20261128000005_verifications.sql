-- Twilio's verification of a phone: a code that was sent. The open logins and
-- reauthentications of a user share it.
CREATE TABLE verifications (
    id           TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    phone        TEXT   NOT NULL, -- E.164
    country      TEXT,            -- of the number, for sms_days
    is_adding    BIGINT NOT NULL, -- the number isn't a factor yet
    sid          TEXT,            -- Twilio's, if it answered
    delivery     TEXT   NOT NULL, -- the result of the last send
    sends        BIGINT NOT NULL,
    checks       BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_sent_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    outcome      TEXT             -- none while its code may be entered
);
INSERT INTO verifications (id, user_id, phone, country, is_adding, sid, delivery, sends, checks,
    created_at, last_sent_at, expires_at, outcome)
SELECT id, user_id, phone, country, CASE purpose WHEN 'enable' THEN 1 ELSE 0 END, provider_sid,
    delivery, sends, checks, created_at, last_sent_at, expires_at, COALESCE(outcome, 'superseded')
FROM challenges
WHERE last_sent_at IS NOT NULL;
CREATE INDEX verifications_user_id ON verifications (user_id, phone, last_sent_at);
CREATE INDEX verifications_sid ON verifications (sid);
CREATE INDEX verifications_expires_at ON verifications (expires_at);

-- Open challenges are closed. They would have expired within ten minutes.
UPDATE challenges SET closed_at = created_at, outcome = 'superseded' WHERE closed_at IS NULL;
ALTER TABLE challenges ADD COLUMN factor_id TEXT REFERENCES factors (id) ON DELETE SET NULL;
ALTER TABLE challenges ADD COLUMN verification_id TEXT REFERENCES verifications (id) ON DELETE SET NULL;
DROP INDEX challenges_user_id;
DROP INDEX challenges_provider_sid;
ALTER TABLE challenges DROP COLUMN phone;
ALTER TABLE challenges DROP COLUMN country;
ALTER TABLE challenges DROP COLUMN provider_sid;
ALTER TABLE challenges DROP COLUMN delivery;
ALTER TABLE challenges DROP COLUMN last_sent_at;
CREATE INDEX challenges_user_id ON challenges (user_id);
CREATE INDEX challenges_verification_id ON challenges (verification_id);
CREATE INDEX challenges_factor_id ON challenges (factor_id);

-- For the start, which checks that SECRET_KEY opens them.
CREATE INDEX factors_authenticators ON factors (id) WHERE kind = 'authenticator';
