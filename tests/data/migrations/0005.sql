-- A job that a process held which is no more.
UPDATE job SET holder = 'somebody who is gone';
