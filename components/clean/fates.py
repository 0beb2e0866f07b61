"""Fates: what becomes of a landed row. Any other fate is the reason for which it is rejected."""

FATE_CLEAN, FATE_DUPLICATE, FATE_DOUBLE_CLICK = "clean", "duplicate", "double click"
REPEAT_FATES = (FATE_DUPLICATE, FATE_DOUBLE_CLICK)
"""Fates of rows that are left out because another row says the same. They are not quarantined."""

TIME_MISSING, TIME_UNREADABLE = "time missing", "time unreadable"
TIME_REASON_PREFIX = "time "
"""How the reasons begin for rejecting rows that may belong to no window.

Files return such rows with every window.
"""
MISSING_USER = "user_id missing"
"""The reason for rejecting rows without a user, such as purchases without an account."""
NESTED_USER, NESTED_ITEM = "user_id is an object or a list", "item_id is an object or a list"
"""The reasons for rejecting rows whose id has parts, such as {"id": 7, "visits": 3}."""
ROUNDED_USER, ROUNDED_ITEM = "user_id rounded", "item_id rounded"
"""The reasons for rejecting rows whose id has lost digits, such as 1.23457E+12."""
UNKNOWN_EVENT = "event unknown"
"""The reason for rejecting rows whose event has no weight in the settings."""
UNWANTED_EVENT = "event not wanted"
"""The reason for rejecting rows whose event has the weight 0 in the settings."""
REASONS_WITHOUT_MISTAKE = (MISSING_USER, UNWANTED_EVENT)
"""Reasons for rejecting rows that are as they should be, but are of no use for lists."""
