"""The packet socket that a machine's own kernel reads, put right from outside.

Its driver (arch/um/drivers/vector_kern.c and vector_user.c, Linux 7.2) opens two sockets on its end of the line, one
for reading and one for sending. The first one sees what leaves by the second, as every socket for all protocols does
(packet(7)), so a machine gets back all that it sends. And it holds 208 KiB, three packets of the largest size: what
comes while a machine waits for a processor is lost. The driver's own `bpffile` could mend the one; this mends both.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
from pathlib import Path

PIDFD_OPEN, PIDFD_GETFD = 434, 438  # their numbers on every processor; the second is in Linux since 5.6
SOL_PACKET, IGNORE_OUTGOING = 263, 23  # PACKET_IGNORE_OUTGOING of linux/if_packet.h, since Linux 4.20
RECEIVE_BUFFER_FORCE = 33  # SO_RCVBUFFORCE of asm-generic/socket.h: more than the computer's limit, for root
ALL_PROTOCOLS = 3  # ETH_P_ALL
BUFFER = 8 << 20  # bytes, which Linux doubles (socket(7)): some 250 packets of the largest size


def mend(process: int, done: frozenset[int]) -> frozenset[int]:
    """Put the socket that this process reads right, unless it is among these inodes; return those with nothing to do.

    A socket that is just being opened is left for the next time. Raises OSError: FileNotFoundError or
    ProcessLookupError where the process has ended, another one where its files may not be had.
    """
    there = frozenset(_inodes(process))
    done &= there
    for inode, number in _files(process, there - done).items():
        if one := _borrowed(process, number, inode):
            with one:
                if _mend(one):
                    done |= {inode}
    return done


def is_possible() -> bool:
    """Whether this computer's kernel lets a process have another one's files: asked for one of this process."""
    with socket.socket() as own:
        try:
            os.close(_file(os.getpid(), own.fileno()))
        except OSError:
            return False
    return True


def _inodes(process: int) -> list[int]:
    lines = Path(f"/proc/{process}/net/packet").read_text().splitlines()[1:]
    return [int(line.split()[-1]) for line in lines]


def _files(process: int, inodes: frozenset[int]) -> dict[int, int]:
    """The numbers of its open files that are these sockets: inode -> number."""
    found = {}
    for file in Path(f"/proc/{process}/fd").iterdir() if inodes else ():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            kind, _, inode = os.readlink(file).partition(":")
            if kind == "socket" and int(inode[1:-1]) in inodes:
                found[int(inode[1:-1])] = int(file.name)
    return found


def _borrowed(process: int, number: int, inode: int) -> socket.socket | None:
    """The same socket, as one of this process; None where that number is another file's by now."""
    try:
        file = _file(process, number)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise
    if os.fstat(file).st_ino == inode:
        return socket.socket(fileno=file)
    os.close(file)
    return None


def _file(process: int, number: int) -> int:
    of = _call(PIDFD_OPEN, process, 0)
    try:
        return _call(PIDFD_GETFD, of, number, 0)
    finally:
        os.close(of)


def _call(number: int, *arguments: int) -> int:
    """A system call. Raises OSError."""
    result = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def _mend(one: socket.socket) -> bool:
    """Whether it is right now: one that is being opened has no interface yet, nor a protocol that tells which it is."""
    interface, protocol = one.getsockname()[:2]
    if interface and protocol == ALL_PROTOCOLS:
        one.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
        one.setsockopt(socket.SOL_SOCKET, RECEIVE_BUFFER_FORCE, BUFFER)
    return bool(interface)
