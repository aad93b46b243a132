"""The file systems below the root disks of machines with a kernel of their own: one for each size, made once."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.machines.image import Image
from sandbox.machines.keeper import Failed
from sandbox.machines.places import Cache

PREFIX = "disk-"
# The image with the containers' store in it, as one tree: mounted so for this alone.
MAKE = """
set -e
if [ -n "$2" ]; then
	mkdir -p "$1/var/lib/containerd"
	mount --bind "$2" "$1/var/lib/containerd"
fi
exec mke2fs -q -t ext4 -E lazy_itable_init=1,nodiscard -d "$1" "$3" "$4"
"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Disks:
    """The file systems with this image."""

    cache: Cache
    image: Image
    say: Say

    def base(self, gibibytes: int) -> Path:
        """The file system of this size, made now where it is not there yet; it is only read. Raises Failed."""
        disk = self.cache.machine / f"{self._prefix}{gibibytes}"
        if not disk.exists():
            with self.cache.locked():
                if not disk.exists():
                    self._make(disk, gibibytes)
        return disk

    @property
    def _prefix(self) -> str:
        """Begins the names of this image's; both folders' names say what is in them."""
        names = f"{self.image.root.name} {self.image.store.name if self.image.store else ''}"
        return f"{PREFIX}{hashlib.sha256(names.encode()).hexdigest()[:12]}-"

    def _make(self, disk: Path, gibibytes: int) -> None:
        started = time.monotonic()
        new = disk.with_name(f"{disk.name}.new")
        new.unlink(missing_ok=True)
        folders = [str(self.image.root), str(self.image.store or "")]
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MAKE, "sh", *folders]
        done = subprocess.run([*command, str(new), f"{gibibytes}G"], capture_output=True, text=True, check=False)
        if done.returncode:
            new.unlink(missing_ok=True)
            raise Failed(f"no root disk of {gibibytes} GiB can be made: {done.stderr.strip()}")
        new.rename(disk)
        self.say(f"a root disk of {gibibytes} GiB for machines is in {disk} ({time.monotonic() - started:.0f} s)")

    def drop_others(self) -> None:
        """Remove those of earlier images, unless a machine runs on one. With the cache locked."""
        used = _commands()
        for old in self.cache.machine.glob(f"{PREFIX}*"):
            if not old.name.startswith(self._prefix) and not any(str(old) in command for command in used):
                old.unlink(missing_ok=True)


def _commands() -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text(errors="replace"))
        except OSError:
            continue
    return found
