"""Tune: search the hyper-parameters of ALS on the validation window."""
