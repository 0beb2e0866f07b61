"""Refit the winner on all rows up to as_of. Only this model is published."""
