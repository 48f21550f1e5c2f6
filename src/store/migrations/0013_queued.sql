-- What a forge's merge queue would merge of a pull request, or would have.
CREATE TABLE queued (
    pull   TEXT   NOT NULL REFERENCES pull (id),
    head   TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    ended  BIGINT NOT NULL,
    record TEXT   NOT NULL,
    PRIMARY KEY (pull, head)
);
