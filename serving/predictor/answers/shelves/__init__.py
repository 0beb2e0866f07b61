"""Shelves: lists about an item, about everybody, or of what one user has met."""
