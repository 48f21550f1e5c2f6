-- A delivery that is done, and a job that was given back twice.
INSERT INTO delivery (forge, id, event_name, repo, lane, body, received_at, ending)
VALUES ('github', '72d3162e-cc78-11e3-81ab-4c9367dc0958', 'pull_request', 'github.com/acme/infra',
    'github.com/acme/infra#7', '{"action":"opened"}', 1700000000000, 'done');
INSERT INTO job (id, kind, lane, dedupe, payload, state, due_at, attempts, error)
VALUES ('018bcfe5687a7fffbfffffffffffffff', 'tell', 'tell:github.com/acme/infra#7', 'tell:github.com/acme/infra#7',
    '{"kind":"tell","pull":"github.com/acme/infra#7"}', 'queued', 1700000060000, 2, '502 Bad Gateway');
INSERT INTO seen_command (repo, comment, line, at) VALUES ('github.com/acme/infra', 1801, 0, 1700000000000);
