"""The notify step: report a run by a page, a summary, log lines, and messages."""
