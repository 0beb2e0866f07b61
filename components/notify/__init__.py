"""The notify step: report a run from its run record as a page, a summary, log lines, and messages."""
