"""Publish: the day's lists into the store, then one switch."""
