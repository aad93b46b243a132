"""Loops that `make test` plays in part, and `make torture` in full: the same functions, with all that they assert."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def spread(cases: Iterable[Any], count: int, *, ids: Sequence[str] = ()) -> list[Any]:
    """A loop's cases for pytest.mark.parametrize, of which `make test` plays `count` and `make torture` the others.

    The first, and from there on evenly over all: order the cases so that what differs most is furthest apart.
    A case that is a tuple is one of several arguments; `ids` are their names.
    """
    listed = list(cases)
    kept = {place * len(listed) // count for place in range(count)}
    assert len(kept) == count, f"of {len(listed)} cases {count} are wanted"
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            id=ids[number] if ids else None,
            marks=() if number in kept else pytest.mark.torture,
        )
        for number, case in enumerate(listed)
    ]
