"""Of what `make torture` runs whole: the very functions, some cases of each fault, evenly over its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import SharedBox, shared_box
from torture import drift, hands, tags
from torture.cases import FAULTS
from torture.stage import Stage, rehearsed

# How many of each fault's cases. None of a change that takes back or ends what another one here begins, nor of one that
# is a part of another: it is the same function with other settings (an upgrade replaces master and minions, and what is
# restored is on a master that is made anew); nor of discard, which tests/test_recovery.py stops.
SPREAD = {
    "up-before": 1,
    "up-after": 1,
    "up-down": 1,
    "down-before": 1,
    "down-after": 1,
    "down-up": 1,
    "roll": 0,
    "shrink": 0,
    "resize": 0,
    "upgrade": 1,
    "heal": 1,
    "unheal": 0,
    "rights": 1,
    "unrights": 0,
    "heal-down": 1,
    "halt": 0,
    "wake": 1,
    "replace": 0,
    "restore": 1,
    "discard": 0,
    "up-lost": 1,
    "down-lost": 1,
    "killed": 0,
    "denied": 1,
    "throttled": 1,
    "delayed": 1,
    "late": 1,
    "two-ups": 1,
    "up-and-down": 1,
    "apart": 1,
    "foreign": 1,
    "tag-lost": 1,
    "tags-lost": 1,
    "tag-given": 1,
    "drift": 1,
    "unfiltered": 1,
}
# One each of what `make test` plays no case of, with -m torture. Processes that are killed take longest.
RARER = ("roll", "resize", "replace", "killed")
ALARMS = ("tag-lost", tags.KINDS.index("alarms"), len(tags.KINDS))  # what a rerun does not compare
CASES = [
    *(
        pytest.param(fault, place, count, id=f"{fault}-{place}")
        for fault, count in SPREAD.items()
        for place in range(count)
    ),
    *(pytest.param(fault, 0, 1, id=f"{fault}-0", marks=pytest.mark.torture) for fault in RARER),
    pytest.param(*ALARMS, id="tag-lost-of-an-alarm", marks=pytest.mark.torture),
]


@pytest.fixture(scope="session")
def stage(_server: Any, tmp_path_factory: pytest.TempPathFactory, ssh_key: Path) -> Iterator[Stage]:
    """What an undisturbed run makes, found once."""
    with shared_box(SharedBox, _server, tmp_path_factory.mktemp("torture") / "home", ssh_key) as box:
        yield rehearsed(box)


@pytest.mark.parametrize(("fault", "place", "count"), CASES)
def test_at_its_worst(stage: Stage, fault: str, place: int, count: int) -> None:
    numbers = FAULTS[fault].numbers(stage)
    FAULTS[fault].play(stage, numbers[(2 * place + 1) * len(numbers) // (2 * count)])


def test_every_property_that_up_sets_has_a_change_by_hand_or_a_reason_why_not(stage: Stage) -> None:
    made = drift.made_properties(stage)
    drift.check_tables(made)
    with pytest.raises(AssertionError, match="ec2:CreateVpc InstanceTenancy"):
        drift.check_tables(made | {"ec2:CreateVpc InstanceTenancy"})
    with pytest.raises(AssertionError, match="any more:\nec2:CreateVpc CidrBlock"):
        drift.check_tables(made - {"ec2:CreateVpc CidrBlock"})


def test_what_no_rerun_compares_is_documented() -> None:
    text = (Path(__file__).parent.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert hands.documented() in text, "python -m torture.hands, in tests, prints what belongs there"


def test_every_fault_has_its_place_in_the_spread() -> None:
    assert SPREAD.keys() == FAULTS.keys()
