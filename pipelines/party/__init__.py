"""The command `dawnlist party`."""
