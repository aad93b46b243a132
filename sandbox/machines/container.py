"""An instance as a systemd-nspawn machine: its root disk, what it boots from, its process, its volumes.

The root disk is a file system of the size that the root volume has. What an instance writes is on it; Debian and the
containers' images, which all machines share, are read where they lie.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.machines import image, keeper, machine, requirements
from sandbox.machines.image import Image
from sandbox.machines.keeper import Keeper
from sandbox.machines.machine import Machine
from sandbox.machines.wanted import Instance

# Everything but the computer's clock and its kernel's modules.
WITHOUT = "CAP_SYS_TIME,CAP_SYS_MODULE"
LINK = f"/dev/disk/by-id/{machine.BY_ID}"
# The disk ends with the machine's run, so nothing has to outlive a crash of the computer; and tables that are written
# in the background would fill a file that is sparse.
MAKE_DISK = ("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard")
MOUNT_DISK = ("mount", "-t", "ext4", "-o", "nobarrier,noinit_itable")
STORE = "/usr/lib/sandbox/containers"  # where a machine sees the store of the containers' images
SHARED = (  # what of a store of containerd's never changes but by removal, as a link may be removed
    "io.containerd.content.v1.content/blobs/sha256",
    "io.containerd.snapshotter.v1.overlayfs/snapshots",
)
START = """
for group; do
	[ "$group" != -- ] || break
	echo 0 >"$group/cgroup.procs"
	shift
done
shift
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Containers:
    """Machines that are containers, of this image; `say` is told of one that has not enough to boot."""

    image: Image
    say: Callable[[str], None]

    def machine(self, keeper: Keeper, folder: Path, group: str, instance: Instance, device: Path) -> Machine:
        """See machine.Kind."""
        if words := requirements.too_few(instance.id):
            self.say(words)
        return Container(keeper, self.image, folder, group, instance, device)


class Container(Machine):
    """A machine with the computer's kernel."""

    def __init__(
        self, keeper: Keeper, image: Image, folder: Path, group: str, instance: Instance, device: Path
    ) -> None:
        """`device` is its root disk's, empty at the first boot."""
        super().__init__(keeper, folder, instance)
        self.leader = 0
        self._booted = False
        self._image, self._group, self._device = image, group, device
        self._devices: dict[str, str] = {}  # volume -> device in the machine, since its last boot
        self._make_root()

    @property
    def booted(self) -> bool:
        """Whether it has ever had a process 1."""
        return self._booted

    @property
    def _disk(self) -> Path:
        """Where its root disk is mounted, in the keeper."""
        return self.folder / "disk"

    # --- its root disk ---

    def _make_root(self) -> None:
        (self.folder / "root").mkdir(parents=True, exist_ok=True)
        if not self._disk.exists():
            self._keeper.run([*MAKE_DISK, str(self._device)])
            self._disk.mkdir()
        self._mount(self._disk, [*MOUNT_DISK, str(self._device)])
        upper = self._keeper.path(self._disk / "upper")
        for name in ("upper", "work", "containerd"):
            upper.with_name(name).mkdir(exist_ok=True)
        # Without the match by the permanent hardware address that EC2's has: a veth has no such address.
        machine.write_seed(upper, self.instance, machine.NETWORK)
        if (upper / "etc/machine-id").exists():  # a stopped instance's disk, started again
            return
        if self._image.store is not None:
            _link_store(self._image.store, upper.with_name("containerd"))
        upper.chmod(0o755)
        (upper / "etc").mkdir()
        (upper / "etc/machine-id").write_text(self.instance.id.removeprefix("i-").rjust(32, "0") + "\n")
        machine.write_user(upper, self.instance)

    def _mount_root(self) -> None:
        options = f"lowerdir={self._image.root},upperdir={self._disk}/upper,workdir={self._disk}/work"
        self._mount(self.folder / "root", ["mount", "-t", "overlay", "overlay", "-o", options])

    def _mount(self, place: Path, command: list[str]) -> None:
        """Unless it is there, from an earlier boot."""
        if subprocess.run(self._keeper.inside(["mountpoint", "-q", str(place)]), check=False).returncode:
            self._keeper.run([*command, str(place)])

    # --- its process ---

    def boot(self) -> None:
        """Start it; its network namespace, of its instance's name, has to be there."""
        self._mount_root()
        keeper.drop_groups(self._group)  # of an earlier boot: the kubelet would take them for its pods'
        groups = [str(group) for group in keeper.make_groups(self._group)]
        command = [*groups, "--", "env", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network", *self._nspawn()]
        self.leader, self._devices, self.kill_at = 0, {}, float("inf")
        with open(self.console_file, "ab") as console:
            self._process = self._keeper.start(["sh", "-c", START, "sh", *command], console)

    def _nspawn(self) -> list[str]:
        before = ["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0", "unshare", "--cgroup"] if image.is_v1() else []
        shared = [f"--bind-ro={self._image.store}:{STORE}"] if self._image.store is not None else []
        return [
            *before,
            *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--link-journal=no"),
            *(f"--directory={self.folder}/root", f"--machine={self.instance.id}", "--console=read-only"),
            f"--network-namespace-path=/run/netns/{self.instance.id}",
            *("--resolv-conf=off", "--timezone=off", "--capability=all", f"--drop-capability={WITHOUT}"),
            *("--system-call-filter=@keyring bpf @privileged @known", "--bind=/dev/kmsg"),
            f"--bind={self._disk}/containerd:/var/lib/containerd",
            *shared,
        ]

    def find_leader(self) -> int:
        """The machine's process 1 as the computer numbers it; 0 while there is none, another one after a reboot."""
        if self.leader and not Path(f"/proc/{self.leader}").exists():
            self.leader, self._devices = 0, {}
        if not self.leader and self._process is not None and self.runs:
            self.leader = _first_of(self._process.pid)
            self._booted = self._booted or self.leader > 0
        return self.leader

    def kill(self) -> None:
        """End all of its processes at once."""
        if leader := self.find_leader():
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, signal.SIGKILL)
        else:
            self._signal(signal.SIGKILL)

    def _press(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.runs:
            for child in keeper.children(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, number)

    def _let_go(self) -> None:
        keeper.drop_groups(self._group)
        for place in (self.folder / "root", self._disk):
            with contextlib.suppress(keeper.Failed):
                self._keeper.run(["umount", "--lazy", str(place)])

    # --- its volumes ---

    def show_volumes(self, loops: dict[str, Path]) -> None:
        """Let exactly these volumes (id -> loop device) be devices of the running machine, named as Nitro does."""
        if not self.find_leader():
            return
        for volume in [volume for volume in self._devices if volume not in loops]:
            self._in_machine(f"rm -f {self._devices[volume]} {LINK}{volume.replace('-', '')}")
            del self._devices[volume]
        for volume, loop in loops.items():
            if volume not in self._devices:
                self._devices[volume] = self._add_device(volume, os.stat(loop).st_rdev)

    def _add_device(self, volume: str, number: int) -> str:
        taken = set(self._devices.values())
        device = next(name for i in range(1, 128) if (name := f"/dev/nvme{i}n1") not in taken)
        link = LINK + volume.replace("-", "")
        self._in_machine(
            f"rm -f {device} && mknod -m 0660 {device} b {os.major(number)} {os.minor(number)} && "
            f"mkdir -p {os.path.dirname(link)} && ln -sf {device} {link}"
        )
        return device

    def _in_machine(self, script: str) -> None:
        command = ["nsenter", "--target", str(self.leader), "--mount", "sh", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise keeper.Failed(f"{self.instance.id}: {done.stderr.strip()}")


def _first_of(nsenter: int) -> int:
    """Of the processes below nsenter's one, systemd-nspawn, the one that is process 1 of its own namespace."""
    for nspawn in keeper.children(nsenter):
        for child in keeper.children(nspawn):
            with contextlib.suppress(OSError):
                numbers = _status(child, "NSpid").split()
                if numbers[-1:] == ["1"] and _status(child, "Name") == "systemd":
                    return child
    return 0


def _status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), "")


def _link_store(source: Path, target: Path) -> None:
    """A containerd store with the image's content: links to where a machine sees that, copies of its books."""
    shared = [source / place for place in SHARED]

    def linked(folder: str, names: list[str]) -> list[str]:
        return names if Path(folder) in shared else []

    shutil.copytree(source, target, dirs_exist_ok=True, ignore=linked)
    for folder in shared:
        for each in folder.iterdir():
            place = each.relative_to(source)
            (target / place).symlink_to(f"{STORE}/{place}")
