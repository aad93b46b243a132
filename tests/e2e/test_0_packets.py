"""The packet sockets of machines with a kernel of their own, opened as its driver does, where loopback alone is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from e2e.stage import ROOT
from sandbox.machines import packets

ALL, IP = 0x0003, 0x0800
INSIDE = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]


def test_what_is_sent_does_not_come_back_and_what_comes_is_kept_once() -> None:
    command = [*INSIDE, sys.executable, "-m", "e2e.test_0_packets"]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def inside() -> None:
    """What the driver does, and what becomes of its sockets."""
    reader = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, ALL)  # not in the network's order: so does the driver
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    assert packets.mend(os.getpid(), frozenset()) == frozenset()  # not yet: nothing tells them apart
    reader.bind(("lo", ALL))
    sender.bind(("lo", IP))
    usual = reader.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    done = packets.mend(os.getpid(), frozenset())
    assert done == {os.fstat(each.fileno()).st_ino for each in (reader, sender)}
    assert packets.mend(os.getpid(), done) == done
    assert reader.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * packets.BUFFER > usual
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"word", ("127.0.0.1", 9))
    reader.settimeout(60)
    packet, (_, _, direction, *_) = reader.recvfrom(2000)
    assert packet.endswith(b"word")
    assert direction == socket.PACKET_HOST
    assert not [word for word in drained(reader) if word[1][2] == socket.PACKET_OUTGOING]

    sender.close()  # as an interface that is taken down; what comes up again has new ones
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, ALL) as again:
        again.bind(("lo", ALL))
        assert packets.mend(os.getpid(), done) == {os.fstat(each.fileno()).st_ino for each in (reader, again)}
        assert again.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * packets.BUFFER
    number = os.open("/dev/null", os.O_RDONLY)  # no socket, and one that is closed
    for file in (number, 1000):
        assert packets._borrowed(os.getpid(), file, os.fstat(reader.fileno()).st_ino) is None
    assert packets.is_possible()


def drained(one: socket.socket) -> list[tuple[bytes, tuple[str, int, int, int, bytes]]]:
    """Its packets."""
    one.setblocking(False)
    found = []
    while True:
        try:
            found.append(one.recvfrom(2000))
        except BlockingIOError:
            return found


if __name__ == "__main__":
    inside()
