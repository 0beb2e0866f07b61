"""Train the challenger before the holdout, with the hyper-parameters of the best trial."""
