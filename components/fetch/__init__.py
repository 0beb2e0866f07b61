"""Fetch: one window of interactions, and the items and users whole, from the source into landing objects."""
