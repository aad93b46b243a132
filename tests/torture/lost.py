"""Lost answers: AWS does a changing call and the connection breaks before the client hears of it."""

from __future__ import annotations

from collections.abc import Callable

from conftest import Result
from helpers import must

from torture.stage import Stage
from torture.wire import Loss, wire


def lose(stage: Stage, run: Callable[[], Result], number: int) -> None:
    """A run that ends well although the answer to its `number`-th changing call (0: to each of them) is lost."""
    records = stage.box.aws.calls

    def done() -> str:
        last = records[-1]
        return last.operation if last.changes and last.status < 300 else ""

    loss = Loss(done, number)
    with wire(loss):
        must(run())
    assert loss.lost, f"the run made {loss.seen} changes, so there is no change {number}"


def up_lost(stage: Stage, number: int) -> None:
    """The run itself ends well, has made one of each, and down leaves nothing."""
    stage.empty()
    lose(stage, stage.box.up, number)
    stage.end("the run with a lost answer")


def down_lost(stage: Stage, number: int) -> None:
    """The run itself ends well and leaves nothing."""
    stage.whole_cluster()
    lose(stage, stage.box.down, number)
    stage.check_gone("the run with a lost answer")
