"""Counters and logs of the predictor."""
