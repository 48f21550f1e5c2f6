-- Which process holds a job, so that a process never takes its own work for that of a dead one; and why a status will
-- never be set.

ALTER TABLE job ADD COLUMN holder TEXT;
ALTER TABLE status ADD COLUMN given_up TEXT;
CREATE INDEX delivery_by_time ON delivery (received_at);
