"""What a group of minions needs: to be kept, to grow, to shrink, to have some of them replaced; and which come first.

All of it is decided anew in each turn of a roll, of what account and API say then, and a dry run asks the same. So
where it stands is never kept: more than the wanted number means that one can go; the wanted number with one outdated,
that one more is needed first. With the cluster autoscaler the wanted number is the group's own, which may change
meanwhile; a tag on the group says then that one more of it is there for a replacement only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.settings.config import Config


@dataclass(frozen=True)
class Size:
    """How many minions the group may and should have."""

    least: int
    most: int
    desired: int


@dataclass(frozen=True)
class Minion:
    """One instance of the group that is not on its way out, and what the API says of its node.

    `current` is whether it was launched from what the template says now. `created` is the node's time, '' for one that
    has not joined, or that was not asked for; `begun` is whether an earlier run began to take it away.
    """

    instance_id: str
    current: bool
    created: str = ""
    ready: bool = False
    begun: bool = False


@dataclass(frozen=True)
class Need:
    """What the group needs: `shrink` are those too many and `roll` those to be replaced, who goes first first."""

    wanted: Size
    shrink: tuple[Minion, ...] = ()
    roll: tuple[Minion, ...] = ()
    grow: int = 0

    @property
    def outdated(self) -> int:
        """How many of all are not what the template says now."""
        return len(self.roll) + sum(not minion.current for minion in self.shrink)

    @property
    def kept(self) -> bool:
        """Whether it is as it should be."""
        return not (self.shrink or self.roll or self.grow)


def need(config: Config, there: Iterable[Minion], *, desired: int, before: str | None = None) -> Need:
    """What a group needs that has these minions and should have `desired`; `before` is its tag, as `surge` has it."""
    wanted = wanted_size(config, desired - surge(before, desired))
    order = victims(there)
    too_many = max(0, len(order) - wanted.desired)
    return Need(
        wanted,
        shrink=tuple(order[:too_many]),
        roll=tuple(minion for minion in order[too_many:] if not minion.current),
        grow=max(0, wanted.desired - len(order)),
    )


def wanted_size(config: Config, current: int | None = None) -> Size:
    """NUM_NODES, or with the cluster autoscaler its range, within which the present number is as it should be."""
    if not config.kube_enable_cluster_autoscaler:
        return Size(config.num_nodes, config.num_nodes, config.num_nodes)
    least, most = config.kube_autoscaler_min_nodes, config.kube_autoscaler_max_nodes
    start = config.num_nodes if current is None else current
    return Size(least, most, min(max(start, least), most))


def grown(config: Config, desired: int) -> Size:
    """What a group that should have `desired` is set to before its minions are looked at: it grows, and never shrinks.

    What it has too much of is taken away later, once it is drained.
    """
    size = wanted_size(config, desired)
    now = max(size.desired, desired)
    return Size(size.least, max(size.most, now), now)


def one_more(wanted: Size) -> Size:
    """The size for the time of a replacement."""
    more = wanted.desired + 1
    return Size(wanted.least, max(wanted.most, more), more)


def surge(before: str | None, desired: int) -> int:
    """How many of the group's `desired` are there only until a replacement is done: 1 or 0.

    `before` is the tag that says what it was, None where it is not set. It is set first and taken off last, so that
    what was killed in between shows.
    """
    return int(before is not None and before.isdecimal() and desired > int(before))


def victims(there: Iterable[Minion]) -> list[Minion]:
    """Who goes first: the outdated; of them what an earlier run began with, then who serves nobody, then the oldest.

    Of the others the youngest, which holds the fewest pods, and which is the one more of a replacement that was
    called off.
    """
    by_age = sorted(there, key=lambda minion: (minion.created or "9", minion.instance_id))  # not joined: the youngest
    current = [minion for minion in reversed(by_age) if minion.current]
    old = [minion for minion in by_age if not minion.current]
    return [*sorted(old, key=_first), *sorted(current, key=_first)]


def _first(minion: Minion) -> tuple[bool, bool]:
    return not minion.begun, minion.ready
