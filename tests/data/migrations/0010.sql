-- A plan that was shown, a freeze, what the plan changes, a reaction that is still to be sent, and a merge that was made.
INSERT INTO shown (pull, run, project, fingerprint, head, at)
VALUES ('github.com/acme/infra#7', '00000000000000000000000000000001', 'prod',
    '1111111111111111111111111111111111111111111111111111111111111111', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1700000000000);
INSERT INTO frozen_time (id, repo, ends_at, record)
VALUES ('018bcfe5687a7fff9000000000000000', 'github.com/acme/infra', 1700000060000,
    '{"selector":{"choice":{"word":"prod"},"failed":false},"by":"ana","since":1700000000000,"until":1700000060000,"reason":"change freeze"}');
INSERT INTO touched (repo, project, pull, addresses)
VALUES ('github.com/acme/infra', 'prod', 'github.com/acme/infra#7', '["aws_vpc.main"]');
INSERT INTO reaction (pull, comment, content, wanted_at) VALUES ('github.com/acme/infra#7', 1801, '"seen"', 1700000000000);
INSERT INTO merge_wish (pull, head, how, wanted_at, ending)
VALUES ('github.com/acme/infra#7', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '"squash"', 1700000000000, 'merged');
