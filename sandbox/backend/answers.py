"""What moto does not answer and a run asks before it changes anything."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from typing import Any

from sandbox.backend import cloud
from sandbox.backend.wire import result_answer
from sandbox.calls import Answer, Call, Refusal
from sandbox.world import World


def simulate_principal_policy(_world: World, call: Call) -> dict[str, Any]:
    """Everybody may do everything here; a role that is not there, by name and path, has no policies.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    asked = call.params["PolicySourceArn"]
    if ":role/" in asked and asked not in [role.arn for role in cloud.iam(call.region).roles.values()]:
        raise Refusal("NoSuchEntity", f"The role with name {asked.rpartition('/')[2]} cannot be found.", 404)
    return _decisions(call, {})


def simulated(call: Call, denied: Mapping[str, str]) -> Answer:
    """What a simulation answers where some actions are denied: action -> implicitDeny or explicitDeny."""
    return result_answer(call, _decisions(call, denied))


def _decisions(call: Call, denied: Mapping[str, str]) -> dict[str, Any]:
    results = [
        {"EvalActionName": action, "EvalResourceName": "*", "EvalDecision": denied.get(action, "allowed")}
        for action in call.params.get("ActionNames", [])
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def get_authorization_token(world: World, call: Call) -> dict[str, Any]:
    """ECR's password for 12 hours, as its API reference has it; moto's is the same everywhere and ended in 2015."""
    token = base64.b64encode(f"AWS:{world.ecr_password}".encode()).decode()
    registry = f"https://{cloud.ACCOUNT}.dkr.ecr.{call.region}.{cloud.dns_suffix(call.region)}"
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=12)
    return {"authorizationData": [{"authorizationToken": token, "expiresAt": until, "proxyEndpoint": registry}]}


def get_ebs_default_kms_key_id(_world: World, _call: Call) -> dict[str, Any]:
    """AWS's own key, as in every account that has not chosen another."""
    return {"KmsKeyId": "alias/aws/ebs"}
