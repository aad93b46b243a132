"""Where the machines' files are: what is kept between runs, and what belongs to one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PREFIX = "kube-sandbox-"  # begins the name of every control group that a run makes; nothing else is ever cleaned up


class CannotStart(Exception):
    """Machines cannot be had here; the words say what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Cache:
    """What is made or downloaded once."""

    folder: Path

    @property
    def release(self) -> Path:
        """The release's files (`make release`): mirror/ as the release sites lay it out, images/ as docker-archives."""
        return self.folder / "release"

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


def cache() -> Cache:
    """The cache of the person who runs the sandbox."""
    return Cache(Path.home() / ".cache" / "kube-up")
