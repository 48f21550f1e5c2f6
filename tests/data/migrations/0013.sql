-- A commit of a merge queue, and one that has left it.
INSERT INTO queued (pull, head, at, ended, record)
VALUES ('github.com/acme/infra#7', '9999999999999999999999999999999999999999', 1700000000000, 0,
    '{"group":{"head":"9999999999999999999999999999999999999999","base":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"of":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","heard_at":1700000000000,"found":{"problem":{"problem":"fork"}},"ended":false}');
INSERT INTO queued (pull, head, at, ended, record)
VALUES ('github.com/acme/infra#7', '8888888888888888888888888888888888888888', 1699999999999, 1,
    '{"group":{"head":"8888888888888888888888888888888888888888","base":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"of":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","heard_at":1699999999999,"found":null,"ended":true}');
