"""Gate: whether, and which, model goes live."""
