"""Roles, inline policies and instance profiles of master and minions (the original's create-iam-profile).

IAM is global: the names tell cluster, VPC and region apart, and down checks the tag before it removes one. Profiles of
MASTER_IAM_PROFILE and NODE_IAM_PROFILE are brought: used as they are.
"""

from __future__ import annotations

import functools
import json
import re
import string
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.aws import objects
from lib.aws.changes import became
from lib.aws.client import Aws
from lib.aws.errors import ErrorKind, classify, unless
from lib.aws.tags import (
    Disputed,
    bears_one,
    cluster_tags,
    is_ours,
    other_owner,
    refuse_others,
    sorted_out,
    tag_list,
    tag_words,
    tags_of,
)
from lib.checks import rights
from lib.cluster import Cluster
from lib.disk import disk_name
from lib.routetable import brought_table_id
from lib.run.errors import SettingError

if TYPE_CHECKING:
    from lib.aws.objects import Bucket
    from lib.settings.config import Config

TEMPLATES = Path(__file__).parent.parent / "templates" / "iam"
ROLES = ("master", "minion")
_OTHER_NAMES = (
    "its name is made of cluster and VPC_NAME: another VPC_NAME makes another; if it is this cluster's all the same, "
    "take the other one's tags off it"
)
_ROLE, _PROFILE = "role", "instance profile"
_HEALER = "kubernetes-healer-"
_BOUNDARY, _POLICIES = "KUBE_IAM_PERMISSIONS_BOUNDARY", "KUBE_NODE_POLICIES"
_PROFILES = {"master": "MASTER_IAM_PROFILE", "minion": "NODE_IAM_PROFILE"}
_FEW, _BRIEF = 3, 60  # of what differs in a policy: parts, and characters of each, that a person is told


@dataclass(frozen=True)
class Identity:
    """A role, or the instance profile that bears its name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def is_profile(self) -> bool:
        """Whether it is an instance profile."""
        return self.kind == _PROFILE

    @property
    def heals(self) -> bool:
        """Whether it is the role of a schedule that makes a dead master anew."""
        return self.name.startswith(_HEALER)


def role_name(config: Config, role: str) -> str:
    """The name of the role and of its instance profile; at most 64 characters (config.py refuses longer)."""
    return config.master_role if role == "master" else config.minion_role


def policy_document(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """A document of templates/iam with its ${PLACEHOLDERS} filled in."""
    text = (TEMPLATES / f"{name}.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(string.Template(text).substitute(values))
    return document


def find_role(aws: Aws, name: str) -> Mapping[str, Any] | None:
    """The role of that name, None if there is none."""
    return _found(aws, lambda: aws.iam.get_role(RoleName=name)["Role"])


def find_profile(aws: Aws, name: str) -> Mapping[str, Any] | None:
    """The instance profile of that name, None if there is none."""
    return _found(aws, lambda: aws.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"])


def find_policy(aws: Aws, name: str) -> dict[str, Any] | None:
    """The document of the role's inline policy of its own name, None if there is none."""
    answer = _found(aws, lambda: aws.iam.get_role_policy(RoleName=name, PolicyName=name))
    return None if answer is None else _document(answer["PolicyDocument"])


def _found(aws: Aws, call: Any) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = call()
        return found
    except aws.iam.exceptions.NoSuchEntityException:
        return None


def _document(value: Any) -> dict[str, Any]:
    """IAM gives documents URL-encoded; botocore decodes most of them."""
    loaded: dict[str, Any] = json.loads(urllib.parse.unquote(value)) if isinstance(value, str) else value
    return loaded


def ensure_profiles(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the instance profiles of its roles; a run of one group leaves the master's alone."""
    config = cluster.config
    values = policy_values(aws, config, cluster.bucket)
    roles = ("minion",) if config.kube_use_existing_master else ROLES
    return cluster.having(Cluster.profiles, {role: _ensure_profile(aws, config, role, values) for role in roles})


# --- what is brought


def _given(config: Config, role: str) -> str:
    """The name of the brought instance profile of a role, '' where one is made."""
    return config.text(_PROFILES[role])


def _brought(aws: Aws, config: Config) -> dict[str, Mapping[str, Any]]:
    """The brought instance profiles by role, {} for one that is made. Raises SettingError for one that cannot be used.

    Where the caller may not look at it, EC2 will say what is wrong with it.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for role in (each for each in ROLES if _given(config, each)):
        option, name = _PROFILES[role], _given(config, role)
        if profile := _looked_at(aws, option, name, functools.partial(find_profile, aws, name)):
            owner = config.cluster_id if bears_one(config.cluster_id, tags_of(profile)) else ""
            owner = other_owner(config.cluster_id, tags_of(profile)) or owner
            if owner:
                problem = f"{name} is tagged as cluster {owner}'s own, and goes with it"
                raise SettingError(option, problem, "give one of yours, or leave it empty: one is made")
            if not profile["Roles"]:
                raise SettingError(option, f"{name} has no role", "put one into it first")
            found[role] = profile
    return found


def _looked_at(aws: Aws, option: str, name: str, find: Callable[[], Mapping[str, Any] | None]) -> Mapping[str, Any]:
    """What an option names, {} where the caller may not look at it. Raises SettingError where it is not there."""
    try:
        found = find()
    except ClientError as error:
        if classify(error) is not ErrorKind.DENIED:
            raise
        aws.console.say(f"{option}: {name} was not looked at, for that needs iam:{error.operation_name}")
        return {}
    if found is None:
        raise SettingError(option, f"account {aws.account} has no {name}", "give one that there is, or leave it empty")
    return found


def check_given_roles(aws: Aws, config: Config) -> None:
    """Raises SettingError for a brought instance profile, or a policy, that is not there. Changes nothing."""
    _brought(aws, config)
    named = [
        (_BOUNDARY, config.kube_iam_permissions_boundary),
        *((_POLICIES, arn) for arn in config.kube_node_policies),
    ]
    for option, arn in named:
        if arn:
            call = functools.partial(aws.iam.get_policy, PolicyArn=arn)
            _looked_at(aws, option, arn, functools.partial(_found, aws, call))


def tell_brought_roles(aws: Aws, config: Config, bucket: Bucket) -> None:
    """Warn of what brought roles may not do of what those may that are made, as IAM's simulation knows it."""
    for role, profile in _brought(aws, config).items():
        wanted = _policy(config, role, policy_values(aws, config, bucket))
        rights.tell_lacking(aws, _PROFILES[role], profile, wanted)


def master_role(aws: Aws, config: Config) -> str:
    """The master's role as its ARN ends, with the path that a brought one may have."""
    brought = _brought(aws, config).get("master")
    return str(brought["Roles"][0]["Arn"]).partition(":role/")[2] if brought else config.master_role


def take_off_former(aws: Aws, cluster: Cluster) -> None:
    """Take off the roles what the last run put on them, where it is not wanted any more: boundary and policies.

    Only what is remembered tells these from what somebody else put there. A run of one group leaves them.
    """
    config, was = cluster.config, cluster.layers.remembered
    if config.kube_use_existing_master:
        return
    boundary = was.get(_BOUNDARY, "")
    if boundary and not config.kube_iam_permissions_boundary:
        for name in names(config):
            _remove_boundary(aws, config, name, boundary)
    former = set(was.get(_POLICIES, "").replace(",", " ").split()) - set(config.kube_node_policies)
    role = find_role(aws, config.minion_role) if former else None
    if role and is_ours(config.cluster_id, tags_of(role)):
        for arn in sorted(former & set(_attached(aws, config.minion_role))):
            _detach(aws, config.minion_role, arn)


def _remove_boundary(aws: Aws, config: Config, name: str, boundary: str) -> None:
    role = find_role(aws, name)
    if role and is_ours(config.cluster_id, tags_of(role)) and _boundary_of(role) == boundary:
        aws.remove(
            "remove",
            f"permissions boundary {boundary} from role {name}",
            lambda: aws.iam.delete_role_permissions_boundary(RoleName=name),
        )


def _boundary_of(role: Mapping[str, Any]) -> str:
    return str(role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""))


def _attached(aws: Aws, name: str) -> list[str]:
    """The ARNs of the managed policies of a role; none of one that is not there, or not to be seen yet."""
    pages = aws.iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
    listed = unless("NoSuchEntity", lambda: [policy for page in pages for policy in page["AttachedPolicies"]])
    return [policy["PolicyArn"] for policy in listed or ()]


def _detach(aws: Aws, name: str, arn: str) -> None:
    call = functools.partial(aws.iam.detach_role_policy, RoleName=name, PolicyArn=arn)
    aws.remove("detach", f"policy {arn.rpartition('/')[2]} from {name}", call)


# --- what is made


def policy_values(aws: Aws, config: Config, bucket: Bucket) -> Mapping[str, str]:
    """What fills the placeholders of templates/iam."""
    return {
        "PARTITION": aws.partition,
        "DNS_SUFFIX": aws.dns_suffix,
        "REGION": aws.region,
        "ACCOUNT": aws.account,
        "CLUSTER_ID": config.cluster_id,
        "BUCKET": bucket.name,
        "PREFIX": bucket.prefix,
        "SNAPSHOT": bucket.key(objects.SNAPSHOT),
        "MASTER_NAME": config.master_name,
        "DISK": disk_name(config),
        "BROUGHT_ROUTE_TABLE": brought_table_id(aws, config),
        "BROUGHT_VPC": config.vpc_id or "none",
    }


def _ensure_profile(aws: Aws, config: Config, role: str, values: Mapping[str, str]) -> str:
    """The name of the role's instance profile: the brought one, or ours, with role and policy as templates/iam has."""
    name = _given(config, role)
    if name:
        aws.console.found(f"instance profile {name}, yours")
        return name
    name = role_name(config, role)
    policy = _policy(config, role, values)
    ensure_role(aws, config, name, trust=policy_document("trust", values), policy=policy)
    if role == "minion":
        _ensure_attached(aws, config, name)
    _ensure_instance_profile(aws, config, name)
    return name


def _ensure_attached(aws: Aws, config: Config, name: str) -> None:
    """Have KUBE_NODE_POLICIES attached to the role; what else somebody attached stays."""
    there = _attached(aws, name) if config.kube_node_policies else []
    for arn in config.kube_node_policies:
        if arn not in there:
            call = functools.partial(aws.iam.attach_role_policy, RoleName=name, PolicyArn=arn)
            aws.change("attach", f"policy {arn.rpartition('/')[2]} to {name}", call)


def _policy(config: Config, role: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Kubelets pull from ECR, and a minion's does nothing else on AWS, since its --cloud-provider is external.

    A master that AWS makes by itself makes its alarms itself, too, and where there are VolumeSnapshots the EBS driver
    makes them with the master's role; others have no right to.
    """
    parts = {
        "master-policy": role == "master",
        "master-alarms-policy": role == "master" and config.kube_master_self_heal,
        "master-snapshots-policy": role == "master" and config.kube_enable_volume_snapshots,
        "ecr-policy": True,
    }
    return joined([name for name, wish in parts.items() if wish], values)


def joined(names: Sequence[str], values: Mapping[str, str]) -> dict[str, Any]:
    """These documents of templates/iam as one policy.

    Statements that differ in their actions alone become the first of them: a role's inline policies may have 10,240
    characters in all (IAM's quotas).
    """
    documents = [policy_document(name, values) for name in names]
    statements: list[dict[str, Any]] = []
    for new in (statement for each in documents for statement in each["Statement"]):
        same = next((s for s in statements if {**s, "Sid": "", "Action": ""} == {**new, "Sid": "", "Action": ""}), None)
        if same:
            same["Action"] = [*_listed(same["Action"]), *_listed(new["Action"])]
        else:
            statements.append(new)
    return documents[0] | {"Statement": statements}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def ensure_role(aws: Aws, config: Config, name: str, *, trust: dict[str, Any], policy: dict[str, Any]) -> None:
    """The role of that name, with this trust and this inline policy."""
    _ensure_role(aws, config, name, trust)
    _ensure_policy(aws, name, policy)


def _ensure_role(aws: Aws, config: Config, name: str, trust: dict[str, Any]) -> None:
    found, boundary = find_role(aws, name), config.kube_iam_permissions_boundary
    if found is None:
        bounded: Any = {"PermissionsBoundary": boundary} if boundary else {}
        aws.make(
            f"role {name}",
            lambda: aws.iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=json.dumps(trust),
                Tags=tag_list(cluster_tags(config)),
                **bounded,
            )["Role"]["RoleName"],
            look=lambda: (find_role(aws, name) or {}).get("RoleName"),
        )
        return
    refuse_others(config.cluster_id, f"role {name}", tags_of(found), hint=_OTHER_NAMES)
    aws.console.found(f"role {name}")
    if _document(found["AssumeRolePolicyDocument"]) != trust:
        aws.change(
            "set",
            f"role {name}: trust {differs(_document(found['AssumeRolePolicyDocument']), trust)}",
            lambda: aws.iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust)),
        )
    if boundary and _boundary_of(found) != boundary:
        aws.change(
            "set",
            f"role {name}: {became('permissions boundary', _boundary_of(found) or 'none', boundary)}",
            lambda: aws.iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary),
        )
    if _lacks(found, cluster_tags(config)):
        words = f"role {name} with {tag_words(tags_of(found), cluster_tags(config))}"
        aws.change("tag", words, lambda: aws.iam.tag_role(RoleName=name, Tags=tag_list(cluster_tags(config))))


def differs(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """How a policy that is there differs from ours: the first parts of statements that do, old → new."""
    there, ours = _statements(found), _statements(wanted)
    parts = [f"{sid} → gone" for sid in there if sid not in ours]
    for sid, statement in ours.items():
        old = there.get(sid)
        if old is None:
            parts.append(f"{sid} was gone")
            continue
        keys = [key for key in {**statement, **old} if old.get(key) != statement.get(key)]
        parts += [f"{sid} {key} {_brief(old.get(key))} → {_brief(statement.get(key))}" for key in keys]
    return "; ".join(parts[:_FEW]) + (f"; and {len(parts) - _FEW} more" if len(parts) > _FEW else "")


def _statements(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A policy's statements by Sid, or by number."""
    listed: Any = document.get("Statement", [])
    return {
        str(statement.get("Sid", f"statement {number}")): statement
        for number, statement in enumerate([listed] if isinstance(listed, dict) else listed, 1)
    }


def _brief(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _BRIEF else f"{text[: _BRIEF - 1]}…"


def _ensure_policy(aws: Aws, name: str, wanted: dict[str, Any]) -> None:
    found = find_policy(aws, name)
    if found != wanted:
        text = json.dumps(wanted, separators=(",", ":"))
        aws.change(
            "set",
            f"policy of {name}" + (f": {differs(found, wanted)}" if found else ""),
            lambda: aws.iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=text),
        )


def _ensure_instance_profile(aws: Aws, config: Config, name: str) -> None:
    found = find_profile(aws, name)
    if found is None:
        aws.make(
            f"instance profile {name}",
            lambda: aws.iam.create_instance_profile(InstanceProfileName=name, Tags=tag_list(cluster_tags(config)))[
                "InstanceProfile"
            ]["InstanceProfileName"],
            look=lambda: (find_profile(aws, name) or {}).get("InstanceProfileName"),
        )
    else:
        refuse_others(config.cluster_id, f"instance profile {name}", tags_of(found), hint=_OTHER_NAMES)
        aws.console.found(f"instance profile {name}")
        if _lacks(found, cluster_tags(config)):
            aws.change(
                "tag",
                f"instance profile {name} with {tag_words(tags_of(found), cluster_tags(config))}",
                lambda: aws.iam.tag_instance_profile(InstanceProfileName=name, Tags=tag_list(cluster_tags(config))),
            )
    roles = [role["RoleName"] for role in found["Roles"]] if found else []
    for other in roles:
        if other != name:  # a profile holds one role
            _remove_from_profile(aws, profile=name, role=other)
    if name not in roles:
        aws.change(
            "add",
            f"role {name} to its instance profile",
            lambda: aws.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name),
            done_on=["LimitExceeded"],  # a profile holds one role, and ours is the one that bears its name
        )


def _lacks(found: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
    return not tags.items() <= tags_of(found).items()


def delete(aws: Aws, config: Config, it: Identity) -> None:
    """Remove a role or an instance profile, if it is there and ours by its tags. Profiles go before their roles."""
    (delete_role if it.kind == _ROLE else _delete_profile)(aws, config, it.name)


def _delete_profile(aws: Aws, config: Config, name: str) -> None:
    profile = find_profile(aws, name)
    if profile and is_ours(config.cluster_id, tags_of(profile)):
        for member in profile["Roles"]:
            _remove_from_profile(aws, profile=name, role=member["RoleName"])
        aws.remove(
            "delete", f"instance profile {name}", lambda: aws.iam.delete_instance_profile(InstanceProfileName=name)
        )


def delete_role(aws: Aws, config: Config, name: str) -> None:
    """Remove a role with its policies, if it is there and ours by its tags."""
    found = find_role(aws, name)
    if found and is_ours(config.cluster_id, tags_of(found)):
        # IAM deletes no role that has policies, its own or attached ones.
        _delete_policies(aws, name)
        call = functools.partial(aws.iam.delete_role, RoleName=name)
        aws.remove("delete", f"role {name}", call, retry_on=["DeleteConflict"])


def _remove_from_profile(aws: Aws, *, profile: str, role: str) -> None:
    aws.remove(
        "remove",
        f"role {role} from its instance profile",
        lambda: aws.iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role),
    )


def _delete_policies(aws: Aws, name: str) -> None:
    for page in aws.iam.get_paginator("list_role_policies").paginate(RoleName=name):
        for policy in page["PolicyNames"]:
            aws.remove(
                "delete",
                f"policy {policy} of {name}",
                functools.partial(aws.iam.delete_role_policy, RoleName=name, PolicyName=policy),
            )
    for arn in _attached(aws, name):
        _detach(aws, name, arn)


def names(config: Config) -> list[str]:
    """The names of the cluster's roles, as its settings have them."""
    return [*(role_name(config, role) for role in ROLES), config.healer_role]


def find_names(aws: Aws, config: Config) -> list[str]:
    """The same where nobody knows the VPC_NAME that is in them any more: with all that begin and end as they do.

    Whose each is, its tags say, which IAM does not list.
    """
    form = re.compile(rf"kubernetes-(master|minion|healer)-{re.escape(config.cluster_id)}-.+-{config.region}")
    found = dict.fromkeys(names(config))
    for operation, listed, key in (
        ("list_roles", "Roles", "RoleName"),
        ("list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ):
        try:
            pages: Any = aws.iam.get_paginator(operation).paginate()  # type: ignore[call-overload]
            found |= dict.fromkeys(each[key] for page in pages for each in page[listed] if form.fullmatch(each[key]))
        except ClientError as error:
            if classify(error) is not ErrorKind.DENIED:
                raise
            aws.console.warn(
                f"not looked for: roles and instance profiles of another VPC_NAME than {config.vpc_name}, for that "
                f"needs iam:{error.operation_name}; say the VPC_NAME that the cluster was made with"
            )
    return list(found)


def owned(aws: Aws, config: Config, names: Sequence[str]) -> list[Identity | Disputed]:
    """Those roles and profiles of these names that are there and the cluster's, with those in dispute."""
    profiles = [Identity(_PROFILE, name) for name in names if not name.startswith(_HEALER)]
    roles = [Identity(_ROLE, name) for name in names]
    there = [(each, find_profile(aws, each.name)) for each in profiles]
    there += [(each, find_role(aws, each.name)) for each in roles]
    cluster = config.cluster_id
    return [it for each, found in there if found for it in sorted_out(cluster, each, str(each), tags_of(found))]
