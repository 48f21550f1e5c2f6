-- Terraform state that Terraplane keeps (the bytes are in the archive), the audit trail, and facts about the store.

CREATE TABLE managed_state (
    id      TEXT NOT NULL PRIMARY KEY,
    repo    TEXT NOT NULL,
    project TEXT NOT NULL,
    -- Terraform's own lock: its id, and what it said of itself as JSON.
    lock_id   TEXT,
    lock_info TEXT,
    UNIQUE (repo, project)
);

CREATE TABLE managed_state_version (
    state   TEXT   NOT NULL REFERENCES managed_state (id),
    version BIGINT NOT NULL,
    record  TEXT   NOT NULL,
    PRIMARY KEY (state, version)
);

CREATE TABLE audit (
    id      TEXT   NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    pull    TEXT   NOT NULL,
    project TEXT,
    data    TEXT   NOT NULL
);
CREATE INDEX audit_of_pull ON audit (pull, at);

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
