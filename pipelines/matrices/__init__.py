"""Commands on matrix files: fit, evaluate and recommend without a lake."""
