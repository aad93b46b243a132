"""The master made anew, stopped before and after every call from the first change to the new master's launch.

Because KUBE_REPLACE_MASTER names it, or because its disk is lost, or thrown away by KUBE_DISCARD_DISK, and
KUBE_RESTORE_SNAPSHOT makes one from a snapshot. All count for one run and are never remembered, so a rerun is told
again, or not. What follows is as in any up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from helpers import bucket_of, master_of, must, named, part, refused_untouched
from test_snapshots import DISK, KEY, lose_disk, made_from, take_snapshot

from sandbox.app import Record
from torture.stage import Stage, portrait
from torture.stops import stop

Settings = Mapping[str, str]


def _whole(stage: Stage) -> Settings:
    """A finished cluster; what asks for another master."""
    stage.whole_cluster()
    return {"KUBE_REPLACE_MASTER": master_of(stage.box)}


def _lost(stage: Stage) -> Settings:
    """A cluster that has lost its master and its disk; what asks for the newest of its snapshots."""
    stage.whole_cluster()
    for content in (b"older", b"newest"):
        take_snapshot(stage.box, content)
    lose_disk(stage.box)
    return {"KUBE_RESTORE_SNAPSHOT": "latest"}


def _gone_wrong(stage: Stage) -> Settings:
    """A finished cluster that is to go back to the newest of its snapshots."""
    stage.whole_cluster()
    for content in (b"older", b"newest"):
        take_snapshot(stage.box, content)
    return {"KUBE_RESTORE_SNAPSHOT": "latest", "KUBE_DISCARD_DISK": named(stage.box, "volumes", DISK)}


_BEGIN: Mapping[str, Callable[[Stage], Settings]] = {"replace": _whole, "restore": _lost, "discard": _gone_wrong}


def numbers(name: str) -> Callable[[Stage], range]:
    """Two cases for each of the calls from the first change to RunInstances."""

    def found(stage: Stage) -> range:
        calls = [call.operation for call in _undisturbed(stage, name)]
        return range(1, 2 * (calls.index("RunInstances") + 2 - _first(stage, name)) + 1)

    return found


def replaced(stage: Stage, number: int) -> None:
    """The rerun, told again or by turns not, ends with one master; where that is another, its old id does no harm.

    Who is not told again keeps the old one, unless it had been terminated.
    """
    wanted = _stopped(stage, "replace", number)
    old = wanted["KUBE_REPLACE_MASTER"]
    told = number % 4 in (1, 2)
    goes = told or part(stage.box, "instances").get(old, {}).get("state") in (None, "ending")
    must(stage.box.up(**(wanted if told else {})))
    assert (master_of(stage.box) != old) is goes, f"master {old} is {'there' if goes else 'gone'}"
    stage.check_whole("a replacement, stopped and again", None, **(wanted if goes else {}))


def restored(stage: Stage, number: int) -> None:
    """The rerun, told nothing, asks while there is no disk, and goes on with the same snapshot once there is one."""
    wanted = _stopped(stage, "restore", number)
    newest = stage.box.client("s3").list_object_versions(Bucket=bucket_of(stage.box), Prefix=KEY)["Versions"][0]
    made = any(thing["tags"].get("Name") == DISK for thing in part(stage.box, "volumes").values())
    again = stage.box.up()
    if made:
        must(again)
    else:
        refused_untouched(stage.box, again, 2, "KUBE_RESTORE_SNAPSHOT: the master's disk is gone", "say latest")
        must(stage.box.up(**wanted))
    assert made_from(stage.box) == newest["VersionId"]
    stage.check_whole("a restore, stopped and again", stage.changed["restore"][1], **wanted)


def discarded(stage: Stage, number: int) -> None:
    """The same command goes on, wherever it was stopped. By turns a plain run comes between, which takes no disk.

    That one keeps the old disk, asks while there is none, or goes on with the new one.
    """
    wanted = _stopped(stage, "discard", number)
    box, old = stage.box, wanted["KUBE_DISCARD_DISK"]
    newest = box.client("s3").list_object_versions(Bucket=bucket_of(box), Prefix=KEY)["Versions"][0]
    if number % 4 in (3, 0):
        there = [each for each, it in part(box, "volumes").items() if it["tags"].get("Name") == DISK]
        plain = box.up()
        if there:
            assert named(box, "volumes", DISK) == there[0]
            must(plain)
        else:
            refused_untouched(box, plain, 2, "KUBE_RESTORE_SNAPSHOT: the master's disk is gone", "say latest")
    must(box.up(**wanted))
    assert old not in part(box, "volumes")
    assert made_from(box) == newest["VersionId"]
    stage.check_whole("a disk thrown away, stopped and again", stage.changed["discard"][1], **wanted)


def _stopped(stage: Stage, name: str, number: int) -> Settings:
    """Begin, and die at the call of that number, before it and after it by turns; what was asked for."""
    first = _first(stage, name)
    wanted = _BEGIN[name](stage)
    stop(partial(stage.box.up, **wanted), first + (number - 1) // 2, after=number % 2 == 0)
    return wanted


def _first(stage: Stage, name: str) -> int:
    """The number of the first call that changes anything."""
    return next(n for n, call in enumerate(_undisturbed(stage, name), 1) if call.changes)


def _undisturbed(stage: Stage, name: str) -> list[Record]:
    """The calls of a run that nothing stops; what it leaves is kept beside them."""
    if name not in stage.changed:
        wanted = _BEGIN[name](stage)
        calls = must(stage.box.up(**wanted)).calls
        stage.changed[name] = (calls, portrait(stage.box))
    return stage.changed[name][0]
