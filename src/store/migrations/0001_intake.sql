-- What came in, and the work that follows from it.
-- One SQL for SQLite and PostgreSQL: times are unix milliseconds, booleans 0 or 1, structured facts JSON text.

-- One webhook request; `ending` is null until its ingest job is over.
CREATE TABLE delivery (
    forge       TEXT   NOT NULL,
    id          TEXT   NOT NULL,
    event_name  TEXT   NOT NULL,
    repo        TEXT,
    lane        TEXT   NOT NULL,
    body        TEXT   NOT NULL,
    received_at BIGINT NOT NULL,
    ending      TEXT   CHECK (ending IN ('done', 'ignored', 'failed')),
    reason      TEXT,
    PRIMARY KEY (forge, id)
);

-- Work to do or being done. A job that is over has no row, so the table stays as small as the work at hand.
-- `due_at` is the moment from which it may be claimed: when it is due, or when its lease runs out.
CREATE TABLE job (
    id       TEXT   NOT NULL PRIMARY KEY,
    kind     TEXT   NOT NULL,
    lane     TEXT   NOT NULL,
    dedupe   TEXT,
    payload  TEXT   NOT NULL,
    state    TEXT   NOT NULL CHECK (state IN ('queued', 'leased')),
    due_at   BIGINT NOT NULL,
    token    TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    error    TEXT,
    CHECK ((state = 'leased') = (token IS NOT NULL))
);
CREATE INDEX job_by_due ON job (due_at, id);
-- The promise that jobs of one lane never run at once is the database's.
CREATE UNIQUE INDEX job_one_leased_in_a_lane ON job (lane) WHERE state = 'leased';
-- Equal work that waits is one job.
CREATE UNIQUE INDEX job_one_queued_of_a_kind ON job (dedupe) WHERE state = 'queued';

-- Several webhooks may carry the same comment: each of its lines is a command once.
CREATE TABLE seen_command (
    repo    TEXT   NOT NULL,
    comment BIGINT NOT NULL,
    line    BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (repo, comment, line)
);
