"""Let other requests have their turn while a large answer is being encoded."""

import asyncio
import time
from typing import Final

MAX_TURN_SECONDS: Final = 0.002
"""Seconds of one turn. A thousand users with explanations take hundreds of turns."""


class Turn:
    """The time that one request has the event loop for itself."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def end_if_long(self) -> None:
        """Let the event loop answer others if this turn took MAX_TURN_SECONDS or more."""
        if time.perf_counter() - self._began < MAX_TURN_SECONDS:
            return
        await asyncio.sleep(0)
        self._began = time.perf_counter()
