"""What a group of minions needs: a table of situations, and what holds in all of them, turn after turn."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import pytest

from lib.checks import nodegroup
from lib.checks.nodegroup import Minion, Need, Size
from lib.settings.config import Config
from lib.settings.layers import read_layers
from lib.settings.resolve import resolve


def config(**settings: object) -> Config:
    return resolve(read_layers({name: str(value) for name, value in settings.items()}))


def old(name: str, age: int = 0, *, ready: bool = True, begun: bool = False) -> Minion:
    """An outdated one, which joined at that minute; 0 for one that has not."""
    return Minion(name, current=False, created=f"2026-11-27T08:{age:02}" if age else "", ready=ready, begun=begun)


def new(name: str, age: int = 0, *, ready: bool = True, begun: bool = False) -> Minion:
    return dataclasses.replace(old(name, age, ready=ready, begun=begun), current=True)


def scaled(nodes: int, least: int = 1, most: int = 6) -> dict[str, object]:
    bounds = {"KUBE_AUTOSCALER_MIN_NODES": least, "KUBE_AUTOSCALER_MAX_NODES": most}
    return {"NUM_NODES": nodes, "KUBE_ENABLE_CLUSTER_AUTOSCALER": "true", **bounds}


# name, settings, minions, what the group should have, its tag; who is too many, who is replaced, how many are missing
NEEDS: list[tuple[str, dict[str, object], list[Minion], int, str | None, str, str, int]] = [
    ("as it should be", {"NUM_NODES": 2}, [new("a", 1), new("b", 2)], 2, None, "", "", 0),
    ("not there yet", {"NUM_NODES": 2}, [], 2, None, "", "", 2),
    ("more", {"NUM_NODES": 4}, [new("a", 1), new("b", 2)], 2, None, "", "", 2),
    ("one has died", {"NUM_NODES": 2}, [new("a", 1)], 2, None, "", "", 1),
    ("fewer: the youngest", {"NUM_NODES": 1}, [new("a", 3), new("b", 1), new("c", 2)], 3, None, "a c", "", 0),
    ("fewer: who has not joined", {"NUM_NODES": 1}, [new("a"), new("b", 9)], 2, None, "a", "", 0),
    ("fewer: who is not Ready", {"NUM_NODES": 1}, [new("a", 1, ready=False), new("b", 2)], 2, None, "a", "", 0),
    ("fewer: what was begun with", {"NUM_NODES": 1}, [new("a", 1, begun=True), new("b", 2)], 2, None, "a", "", 0),
    ("outdated: the oldest", {"NUM_NODES": 2}, [old("a", 2), old("b", 1)], 2, None, "", "b a", 0),
    ("outdated: who is not Ready", {"NUM_NODES": 2}, [old("a", 2, ready=False), old("b", 1)], 2, None, "", "a b", 0),
    ("outdated: begun", {"NUM_NODES": 2}, [old("a", 2, begun=True), old("b", ready=False)], 2, None, "", "a b", 0),
    ("outdated in part", {"NUM_NODES": 2}, [new("a", 2), old("b", 1)], 2, None, "", "b", 0),
    ("one more is there", {"NUM_NODES": 2}, [old("a", 1), old("b", 2), new("c", 3)], 3, None, "a", "b", 0),
    ("fewer, and outdated", {"NUM_NODES": 1}, [new("a", 1), old("b", 2), old("c", 3)], 3, None, "b c", "", 0),
    ("more, and outdated", {"NUM_NODES": 3}, [old("a", 1), old("b", 2)], 2, None, "", "a b", 1),
    ("called off", {"NUM_NODES": 2}, [new("a", 1), new("b", 2), new("c", 3)], 3, None, "c", "", 0),
    ("the autoscaler's number", scaled(2), [new("a", 1), new("b", 2), new("c", 3)], 3, None, "", "", 0),
    ("under its range", scaled(3, least=3), [new("a", 1), new("b", 2)], 2, None, "", "", 1),
    ("over its range", scaled(2, most=2), [new("a", 1), new("b", 2), new("c", 3)], 3, None, "c", "", 0),
    ("its number and one more", scaled(2), [old("a", 1), old("b", 2), new("c", 3)], 3, "2", "a", "b", 0),
    ("one more not yet there", scaled(2), [old("a", 1), old("b", 2)], 2, "2", "", "a b", 0),
    ("the tag is left", scaled(2), [new("a", 1), new("b", 2)], 2, "2", "", "", 0),
    ("it took some meanwhile", scaled(3), [old("a", 1), new("b", 2)], 2, "3", "", "a", 0),
    ("somebody else's words", scaled(2), [new("a", 1), new("b", 2), new("c", 3)], 3, "two", "", "", 0),
]


def names(minions: Sequence[Minion]) -> str:
    return " ".join(minion.instance_id for minion in minions)


@pytest.mark.parametrize(
    ("settings", "there", "desired", "before", "shrink", "roll", "grow"),
    [row[1:] for row in NEEDS],
    ids=[row[0] for row in NEEDS],
)
def test_what_a_group_needs(
    settings: dict[str, object],
    there: list[Minion],
    desired: int,
    before: str | None,
    shrink: str,
    roll: str,
    grow: int,
) -> None:
    found = nodegroup.need(config(**settings), there, desired=desired, before=before)
    assert (names(found.shrink), names(found.roll), found.grow) == (shrink, roll, grow)
    assert found.kept is not bool(shrink or roll or grow)
    assert found.outdated == sum(not minion.current for minion in there)


@pytest.mark.parametrize(
    ("settings", "desired", "size"),
    [
        ({"NUM_NODES": 3}, 2, Size(3, 3, 3)),
        ({"NUM_NODES": 1}, 3, Size(1, 3, 3)),  # drained first
        (scaled(2), 4, Size(1, 6, 4)),
        (scaled(2, most=3), 4, Size(1, 4, 4)),
        (scaled(3, least=3), 1, Size(3, 6, 3)),
    ],
)
def test_a_group_grows_at_once_and_shrinks_later(settings: dict[str, object], desired: int, size: Size) -> None:
    assert nodegroup.grown(config(**settings), desired) == size


def test_one_more_is_within_bounds_that_hold_it() -> None:
    assert nodegroup.one_more(Size(2, 2, 2)) == Size(2, 3, 3)
    assert nodegroup.one_more(Size(1, 6, 3)) == Size(1, 6, 4)


# --- what holds in every situation


def turns(settings: dict[str, object], there: list[Minion], desired: int) -> tuple[list[Minion], int, list[str]]:
    """What becomes of the group, one decision at a time; the least that it ever had, and who went."""
    asked, went, least, before = config(**settings), list[str](), len(there), None
    for turn in itertools.count():
        assert turn < 50, "it does not come to an end"
        found = nodegroup.need(asked, there, desired=desired, before=before)
        if found.shrink:
            there = [minion for minion in there if minion != found.shrink[0]]
            went.append(found.shrink[0].instance_id)
            desired, before, least = desired - 1, None, min(least, len(there))
        elif found.grow:
            there = [*there, new(f"new-{turn}", 50)]
            desired = max(desired, len(there))
        elif found.roll:
            before = str(desired) if asked.kube_enable_cluster_autoscaler else None
            there, desired = [*there, new(f"new-{turn}", 50)], desired + 1
        else:
            return there, least, went
    raise AssertionError


@pytest.mark.parametrize("autoscaler", [False, True])
def test_every_group_becomes_what_it_should_be_and_never_less_meanwhile(autoscaler: bool) -> None:
    kinds = [old("a", 1), old("b", ready=False), old("c", 3, begun=True), new("d", 4), new("e", 5, ready=False)]
    for count, wanted in itertools.product(range(len(kinds) + 1), (1, 2, 3, 4)):
        for there in itertools.combinations(kinds, count):
            settings: dict[str, object] = scaled(wanted, most=4) if autoscaler else {"NUM_NODES": wanted}
            first = nodegroup.need(config(**settings), there, desired=count)
            after, least, went = turns(settings, list(there), count)
            assert all(minion.current for minion in after)
            assert len(after) == first.wanted.desired
            assert least >= min(count, first.wanted.desired)
            assert set(went) == {minion.instance_id for minion in (*first.shrink, *first.roll)}
            assert Need(first.wanted) == nodegroup.need(config(**settings), after, desired=len(after))
