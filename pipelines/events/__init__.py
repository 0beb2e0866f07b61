"""The commands `collect` and `events …`."""
