-- The number that stood before the changes of a day, so that somebody who says
-- "this was not me" gets it back: see User::restore_phone.
ALTER TABLE users ADD COLUMN former_phone TEXT;
ALTER TABLE users ADD COLUMN phone_changed_at BIGINT; -- switched on or off, or changed
