-- Who approved the pull request first while this plan stood in the live comment; null: nobody did.
ALTER TABLE shown ADD COLUMN approved_by TEXT;
