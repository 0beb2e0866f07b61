"""Clean: landing objects into the interactions table, and every rejected row into quarantine."""
