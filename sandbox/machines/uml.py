"""An instance as User Mode Linux: a machine with a kernel of its own, which is a process of the computer's.

Its root disk is a copy-on-write over a file system that all machines of its size share. Its memory is a file in a tmpfs
of the keeper's, its interface two packet sockets on its end of the line to the VPC, and its volumes come and go by the
kernel's management console (Documentation/virt/uml in the kernel's source). The driver's other way to an interface, a
tap, ends a kernel with several processors: it takes locks of queues that a tap has none of (vector_reset_stats, 7.2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.machines import firewall, keeper, machine, packets
from sandbox.machines.disks import Disks
from sandbox.machines.keeper import Failed, Keeper
from sandbox.machines.machine import REBOOTED, Machine
from sandbox.machines.network import MTU, SITES
from sandbox.machines.wanted import Instance

MOST_MEMORY = 2560  # MiB: what a machine has of its type's, since nothing that it has once used comes back
# With two, 7.2 sleeps for good within minutes of its boot on a busy computer: docs/machines.md has what was seen.
PROCESSORS = 1
MEMORY, CONSOLES = Path("/run/memory"), Path("/run/uml")  # in the keeper
SEED_DISK = 15  # the last; volumes are those between it and the root disk
TGKILL = 234  # the number of tgkill(2) on x86-64: a signal for one thread
PATIENCE = 5.0  # seconds for an answer of the management console
MAGIC, VERSION = 0xCAFEBABE, 2  # of its packets: arch/um/drivers/mconsole.h
REQUEST, REPLY = struct.Struct("=III512s"), struct.Struct("=III")
# A kernel that reboots runs the program of its own name again. It is started under the name of one that says so.
AGAIN = f"#!/bin/sh\nexit {REBOOTED}\n"
START = """
set -e
mkdir -p "$1" "$2"
mountpoint -q "$1" || mount -t tmpfs -o mode=700,size=100% tmpfs "$1"
export TMPDIR=$1
shift 2
network=$1 name=$2
shift 2
ip -netns "$network" link set ens5 up
exec ip netns exec "$network" bash -c 'name=$1; shift; exec -a "$name" "$@"' bash "$name" "$@"
"""


@dataclass(frozen=True, slots=True)
class Kernels:
    """Machines with this kernel. `mirror` is the address of the computer's loopback that leads to the release sites."""

    kernel: Path
    disks: Disks
    mirror: tuple[str, int]

    def machine(
        self,
        keeper: Keeper,
        folder: Path,
        group: str,  # noqa: ARG002
        instance: Instance,
        device: Path,  # noqa: ARG002
    ) -> Machine:
        """See machine.Kind. The process has no control group of its own, and its disk is not the device."""
        return Uml(keeper, self, folder, instance)


class Uml(Machine):
    """A machine with a kernel of its own."""

    def __init__(self, keeper: Keeper, kind: Kernels, folder: Path, instance: Instance) -> None:
        super().__init__(keeper, folder, instance)
        self._kind = kind
        self._pid = 0
        self._mended: frozenset[int] = frozenset()  # inodes: see packets.py
        self._shown: dict[str, int] = {}  # volume -> number of its device, since the last boot
        root = instance.root
        if root is None:
            raise Failed(f"{instance.id} has no root volume")
        self._base = kind.disks.base(root.gibibytes)
        folder.mkdir(parents=True, exist_ok=True)
        self._make_seed()
        again = folder / "again"
        again.write_text(AGAIN)
        again.chmod(0o755)

    @property
    def booted(self) -> bool:
        """Whether it has ever had a process 1."""
        return has_booted(self.console_file)

    def _make_seed(self) -> None:
        """A small disk that the image's own unit copies over the root at each boot."""
        tree = self.folder / "seed"
        shutil.rmtree(tree, ignore_errors=True)
        machine.write_seed(tree, self.instance, self._network())
        machine.write_user(tree, self.instance)
        less = tree / "etc/default/kube-bootstrap"  # kubeadm wants two processors of a master
        less.parent.mkdir()
        less.write_text("KUBE_IGNORE_PREFLIGHT_ERRORS=NumCPU\n")
        rules = tree / "usr/lib/sandbox/mirror"
        rules.parent.mkdir(parents=True)
        rules.write_text(firewall.iptables_translation(self._kind.mirror, f"{SITES}:80"))
        disk = self.folder / "seed.ext4"
        disk.unlink(missing_ok=True)
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(disk), "4M"], check=True, capture_output=True
        )

    def _network(self) -> dict[str, object]:
        """All that EC2's has, for its interface has a hardware address of its own.

        DHCP's MTU is not taken: the driver has it already, and says that 1500 is its most, which networkd obeys.
        """
        assert self.instance.interface is not None
        matched = {"match": {"macaddress": self.instance.interface.mac}, "set-name": "ens5"}
        return {**machine.NETWORK, **matched, "dhcp4-overrides": {**machine.OVERRIDES, "use-mtu": False}}

    # --- its process ---

    def boot(self) -> None:
        """Start it in the namespace that has its end of the line to the VPC."""
        self._shown, self._pid, self._mended, self.kill_at = {}, 0, frozenset(), float("inf")
        shutil.rmtree(self._console_folder, ignore_errors=True)  # of one that was killed
        command = ["sh", "-c", START, "sh", str(MEMORY), str(CONSOLES), self.instance.id]
        command += [str(self.folder / "again"), str(self._kind.kernel / "linux"), *self._arguments()]
        with open(self.console_file, "ab") as console:
            self._process = self._keeper.start(command, console)

    def _arguments(self) -> list[str]:
        assert self.instance.interface is not None
        line = f"transport=raw,ifname=ens5,mac={self.instance.interface.mac},mtu={MTU},depth=64,gro=1"
        return [
            *(
                "seccomp=auto",
                f"ncpus={PROCESSORS}",
                f"mem={memory(self.instance)}M",
                f"uml_dir={CONSOLES}",
                f"umid={self.instance.id}",
            ),
            *(f"ubd0={self.folder}/disk,{self._base}", f"ubd{SEED_DISK}r={self.folder}/seed.ext4"),
            *("root=/dev/ubda", "rw", "con0=null,fd:1", "con=null", f"vec0:{line}"),
        ]

    def _main(self) -> int:
        """The kernel's own process, as the computer numbers it; 0 while there is none."""
        if self._process is None or not self.runs:
            return 0
        if not self._pid:
            self._pid = next(keeper.children(self._process.pid), 0)
        return self._pid

    def kill(self) -> None:
        """End all of its processes at once: they are one session."""
        if main := self._main():
            with contextlib.suppress(ProcessLookupError):
                os.kill(main, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(main, signal.SIGKILL)

    def _press(self) -> None:
        with contextlib.suppress(Failed, OSError):  # one that does not hear it is killed when that is due
            self._say("cad")

    @property
    def _console_folder(self) -> Path:
        """Where its management console is, as seen from outside."""
        return self._keeper.path(CONSOLES / self.instance.id)

    @property
    def _listens(self) -> bool:
        """Whether its management console is there: from the end of the kernel's start to the machine's."""
        return (self._console_folder / "mconsole").exists()

    def _tick(self) -> None:
        """An interrupt of the clock, at each look.

        This kernel sets its clock for the next event and sleeps. With two processors it was seen to sleep with no clock
        set; one is not known to, and an interrupt that came for nothing costs it nothing.
        """
        if self._listens and (main := self._main()):
            with contextlib.suppress(OSError):
                for thread in os.listdir(f"/proc/{main}/task"):
                    ctypes.CDLL(None).syscall(TGKILL, main, int(thread), signal.SIGALRM)

    def tend(self) -> None:
        """The socket that it reads put right, as soon as that is there: see packets.py."""
        if main := self._main():
            try:
                self._mended = packets.mend(main, self._mended)
            except (FileNotFoundError, ProcessLookupError):
                return  # it ends just now
            except OSError as error:
                raise Failed(f"{self.instance.id}: what it reads from its network is not put right: {error}") from error

    def kill_when_due(self) -> None:
        """The plug, for a machine that did not end in time; the clock, for one that runs."""
        super().kill_when_due()
        self._tick()

    # --- its management console ---

    def _say(self, words: str) -> str:
        """A command of the management console, and what it answers. Raises Failed with its words, OSError without."""
        with contextlib.closing(self._keeper.in_network(self.instance.id, _unnamed)) as asking:
            asking.settimeout(PATIENCE)
            to = self._console_folder / "mconsole"
            asking.sendto(REQUEST.pack(MAGIC, VERSION, len(words), words.encode()), str(to))
            answer, more = "", 1
            while more:
                packet = asking.recv(1024)
                failed, more, length = REPLY.unpack_from(packet)
                answer += packet[REPLY.size : REPLY.size + length].decode(errors="replace").rstrip("\0")
        if failed:
            raise Failed(f"{self.instance.id}: {words.partition('=')[0]}: {answer.strip() or 'refused'}")
        return answer

    # --- its volumes ---

    def show_volumes(self, loops: dict[str, Path]) -> None:
        """Let exactly these volumes be its devices; udev in the image links them by their serial numbers."""
        if not self._listens:
            return
        for volume in set(self._shown) - set(loops):
            self._say(f"remove ubd{self._shown[volume]}")
            del self._shown[volume]
        for volume in sorted(set(loops) - set(self._shown)):
            number = next(each for each in range(1, SEED_DISK) if each not in self._shown.values())
            self._say(f"config ubd{number}d={loops[volume]},,{volume.replace('-', '')}")
            self._shown[volume] = number


def _unnamed() -> socket.socket:
    """A socket with a name of the kernel's choice, for answers; it is good in its network namespace alone."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind("")
    return made


def has_booted(console: Path) -> bool:
    """Whether anywhere on this console, which may be long, is a word of a process 1."""
    return b"systemd[1]" in console.read_bytes()


def memory(instance: Instance) -> int:
    """MiB of memory of a machine: of its type, as far as they are to be had."""
    return min(instance.mebibytes, MOST_MEMORY)
