"""The command `ablate`: measure what each rule is worth."""
