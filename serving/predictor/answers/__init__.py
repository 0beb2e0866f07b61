"""Find a user's list: the snapshot, the ladder of fallbacks and the ranking."""
