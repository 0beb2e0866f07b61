"""The Redis store: layout, versions, publishing and reading."""
