"""Commands on the store: versions, diff, rollback and recommend."""
