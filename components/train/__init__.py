"""Train: the challenger, fitted before the holdout with the winning hyper-parameters."""
