"""Refit: the winner, fitted once more on all rows up to as_of; only this one is published."""
