"""Roles' policies as IAM has them: AWS's own ones, boundaries, how many a role takes, and what they allow."""

from __future__ import annotations

import functools
import json
import urllib.parse
from typing import Any

from sandbox import policies
from sandbox.backend import cloud
from sandbox.backend.answers import decisions
from sandbox.calls import Call, Refusal
from sandbox.world import World

PER_ROLE = 10  # managed policies, unless the quota L-0DA4ABF3 was raised


@functools.cache
def _published() -> dict[str, Any]:
    """AWS's own policies by name, as moto has them."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    parsed: dict[str, Any] = json.loads(aws_managed_policies_data)
    return parsed


def own_policy(_world: World, call: Call) -> None:
    """Where a call names a policy of AWS's own, have it there: moto loads none, or all 1,400 in each region."""
    from moto.iam.models import AWSManagedPolicy

    arn, backend = call.params.get("PolicyArn") or call.params.get("PermissionsBoundary") or "", cloud.iam(call.region)
    name = arn.rpartition("/")[2]
    if ":iam::aws:policy/" in arn and arn not in backend.managed_policies and name in _published():
        policy = AWSManagedPolicy.from_data(name, cloud.ACCOUNT, call.region, _published()[name])
        backend.managed_policies[policy.arn] = policy


def boundary(_world: World, call: Call) -> None:
    """CreateRole, PutRolePermissionsBoundary: the policy is there."""
    arn = call.params.get("PermissionsBoundary")
    if arn and arn not in cloud.iam(call.region).managed_policies:
        raise Refusal("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.", 404)


def attach(_world: World, call: Call) -> None:
    """AttachRolePolicy: a role takes ten, and the same again is nothing new."""
    role = _role(call.region, "name", call.params["RoleName"])
    if role and call.params["PolicyArn"] not in role.managed_policies and len(role.managed_policies) >= PER_ROLE:
        raise Refusal("LimitExceeded", f"Cannot exceed quota for PoliciesPerRole: {PER_ROLE}", 409)


def simulate(_world: World, call: Call) -> dict[str, Any]:
    """What a role's policies allow; everybody else, and a role that has none, may do everything here.

    A role that is not there, by name and path, has no policies.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    asked, denied = call.params["PolicySourceArn"], dict[str, str]()
    if ":role/" in asked:
        role = _role(call.region, "arn", asked)
        if role is None:
            raise Refusal("NoSuchEntity", f"The role with name {asked.rpartition('/')[2]} cannot be found.", 404)
        statements = _statements(role)
        context = {each["ContextKeyName"].lower(): each["ContextKeyValues"] for each in call.params["ContextEntries"]}
        denied = {
            action: "implicitDeny"
            for action in call.params["ActionNames"]
            if statements
            and not any(policies.may(statements, action, arn, context) for arn in call.params["ResourceArns"])
        }
    return decisions(call, denied)


def _role(region: str, key: str, value: str) -> Any:
    return next((role for role in cloud.iam(region).roles.values() if getattr(role, key) == value), None)


def _statements(role: Any) -> list[dict[str, Any]]:
    """Of all policies of a role, its own and managed ones."""
    texts = [*role.policies.values(), *(policy.document for policy in role.managed_policies.values())]
    documents = [json.loads(urllib.parse.unquote(text)) if isinstance(text, str) else text for text in texts]
    return [each for document in documents for each in _listed(document["Statement"])]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
