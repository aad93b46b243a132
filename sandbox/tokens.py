"""ClientToken: a repeated create gives the first answer again, and makes nothing.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

import hashlib
import json

from sandbox.calls import Answer, Call, Refusal
from sandbox.world import World


def _key(call: Call) -> tuple[str, ...] | None:
    token = call.params.get("ClientToken")
    return (call.service, call.region, call.operation, str(token)) if call.changes and token else None


def _digest(call: Call) -> str:
    rest = {name: value for name, value in call.params.items() if name not in ("ClientToken", "DryRun")}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()


def recall(world: World, call: Call) -> Answer | None:
    """The answer given to this token before; None for a new one. Refuses other parameters under a known token."""
    key = _key(call)
    known = world.state.tokens.get(key) if key else None
    if known is None:
        return None
    digest, status, body, headers = known
    if digest != _digest(call):
        raise Refusal(
            "IdempotentParameterMismatch",
            "The client token has already been used with different request parameters.",
        )
    return Answer(status, body, list(headers))


def remember(world: World, call: Call, answer: Answer) -> None:
    """Keep a successful answer for its token."""
    key = _key(call)
    if key and not answer.refused:
        world.state.tokens[key] = (_digest(call), answer.status, answer.body, list(answer.headers))
