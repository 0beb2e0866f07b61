"""The commands on matrix files: fit, evaluate and tune models without a lake."""
