"""What goes wrong on purpose between a client and AWS: clients that die, answers that are lost, refusals at random.

Each fault is an object; `put` puts it into a Sandbox, by the names of its methods: `before` a call is done, `rules` as
AWS looks at it, `after` it was done, `launches` of an instance. Calls of machines are left alone.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sandbox import peers
from sandbox.calls import Answer, Call, LoseAnswer, Refusal, refusal_answer

if TYPE_CHECKING:
    from sandbox.app import Sandbox

Kill = Callable[[Call], None]


def put(box: Sandbox, *faults: object) -> None:
    """Put faults into a Sandbox, the first to be asked first. `Sandbox.reset` takes all out again."""
    for fault in faults:
        for place, hooks in _places(box).items():
            hook = getattr(fault, place, None)
            if hook is not None:
                hooks.append(hook)


def _places(box: Sandbox) -> dict[str, list[Any]]:
    hooks = box.hooks
    return {
        "before": hooks.before,
        "rules": hooks.rules,
        "after": hooks.after,
        "launches": box.world.launches,
        "starts": box.world.starts,
    }


def note(call: Call, words: str) -> None:
    """Write into the call's record what was done to it."""
    call.fault = f"{call.fault}, {words}" if call.fault else words


def refuse(call: Call, words: str, refusal: Refusal) -> Answer:
    """The refusal as the call's answer, noted in its record."""
    note(call, words)
    return refusal_answer(call, refusal)


# --- clients that die, answers that are lost --------------------------------------------------------------------------


def kill_client(call: Call) -> None:
    """SIGKILL for the process at the other end of the call's connection, which is never this one."""
    for process in peers.processes_at(call.peer, call.server):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


class Stop:
    """The client is killed just before AWS does one of these calls, or just after it did, before the answer.

    Within one process, `kill` raises what is to stand for the end of the client.
    """

    def __init__(self, *, at: Collection[int] = (), done: Collection[int] = (), kill: Kill = kill_client) -> None:
        self._at, self._done, self._kill = frozenset(at), frozenset(done), kill

    def before(self, call: Call) -> None:
        """Kill the client; the call is then not done."""
        if call.number in self._at:
            self._end(call, "client killed before the call")

    def after(self, call: Call, answer: Answer) -> Answer:
        """Kill the client, which never sees the answer."""
        if call.number in self._done:
            self._end(call, "client killed after the call")
        return answer

    def _end(self, call: Call, words: str) -> None:
        note(call, words)
        self._kill(call)
        raise LoseAnswer(words)


class LoseAnswers:
    """Calls are done and their answers lost: those of these numbers, or `every` changing call's, once each.

    The same call made again, by service, region, operation and parameters, gets its answer.
    """

    def __init__(self, numbers: Collection[int] = (), *, every: bool = False) -> None:
        self._numbers, self._every = frozenset(numbers), every
        self._lost: set[tuple[str, ...]] = set()

    def after(self, call: Call, answer: Answer) -> Answer:
        """Lose the answer."""
        if call.number in self._numbers or (self._every and call.changes and call.number and self._is_new(call)):
            note(call, "answer lost")
            raise LoseAnswer("answer lost")
        return answer

    def _is_new(self, call: Call) -> bool:
        parameters = json.dumps(call.params, sort_keys=True, default=_told_apart)
        key = (call.service, call.region, call.operation, parameters)
        if key in self._lost:
            return False
        self._lost.add(key)
        return True


def _told_apart(value: Any) -> str:
    """A parameter that JSON has no form for: bytes and times by their content, a stream by what it holds."""
    if hasattr(value, "getvalue"):
        return str(value.getvalue())
    return str(value)


# --- refusals at random -----------------------------------------------------------------------------------------------

# A service's refusal of too many calls, with its HTTP status.
# https://docs.aws.amazon.com/ec2/latest/devguide/api-error-codes.html and each service's page of common errors
THROTTLED: dict[str, Refusal] = {
    "ec2": Refusal("RequestLimitExceeded", "Request limit exceeded.", 503),
    "s3": Refusal("SlowDown", "Please reduce your request rate.", 503),
    "ssm": Refusal("ThrottlingException", "Rate exceeded", 400),
    "pricing": Refusal("ThrottlingException", "Rate exceeded", 400),
    "service-quotas": Refusal("TooManyRequestsException", "Rate exceeded", 400),
}
RATE_EXCEEDED = Refusal("Throttling", "Rate exceeded", 400)

_INTERNAL, _TRY_AGAIN = "An internal error has occurred", "The service is unavailable. Please try again shortly."
FAILED: dict[str, tuple[Refusal, ...]] = {
    "ec2": (
        Refusal("InternalError", _INTERNAL, 500),
        Refusal("Unavailable", "The server is overloaded and can't handle the request.", 503),
    ),
    "s3": (
        Refusal("InternalError", "We encountered an internal error. Please try again.", 500),
        Refusal("ServiceUnavailable", "Please reduce your request rate.", 503),
    ),
    "ssm": (Refusal("InternalServerError", _INTERNAL, 500), Refusal("ServiceUnavailable", _TRY_AGAIN, 503)),
    "service-quotas": (Refusal("ServiceException", _INTERNAL, 500),),
    "iam": (Refusal("ServiceFailure", _INTERNAL, 500), Refusal("ServiceUnavailable", _TRY_AGAIN, 503)),
    "cloudwatch": (Refusal("InternalServiceError", _INTERNAL, 500), Refusal("ServiceUnavailable", _TRY_AGAIN, 503)),
}
OTHERS_FAILED = (Refusal("InternalFailure", _INTERNAL, 500), Refusal("ServiceUnavailable", _TRY_AGAIN, 503))


class Throttle:
    """Calls are refused before they are done, each with this probability, in the same order for the same seed."""

    def __init__(self, probability: float, *, seed: int = 1) -> None:
        self._probability, self._random = probability, random.Random(f"throttle {seed}")

    def before(self, call: Call) -> Answer | None:
        """Refuse, or not."""
        if not call.number or self._random.random() >= self._probability:
            return None
        return refuse(call, "throttled", THROTTLED.get(call.service, RATE_EXCEEDED))


class Errors:
    """Calls fail on AWS's side, each with this probability: half of the changing ones after they were done."""

    def __init__(self, probability: float, *, seed: int = 1) -> None:
        self._probability, self._random = probability, random.Random(f"errors {seed}")
        self._failing: Refusal | None = None  # how the call at hand fails once it is done

    def before(self, call: Call) -> Answer | None:
        """Fail before anything is done, or make up our mind to fail afterwards."""
        self._failing = None
        if not call.number or self._random.random() >= self._probability:
            return None
        failure = self._random.choice(FAILED.get(call.service, OTHERS_FAILED))
        if call.changes and self._random.random() < 0.5:
            self._failing = failure
            return None
        return refuse(call, "failed before it was done", failure)

    def after(self, call: Call, answer: Answer) -> Answer:
        """Fail although it was done; what AWS refused anyhow stays refused."""
        if self._failing is None or answer.refused:
            return answer
        return refuse(call, "failed after it was done", self._failing)
