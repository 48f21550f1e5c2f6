-- Somebody approved the plan that was shown.
UPDATE shown SET approved_by = 'kim' WHERE pull = 'github.com/acme/infra#7';
