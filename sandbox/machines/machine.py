"""One instance as a machine: what a machine of either kind has. container.py and uml.py are the two."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from sandbox.machines.keeper import Keeper
from sandbox.machines.wanted import Instance

CONSOLE_BYTES = 65536  # what GetConsoleOutput keeps
BY_ID = "nvme-Amazon_Elastic_Block_Store_"  # begins a volume's link in /dev/disk/by-id, as Nitro's volumes have it
REBOOTED = 133  # how a machine's process ends that wants to be started again, by systemd-nspawn's choice


class Machine(ABC):
    """A machine of one instance, from its first boot to its end."""

    def __init__(self, keeper: Keeper, folder: Path, instance: Instance) -> None:
        self.instance = instance
        self.folder = folder
        self.kill_at = float("inf")
        self._keeper = keeper
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def boot(self) -> None:
        """Start it; its network namespace, of its instance's name, has to be there."""

    @abstractmethod
    def kill(self) -> None:
        """End all of its processes at once."""

    @abstractmethod
    def show_volumes(self, loops: dict[str, Path]) -> None:
        """Let exactly these volumes (id -> loop device) be devices of the running machine, named as Nitro does."""

    @property
    @abstractmethod
    def booted(self) -> bool:
        """Whether it has ever had a process 1."""

    @abstractmethod
    def _press(self) -> None:
        """The power button."""

    def remove(self, *, disk: bool) -> None:
        """What is left once its process has ended, and its root disk if `disk`."""
        if self._process is not None:
            self._process.wait()
        self._let_go()
        if disk:
            shutil.rmtree(self.folder, ignore_errors=True)

    def tend(self) -> None:  # noqa: B027  not every kind needs something
        """What a machine of this kind needs at each look while it runs. Raises Failed."""

    def _let_go(self) -> None:  # noqa: B027  not every kind has something
        """What a machine of this kind leaves in the computer's kernel."""

    def shut_down(self, seconds: float) -> None:
        """Ask for a clean end, as a power button does; after this many seconds, pull the plug."""
        if self.kill_at == float("inf"):
            self.kill_at = time.monotonic() + seconds
            self._press()

    def kill_when_due(self) -> None:
        """The plug, for a machine that did not end in time."""
        if time.monotonic() >= self.kill_at and self.runs:
            self.kill()

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int:
        """How its process has ended: REBOOTED if it wants to be started again."""
        return (self._process.poll() if self._process else None) or 0

    @property
    def console_file(self) -> Path:
        """What it says on its console, all of it."""
        return self.folder / "console"

    def console(self) -> str:
        """The end of what it has said on its console."""
        try:
            with open(self.console_file, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - CONSOLE_BYTES))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


class Kind(Protocol):
    """What all machines of a sandbox are made from."""

    def machine(self, keeper: Keeper, folder: Path, group: str, instance: Instance, device: Path) -> Machine:
        """A machine that has not booted; `device` is its root disk's, empty at the first boot.

        `group` is the name for its control groups, where it needs such.
        """


def write_seed(root: Path, instance: Instance, network: dict[str, object]) -> None:
    """What cloud-init reads: the user-data as it is, and the little metadata that it acts on; `root` is the machine's.

    `network` is what it would make of EC2's metadata for the interface.
    """
    folder = root / "var/lib/cloud/seed/nocloud"
    folder.mkdir(parents=True, exist_ok=True)
    name = instance.interface.name if instance.interface else instance.id
    metadata = {"instance-id": instance.id, "local-hostname": name}
    if instance.key:
        metadata |= {"public-keys": [instance.key]}  # type: ignore[dict-item]
    (folder / "meta-data").write_text(json.dumps(metadata))
    (folder / "network-config").write_text(json.dumps({"version": 2, "ethernets": {"ens5": network}}))
    (folder / "user-data").write_bytes(instance.user_data)
    (folder / "user-data").chmod(0o600)


def write_user(root: Path, instance: Instance) -> None:
    """Whom cloud-init makes for ssh."""
    user = {"system_info": {"default_user": {"name": instance.user}}}
    file = root / "etc/cloud/cloud.cfg.d/95-user.cfg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(user) + "\n")


# What cloud-init gives netplan on EC2 for an only interface (its convert_ec2_metadata_network_config), but for the
# match by hardware address.
OVERRIDES = {"route-metric": 100}
NETWORK: dict[str, object] = {"dhcp4": True, "dhcp4-overrides": OVERRIDES, "dhcp6": False}
