"""AWS refuses: calls throttled and failing at random, all through up, rerun and down."""

from __future__ import annotations

import re

from helpers import must

from sandbox import faults
from sandbox.app import Hooks
from torture.stage import Stage

THROTTLED, FAILED = 0.30, 0.05
BOUND = 600.0  # simulated seconds for any one run, of which an undisturbed up takes about 5


def throttled(stage: Stage, seed: int) -> None:
    """All three end well, in bounded time, and say how many calls they repeated."""
    stage.empty(seed)
    for number, run in enumerate((stage.box.up, stage.box.up, stage.box.down)):
        dice = seed * 3 + number  # another storm for each run
        storm = faults.Throttle(THROTTLED, seed=dice), faults.Errors(FAILED, seed=dice)
        stage.box.aws.hooks = Hooks()
        faults.put(stage.box.aws, *storm)
        start = stage.box.clock.now
        ended = must(run())
        took = stage.box.clock.now - start
        stage.box.aws.hooks = Hooks()
        assert took < BOUND, f"it took {took:.0f} s"
        failed = sum(bool(call.fault) for call in ended.calls if call.service != "pricing")  # no run waits for a price
        assert failed, "nothing went wrong"
        assert re.search(rf"\b{failed} calls? repeated", ended.out), (
            f"{failed} calls failed, and that is not said:\n{ended.out}"
        )
        if number < 2:
            stage.check_whole("a run through a storm")
    stage.check_gone("down through a storm")
