"""The two clocks that the sandbox can run on: the machine's, and one that a test moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

STEP, FINE_STEPS = 0.5, 120


class Clock(Protocol):
    """What the sandbox (and kube_up.py) asks the time of, and waits with. Seconds."""

    def monotonic(self) -> float:
        """Seconds, from any start."""

    def sleep(self, seconds: float, /) -> None:
        """Return `seconds` later."""


class RealClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds, from any start."""
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """Return `seconds` later."""
        time.sleep(seconds)


class FakeClock:
    """A clock that moves only when somebody sleeps, so that a test of minutes takes no time."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = start
        self.slept: list[float] = []
        self.listeners: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        """Seconds, from any start."""
        return self.now

    def sleep(self, seconds: float, /) -> None:
        """Move on by seconds and tell the listeners, who may have something due on the way.

        One thing leads to another, so the first minute goes in small steps; the rest in one.
        """
        self.slept.append(seconds)
        end = self.now + max(seconds, 0.0)
        for _ in range(FINE_STEPS):
            if self.now + STEP >= end:
                break
            self._move(self.now + STEP)
        self._move(end)

    def _move(self, to: float) -> None:
        self.now = to
        for listener in self.listeners:
            listener()
