"""Elastic IPs: addresses of the computer's loopback whose connections are taken to the instance in its VPC."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from sandbox.machines.keeper import Keeper
from sandbox.machines.network import OUTSIDE
from sandbox.machines.servers import join, listen
from sandbox.machines.wanted import Wanted

WIDEST = 16  # ports of a rule; a wider range than this is not listened on
PATIENCE = 5.0  # seconds for a connection into the VPC

Door = tuple[str, int]  # public address and port


class Doors:
    """All ports that the outside can reach, each a listening socket while it can."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._open: dict[Door, tuple[str, str, socket.socket]] = {}

    def update(self, wanted: Wanted, connected: set[str]) -> None:
        """Listen on exactly the ports that security groups and routes open, of instances that have a machine."""
        doors = {door: way for door, way in _doors(wanted).items() if way[0] in connected}
        for door, (_, address, listener) in list(self._open.items()):
            if (wanted.instances.get(doors.get(door, ("", ""))[0]) is None) or doors[door][1] != address:
                _close(listener)
                del self._open[door]
        for door, (instance, address) in doors.items():
            if door not in self._open:
                self._listen(door, wanted.instances[instance].vpc_id, address)

    def close(self) -> None:
        """Listen on nothing any more."""
        for _, _, listener in self._open.values():
            _close(listener)
        self._open.clear()

    def _listen(self, door: Door, vpc: str, address: str) -> None:
        try:
            listener = listen(door)
        except OSError as error:
            raise OSError(f"{door[0]}:{door[1]} cannot be listened on: {error.strerror}") from None
        self._open[door] = (vpc, address, listener)
        threading.Thread(target=self._serve, args=(listener, vpc, (address, door[1])), daemon=True).start()

    def _serve(self, listener: socket.socket, vpc: str, to: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                caller, _ = listener.accept()
                threading.Thread(target=self._pass, args=(caller, vpc, to), daemon=True).start()

    def _pass(self, caller: socket.socket, vpc: str, to: tuple[str, int]) -> None:
        try:
            inner = self._keeper.in_network(vpc, socket.socket)
        except OSError:
            _reset(caller)
            return
        try:
            inner.settimeout(PATIENCE)
            inner.bind((OUTSIDE, 0))
            inner.connect(to)
            inner.settimeout(None)
        except OSError:
            inner.close()
            _reset(caller)
            return
        join(caller, inner)


def _doors(wanted: Wanted) -> dict[Door, tuple[str, str]]:
    """Public address and port -> instance and its private address."""
    found = {}
    for instance in wanted.instances.values():
        vpc, interface = wanted.vpcs.get(instance.vpc_id), instance.interface
        if vpc is None or interface is None or not instance.alive or not interface.public.startswith("127."):
            continue
        if not any(subnet.outside for subnet in vpc.subnets if subnet.id == interface.subnet_id):
            continue
        for rule in (rule for group in vpc.groups if group.id in interface.groups for rule in group.ingress):
            if rule.cidr and rule.protocol == "tcp" and rule.first and rule.last and rule.last - rule.first < WIDEST:
                for port in range(rule.first, rule.last + 1):
                    found[interface.public, port] = (instance.id, interface.address)
    return found


def _close(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
    listener.close()


def _reset(caller: socket.socket) -> None:
    """Refuse, as nearly as a connection that was accepted can be refused."""
    with contextlib.suppress(OSError):
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.close()
