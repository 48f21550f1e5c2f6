-- Pull requests, their runs, and who holds which project. `record` is the whole as JSON; the other columns are what is
-- searched by.

-- `unsettled`: it is merged and a project of it is not applied. Derived, kept up at every commit.
CREATE TABLE pull (
    id         TEXT   NOT NULL PRIMARY KEY,
    repo       TEXT   NOT NULL,
    merged_at  BIGINT,
    unsettled  BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL,
    record     TEXT   NOT NULL
);
CREATE INDEX pull_unsettled ON pull (repo) WHERE unsettled = 1;

CREATE TABLE run (
    id         TEXT   NOT NULL PRIMARY KEY,
    pull       TEXT   NOT NULL REFERENCES pull (id),
    repo       TEXT   NOT NULL,
    project    TEXT   NOT NULL,
    kind       TEXT   NOT NULL CHECK (kind IN ('plan', 'apply')),
    state      TEXT   NOT NULL,
    head       TEXT   NOT NULL,
    base       TEXT   NOT NULL,
    batch      TEXT,
    created_at BIGINT NOT NULL,
    record     TEXT   NOT NULL
);
CREATE INDEX run_of_pull ON run (pull, kind, created_at);
CREATE INDEX run_of_batch ON run (batch) WHERE batch IS NOT NULL;
CREATE INDEX run_waiting ON run (repo) WHERE state = 'waiting';

CREATE TABLE project_lock (
    repo    TEXT   NOT NULL,
    project TEXT   NOT NULL,
    held_by TEXT   NOT NULL,
    since   BIGINT NOT NULL,
    applied BIGINT NOT NULL,
    PRIMARY KEY (repo, project)
);

-- The commit of the base branch that a project was last applied at.
CREATE TABLE applied_commit (
    repo      TEXT NOT NULL,
    project   TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (repo, project)
);
