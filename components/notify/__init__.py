"""The daily report: what a run did, from its run record alone, as a page, a summary and lines for the log."""
