"""Evaluate: challenger, incumbent and popularity on one holdout that none of them has seen."""
