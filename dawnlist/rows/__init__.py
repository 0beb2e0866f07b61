"""Rows of a source: column names, types, times and the engines that clean them."""
