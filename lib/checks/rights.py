"""Whether the caller may do what kube_up.py does, and a brought role what nodes do, as IAM's simulation has it.

It is asked before anything is made. A run is only warned, and goes on: the simulation knows neither the organization's
policies nor every condition.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.aws.errors import FAILURES, error_code
from lib.aws.needed import needed
from lib.checks.permissions import statements

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config

_FEW = 6
# What only an option needs: the statements of the second policy, each with the options.
FOR_AN_OPTION = {
    "SelfHealing": ("KUBE_MASTER_SELF_HEAL",),
    "NameOfTheApi": ("KUBE_API_DNS_NAME",),
    "TagsTakenOff": ("KUBE_EXTRA_TAGS",),
    "PermissionsBoundary": ("KUBE_IAM_PERMISSIONS_BOUNDARY",),
    "NodePolicies": ("KUBE_NODE_POLICIES",),
    "LookAtPolicies": ("KUBE_IAM_PERMISSIONS_BOUNDARY", "KUBE_NODE_POLICIES"),
    "PodIdentity": ("KUBE_ENABLE_POD_IDENTITY",),
    "IssuersOfTheAccount": ("KUBE_ENABLE_POD_IDENTITY",),
    "IssuersBucket": ("KUBE_ENABLE_POD_IDENTITY",),
    "AccountsPublicBuckets": ("KUBE_ENABLE_POD_IDENTITY",),
}
_PASSING = "PassRoles"
_KINDS_OF_KEYS = {"Bool": "boolean"}  # of a condition's operators; the rest compare texts


def tell_rights(aws: Aws, config: Config, *, bucket: str) -> list[str]:
    """The actions that the simulation denies, with a warning; it says so when it cannot be asked. Changes nothing."""
    if aws.user.endswith(":root"):
        return []  # the account's root user may do everything
    try:
        principal = _principal(aws)
        denied = sorted(set(_denied(aws, config, principal, bucket)))
    except FAILURES as error:
        why = error_code(error) or "no answer"
        aws.console.say(f"permissions were not checked beforehand (SimulatePrincipalPolicy: {why})")
        return []
    if denied:
        aws.console.warn(
            f"IAM's simulation does not allow {principal.rpartition('/')[2]}: {in_words(denied)}; "
            "docs/permissions.md has the whole policy"
        )
    return denied


def in_words(actions: Sequence[str]) -> str:
    """Actions in words, no more of them than a person reads."""
    more = f" and {len(actions) - _FEW} more" if len(actions) > _FEW else ""
    return f"{', '.join(actions[:_FEW])}{more}"


def _principal(aws: Aws) -> str:
    """The ARN whose policies are asked for: of an assumed role the role itself.

    An assumed role's ARN lacks the role's path, which those of IAM Identity Center (SSO) have; IAM tells it. Where it
    may not be asked, the role is taken for one without a path.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    """
    role = re.fullmatch(r"arn:([\w-]+):sts::(\d+):assumed-role/([^/]+)/.*", aws.user)
    if not role:
        return aws.user
    try:
        return str(aws.iam.get_role(RoleName=role[3])["Role"]["Arn"])
    except ClientError:
        return f"arn:{role[1]}:iam::{role[2]}:role/{role[3]}"


def _denied(aws: Aws, config: Config, principal: str, bucket: str) -> Iterator[str]:
    for statement in statements():
        if "Condition" in statement:
            continue  # what passes a role or makes a linked one depends on more than a simulation is told
        options = FOR_AN_OPTION.get(statement["Sid"], ())
        on = not options or any(getattr(config, option.lower()) for option in options)
        if not on and not needed(_listed(statement["Action"]), aws.planned):
            continue
        resources = list(_resources(aws, config, bucket, statement))
        if resources:
            yield from _simulated(aws, principal, _listed(statement["Action"]), resources)


def _simulated(
    aws: Aws, principal: str, actions: Sequence[str], resources: Sequence[str], context: Sequence[Any] = ()
) -> Iterator[str]:
    """Those of the actions that the simulation does not allow whose policies are asked for."""
    pages = aws.iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=principal, ActionNames=list(actions), ResourceArns=list(resources), ContextEntries=list(context)
    )
    for page in pages:
        yield from (r["EvalActionName"] for r in page["EvaluationResults"] if not _is_allowed(r))


def _is_allowed(result: Any) -> bool:
    """On any of the resources: an action on roles is asked about instance profiles in the same breath."""
    each = result.get("ResourceSpecificResults") or []
    return "allowed" in (result["EvalDecision"], *(one["EvalResourceDecision"] for one in each))


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _resources(aws: Aws, config: Config, bucket: str, statement: Mapping[str, Any]) -> Iterator[str]:
    """What a statement is on, as this run will name it: a brought profile takes the place of a role that is made."""
    brought = {"kubernetes-master-*": config.master_iam_profile, "kubernetes-minion-*": config.node_iam_profile}
    for arn in _listed(statement["Resource"]):
        profile = next((name for pattern, name in brought.items() if arn.endswith(pattern) and name), "")
        if not profile:
            yield _concrete(arn, aws, config, bucket)
        elif statement["Sid"] == _PASSING:
            yield from (
                role["Arn"]
                for role in aws.iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
            )


def tell_lacking(aws: Aws, option: str, profile: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Warn of what the role of a brought instance profile may not do of what the policy `wanted` allows.

    The simulation is told of a condition's keys what the condition asks for. Changes nothing.
    """
    name = profile["InstanceProfileName"]
    try:
        denied = {
            action
            for role in profile["Roles"]
            for statement in wanted["Statement"]
            if statement["Effect"] == "Allow"
            for action in _simulated(
                aws, role["Arn"], _listed(statement["Action"]), _listed(statement["Resource"]), _context(statement)
            )
        }
    except FAILURES as error:
        why = error_code(error) or "no answer"
        aws.console.say(f"{option}: what {name} may do was not checked (SimulatePrincipalPolicy: {why})")
        return
    if denied:
        aws.console.warn(
            f"{option}: IAM's simulation does not allow {name}: {in_words(sorted(denied))}; the policies that "
            "kube_up.py would write are in templates/iam"
        )


def _context(statement: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The keys that a statement's condition asks for, with what it asks; none of those that must not be there."""
    return [
        {
            "ContextKeyName": key,
            "ContextKeyValues": _listed(values)[:1],
            "ContextKeyType": _KINDS_OF_KEYS.get(operator, "string"),
        }
        for operator, keys in statement.get("Condition", {}).items()
        if operator != "Null"
        for key, values in keys.items()
    ] + [
        {"ContextKeyName": key, "ContextKeyValues": ["x"], "ContextKeyType": "string"}
        for key, absent in statement.get("Condition", {}).get("Null", {}).items()
        if absent == "false"
    ]


def _concrete(arn: str, aws: Aws, config: Config, bucket: str) -> str:
    """A resource as this run will name it, in place of the policy's pattern for all runs."""
    for pattern, name in (
        ("kubernetes-master-*", config.master_role),
        ("kubernetes-minion-*", config.minion_role),
        ("kubernetes-healer-*", config.healer_role),
        ("kubernetes-staging-*", bucket),
        ("kubernetes-oidc-*", config.kube_oidc_bucket or "kubernetes-oidc-*"),
        ("*-master-heal", config.healer_name),
        ("scheduler:*:*:", f"scheduler:{aws.region}:{aws.account}:"),
        ("alarm:*-master-", f"alarm:{config.master_name}-"),
        ("cloudwatch:*:*:", f"cloudwatch:{aws.region}:{aws.account}:"),
    ):
        arn = arn.replace(pattern, name)
    return arn.replace("arn:aws:", f"arn:{aws.partition}:").replace("::*:", f"::{aws.account}:")
