"""What answers requests: the KServe predictor."""
