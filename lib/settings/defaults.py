"""config-default.env: every option with its default, and above it the comment that --help prints.

Read without any package, so that --help works before one is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULTS = Path(__file__).resolve().parents[2] / "config-default.env"


@dataclass(frozen=True, slots=True)
class Option:
    """One option as config-default.env has it; `comment` is what stands above it, its lines joined by spaces."""

    name: str
    default: str
    comment: str
    group: str


def options(path: Path = DEFAULTS) -> list[Option]:
    """All options in the order of the file, whose groups begin with lines such as `### Network`."""
    return list(_options(path.read_text(encoding="utf-8").splitlines()))


def _options(lines: Sequence[str]) -> Iterator[Option]:
    group, comment = "", list[str]()
    for line in lines:
        name, equals, default = line.partition("=")
        if line.startswith("###"):
            group = line.lstrip("# ")
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
            continue
        elif equals:
            yield Option(name.strip(), default.strip(), " ".join(comment), group)
        comment = []
