"""The command `check`: look at a source with a shop's settings before a run reads it."""
