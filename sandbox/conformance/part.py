"""The part of the suite that tests/e2e runs: something of every sig, short, and nothing that has to be alone.

On machines with a kernel of their own, which are slower, it runs fewer of each.

The seconds of each test are those of a whole run, which `python -m sandbox.conformance.report` records: another run
changes the part by some tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from sandbox.conformance.suite import area, is_alone

SECONDS = Path(__file__).parent / "seconds"
LONGEST = 10.0  # seconds of a test in the recorded run
MOST = 20  # tests of a sig
FEWER = 4  # the same, with a kernel of their own
IMAGES = ("agnhost", "busybox", "glibc-dns-testing", "kitten", "nautilus", "nginx", "nonewprivs", "nonroot")
DEAR = "Sample API Server"  # the test of the image that is left out: its program takes as long to compile as all others


def chosen(tests: Iterable[str], seconds: Mapping[str, float], most: int = MOST) -> list[str]:
    """Of each sig the first `most` by name that may run beside others, took at most LONGEST and have images."""
    counts: Counter[str] = Counter()
    found = []
    for test in sorted(tests):
        short = seconds.get(test, LONGEST + 1) <= LONGEST
        if counts[area(test)] < most and short and not is_alone(test) and DEAR not in test:
            counts[area(test)] += 1
            found.append(test)
    return found


def of(tests: Iterable[str], most: int = MOST) -> list[str]:
    """Those of the suite's tests that are chosen, by the recorded seconds."""
    return chosen(tests, recorded(SECONDS.read_text(encoding="utf-8")), most)


def recorded(text: str) -> dict[str, float]:
    """Each test's seconds, of lines of seconds and name."""
    return {name: float(seconds) for seconds, _, name in (line.partition(" ") for line in text.splitlines())}


def record(seconds: Mapping[str, float]) -> str:
    """The lines that `recorded` reads."""
    return "".join(f"{seconds[name]:.1f} {name}\n" for name in sorted(seconds))
