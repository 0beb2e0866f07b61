"""The commands on the store's versions: versions, rollback, release and diff."""
