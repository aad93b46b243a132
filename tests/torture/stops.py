"""Stopped anywhere: the client dies just before or just after each of its calls, and the same command goes on."""

from __future__ import annotations

from collections.abc import Callable

from conftest import Result
from helpers import kubeconfig, must

from torture.stage import OTHERS, Stage
from torture.wire import Death, Killed, wire


def stop(run: Callable[[], Result], number: int, *, after: bool) -> None:
    """Run until the client dies at its call `number`."""
    death = Death(number, after=after)
    try:
        with wire(death):
            ended = run()
    except Killed:
        return
    raise AssertionError(
        f"the run caught its own death: {ended.code}\n{ended.out}{ended.err}"
        if death.dead
        else f"the run made {death.seen} calls, so there is no call {number}"
    )


def up_stopped(stage: Stage, number: int, *, after: bool) -> None:
    """Up dies; up again makes it whole; a third changes nothing; down leaves nothing."""
    stage.empty()
    stop(stage.box.up, number, after=after)
    must(stage.box.up())
    stage.end("the rerun")


def up_stopped_then_down(stage: Stage, number: int, *, after: bool) -> None:
    """Up dies; down removes what it made, or says that there is nothing."""
    stage.empty()
    stop(stage.box.up, number, after=after)
    finish_down(stage)


def down_stopped(stage: Stage, number: int, *, after: bool) -> None:
    """Down dies; down again removes the rest, or says that nothing is left."""
    stage.whole_cluster()
    stop(stage.box.down, number, after=after)
    finish_down(stage)


def down_stopped_then_up(stage: Stage, number: int, *, after: bool) -> None:
    """Down dies; up makes what is gone anew."""
    stage.whole_cluster()
    stop(stage.box.down, number, after=after)
    must(stage.box.up())
    stage.end("up after a stopped down")


def finish_down(stage: Stage) -> None:
    """Down ends well: it removes all that is there, or finds nothing where nothing is, says so and exits 1."""
    nothing = stage.box.inventory() == {}
    text = kubeconfig(stage.box).read_text()
    ended = stage.box.down()
    if nothing:
        assert ended.code == 1, ended.out + ended.err
        assert "nothing of cluster" in ended.err, ended.err
        assert not any(call.changes for call in ended.calls)
    else:
        must(ended)
    stage.check_gone("down after a stop", kubeconfig_as=text if text == OTHERS else stage.bare)
