"""Whether the caller may do what kube_up.py does, as far as IAM's simulation tells before anything is made.

A run is only warned, and goes on: the simulation knows neither the organization's policies nor every condition.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.aws.errors import FAILURES, error_code
from lib.aws.needed import needed
from lib.checks.permissions import statements

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config

_FEW = 6


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
        healing = config.kube_master_self_heal or needed(_listed(statement["Action"]), aws.planned)
        if statement["Sid"] == "SelfHealing" and not healing:
            continue
        pages = aws.iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=principal,
            ActionNames=_listed(statement["Action"]),
            ResourceArns=[_concrete(arn, aws, config, bucket) for arn in _listed(statement["Resource"])],
        )
        for page in pages:
            yield from (r["EvalActionName"] for r in page["EvaluationResults"] if not _is_allowed(r))


def _is_allowed(result: Any) -> bool:
    """On any of the resources: an action on roles is asked about instance profiles in the same breath."""
    each = result.get("ResourceSpecificResults") or []
    return "allowed" in (result["EvalDecision"], *(one["EvalResourceDecision"] for one in each))


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _concrete(arn: str, aws: Aws, config: Config, bucket: str) -> str:
    """A resource as this run will name it, in place of the policy's pattern for all runs."""
    for pattern, name in (
        ("kubernetes-master-*", config.master_role),
        ("kubernetes-minion-*", config.minion_role),
        ("kubernetes-healer-*", config.healer_role),
        ("kubernetes-staging-*", bucket),
        ("*-master-heal", config.healer_name),
        ("scheduler:*:*:", f"scheduler:{aws.region}:{aws.account}:"),
        ("alarm:*-master-", f"alarm:{config.master_name}-"),
        ("cloudwatch:*:*:", f"cloudwatch:{aws.region}:{aws.account}:"),
    ):
        arn = arn.replace(pattern, name)
    return arn.replace("arn:aws:", f"arn:{aws.partition}:").replace("::*:", f"::{aws.account}:")
