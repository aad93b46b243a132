"""Volumes as files behind loop devices."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from sandbox.machines.wanted import Wanted

GIB = 1 << 30


class Volumes:
    """The volumes that have ever been attached: a sparse file each, for as long as the volume exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loops: dict[str, tuple[Path, int]] = {}  # volume -> loop device, and a descriptor that keeps it
        folder.mkdir(parents=True)

    def loop(self, volume: str, gibibytes: int) -> Path:
        """The volume's loop device, made or grown as needed."""
        file = self._folder / volume
        size = gibibytes * GIB
        if not file.exists() or file.stat().st_size < size:
            with open(file, "ab") as made:
                made.truncate(size)
            if volume in self._loops:
                subprocess.run(["losetup", "--set-capacity", str(self._loops[volume][0])], check=True)
        if volume not in self._loops:
            self._loops[volume] = _attach(file)
        return self._loops[volume][0]

    def drop_deleted(self, wanted: Wanted) -> None:
        """Remove the files of volumes that do not exist any more."""
        for file in list(self._folder.iterdir()):
            if file.name not in wanted.volumes:
                self._detach(file.name)
                file.unlink()

    def close(self) -> None:
        """Let go of all loop devices."""
        for volume in list(self._loops):
            self._detach(volume)

    def _detach(self, volume: str) -> None:
        if volume in self._loops:
            os.close(self._loops.pop(volume)[1])


def _attach(file: Path) -> tuple[Path, int]:
    """A loop device that frees itself when its last user is gone, however that comes to its end."""
    done = subprocess.run(["losetup", "--find", "--show", str(file)], capture_output=True, text=True, check=True)
    loop = Path(done.stdout.strip())
    descriptor = os.open(loop, os.O_RDONLY | os.O_CLOEXEC)
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run(["losetup", "--detach", str(loop)], check=True, capture_output=True)
    return loop, descriptor
