"""Every fault, and the cases of each: functions that raise where something is not as it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torture import (
    anew,
    apart,
    changes,
    delays,
    denied,
    drift,
    foreign,
    halted,
    hands,
    killed,
    lost,
    races,
    stops,
    storms,
    tags,
)
from torture.stage import Stage

STORMS = 10  # different seeds
LATES = 6

Play = Callable[[Stage, int], None]


@dataclass(frozen=True)
class Fault:
    """One row of the table: its words, the numbers of its cases, and how a case of that number is played."""

    words: str
    numbers: Callable[[Stage], range]
    play: Play


def _up_calls(stage: Stage) -> range:
    return range(1, len(stage.up_calls) + 1)


def _down_calls(stage: Stage) -> range:
    return range(1, len(stage.down_calls) + 1)


def _changes(calls: str) -> Callable[[Stage], range]:
    """0 for all of them in one run, then each alone."""
    return lambda stage: range(sum(call.changes and call.status < 300 for call in getattr(stage, calls)) + 1)


def _every_third(numbers: Callable[[Stage], range]) -> Callable[[Stage], range]:
    return lambda stage: numbers(stage)[1::3]


def _every_tenth(stage: Stage) -> range:
    """But for the last few: processes that take their time look less often at what they wait for."""
    calls = len(stage.up_calls) + stage.rerun_calls + len(stage.down_calls)
    return range(1, calls + 1 - killed.EVERY, killed.EVERY)


def _seeds(count: int) -> Callable[[Stage], range]:
    return lambda _stage: range(1, count + 1)


def _stopped(play: Callable[..., None], *, after: bool) -> Play:
    return partial(play, after=after)


def _changed(name: str) -> Play:
    return partial(changes.stopped, name=name)


FAULTS: dict[str, Fault] = {
    "up-before": Fault("up stopped before call N, up again", _up_calls, _stopped(stops.up_stopped, after=False)),
    "up-after": Fault("up stopped after call N, up again", _up_calls, _stopped(stops.up_stopped, after=True)),
    "up-down": Fault(
        "up stopped after call N, down", _every_third(_up_calls), _stopped(stops.up_stopped_then_down, after=True)
    ),
    "down-before": Fault("down stopped before call N", _down_calls, _stopped(stops.down_stopped, after=False)),
    "down-after": Fault("down stopped after call N", _down_calls, _stopped(stops.down_stopped, after=True)),
    "down-up": Fault(
        "down stopped after call N, up", _every_third(_down_calls), _stopped(stops.down_stopped_then_up, after=True)
    ),
    "roll": Fault("minions replaced, stopped at call N", changes.numbers("roll"), _changed("roll")),
    "shrink": Fault("minions taken away, stopped at call N", changes.numbers("shrink"), _changed("shrink")),
    "resize": Fault("master resized, stopped at call N", changes.numbers("resize"), _changed("resize")),
    "upgrade": Fault("Kubernetes upgraded, stopped at call N", changes.numbers("upgrade"), _changed("upgrade")),
    "heal": Fault("self-healing made, stopped at call N", changes.numbers("heal"), _changed("heal")),
    "unheal": Fault("self-healing removed, stopped at call N", changes.numbers("unheal"), _changed("unheal")),
    "rights": Fault(
        "pods' and minions' rights given, stopped at call N", changes.numbers("rights"), _changed("rights")
    ),
    "unrights": Fault("these taken back, stopped at call N", changes.numbers("unrights"), _changed("unrights")),
    "heal-down": Fault(
        "down of what heals itself and has these, stopped", changes.healing_down_numbers, changes.healing_down_stopped
    ),
    "replace": Fault("master made anew, stopped at call N", anew.numbers("replace"), anew.replaced),
    "restore": Fault("disk restored, stopped at call N", anew.numbers("restore"), anew.restored),
    "discard": Fault("disk thrown away, stopped at call N", anew.numbers("discard"), anew.discarded),
    "halt": Fault("cluster stopped (--stop), stopped at call N", halted.numbers("halt"), halted.halted),
    "wake": Fault("stopped cluster started, stopped at call N", halted.numbers("wake"), halted.woken),
    "up-lost": Fault("answer to up's N-th change lost", _changes("up_calls"), lost.up_lost),
    "down-lost": Fault("answer to down's N-th change lost", _changes("down_calls"), lost.down_lost),
    "killed": Fault("SIGKILL at every tenth call of up, up, down", _every_tenth, killed.killed),
    "denied": Fault(
        "a right that down uses, lacking", lambda stage: range(1, len(denied.rights(stage)) + 1), denied.denied
    ),
    "throttled": Fault("30% throttled, 5% failing: up, up, down", _seeds(STORMS), storms.throttled),
    "delayed": Fault("AWS takes no time, or 5 s for each thing", _seeds(delays.CASES), delays.delayed),
    "late": Fault("all shows 5 s late; even N: answers lost", _seeds(LATES), delays.late),
    "two-ups": Fault("two ups at once", _seeds(races.CASES), races.two_ups),
    "up-and-down": Fault("up and down at once", _seeds(races.CASES), races.up_and_down),
    "apart": Fault("two clusters, down of one", _seeds(2 * len(apart.PAIRS)), apart.side_by_side),
    "foreign": Fault("others' things in the VPC", _seeds(len(foreign.TAGGINGS) * len(foreign.MAKERS)), foreign.foreign),
    "tag-lost": Fault("a tag taken off; up, or down", _seeds(len(tags.LOST)), tags.lost),
    "tags-lost": Fault("a tag taken off each of two things", _seeds(len(tags.PAIRS)), tags.two_lost),
    "tag-given": Fault("another cluster's tag on a thing of ours", _seeds(len(tags.GIVEN)), tags.given),
    "drift": Fault("a property changed by hand, up", lambda _: range(len(hands.CHANGES) + 1), drift.drift),
    "unfiltered": Fault("AWS does not mind a call's filters", _seeds(len(tags.UNFILTERED)), tags.unfiltered),
}


def all_cases(stage: Stage) -> list[tuple[str, int]]:
    """Each case as fault and number."""
    return [(name, number) for name, fault in FAULTS.items() for number in fault.numbers(stage)]
