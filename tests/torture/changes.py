"""A cluster that changes, stopped anywhere: minions replaced or taken away, the master resized, all of it upgraded.

Or it begins to heal itself, or ends to; or it is given rights in IAM, or loses them. The rerun finishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from helpers import must

from sandbox.app import Record
from torture.stage import Portrait, Stage, portrait
from torture.stops import finish_down, stop

Settings = Mapping[str, str]

RIGHTS = {
    "KUBE_ENABLE_POD_IDENTITY": "true",
    "KUBE_IAM_PERMISSIONS_BOUNDARY": "arn:aws:iam::aws:policy/PowerUserAccess",
    "KUBE_NODE_POLICIES": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
}

# What the cluster is made with, and what the run that is stopped asks for.
CHANGES: Mapping[str, tuple[Settings, Settings]] = {
    "roll": ({}, {"NODE_SIZE": "t3.large"}),
    "shrink": ({"NUM_NODES": "2"}, {"NUM_NODES": "1"}),
    "resize": ({}, {"MASTER_SIZE": "t3.large"}),
    "upgrade": ({"KUBERNETES_VERSION": "1.36.3"}, {"KUBERNETES_VERSION": "1.37.2"}),
    "heal": ({}, {"KUBE_MASTER_SELF_HEAL": "true"}),
    "unheal": ({"KUBE_MASTER_SELF_HEAL": "true"}, {"KUBE_MASTER_SELF_HEAL": "false"}),
    "rights": ({}, RIGHTS),
    "unrights": (RIGHTS, dict.fromkeys(RIGHTS, "")),
}
HEALING = "heal-down"


def numbers(name: str) -> Callable[[Stage], range]:
    """The calls of the change, from the first that changes anything on: before that it is as any rerun."""

    def found(stage: Stage) -> range:
        calls = _undisturbed(stage, name)[0]
        return range(next(n for n, call in enumerate(calls, 1) if call.changes), len(calls) + 1)

    return found


def stopped(stage: Stage, number: int, *, name: str) -> None:
    """The change dies at that call, by turns before and after it; the same command again ends as if it had not."""
    before, wanted = CHANGES[name]
    whole = _undisturbed(stage, name)[1]
    stage.empty()
    stage.box.cluster(**before)
    stop(partial(stage.box.up, **wanted), number, after=bool(number % 2))
    must(stage.box.up(**wanted))
    stage.check_whole(f"{name}, stopped and again", whole, **wanted)


def healing_down_numbers(stage: Stage) -> range:
    """Every third call of the down of a cluster that heals itself."""
    if HEALING not in stage.changed:
        _healing(stage)
        stage.changed[HEALING] = (must(stage.box.down()).calls, {})
    return range(1, len(stage.changed[HEALING][0]) + 1)[1::3]


def healing_down_stopped(stage: Stage, number: int) -> None:
    """Down of such a cluster dies at that call; minutes later, in which no master comes back for good, down again."""
    _healing(stage)
    stop(stage.box.down, number, after=bool(number % 2))
    stage.box.clock.sleep(240.0)
    finish_down(stage)
    stage.box.clock.sleep(240.0)
    stage.check_gone("minutes later", kubeconfig_as=None)


def _healing(stage: Stage) -> None:
    stage.empty()
    stage.box.cluster(KUBE_MASTER_SELF_HEAL="true", **RIGHTS)


def _undisturbed(stage: Stage, name: str) -> tuple[list[Record], Portrait]:
    """Its calls, and what it leaves."""
    if name not in stage.changed:
        before, wanted = CHANGES[name]
        stage.empty()
        stage.box.cluster(**before)
        calls = must(stage.box.up(**wanted)).calls
        stage.changed[name] = (calls, portrait(stage.box))
    return stage.changed[name]
