"""Upkeep of the lake: compaction, expiry and time travel."""
