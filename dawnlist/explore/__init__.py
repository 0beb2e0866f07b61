"""Look at what the lake holds: catalogue, profiles, schema changes and SQL."""
