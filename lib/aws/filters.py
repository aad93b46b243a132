"""What a filtered answer of EC2's is held against before anything of it is taken, tagged or removed.

A filter that an emulator, a proxy or a typing error had ignored would otherwise name other people's things as found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lib.aws.tags import tags_of


def _each(resource: Any, part: str, key: str) -> list[Any]:
    return [found.get(key) for found in resource.get(part) or ()]


def _permitted(resource: Any, part: str) -> list[Any]:
    """The groups that rules of a security group name."""
    return [group for rule in resource.get(part) or () for group in _each(rule, "UserIdGroupPairs", "GroupId")]


# A filter's name, and where a described resource has what it asks for. Where two kinds have it in two places, both.
VALUES: Mapping[str, Callable[[Any], Iterable[Any]]] = {
    "accepter-vpc-info.vpc-id": lambda it: [it.get("AccepterVpcInfo", {}).get("VpcId")],
    "addresses.private-ip-address": lambda it: [
        it.get("PrivateIpAddress"),
        *_each(it, "PrivateIpAddresses", "PrivateIpAddress"),
    ],
    "association.main": lambda it: [str(main).lower() for main in _each(it, "Associations", "Main")],
    "association.subnet-id": lambda it: _each(it, "Associations", "SubnetId"),
    "attachment.vpc-id": lambda it: [*_each(it, "Attachments", "VpcId"), *_each(it, "VpcAttachments", "VpcId")],
    "dhcp-options-id": lambda it: [it.get("DhcpOptionsId")],
    "egress.ip-permission.group-id": lambda it: _permitted(it, "IpPermissionsEgress"),
    "group-id": lambda it: [it.get("GroupId"), *_each(it, "Groups", "GroupId")],
    "group-name": lambda it: [it.get("GroupName"), *_each(it, "Groups", "GroupName")],
    "image-id": lambda it: [it.get("ImageId")],
    "instance-state-name": lambda it: [it.get("State", {}).get("Name")],
    "instance-type": lambda it: [it.get("InstanceType")],
    "internet-gateway-id": lambda it: [it.get("InternetGatewayId")],
    "ip-permission.group-id": lambda it: _permitted(it, "IpPermissions"),
    "key": lambda it: [it.get("Key")],
    "key-name": lambda it: [it.get("KeyName")],
    "launch-template-name": lambda it: [it.get("LaunchTemplateName")],
    "public-ip": lambda it: [it.get("PublicIp")],
    "requester-vpc-info.vpc-id": lambda it: [it.get("RequesterVpcInfo", {}).get("VpcId")],
    "resource-id": lambda it: [it.get("ResourceId")],
    "route-table-id": lambda it: [it.get("RouteTableId")],
    "status": lambda it: [it.get("Status"), it.get("State")],
    "subnet-id": lambda it: [it.get("SubnetId")],
    "tag-key": lambda it: tags_of(it),
    "volume-id": lambda it: [it.get("VolumeId")],
    "vpc-id": lambda it: [it.get("VpcId")],
}


_TAG = "tag:"


def held(found: Sequence[Any], asked: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Those of `found` that match all filters; of reservations, each with those of its instances that do.

    Raises LookupError for a filter that is not known here: what it finds would be taken unseen.
    """
    if unknown := [each["Name"] for each in asked if not each["Name"].startswith(_TAG) and each["Name"] not in VALUES]:
        raise LookupError(f"no answer can be held against {', '.join(unknown)}: VALUES does not say where it shows")
    kept = []
    for each in found:
        if "Instances" in each and "ReservationId" in each:
            instances = held(each["Instances"], asked)
            kept += [{**each, "Instances": instances}] if instances else []
        elif all(_matches(each, one) for one in asked):
            kept.append(each)
    return kept


def _matches(resource: Any, asked: Mapping[str, Any]) -> bool:
    name, values = asked["Name"], asked["Values"]
    if name.startswith(_TAG):
        return tags_of(resource).get(name.removeprefix(_TAG)) in values
    return any(_fits(value, each) for value in VALUES[name](resource) for each in values)


def _fits(value: Any, asked: str) -> bool:
    """Whether it is what was asked for, or begins as that does before a * at its end."""
    return value == asked or (asked.endswith("*") and str(value).startswith(asked[:-1]))
