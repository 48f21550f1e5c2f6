-- A live comment that is on the forge, a reply that is not, and a status.
INSERT INTO comment (pull, key, wanted_at, seq, forge_id, sent_hash)
VALUES ('github.com/acme/infra#7', 'live', 0, '', 1800, 'b5bb9d80');
INSERT INTO comment (pull, key, body, wanted_at, seq)
VALUES ('github.com/acme/infra#7', 'reply:1', '<!-- terraplane:reply 1 -->', 1700000000000, '018bcfe5687a7fff8000000000000000');
INSERT INTO status (pull, sha, context, state, description)
VALUES ('github.com/acme/infra#7', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'terraplane/plan', 'success', '1 to add');
