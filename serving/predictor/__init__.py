"""The KServe predictor: lists of the active version over HTTP."""
