"""Two at once: they end as one cluster, and nothing is corrupted or touched that is others'."""

from __future__ import annotations

import re
from typing import Any

from helpers import kubeconfig, must, neighbour

import kube_down
import kube_up
from sandbox.calls import Answer, Call
from torture.stage import OTHERS, Stage, portrait, same
from torture.turns import Client, together

CASES = 30  # different orders of two clients' calls
# How an up ends whose cluster is removed under it: what it names is gone, or the master that it waits for.
REMOVED = (
    r"waited \d+ s for|NotFound|NoSuch|Invalid IAM Instance Profile|does not exist|is gone|terminated|did not come up"
)


def two_ups(stage: Stage, seed: int) -> None:
    """Two ups at once end as one cluster: at least one of them ends well, and one more up changes nothing."""
    before = _begin(stage)
    authorities = _count_authorities(stage)
    ended = together(stage.box, [Client(kube_up.main, {}), Client(kube_up.main, _another_home(stage, seed))], seed)
    assert len(authorities) <= 1, f"{len(authorities)} certificate authorities were put"
    stage.box.aws.hooks.after.clear()
    words = "\n".join(result.out + result.err for result in ended)
    assert 0 in [result.code for result in ended], words
    _whole(stage, before, f"two ups at once:\n{words}")
    _down(stage, before)


def up_and_down(stage: Stage, seed: int) -> None:
    """Up while a down runs, from ever later in it; both say why they failed, if so, and one more down removes the rest.

    An up that ended well may have looked before the down removed something: another one makes it whole.
    """
    before = _begin(stage)
    must(stage.box.up())
    late = (seed - 1) * (len(stage.down_calls) + 10) // CASES
    up, down = together(stage.box, [Client(kube_up.main, {}, begins=late), Client(kube_down.main, {})], seed)
    assert {up.code, down.code} <= {0, 1}, up.out + up.err + down.out + down.err
    if up.code:
        assert re.search(f"error: .*({REMOVED})", up.err), f"up does not say why it failed:\n{up.err}"
        assert re.search("again|next: ", up.err), f"up does not say what to do:\n{up.err}"
    if down.code:
        assert "error: left of cluster kubernetes: " in down.err, f"down does not say what is left:\n{down.err}"
        assert "again" in down.err, f"down does not say what to do:\n{down.err}"
    if not up.code and not down.code:
        must(stage.box.up())
        _whole(stage, before, "an up beside a down, and another")
    _down(stage, before)


def _begin(stage: Stage) -> dict[str, Any]:
    """An account that holds somebody else's things; returns what it holds."""
    stage.empty()
    neighbour(stage.box)
    return stage.box.inventory()


def _another_home(stage: Stage, seed: int) -> dict[str, str]:
    """For odd seeds the settings of somebody at another computer with the same ssh key, else none."""
    if seed % 2 == 0:
        return {}
    other = kubeconfig(stage.box).with_name("another")
    other.write_text(OTHERS)
    return {"KUBECONFIG": str(other)}


def _count_authorities(stage: Stage) -> list[str]:
    """A list that grows with each certificate authority that S3 takes."""
    put: list[str] = []

    def look(call: Call, answer: Answer) -> Answer:
        if call.operation == "PutObject" and call.params["Key"].endswith("/pki.tar") and not answer.refused:
            put.append(call.operation)
        return answer

    stage.box.aws.hooks.after.append(look)
    return put


def _whole(stage: Stage, before: dict[str, Any], what: str) -> None:
    """The cluster is as an undisturbed run makes it, the neighbour's things are as before, and up changes nothing."""
    again = must(stage.box.up())
    assert [call.operation for call in again.calls if call.changes] == [], f"{what}: another up changes something"
    same(portrait(stage.box, beside=before), stage.whole, what)


def _down(stage: Stage, before: dict[str, Any]) -> None:
    """One down removes all of the cluster, whatever there is of it, and nothing else."""
    nothing = stage.box.inventory() == before
    ended = stage.box.down()
    assert ended.code == int(nothing), ended.out + ended.err
    same(stage.box.inventory(), before, "after down")
