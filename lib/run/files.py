"""Folders that are a person's own."""

from __future__ import annotations

from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Make the directory, and those above it that are missing, for this user alone whatever the umask."""
    for missing in [*(parent for parent in reversed(path.parents) if not parent.exists()), path]:
        missing.mkdir(mode=0o700, exist_ok=True)
