"""The former place of what `dawnlist.store.histories` has to read one user's history."""

from dawnlist.store.histories import UserHistory, find_history

__all__ = ["UserHistory", "find_history"]
