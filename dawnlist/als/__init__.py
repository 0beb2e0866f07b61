"""Alternating least squares: fits on CPU, GPU and Spark."""
