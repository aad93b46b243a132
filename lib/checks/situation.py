"""All that is known of the master's side, as values: what was asked, what is remembered, what is there.

And what can be decided of it (lib/checks/fate.py). The steps look, and put what they see in here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from lib.run.console import Console
    from lib.run.errors import KubeError


class Unseen(Enum):
    """What was not looked at yet."""

    UNSEEN = "not looked at"


UNSEEN: Final = Unseen.UNSEEN
Thing = Literal["instance", "snapshots", "release", "unreadable", "untagged", "named", "ca", "well"]


@dataclass(frozen=True)
class Asked:
    """What this run was asked for.

    `says_version` is what environment or file have of it, None where they are silent, and `says_size` whether they say
    anything of MASTER_SIZE. `group` is KUBE_USE_EXISTING_MASTER, which leaves the master alone.
    """

    cluster_id: str
    disk_name: str
    version: str
    says_version: str | None = None
    restore: str = ""
    replace: str = ""
    discard: str = ""
    group: bool = False
    self_heal: bool = False
    zone: str = ""
    disk_gib: int = 0
    size: str = ""
    says_size: bool = False


@dataclass(frozen=True)
class Instance:
    """The master's; `version` and `disk_id` are its tags, what it was made for, '' where it does not say that."""

    instance_id: str
    state: str = "running"
    size: str = ""
    version: str = ""
    disk_id: str = ""


@dataclass(frozen=True)
class Disk:
    """The master's; `version` is the last one whose API answered, `snapshot` what it is made from, by their tags.

    `holders` are the instances that have it.
    """

    disk_id: str
    version: str = ""
    snapshot: str = ""
    zone: str = ""
    gib: int = 0
    holders: tuple[str, ...] = ()

    @property
    def waits_for_restore(self) -> bool:
        """Whether it is made from a snapshot, and no instance has it: whatever lives was made before it."""
        return bool(self.snapshot and not self.holders)


@dataclass(frozen=True)
class Snapshot:
    """A version of the object; `size` is in bytes, compressed."""

    version: str
    taken: datetime
    size: int

    def __str__(self) -> str:
        return f"{self.version} of {self.when}"

    @property
    def when(self) -> str:
        """To the minute."""
        return f"{self.taken:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Situation:
    """All that is known of the master's side.

    `there` is whether anything of the cluster is, `place` where its snapshots are, `snapshots` the newest first,
    `releases` of which release each is ('' where it does not say), `unreadable` why the one that is asked for cannot be
    read, '' where it can, `untagged` what must be the disk and has lost its tags, `named` whether the disk that is to
    be thrown away is there, whosever it is, `well` whether the API of the instance says so, `no_snapshots` why the
    master takes none, '' where it does. `discarded` is the disk that this run throws away; `disk` is None then.
    """

    asked: Asked
    remembered: str = ""
    there: bool = True
    place: str = ""
    ca_place: str = ""
    disk: Disk | None = None
    instance: Instance | Unseen | None = UNSEEN
    snapshots: tuple[Snapshot, ...] | Unseen = UNSEEN
    releases: Mapping[str, str] = field(default_factory=dict)
    unreadable: str | Unseen = UNSEEN
    untagged: tuple[str, ...] | Unseen = UNSEEN
    named: bool | Unseen = UNSEEN
    ca: bool | Unseen = UNSEEN
    well: bool | Unseen = UNSEEN
    no_snapshots: str = ""
    discarded: Disk | None = None

    @property
    def living(self) -> Instance | None:
        """The instance, unless it is on its way out, or was not looked at."""
        there = None if isinstance(self.instance, Unseen) else self.instance
        return None if there is None or there.state == "shutting-down" else there

    @property
    def confirmed(self) -> str:
        """The last release whose API was seen to answer with this disk, '' where nothing says it."""
        return self.disk.version if self.disk else ""

    def without_disk(self) -> Situation:
        """The same for a run that throws the disk away: to whatever comes after, there is none."""
        return dataclasses.replace(self, disk=None, discarded=self.disk)


@dataclass(frozen=True)
class Said:
    """What a person is told of a decision, by that method of the console."""

    how: Literal["found", "say", "warn", "differs"]
    words: str


def tell(console: Console, said: tuple[Said, ...]) -> None:
    """Have the console say it."""
    by = {"found": console.found, "say": console.say, "warn": console.warn, "differs": console.differs}
    for each in said:
        by[each.how](each.words)


@dataclass(frozen=True)
class Look:
    """The decision needs this of the outside first; `of` is a snapshot's version, for its release."""

    at: Thing
    of: str = ""


@dataclass(frozen=True)
class Refuse:
    """It is not done; the error says which variable, what is wrong, and what would be right."""

    error: KubeError


@dataclass(frozen=True)
class Begin:
    """Nothing stands against the run. `restore` is the snapshot that the disk is, or is to be, made from, if any.

    `loses` is in words what is removed for ever with the disk that is there and is thrown away, '' where it stays.
    """

    restore: str = ""
    said: tuple[Said, ...] = ()
    loses: str = ""


@dataclass(frozen=True)
class Fate:
    """What becomes of the instance; `was` and `becomes` are releases or sizes.

    make, restore: there is none, and one is made, on a disk as it is, or one that it fills from a snapshot first.
    keep, resize: it stays. replace, upgrade, call off: it ends, and another one is made.
    """

    what: Literal["make", "restore", "keep", "resize", "replace", "upgrade", "call off"]
    was: str = ""
    becomes: str = ""
    said: tuple[Said, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether the instance that is there is to go."""
        return self.what in ("replace", "upgrade", "call off")

    @property
    def away(self) -> str:
        """Why the API of one that runs does not answer for a while, '' where it stays."""
        if self.what == "resize":
            return "is stopped for its new size"
        return "is made anew" if self.ends else ""
