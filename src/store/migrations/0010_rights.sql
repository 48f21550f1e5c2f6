-- What was shown when, what is frozen, what two pull requests change alike, and what a forge should do besides showing text.

-- `open`: neither merged nor closed.
ALTER TABLE pull ADD COLUMN open BIGINT NOT NULL DEFAULT 1;

-- Who took a lock by a command, and why; null: an apply or a merge did.
ALTER TABLE project_lock ADD COLUMN taken_by TEXT;
ALTER TABLE project_lock ADD COLUMN reason TEXT;

-- Since when a plan has stood in the live comment. A command is bound to what was there when it was written.
CREATE TABLE shown (
    pull        TEXT   NOT NULL,
    run         TEXT   NOT NULL,
    project     TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    head        TEXT   NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (pull, run)
);

-- Times in which nothing is applied. `ends_at` is null for those that only `thaw` ends.
CREATE TABLE frozen_time (
    id      TEXT   NOT NULL PRIMARY KEY,
    repo    TEXT   NOT NULL,
    ends_at BIGINT,
    record  TEXT   NOT NULL
);
CREATE INDEX frozen_time_of_repo ON frozen_time (repo);

-- The addresses that an open pull request's plan of a project changes, as JSON.
CREATE TABLE touched (
    repo      TEXT NOT NULL,
    project   TEXT NOT NULL,
    pull      TEXT NOT NULL,
    addresses TEXT NOT NULL,
    PRIMARY KEY (repo, project, pull)
);

-- Reactions to comments. `sent_at` is null until the forge has it.
CREATE TABLE reaction (
    pull      TEXT   NOT NULL,
    comment   BIGINT NOT NULL,
    content   TEXT   NOT NULL,
    wanted_at BIGINT NOT NULL,
    sent_at   BIGINT,
    PRIMARY KEY (pull, comment, content)
);

-- A merge that the rules want. `ending` is null until the forge has answered.
CREATE TABLE merge_wish (
    pull      TEXT   NOT NULL,
    head      TEXT   NOT NULL,
    how       TEXT   NOT NULL,
    wanted_at BIGINT NOT NULL,
    ending    TEXT,
    PRIMARY KEY (pull, head)
);
