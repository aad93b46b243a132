"""What holds all that a run makes in the kernel: one process whose end takes machines, mounts and networks with it.

The keeper is process 1 of a process namespace, with mounts of its own. It reads from a pipe whose other end only the
sandbox has: when the sandbox ends, even killed, the pipe ends, the keeper ends, and the kernel ends everything inside.
What the kernel does not end, control groups (and files), the next start removes, by name.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TypeVar

from sandbox.machines.places import CannotStart

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
KEEPER = """
trap "" CHLD
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns /run/lock
echo ready
exec cat >/dev/null
"""


class Keeper:
    """The namespaces of one run."""

    def __init__(self) -> None:
        command = ["unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--fork", "--kill-child"]
        self._process = subprocess.Popen(
            [*command, "sh", "-c", KEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise CannotStart("namespaces of processes and mounts cannot be made (unshare --mount --pid)")
        self.pid = next(children(self._process.pid))

    def close(self) -> None:
        """End everything inside, and wait for its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command as it has to be started from outside, to run inside."""
        return ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--", *command]

    def run(self, command: Sequence[str], *, stdin: str = "") -> str:
        """Run a command inside; returns its output, raises Failed with its words."""
        done = subprocess.run(
            self.inside(command), input=stdin, capture_output=True, text=True, check=False, start_new_session=True
        )
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(self, command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a command inside that stays."""
        return subprocess.Popen(
            self.inside(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End a command that was started inside."""
        for child in children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.wait()

    def path(self, path: Path) -> Path:
        """Where a file that is seen inside, on a mount of the keeper's, can be opened from outside."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")

    def network(self, name: str) -> Path:
        """Where a network namespace of this name can be opened from outside."""
        return self.path(Path("/run/netns") / name)

    def in_network(self, name: str, make: Callable[[], T]) -> T:
        """What `make` returns when it runs inside a network namespace: sockets made there stay there."""
        made: list[T] = []
        failed: list[OSError] = []

        def run() -> None:
            try:
                _enter(self.network(name))
                made.append(make())
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]


class Failed(Exception):
    """A command inside failed; its own words."""


def _enter(namespace: Path) -> None:
    """Move this thread, and no other, into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(namespace) as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def children(pid: int) -> Iterator[int]:
    """The processes that a process has started, oldest first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append((int(fields[19]), int(stat.parent.name)))
    return (number for _, number in sorted(found))


# --- control groups --------------------------------------------------------------------------------------------------

GROUPS = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Where control groups are: a folder for each controller (version 1), or one for all (version 2)."""
    if (GROUPS / "cgroup.controllers").exists():
        return [GROUPS]
    names = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd")
    found = {(GROUPS / name).resolve() for name in names if (GROUPS / name / "cgroup.procs").exists()}
    return sorted(found)


def make_groups(name: str) -> list[Path]:
    """A control group of this name in every hierarchy."""
    if hierarchies() == [GROUPS]:
        _let_controllers_down()
    made = []
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        if (hierarchy / "cpuset.cpus").exists() and hierarchy != GROUPS:
            for file in ("cpuset.cpus", "cpuset.mems"):  # a new group of version 1 may run nowhere
                (group / file).write_text((hierarchy / file).read_text())
            (group / "cgroup.clone_children").write_text("1")
        made.append(group)
    return made


def _let_controllers_down() -> None:
    """On version 2 a group has the controllers that its parent lets it have; the kubelet wants these of its machine."""
    for controller in ("cpuset", "cpu", "io", "memory", "pids"):
        with contextlib.suppress(OSError):
            (GROUPS / "cgroup.subtree_control").write_text(f"+{controller}")


def drop_groups(prefix: str) -> None:
    """Remove the control groups whose name begins so. Their processes are dead; the kernel may need a moment."""
    end = time.monotonic() + 5
    for hierarchy in hierarchies():
        for group in hierarchy.glob(f"{prefix}*"):
            while not _removed(group) and time.monotonic() < end:
                time.sleep(0.05)


def _removed(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
