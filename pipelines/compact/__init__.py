"""Packages whose short steps share pods."""
