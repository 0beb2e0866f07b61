"""Recommend: the top lists of all users from the refitted model."""
