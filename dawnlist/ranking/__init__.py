"""Top-k lists: exact and coarse scoring, and fold-in of new events."""
