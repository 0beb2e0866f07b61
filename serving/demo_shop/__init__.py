"""A small shop page that shows what a click changes: the predictor's answers, the collector's client."""
