"""Which process is at the other end of a connection, by Linux's /proc."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
_TABLES = ("net/tcp", "net/tcp6")
_LOOPBACK = f"{int.from_bytes(bytes((127, 0, 0, 1)), sys.byteorder):08X}"  # as the tables write 127.0.0.1


def can_look() -> bool:
    """Whether this system says which process has a connection."""
    return sys.platform == "linux" and os.access(PROC / "net/tcp", os.R_OK) and os.access(PROC / "self/fd", os.R_OK)


def processes_at(port: int, server: int) -> list[int]:
    """The processes whose connection begins at `port` and ends at 127.0.0.1's port `server`; never the one that asks.

    A port alone does not say whose it is: connections to different places may begin at the same one.
    """
    sockets = set(_sockets_at(port, server))
    return [process for process in _processes() if process != os.getpid() and sockets & set(_links(process))]


def _sockets_at(port: int, server: int) -> Iterator[str]:
    """How /proc names the sockets that begin and end there; an IPv6 socket's IPv4 address ends as an IPv4 one's."""
    local, remote = f":{port:04X}", f"{_LOOPBACK}:{server:04X}"
    for table in _TABLES:
        with suppress(OSError):
            for line in (PROC / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[1].endswith(local) and columns[2].endswith(remote) and columns[9] != "0":
                    yield f"socket:[{columns[9]}]"


def _processes() -> Iterator[int]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def _links(process: int) -> Iterator[str]:
    """What the process's descriptors are; nothing for another user's process, or for one that has ended."""
    with suppress(OSError):
        for descriptor in (PROC / str(process) / "fd").iterdir():
            with suppress(OSError):
                yield str(descriptor.readlink())
