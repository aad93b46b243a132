"""What became of the options of former days: what a run says of one that is set, and two tables of docs/porting.md.

`python -m lib.settings.former docs/porting.md` makes the tables anew.
"""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass
from pathlib import Path

NAMES = Path(__file__).with_name("former.txt")


@dataclass(frozen=True, slots=True)
class Former:
    """Names of former days that have one fate: `today` is what they are called now, '' where `why` says why not."""

    names: tuple[str, ...]
    today: str = ""
    why: str = ""

    @property
    def said(self) -> str:
        """What became of them, with code marked as in Markdown."""
        if self.today:
            return f"is called `{self.today}` today and has no effect under this name"
        return f"has no effect: {self.why}"


@functools.cache
def _all() -> tuple[Former, ...]:
    found, renamed = list[Former](), False
    for line in NAMES.read_text(encoding="utf-8").splitlines():
        if line.startswith("###"):
            renamed = "Renamed" in line
        elif line and not line.startswith("#"):
            names, _, fate = line.partition(": ")
            found.append(Former(tuple(names.split()), today=fate if renamed else "", why="" if renamed else fate))
    return tuple(found)


def former() -> dict[str, str]:
    """What a run says of each former name."""
    return {name: each.said.replace("`", "") for each in _all() for name in each.names}


def today(name: str) -> str:
    """What a former name is called today, '' for one that is gone or never was."""
    return next((each.today for each in _all() if name in each.names), "")


def with_tables(text: str) -> str:
    """The text of docs/porting.md with its two tables, whose first columns are Renamed and Gone, as they are now."""
    for head, renamed in (("Renamed", True), ("Gone", False)):
        rows = [
            f"| {', '.join(f'`{name}`' for name in each.names)} | {each.said} |\n"
            for each in _all()
            if bool(each.today) is renamed
        ]
        parts = re.split(rf"(^\| {head} \|.*\n\|.*\n)(?:\|.*\n)*", text, maxsplit=1, flags=re.MULTILINE)
        text = "".join([*parts[:2], *rows, *parts[2:]])
    return text


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
