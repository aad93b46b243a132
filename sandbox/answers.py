"""What moto does not answer and a run asks before it changes anything."""

from __future__ import annotations

from typing import Any

from sandbox.calls import Call, Refusal
from sandbox.world import World


def simulate_principal_policy(_world: World, call: Call) -> dict[str, Any]:
    """Everybody may do everything here."""
    results = [
        {"EvalActionName": action, "EvalResourceName": "*", "EvalDecision": "allowed"}
        for action in call.params.get("ActionNames", [])
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def get_products(_world: World, _call: Call) -> dict[str, Any]:
    """A price that is made up would be believed."""
    raise Refusal("NotImplementedInSandbox", "nothing costs anything here")
