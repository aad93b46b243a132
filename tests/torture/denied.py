"""Each right that down uses, lacking: what is refused is said at once, nothing waits for it, and all else goes."""

from __future__ import annotations

from helpers import must

from sandbox import faults
from sandbox.app import Hooks
from sandbox.faults.denials import Deny, actions
from torture.stage import Stage

BOUND = 60.0  # simulated seconds for a down, of which an undisturbed one takes about 3, and a wait in vain 120


def rights(stage: Stage) -> list[str]:
    """The actions of down's changing calls, in their order."""
    made = [actions(call.service, call.operation)[0] for call in stage.down_calls if call.changes]
    return list(dict.fromkeys(made))


def denied(stage: Stage, number: int) -> None:
    """Down without one of them says so and ends with 1; with it, the next one finishes."""
    action = rights(stage)[number - 1]
    stage.whole_cluster()
    faults.put(stage.box.aws, Deny(action))
    start = stage.box.clock.now
    ended = stage.box.down()
    took = stage.box.clock.now - start
    stage.box.aws.hooks = Hooks()
    assert ended.code == 1, ended.out + ended.err
    assert took < BOUND, f"without {action} down took {took:.0f} s:\n{ended.out}{ended.err}"
    assert action in ended.err, f"{action} was refused, and that is not said:\n{ended.err}"
    assert ended.err.index(action) < ended.err.index("error: left of cluster")
    must(stage.box.down())
    stage.check_gone(f"down without {action}, and again")
