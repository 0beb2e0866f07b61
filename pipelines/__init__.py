"""The daily pipeline: the DAG, the command line, and the way to submit it."""
