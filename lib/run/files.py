"""Folders that are a person's own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Make the directory, and those above it that are missing, for this user alone whatever the umask."""
    for missing in [*(parent for parent in reversed(path.parents) if not parent.exists()), path]:
        missing.mkdir(mode=0o700, exist_ok=True)


def can_hold(folder: Path) -> bool:
    """Whether a file can be made in the directory: it is tried, since root is told that it may below /proc."""
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=".kube-up.")
    except OSError:
        return False
    os.close(handle)
    os.unlink(name)
    return True
