"""Evaluate the challenger, the incumbent, item-kNN and popularity on one new holdout."""
