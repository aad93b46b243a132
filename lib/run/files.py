"""Files and folders that are a person's own."""

from __future__ import annotations

import errno
import os
import select
import stat
import tempfile
from pathlib import Path

_PATIENCE = 600  # seconds for the next word of a program that a pipe comes from: it may ask for a passphrase first
_CHUNK = 1 << 16


def make_private_directory(path: Path) -> None:
    """Make the directory, and those above it that are missing, for this user alone whatever the umask."""
    for missing in [*(parent for parent in reversed(path.parents) if not parent.exists()), path]:
        missing.mkdir(mode=0o700, exist_ok=True)


def read_file(path: str | Path, *, most: int) -> bytes:
    """What a file holds, one byte more than `most` where it holds more: a device may have no end.

    A pipe will do, such as bash makes for <(…), unless nobody writes to it: nothing is waited for. Raises OSError.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        found = bytearray()
        while len(found) <= most and (some := _next_bytes(handle, most + 1 - len(found))):
            found += some
        if not found and stat.S_ISFIFO(os.fstat(handle).st_mode):
            raise OSError(errno.EPIPE, "it is a pipe with nothing in it, and nobody writes to it")
        return bytes(found)
    finally:
        os.close(handle)


def _next_bytes(handle: int, most: int) -> bytes:
    try:
        return os.read(handle, min(most, _CHUNK))
    except BlockingIOError:
        if not select.select([handle], [], [], _PATIENCE)[0]:
            raise TimeoutError(errno.ETIMEDOUT, f"nothing came from it for {_PATIENCE} seconds") from None
        return os.read(handle, min(most, _CHUNK))


def can_hold(folder: Path) -> bool:
    """Whether a file can be made in the directory: it is tried, since root is told that it may below /proc."""
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=".kube-up.")
    except OSError:
        return False
    os.close(handle)
    os.unlink(name)
    return True
