"""Enrichment of events: emoji and moods, devices, places, and privacy."""
