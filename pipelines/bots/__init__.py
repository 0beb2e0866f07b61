"""The commands `bots`: explain and judge verdicts."""
