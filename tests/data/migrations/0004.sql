-- A state with a version, locked; an audit entry; the archive's key.
INSERT INTO managed_state (id, repo, project, lock_id, lock_info)
VALUES ('018bcfe5687a7fffb000000000000000', 'github.com/acme/infra', 'prod', 'one', '{"ID":"one"}');
INSERT INTO managed_state_version (state, version, record)
VALUES ('018bcfe5687a7fffb000000000000000', 1, '{"version":1,"serial":3,"lineage":"l",'
    || '"archive_name":"state/018bcfe5687a7fffb000000000000000/1-0","run":null,"at":1700000000000}');
INSERT INTO audit (id, at, actor, action, pull, project, data)
VALUES ('018bcfe5687a7fffa000000000000000', 1700000000000, 'ana', 'approve', 'github.com/acme/infra#7', 'prod', '{}');
INSERT INTO meta (key, value) VALUES ('archive_key', '0123456789abcdef');
