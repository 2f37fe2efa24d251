-- One row for each bucket of a rate limit (models/rate_limit), in place of one row for
-- each attempt and one for each lock.
CREATE TABLE rate_limits (
    key        TEXT   NOT NULL PRIMARY KEY, -- SHA-256 of limit and subject, and the window's length
    capacity   BIGINT NOT NULL,             -- how many the window takes
    count      BIGINT NOT NULL,             -- how many it has taken
    expires_at BIGINT NOT NULL              -- the end of the window
);
CREATE INDEX rate_limits_expires_at ON rate_limits (expires_at);

-- What was counted before goes on counting: a window ends when the oldest of its attempts
-- would have left it. The newest attempt stands for the present.
INSERT INTO rate_limits (key, capacity, count, expires_at)
SELECT
    hits.bucket || ':' || windows.seconds,
    windows.capacity,
    COUNT(*),
    MIN(hits.at) + windows.seconds
FROM throttle_hits hits
JOIN (
    SELECT 'wrong_passwords' AS limit_name, 900 AS seconds, 10 AS capacity
    UNION ALL SELECT 'wrong_passwords_of_site', 900, 50
    UNION ALL SELECT 'wrong_passwords_of_address', 600, 60
    UNION ALL SELECT 'wrong_codes', 3600, 10
    UNION ALL SELECT 'wrong_codes', 86400, 20
    UNION ALL SELECT 'wrong_recovery_codes', 900, 5
    UNION ALL SELECT 'recovery_code_sets', 3600, 10
    UNION ALL SELECT 'sends_of_account', 3600, 6
    UNION ALL SELECT 'sends_of_account', 86400, 12
    UNION ALL SELECT 'sends_to_number', 3600, 6
    UNION ALL SELECT 'sends_to_number', 86400, 12
    UNION ALL SELECT 'sends_of_address', 3600, 15
    UNION ALL SELECT 'numbers_of_account', 86400, 5
    UNION ALL SELECT 'calls_of_account', 86400, 6
    UNION ALL SELECT 'reset_mails_of_account', 1800, 3
    UNION ALL SELECT 'reset_mails_of_address', 3600, 10
    UNION ALL SELECT 'registrations_of_address', 3600, 100
) windows ON windows.limit_name = hits.limit_name
JOIN (
    SELECT bucket, MAX(at) AS at FROM throttle_hits GROUP BY bucket
) newest ON newest.bucket = hits.bucket
WHERE hits.at > newest.at - windows.seconds
GROUP BY hits.bucket, windows.seconds, windows.capacity;

-- Daily limits go by UTC days now; their capacity is a setting's, which the next attempt
-- writes.
INSERT INTO rate_limits (key, capacity, count, expires_at)
SELECT
    hits.bucket || ':86400',
    COUNT(*),
    COUNT(*),
    newest.at - newest.at % 86400 + 86400
FROM throttle_hits hits
JOIN (
    SELECT bucket, MAX(at) AS at FROM throttle_hits GROUP BY bucket
) newest ON newest.bucket = hits.bucket
WHERE hits.limit_name IN ('sends_of_service', 'all_sends_of_account', 'all_sends_to_number')
    AND hits.at >= newest.at - newest.at % 86400
GROUP BY hits.bucket, newest.at;

DROP TABLE throttle_hits;
DROP TABLE throttle_locks;

-- The last two former names of an account stay reserved for it for a while.
CREATE TABLE former_usernames (
    username_key   TEXT   NOT NULL PRIMARY KEY,
    user_id        TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    reserved_until BIGINT NOT NULL
);
CREATE INDEX former_usernames_user_id ON former_usernames (user_id, reserved_until);
CREATE INDEX former_usernames_reserved_until ON former_usernames (reserved_until);

-- Which of an account's events push each other off the page, and out of the table: see
-- models/activity.rs. A rename used to be among the others.
ALTER TABLE activity RENAME COLUMN failure TO category;
UPDATE activity SET category = 2 WHERE event IN ('logged_in', 'logged_in_with_code', 'logged_in_with_recovery_code',
    'reauthenticated', 'logged_out', 'ended_session', 'ended_other_sessions');
UPDATE activity SET category = 3 WHERE event = 'renamed';

-- The page lists the sessions that were last active, among however many there are.
CREATE INDEX sessions_user_id_last_active_at ON sessions (user_id, last_active_at);
DROP INDEX sessions_user_id;

-- What an account has open, among however many it had.
CREATE INDEX challenges_open ON challenges (user_id) WHERE closed_at IS NULL;

-- A rate limit counts these notices now.
ALTER TABLE users DROP COLUMN unfinished_login_notice_at;
