"""The two security groups and their rules (the original's create-security-group and the seven authorizations)."""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.aws.changes import Planned, Retry, never, one
from lib.aws.client import Aws
from lib.aws.errors import error_code
from lib.aws.tags import cluster_tags, find_borne, is_ours, refuse_others, tag_filters, tag_specification, tags_of
from lib.cluster import Cluster, SecurityGroups
from lib.loadbalancers import CONTROLLER_TAG

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SecurityGroupTypeDef

    from lib.settings.config import Config

# Marks the rules that follow a setting, so that a change of it takes away its old ranges and nobody else's.
ANYWHERE = "0.0.0.0/0"
SSH_RULE = "SSH_CIDR"
API_RULE = "HTTP_API_CIDR"
BALANCER_RULE = "KUBE_LOAD_BALANCER_CIDR"
_FOLLOW_SETTINGS = (SSH_RULE, API_RULE, BALANCER_RULE)
_NODE_PORTS = (30000, 32767)  # of Services; kubeadm leaves the API server's default
# How the cloud controller manager describes its rules for a network load balancer (cloud-provider-aws 1.37.0,
# pkg/providers/v1/aws.go); those for a classic one name the balancer's group.
_CONTROLLERS_RULE = "kubernetes.io/rule/nlb/"


@dataclass(frozen=True)
class Rule:
    """One ingress rule: everything from a group, or a TCP port from a range of addresses.

    What somebody made of one that follows a setting may be of another `protocol`, or go on to the port `last`.
    """

    group: str = ""
    cidr: str = ""
    port: int = 0
    setting: str = ""
    protocol: str = "tcp"
    last: int = 0

    def permission(self) -> dict[str, Any]:
        """The rule as EC2 takes it."""
        if self.group:
            return {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": self.group}]}
        ranges = [{"CidrIp": self.cidr, "Description": self.setting}]
        ports = {"FromPort": self.port, "ToPort": self.last or self.port} if self.protocol != "-1" else {}
        return {"IpProtocol": self.protocol, **ports, "IpRanges": ranges}

    def __str__(self) -> str:
        if self.group:
            return f"all from {self.group}"
        ports = f"{self.port}-{self.last}" if self.last else str(self.port)
        return f"{'all' if self.protocol == '-1' else f'{self.protocol}/{ports}'} from {self.cidr}"


def group_names(config: Config) -> tuple[str, str]:
    """The master's and the minions' group."""
    return f"kubernetes-master-{config.cluster_id}", f"kubernetes-minion-{config.cluster_id}"


def find_security_groups(aws: Aws, config: Config, *, vpc_id: str) -> dict[str, SecurityGroupTypeDef]:
    """The cluster's two groups by name, as far as they are there.

    Raises Ambiguous for two of a name, NotOurs for one that is tagged for another cluster.
    """
    if isinstance(vpc_id, Planned):
        return {}
    names = group_names(config)
    here: list[Any] = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": list(names)}]
    there = _describe(aws, here)
    for each in there:
        refuse_others(config.cluster_id, f"security group {each['GroupId']} {each['GroupName']}", tags_of(each))
    found = [each for each in there if is_ours(config.cluster_id, tags_of(each))]
    groups = {}
    for name in names:
        group = one(f"security group {name}", [g for g in found if g["GroupName"] == name], _id)
        if group:
            groups[name] = group
    return groups


def ensure_security_groups(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the master's and the minions' group, and their rules."""
    config, vpc_id = cluster.config, cluster.vpc_id
    found = find_security_groups(aws, config, vpc_id=vpc_id)
    master, minion = (
        _ensure_group(aws, config, found, name=name, role=role, vpc_id=vpc_id)
        for name, role in zip(group_names(config), ("master", "minion"), strict=True)
    )
    master_name, minion_name = group_names(config)
    for group_id, name, rules in (
        (master, master_name, master_rules(config, master=master, minion=minion)),
        (minion, minion_name, minion_rules(config, master=master, minion=minion)),
    ):
        _ensure_rules(aws, group_id, found.get(name), rules)
        if group := found.get(name):
            _warn_of_wider(aws, group, rules)
            _warn_of_closed(aws, group)
    if group := found.get(minion_name):
        _follow_balancers(aws, config, group, own={master, minion})
    return cluster.having(Cluster.groups, SecurityGroups(master=master, minion=minion))


def _warn_of_wider(aws: Aws, group: SecurityGroupTypeDef, wanted: Sequence[Rule]) -> None:
    """Say that a rule which is not up's lets more of the world reach a port than its setting does: it stays."""
    there = [
        (permission, each) for permission in group.get("IpPermissions", []) for each in permission.get("IpRanges", [])
    ]
    for rule in (each for each in wanted if each.cidr):
        for permission, each in there:
            said, cidr = each.get("Description", ""), each["CidrIp"]
            if said not in _FOLLOW_SETTINGS and _reaches(permission, rule.port) and _is_wider(cidr, rule.cidr):
                who = f"{cidr}, the whole internet," if cidr == ANYWHERE else cidr
                aws.console.differs(
                    f"{group['GroupId']} {group['GroupName']} lets {who} reach port {rule.port}, by a rule described "
                    f"as {said!r}, and {rule.setting} is {rule.cidr}: aws ec2 revoke-security-group-ingress --region "
                    f"{aws.region} --group-id {group['GroupId']} {_options(permission)} --cidr {cidr} ends that"
                )


def _reaches(permission: Any, port: int) -> bool:
    within = port in range(permission.get("FromPort", 0), permission.get("ToPort", 0) + 1)
    return permission["IpProtocol"] == "-1" or (permission["IpProtocol"] == "tcp" and within)


def _options(permission: Any) -> str:
    """A rule's protocol and ports as the AWS command takes them."""
    if permission["IpProtocol"] == "-1":
        return "--protocol all"
    return f"--protocol tcp --port {permission['FromPort']}-{permission['ToPort']}"


def _is_wider(cidr: str, than: str) -> bool:
    wide, narrow = ipaddress.IPv4Network(cidr), ipaddress.IPv4Network(than)
    return wide != narrow and wide.supernet_of(narrow)


def _warn_of_closed(aws: Aws, group: SecurityGroupTypeDef) -> None:
    """Say that not all goes out any more, as EC2 makes a group: somebody closed it, perhaps on purpose, so it stays."""
    everywhere = [
        reach["CidrIp"]
        for permission in group.get("IpPermissionsEgress", [])
        if permission["IpProtocol"] == "-1"
        for reach in permission.get("IpRanges", [])
    ]
    if ANYWHERE not in everywhere:
        aws.console.differs(
            f"{group['GroupId']} {group['GroupName']} does not let all out: aws ec2 authorize-security-group-egress "
            f"--region {aws.region} --group-id {group['GroupId']} --protocol all --cidr {ANYWHERE} gives that back"
        )


def _ensure_group(
    aws: Aws, config: Config, found: Mapping[str, SecurityGroupTypeDef], *, name: str, role: str, vpc_id: str
) -> str:
    group = found.get(name)
    if group:
        aws.console.found(f"security group {group['GroupId']} {name}")
        aws.repair_tags(group["GroupId"], tags_of(group), {"Name": name, **cluster_tags(config)})
        return group["GroupId"]

    def create() -> str:
        answer = aws.ec2.create_security_group(
            GroupName=name,
            Description=f"Kubernetes security group applied to {role} nodes",
            VpcId=vpc_id,
            TagSpecifications=tag_specification("security-group", {"Name": name, **cluster_tags(config)}),
        )
        return answer["GroupId"]

    def look() -> str | None:
        again = find_security_groups(aws, config, vpc_id=vpc_id).get(name)
        return again["GroupId"] if again else None

    # No claim in the bucket: a VPC has one group of a name, so EC2 itself refuses a second run's.
    return aws.make(f"security group {name}", create, look=look)


def master_rules(config: Config, *, master: str, minion: str) -> list[Rule]:
    """Everything within the cluster; ssh and the API from the ranges of the settings."""
    api = [Rule(cidr=cidr, port=config.kube_api_port, setting=API_RULE) for cidr in config.http_api_cidr]
    return [Rule(group=master), Rule(group=minion), *_ssh_rules(config), *api]


def minion_rules(config: Config, *, master: str, minion: str) -> list[Rule]:
    """Everything within the cluster; ssh, and load balancers with their option, from the ranges of the settings."""
    first, last = _NODE_PORTS
    balancers = [
        Rule(cidr=cidr, port=first, last=last, protocol=protocol, setting=BALANCER_RULE)
        for cidr in config.kube_load_balancer_cidr
        for protocol in ("tcp", "udp")
    ]
    return [Rule(group=minion), Rule(group=master), *_ssh_rules(config), *balancers]


def _follow_balancers(aws: Aws, config: Config, group: SecurityGroupTypeDef, *, own: Collection[str]) -> None:
    """Take out the controller's rules for each load balancer where one rule is for all; it puts none there any more.

    Where that was so and is not any longer, say until when none reaches a minion. Whether the master was made with it
    is not known: its user-data tells only whether it is today's.
    """
    group_id = group["GroupId"]
    if not config.kube_load_balancer_cidr:
        if any(rule.setting == BALANCER_RULE for rule in rules_of(group)):
            aws.console.warn(
                f"{BALANCER_RULE} is set no longer: load balancers reach no minion until the cloud controller manager "
                "lets each of them in again: soon, where the master was made without the option; one that was made "
                "with it has to be made anew for that (KUBE_REPLACE_MASTER)"
            )
        return
    named = {pair["GroupId"] for each in group.get("IpPermissions", []) for pair in each.get("UserIdGroupPairs", [])}
    strangers = sorted(named - set(own))
    there = _describe(aws, [{"Name": "group-id", "Values": strangers}]) if strangers else []
    balancers = {each["GroupId"] for each in there if is_ours(config.cluster_id, tags_of(each))}
    listed = [*_naming(balancers, group.get("IpPermissions", [])), *_described_so(group.get("IpPermissions", []))]
    if listed:
        aws.change(
            "forbid",
            f"what the cloud controller manager let in to {group_id} for each load balancer",
            lambda: aws.ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=listed),
            done_on=["InvalidPermission.NotFound"],
        )


def _described_so(permissions: Sequence[Any]) -> list[Any]:
    """The controller's rules for network load balancers, as EC2 takes them."""
    return [
        {**_ports(permission), "IpRanges": [each]}
        for permission in permissions
        for each in permission.get("IpRanges", [])
        if each.get("Description", "").startswith(_CONTROLLERS_RULE)
    ]


def _ssh_rules(config: Config) -> list[Rule]:
    return [Rule(cidr=cidr, port=22, setting=SSH_RULE) for cidr in config.ssh_cidr]


def _ensure_rules(aws: Aws, group_id: str, group: SecurityGroupTypeDef | None, wanted: Sequence[Rule]) -> None:
    present = rules_of(group) if group else []
    known = {dataclasses.replace(rule, setting=""): rule.setting for rule in present}
    missing = [rule for rule in wanted if dataclasses.replace(rule, setting="") not in known]
    stale = [rule for rule in present if rule.setting in _FOLLOW_SETTINGS and rule not in wanted]
    # First what is let in, then what is not any more: whoever both ranges have in them is never shut out.
    if missing:
        words = f"{', '.join(map(str, missing))} to {group_id}"
        aws.change("allow", words, lambda: _authorize(aws, group_id, missing))
    if stale:
        aws.change(
            "forbid",
            f"{', '.join(map(str, stale))} to {group_id}",
            lambda: aws.ec2.revoke_security_group_ingress(
                GroupId=group_id,
                IpPermissions=[rule.permission() for rule in stale],  # type: ignore[misc]
            ),
            done_on=["InvalidPermission.NotFound"],
        )

    for rule in wanted:
        there = known.get(dataclasses.replace(rule, setting=""), rule.setting)
        if there != rule.setting:
            aws.console.differs(
                f"{group_id} has a rule {rule} described as {there!r}, so it stays whatever {rule.setting} is set to: "
                f"aws ec2 update-security-group-rule-descriptions-ingress --region {aws.region} --group-id {group_id} "
                f"--ip-permissions '{json.dumps([rule.permission()])}' makes it follow {rule.setting} again"
            )


def _authorize(aws: Aws, group_id: str, rules: Sequence[Rule]) -> None:
    """All rules in one call; one by one where another run was first with some, since EC2 then refuses them all."""
    try:
        permissions: list[Any] = [rule.permission() for rule in rules]
        aws.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=permissions)
    except ClientError as error:
        if error_code(error) != "InvalidPermission.Duplicate":
            raise
        if len(rules) > 1:
            for rule in rules:
                _authorize(aws, group_id, [rule])


def rules_of(group: SecurityGroupTypeDef) -> list[Rule]:
    """The rules of a described group that are from groups, as up makes them, or from ranges of addresses."""
    rules = []
    for permission in group.get("IpPermissions", []):
        if permission["IpProtocol"] == "-1":
            rules += [Rule(group=pair["GroupId"]) for pair in permission.get("UserIdGroupPairs", [])]
        first, last = permission.get("FromPort", 0), permission.get("ToPort", 0)
        rules += [
            Rule(
                cidr=r["CidrIp"],
                port=first,
                setting=r.get("Description", ""),
                protocol=permission["IpProtocol"],
                last=last if last != first else 0,
            )
            for r in permission.get("IpRanges", [])
        ]
    return rules


def tagged_security_groups(aws: Aws, config: Config) -> list[SecurityGroupTypeDef]:
    """Every group with a tag of the cluster's: its two, and those made for load balancers."""
    by_controller = _describe(aws, tag_filters({CONTROLLER_TAG: config.cluster_id}))
    found = {_id(group): group for group in by_controller}
    found |= {_id(group): group for group in find_borne(functools.partial(_describe, aws), config.cluster_id, _id)}
    return list(found.values())


def _describe(aws: Aws, filters: list[Any]) -> list[SecurityGroupTypeDef]:
    return aws.every("describe_security_groups", "SecurityGroups", Filters=filters)


def _id(group: SecurityGroupTypeDef) -> str:
    return group["GroupId"]


def revoke_references(
    groups: Sequence[SecurityGroupTypeDef],
) -> Callable[[Aws, SecurityGroupTypeDef], None]:
    """A function that takes out of one of our `groups` the rules that name any of them, so that all can go.

    Inward and outward: an outward one keeps the group that it names just as well. Rules of other people's groups are
    theirs to change.
    """
    ours = {group["GroupId"] for group in groups}

    def revoke(aws: Aws, group: SecurityGroupTypeDef) -> None:
        ingress = _naming(ours, group.get("IpPermissions", []))
        egress = _naming(ours, group.get("IpPermissionsEgress", []))
        group_id = group["GroupId"]
        for what, permissions, call in (
            ("rules between groups", ingress, aws.ec2.revoke_security_group_ingress),
            ("outward rules between groups", egress, aws.ec2.revoke_security_group_egress),
        ):
            if permissions:
                revoke = functools.partial(call, GroupId=group_id, IpPermissions=permissions)
                aws.remove("remove", f"{what} from {group_id}", revoke)

    return revoke


def _naming(ours: Collection[str], permissions: Sequence[Any]) -> list[Any]:
    """Those of the rules that name one of our groups, as EC2 takes them."""
    return [
        {**_ports(permission), "UserIdGroupPairs": [{"GroupId": pair["GroupId"]}]}
        for permission in permissions
        for pair in permission.get("UserIdGroupPairs", [])
        if pair.get("GroupId") in ours
    ]


def _ports(permission: Any) -> dict[str, Any]:
    return {key: permission[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in permission}


def delete_security_group(aws: Aws, group: SecurityGroupTypeDef, *, wait_if: Retry = never) -> None:
    """Remove a group of ours once no interface uses it."""
    group_id = group["GroupId"]
    words = f"security group {group_id} {group['GroupName']}"
    aws.remove("delete", words, lambda: aws.ec2.delete_security_group(GroupId=group_id), retry_if=wait_if)
