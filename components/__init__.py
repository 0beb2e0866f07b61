"""The nouns that steps share (modules) and the steps of the daily pipeline (folders)."""
