"""A cluster that is stopped for the night (--stop), and started by the next plain run: each stopped anywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from helpers import must

from sandbox.app import Record
from torture.stage import Portrait, Stage, portrait, same
from torture.stops import stop

HALT, WAKE = "halt", "wake"


def numbers(name: str) -> Callable[[Stage], range]:
    """The calls of the run, from the first that changes anything on."""

    def found(stage: Stage) -> range:
        calls = _undisturbed(stage, name)[0]
        return range(next(n for n, call in enumerate(calls, 1) if call.changes), len(calls) + 1)

    return found


def halted(stage: Stage, number: int) -> None:
    """--stop dies at that call; again it ends stopped, as if it had not, and a plain run brings all of it back."""
    asleep, awake = _undisturbed(stage, HALT)[1], _undisturbed(stage, WAKE)[1]
    stage.whole_cluster()
    stop(partial(stage.box.up, "--stop"), number, after=bool(number % 2))
    must(stage.box.up("--stop"))
    same(portrait(stage.box), asleep, "--stop, stopped and again")
    assert must(stage.box.up("--stop")).changing == []
    must(stage.box.up())
    stage.check_whole("started after that", awake)


def woken(stage: Stage, number: int) -> None:
    """The plain run of the morning dies at that call; the next one ends as if it had not."""
    awake = _undisturbed(stage, WAKE)[1]
    stage.whole_cluster()
    must(stage.box.up("--stop"))
    stop(stage.box.up, number, after=bool(number % 2))
    must(stage.box.up())
    stage.check_whole("started, stopped and again", awake)


def _undisturbed(stage: Stage, name: str) -> tuple[list[Record], Portrait]:
    """Its calls, and what it leaves."""
    if name not in stage.changed:
        stage.whole_cluster()
        for each, run in ((HALT, partial(stage.box.up, "--stop")), (WAKE, stage.box.up)):
            calls = must(run()).calls
            stage.changed[each] = (calls, portrait(stage.box))
    return stage.changed[name]
