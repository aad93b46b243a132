"""Time as a run is given it, so that tests need not sleep."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time, passed in so that tests need not sleep. `time` itself fits."""

    def monotonic(self) -> float:
        """Seconds, from any start."""

    def sleep(self, seconds: float, /) -> None:
        """Return `seconds` later."""
