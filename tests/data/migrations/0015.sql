-- A pull request with a label.
UPDATE pull SET label = 'terraplane: changes' WHERE id = 'github.com/acme/infra#7';
