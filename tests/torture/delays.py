"""AWS takes its time, or shows late what was made: the scripts wait that out, and never sleep where nothing is late."""

from __future__ import annotations

import dataclasses

from helpers import must

from sandbox import faults
from sandbox.app import Hooks
from sandbox.faults.late import Late
from sandbox.world import Delays
from torture.stage import Stage

LATE = 5.0  # seconds
BOUND = 600.0  # simulated seconds for any one run
KINDS = [field.name for field in dataclasses.fields(Delays) if field.name != "forgotten"]
CASES = len(KINDS) + 2  # none, each alone, all


def delayed(stage: Stage, number: int) -> None:
    """Case 1: nothing takes time, and nobody sleeps; the last: all takes 5 s; between them one kind each."""
    late = KINDS if number == CASES else KINDS[number - 2 : number - 1] if number > 1 else []
    stage.empty()
    box = stage.box
    box.aws.world.delays = Delays(**{kind: LATE if kind in late else 0.0 for kind in KINDS})
    box.clock.slept.clear()
    must(box.up())
    slept = list(box.clock.slept)
    stage.check_whole(f"up with {', '.join(late) or 'nothing'} late")
    box.clock.slept.clear()
    must(box.down())
    slept += box.clock.slept
    stage.check_gone("down")
    assert late or not slept, f"nothing is late, and the runs slept {slept}"
    assert sum(slept) <= 6 * LATE * len(late), f"{late} took {LATE} s, and the runs slept {sum(slept):.0f} s"


def late(stage: Stage, number: int) -> None:
    """What was just made is not found for 5 s, everywhere; even numbers: and every change's answer is lost once."""
    stage.empty(number)
    box = stage.box
    for run in (box.up, box.up, box.down):
        box.aws.hooks = Hooks()
        faults.put(box.aws, Late(box.aws.world, LATE))
        if number % 2 == 0:
            faults.put(box.aws, faults.LoseAnswers(every=True))
        start = box.clock.now
        must(run())
        assert box.clock.now - start < BOUND, f"it took {box.clock.now - start:.0f} s"
        box.clock.sleep(LATE)
        box.aws.hooks = Hooks()
        if box.inventory():
            stage.check_whole("up while everything shows late")
    stage.check_gone("down while everything shows late")
