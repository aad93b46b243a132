"""Where the machines' files are: what is kept between runs, and what belongs to one run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PREFIX = "kube-sandbox-"  # begins the name of every control group that a run makes; nothing else is ever cleaned up

KEPT = Path(".cache") / "kube-up"  # below a home


class CannotStart(Exception):
    """Machines cannot be had here; the words say what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Cache:
    """What is made or downloaded once."""

    folder: Path
    built_by: Path | None = None  # the folder of who typed sudo, and perhaps `make release` before that
    upstream: Path | None = None  # upstream's own release, where this run has it (official.py)

    @property
    def release(self) -> Path:
        """The release that machines boot: mirror/ as the release sites lay it out, images/ as docker-archives."""
        return self.upstream or self.built

    @property
    def official(self) -> Path:
        """Upstream's own releases, a folder for each version of Kubernetes."""
        return self.folder / "official"

    @property
    def built(self) -> Path:
        """The release that `make release` builds."""
        return self._of_make_release("release")

    @property
    def kernel(self) -> Path:
        """The kernel that `make release` builds, for machines with one of their own."""
        return self._of_make_release("kernel")

    def _of_make_release(self, name: str) -> Path:
        own = self.folder / name
        is_whole = (own / "inputs").exists()  # written last
        return self.built_by / name if self.built_by and not is_whole else own

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One sandbox at a time makes what is kept, and runs. Raises CannotStart where nothing can be kept."""
        try:
            self.machine.mkdir(parents=True, exist_ok=True)
            lock = open(self.machine / "lock", "w")  # noqa: SIM115  (closed below)
        except OSError as error:
            raise CannotStart(f"{self.machine} cannot be written to: {error.strerror}") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def mirror(self) -> Path:
        """The release sites' files, by host and path."""
        return self.release / "mirror"

    @property
    def runs(self) -> Path:
        """A folder for each run that is alive, and for each that was killed."""
        return self.folder / "runs"

    @property
    def machine(self) -> Path:
        """The machines' image, their certificate authority, their containers' images."""
        return self.folder / "machine"

    def programs(self, version: str) -> Path:
        """What a command finds on its PATH when it has none of its own: the kubectl of that version of Kubernetes."""
        return self.machine / "bin" / f"v{version.removeprefix('v')}"


def cache() -> Cache:
    """The cache of the person who runs the sandbox; with sudo, root's own, and what the person has built."""
    return Cache(Path.home() / KEPT, _sudo_users())


def _sudo_users() -> Path | None:
    try:
        return Path(pwd.getpwnam(os.environ["SUDO_USER"]).pw_dir) / KEPT
    except KeyError:
        return None
