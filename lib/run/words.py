"""Words that lines for a person are made of."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """So many of a thing: "1 change", "3 changes"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
