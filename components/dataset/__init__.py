"""Dataset: the window's interactions without bots, as pairs cut in time."""
