"""Filters: expressions over the columns of items, such as `price < 20 and brand in ("A", "B")`."""
