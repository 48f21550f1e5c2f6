-- What a forge should show, and what it was last told.

-- `body` is null for the live comment, which is computed anew each time; its `wanted_at` is 0. `seq` keeps the order of
-- comments that are wanted at the same moment. `forge_id` is null until the comment exists.
CREATE TABLE comment (
    pull      TEXT   NOT NULL,
    key       TEXT   NOT NULL,
    body      TEXT,
    wanted_at BIGINT NOT NULL,
    seq       TEXT   NOT NULL,
    forge_id  BIGINT,
    sent_hash TEXT,
    given_up  TEXT,
    PRIMARY KEY (pull, key)
);

CREATE TABLE status (
    pull        TEXT NOT NULL,
    sha         TEXT NOT NULL,
    context     TEXT NOT NULL,
    state       TEXT NOT NULL,
    description TEXT NOT NULL,
    PRIMARY KEY (pull, sha, context)
);
