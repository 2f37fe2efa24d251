-- Whose turn it is to purge: no row, or the one of the instance that does it now.
CREATE TABLE purge_turn (
    name       TEXT   NOT NULL PRIMARY KEY, -- always the same
    holder     TEXT   NOT NULL,             -- a round of an instance
    expires_at BIGINT NOT NULL              -- so that one that died keeps nobody waiting
);
