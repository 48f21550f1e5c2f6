-- A check that stands for a status.
INSERT INTO status (pull, sha, context, state, description, check_id, check_hash, check_notes)
VALUES ('github.com/acme/infra#7', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'terraplane/checked', 'failure', '1 of 1 project could not be planned',
    42, '2222222222222222222222222222222222222222222222222222222222222222', NULL);
