-- The label that a pull request was given last; null: none.
ALTER TABLE pull ADD COLUMN label TEXT;
