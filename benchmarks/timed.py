"""python -m benchmarks.timed SCRIPT FILE: run kube_up.py or kube_down.py, and write to FILE how long it slept."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path


class CountingClock:
    """The machine's clock; `slept` is the seconds that the script chose to wait for a host or for AWS."""

    def __init__(self) -> None:
        self.slept = 0.0

    def monotonic(self) -> float:
        """Seconds, from any start."""
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """Return `seconds` later."""
        self.slept += seconds
        time.sleep(seconds)


def main(script: str, file: str) -> int:
    """The script's exit status."""
    clock = CountingClock()
    try:
        return int(importlib.import_module(script.removesuffix(".py")).main([], os.environ, clock=clock))
    finally:
        Path(file).write_text(str(clock.slept), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
