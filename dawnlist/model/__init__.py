"""The recommendation model: factors, ids, splits, popularity, content and metrics."""
