"""Evaluate: challenger, incumbent, item-kNN and popularity on one holdout that none of them has seen."""
