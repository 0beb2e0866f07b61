"""The command `ablate`: measure what each bot rule brings."""
