"""Fetch: land windows of interactions, and all items and users, from the source in the lake."""
