-- Whether Twilio's fraud guard blocked the last code of a login. The user may then have the
-- next one sent without it.
ALTER TABLE challenges ADD COLUMN fraud_guard BIGINT NOT NULL DEFAULT 0;
