"""All that a simulated account holds, as plain data: for "before" and "after", and to compare two runs.

sandbox/backend/holdings.py reads it out of the account; this asks a running sandbox for it, without loading moto.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

from sandbox import surroundings

ID = re.compile(r"\b(?:[a-z]{1,9}|eni-attach|vpc-cidr-assoc)-[0-9a-f]{17}\b|\b(?:AROA|AIPA)[A-Z0-9]{16,17}\b")


# The changing calls that show in each kind, S3's and EventBridge Scheduler's by the service.
_SHOWS = (
    ("vpcs", "ec2: CreateVpc DeleteVpc ModifyVpcAttribute AssociateDhcpOptions CreateTags DeleteTags"),
    ("dhcp options", "ec2: CreateDhcpOptions DeleteDhcpOptions CreateTags"),
    ("subnets", "ec2: CreateSubnet DeleteSubnet CreateTags"),
    (
        "internet gateways",
        "ec2: CreateInternetGateway DeleteInternetGateway AttachInternetGateway DetachInternetGateway CreateTags",
    ),
    (
        "route tables",
        "ec2: CreateRouteTable DeleteRouteTable CreateRoute DeleteRoute ReplaceRoute AssociateRouteTable "
        "DisassociateRouteTable ReplaceRouteTableAssociation CreateTags",
    ),
    (
        "security groups",
        "ec2: CreateSecurityGroup DeleteSecurityGroup AuthorizeSecurityGroupIngress "
        "RevokeSecurityGroupIngress RevokeSecurityGroupEgress CreateTags",
    ),
    ("interfaces", "ec2: CreateNetworkInterface DeleteNetworkInterface ModifyNetworkInterfaceAttribute CreateTags"),
    ("addresses", "ec2: AllocateAddress ReleaseAddress AssociateAddress DisassociateAddress CreateTags"),
    ("volumes", "ec2: CreateVolume DeleteVolume ModifyVolume CreateTags"),
    (
        "instances",
        "ec2: RunInstances StartInstances StopInstances TerminateInstances ModifyInstanceAttribute CreateTags",
    ),
    ("nothing", "ec2: RebootInstances"),  # it leaves all as it was
    ("key pairs", "ec2: ImportKeyPair DeleteKeyPair CreateTags"),
    (
        "launch templates",
        "ec2: CreateLaunchTemplate CreateLaunchTemplateVersion ModifyLaunchTemplate DeleteLaunchTemplate CreateTags",
    ),
    (
        "groups",
        "autoscaling: CreateAutoScalingGroup UpdateAutoScalingGroup DeleteAutoScalingGroup CreateOrUpdateTags "
        "DeleteTags TerminateInstanceInAutoScalingGroup",
    ),
    ("launch configurations", "autoscaling: DeleteLaunchConfiguration"),
    ("alarms", "cloudwatch: PutMetricAlarm DeleteAlarms TagResource UntagResource"),
    ("load balancers", "elb: DeleteLoadBalancer"),
    ("load balancers", "elbv2: DeleteLoadBalancer"),
    ("target groups", "elbv2: DeleteTargetGroup"),
    (
        "roles",
        "iam: CreateRole DeleteRole PutRolePolicy DeleteRolePolicy AttachRolePolicy DetachRolePolicy "
        "UpdateAssumeRolePolicy TagRole UntagRole PutRolePermissionsBoundary DeleteRolePermissionsBoundary",
    ),
    (
        "identity providers",
        "iam: CreateOpenIDConnectProvider DeleteOpenIDConnectProvider TagOpenIDConnectProvider "
        "UntagOpenIDConnectProvider",
    ),
    (
        "instance profiles",
        "iam: CreateInstanceProfile DeleteInstanceProfile AddRoleToInstanceProfile "
        "RemoveRoleFromInstanceProfile TagInstanceProfile UntagInstanceProfile",
    ),
    ("s3", "s3: *"),
    ("schedule groups", "scheduler: *"),
    ("hosted zones", "route53: ChangeResourceRecordSets"),
)


def shows_in(service: str, operation: str) -> set[str]:
    """The kinds in which a changing call may show; an empty set for one of a kind that is not known here.

    What such a call leaves, no comparison of two inventories sees.
    """
    words = [(kind, *text.split()) for kind, text in _SHOWS]
    return {kind for kind, of, *does in words if of == f"{service}:" and {operation, "*"} & set(does)}


def digest(data: bytes | str) -> str:
    """A short name for content."""
    return "sha256:" + hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:16]


# --- masked ----------------------------------------------------------------------------------------------------------

ROUNDS = 4  # how far a thing may be from what tells it apart: disk, instance, interface, address


def masked(found: dict[str, Any]) -> dict[str, Any]:
    """The same with everything that AWS or chance chooses replaced: ids, elastic and EC2's addresses, contents.

    Two runs that made the same things give the same masked inventory. An id becomes its kind and a number, the same
    wherever the thing is mentioned; things are numbered by what they hold and by what mentions them.
    """
    names = _numbered(_entries(found))
    result: dict[str, Any] = json.loads(_blank(_renamed(json.dumps(found), lambda name: names.get(name, "<id>"))))
    for name, bucket in found.get("s3", {}).items():  # names made of content would otherwise fall together
        objects = [f"{_blank(key)} x{len(versions)}" for key, versions in bucket["objects"].items()]
        result["s3"][_blank(name)]["objects"] = sorted(objects)
    return result


def _entries(found: dict[str, Any]) -> dict[str, str]:
    """What each id stands for, as text; empty for ids that are only mentioned."""
    entries = dict.fromkeys(ID.findall(json.dumps(found)), "")
    for things in found.values():
        for listed in things.values():
            for name, entry in listed.items() if isinstance(listed, dict) else ():
                if name in entries:
                    entries[name] = json.dumps(entry, sort_keys=True)
    return entries


def _numbered(entries: dict[str, str]) -> dict[str, str]:
    marks = {name: digest(_blank(ID.sub("<id>", text))) for name, text in entries.items()}
    for _ in range(ROUNDS):
        marks = _refined(entries, marks)
    counts: dict[str, int] = {}
    numbers = {}
    for name in sorted(entries, key=lambda name: (_kind(name), marks[name])):
        kind = _kind(name)
        counts[kind] = counts.get(kind, 0) + 1
        numbers[name] = f"<{kind} {counts[kind]}>"
    return numbers


def _refined(entries: dict[str, str], marks: dict[str, str]) -> dict[str, str]:
    """Marks that also say how the things that a thing mentions, and that mention it, were marked before."""
    mentioned: dict[str, list[str]] = {name: [] for name in entries}
    for name, text in entries.items():
        for other in set(ID.findall(text)):
            mentioned[other].append(marks[name])
    return {
        name: digest(
            _blank(_renamed(text, lambda other: marks[other].replace("sha256:", "")))
            + marks[name]
            + " ".join(sorted(mentioned[name]))
        )
        for name, text in entries.items()
    }


def _renamed(text: str, rename: Callable[[str], str]) -> str:
    """JSON with other names for the ids in it. A list that was sorted by ids is sorted again, by the new ones."""

    def renamed(thing: Any) -> Any:
        if isinstance(thing, dict):
            return {renamed(key): renamed(value) for key, value in thing.items()}
        if isinstance(thing, list):
            by_id = all(isinstance(value, str) for value in thing) and any(ID.search(value) for value in thing)
            return sorted(map(renamed, thing)) if by_id else [renamed(value) for value in thing]
        return ID.sub(lambda match: rename(match.group()), thing) if isinstance(thing, str) else thing

    return json.dumps(renamed(json.loads(text)), sort_keys=True) if text else ""


def _kind(name: str) -> str:
    return name.rpartition("-")[0] or name[:4]


def _blank(text: str) -> str:
    text = re.sub(r"sha256:[0-9a-f]{16}\b", "<content>", text)
    hashes = (
        r"\b[0-9a-f]{64}\b|(?:(?<=\"KubernetesUserData\": \")|(?<=\"KubernetesUserData\", \"Value\": \"))[0-9a-f]{32}\b"
    )
    text = re.sub(hashes, "<hash>", text)
    return re.sub(r"\b(?:127|198\.1[89]|203\.0\.113)(?:\.\d+){1,3}\b", "<public>", text)


def main() -> int:
    """Print the inventory of the sandbox that this environment points to."""
    if not surroundings.is_inside(os.environ):
        print(f"inventory: {surroundings.OUTSIDE}", file=sys.stderr)
        return 125
    with urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL']}/_sandbox/inventory") as answer:
        inventory = answer.read().decode()
    try:
        print(inventory, flush=True)
    except BrokenPipeError:  # `head` has seen enough; Python's own flush at the end must not mind either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
