"""The name that may be meant by one that is none."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_FEW_EDITS = 2


def nearest(name: str, known: Sequence[str]) -> str:
    """The option that may be meant by a name that is none: within two edits, or most of its words; '' for none."""
    if (bare := name.removeprefix("KUBE_")) in known:
        return bare
    most = min(_FEW_EDITS, len(name) // 3)
    # One edit changes the length by one at most and, swaps aside, puts one letter in another's place: quickly known.
    alike = [o for o in known if abs(len(o) - len(name)) <= most and len(set(o) ^ set(name)) <= 2 * most]
    least = min(alike, key=lambda option: edits(name, option), default="")
    if least and edits(name, least) <= most:
        return least
    ends = [option for option in known if len(name) > len("AWS_") and option.endswith(f"_{name}")]
    return ends[0] if len(ends) == 1 else next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.85)), "")


def edits(one: str, other: str) -> int:
    """How many letters must be put in, taken out, changed or swapped with their neighbour to make one of the other."""
    before, last = list[int](), list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)))
            if i > 1 and j > 1 and (a, b) == (other[j - 2], one[i - 2]):
                row[j] = min(row[j], before[j - 2] + 1)
        before, last = last, row
    return last[-1]
