"""How long AWS takes for things: where none, the scripts never sleep; where some, they wait it out."""

from __future__ import annotations

import dataclasses

from helpers import must

from sandbox.world import Delays
from torture.stage import Stage

LATE = 5.0  # seconds
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
