"""Fates: what becomes of a landed row. Any other fate is the reason for which it is rejected."""

FATE_CLEAN, FATE_DUPLICATE, FATE_DOUBLE_CLICK = "clean", "duplicate", "double click"
REPEAT_FATES = (FATE_DUPLICATE, FATE_DOUBLE_CLICK)
"""Fates of rows that are left out because another row says the same. They are not quarantined."""

TIMELESS_REASONS = ("time missing", "time unreadable")
"""Reasons for rejecting rows that belong to no window: files return them with every window."""
UNKNOWN_EVENT = "event unknown"
"""The reason for rejecting rows whose event has no weight in the settings."""
