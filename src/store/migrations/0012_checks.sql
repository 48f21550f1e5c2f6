-- Where a forge has checks, a status is one: its id, what was last sent, and which annotations it has, for those can only
-- be added to. All are null where it is a plain status.
ALTER TABLE status ADD COLUMN check_id BIGINT;
ALTER TABLE status ADD COLUMN check_hash TEXT;
ALTER TABLE status ADD COLUMN check_notes TEXT;
