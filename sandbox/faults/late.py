"""Eventual consistency: what was just made is not found for a while, by describe, by get or by use.

https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
A new bucket is not there at once. Objects in S3 are, save what is put just after versions were first kept: then GET and
HEAD may answer 404. What an id is made of (rules, routes, tags) is not late by itself.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.calls import Answer, Call, Refusal
from sandbox.faults import note
from sandbox.world import Spec, World


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of EC2's: how its ids begin, their XML element, what makes and lists it, the refusal of one not there."""

    prefix: str
    element: str
    makes: str
    lists: str
    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Named:
    """A kind that is known by name: by which parameter, and the same of it."""

    service: str
    parameter: str
    makes: str
    lists: str
    code: str
    words: str
    status: int = 400


_ID = "The {} ID '{{}}' does not exist"
KINDS = (
    Kind("vpc-", "vpcId", "CreateVpc", "DescribeVpcs", "InvalidVpcID.NotFound", _ID.format("vpc")),
    Kind("subnet-", "subnetId", "CreateSubnet", "DescribeSubnets", "InvalidSubnetID.NotFound", _ID.format("subnet")),
    Kind(
        "sg-",
        "groupId",
        "CreateSecurityGroup",
        "DescribeSecurityGroups",
        "InvalidGroup.NotFound",
        "The security group '{}' does not exist",
    ),
    Kind(
        "igw-",
        "internetGatewayId",
        "CreateInternetGateway",
        "DescribeInternetGateways",
        "InvalidInternetGatewayID.NotFound",
        _ID.format("internetGateway"),
    ),
    Kind(
        "rtb-",
        "routeTableId",
        "CreateRouteTable",
        "DescribeRouteTables",
        "InvalidRouteTableID.NotFound",
        _ID.format("routeTable"),
    ),
    Kind(
        "dopt-",
        "dhcpOptionsId",
        "CreateDhcpOptions",
        "DescribeDhcpOptions",
        "InvalidDhcpOptionID.NotFound",
        _ID.format("dhcpOption"),
    ),
    Kind(
        "eni-",
        "networkInterfaceId",
        "CreateNetworkInterface",
        "DescribeNetworkInterfaces",
        "InvalidNetworkInterfaceID.NotFound",
        _ID.format("networkInterface"),
    ),
    Kind(
        "eipalloc-",
        "allocationId",
        "AllocateAddress",
        "DescribeAddresses",
        "InvalidAllocationID.NotFound",
        _ID.format("allocation"),
    ),
    Kind(
        "vol-",
        "volumeId",
        "CreateVolume",
        "DescribeVolumes",
        "InvalidVolume.NotFound",
        "The volume '{}' does not exist.",
    ),
    Kind("i-", "instanceId", "RunInstances", "DescribeInstances", "InvalidInstanceID.NotFound", _ID.format("instance")),
    Kind(
        "lt-",
        "launchTemplateId",
        "CreateLaunchTemplate",
        "DescribeLaunchTemplates",
        "InvalidLaunchTemplateId.NotFound",
        "The specified launch template, with template ID {}, does not exist.",
    ),
    Kind(
        "key-",
        "keyPairId",
        "ImportKeyPair",
        "DescribeKeyPairs",
        "InvalidKeyPair.NotFound",
        "The key pair '{}' does not exist",
    ),
)
NAMES = (
    Named("ec2", "KeyName", "ImportKeyPair", "", "InvalidKeyPair.NotFound", "The key pair '{}' does not exist"),
    Named(
        "ec2",
        "LaunchTemplateName",
        "CreateLaunchTemplate",
        "",
        "InvalidLaunchTemplateName.NotFoundException",
        "The specified launch template, with template name {}, does not exist.",
    ),
    Named("iam", "RoleName", "CreateRole", "ListRoles", "NoSuchEntity", "The role with name {} cannot be found.", 404),
    Named(
        "iam",
        "InstanceProfileName",
        "CreateInstanceProfile",
        "ListInstanceProfiles",
        "NoSuchEntity",
        "Instance Profile {} cannot be found.",
        404,
    ),
    Named("s3", "Bucket", "CreateBucket", "", "NoSuchBucket", "The specified bucket does not exist", 404),
    Named(
        "autoscaling",
        "AutoScalingGroupName",
        "CreateAutoScalingGroup",
        "DescribeAutoScalingGroups",
        "ValidationError",
        "AutoScalingGroup name not found - AutoScalingGroup '{}' not found",
    ),
)
# Filters find nothing instead of refusing; the rest is looked at only when something is made of it.
UNCHECKED = ("Filters", "TagSpecifications", "LaunchTemplateData", "UserData", "ClientToken", "Tags")
_VERSIONS = "versions"  # where it is known which buckets have just begun to keep them
TEMPLATE = "You must use a valid fully-formed launch template. "


class Late:
    """What COMMAND makes is not found for so many seconds of the sandbox's clock after it was made."""

    def __init__(self, world: World, seconds: float) -> None:
        self._world, self._seconds = world, seconds

    def rules(self, call: Call) -> None:
        """Refuse what names a thing that is not to be seen yet."""
        if not call.number:
            return
        for refusal in (*self._unseen_names(call), *self._unseen_ids(call), *self._unseen_objects(call)):
            note(call, "late")
            raise refusal

    def launches(self, region: str, spec: Spec, _count: int) -> None:
        """The same for what a launch template names."""
        for found in self._hidden_ids(region, spec):
            raise _not_found(found)

    def after(self, call: Call, answer: Answer) -> Answer:
        """Hide what was made, and leave what is hidden out of lists."""
        if answer.refused or not call.number:
            return answer
        self._hide(call, answer)
        self._hide_objects(call)
        element = _listed(call)
        hidden = self._hidden(call.region if call.service == "ec2" else f"{element} {_place(call)}")
        if element and hidden:
            everything = bool(hidden & set(_texts(call.params.get("Filters"))))
            body = without(answer.body, element, hidden, everything=everything)
            if body != answer.body:
                note(call, "late")
                answer.body = body
        return answer

    # --- what is hidden

    def _hidden(self, place: str) -> set[str]:
        return {
            name for (where, name), due in self._world.state.late.items() if where == place and due > self._world.now
        }

    def _hide(self, call: Call, answer: Answer) -> None:
        due = self._world.now + self._seconds
        hidden = self._world.state.late
        for where, name in _made(call, answer):
            # An id that is made again is a repeated call's; a name can have gone and come back, which is late anew.
            if where != call.region and hidden.get((where, name), due) <= self._world.now:
                hidden.pop((where, name), None)
            hidden.setdefault((where, name), due)
        if call.operation in ("CreateInstanceProfile", "AddRoleToInstanceProfile"):
            known = self._world.state.profiles
            name = call.params["InstanceProfileName"]
            known[name] = max(known.get(name, 0.0), due)  # EC2 learns of it as late as everybody

    def _hide_objects(self, call: Call) -> None:
        """What is put while a bucket begins to keep versions is seen when that is known everywhere."""
        if call.service != "s3":
            return
        hidden, bucket = self._world.state.late, call.params.get("Bucket", "")
        begins = (_VERSIONS, bucket)
        if call.operation == "CreateBucket":
            hidden.pop(begins, None)
        elif call.operation == "PutBucketVersioning":
            hidden.setdefault(begins, self._world.now + self._seconds)  # only the first time
        elif call.operation == "PutObject" and bucket in self._hidden(_VERSIONS):
            hidden[f"{_VERSIONS} {bucket}", call.params["Key"]] = hidden[begins]

    def _unseen_objects(self, call: Call) -> Iterator[Refusal]:
        asks = call.service == "s3" and call.operation in ("GetObject", "HeadObject")
        if asks and call.params["Key"] in self._hidden(f"{_VERSIONS} {call.params['Bucket']}"):
            yield Refusal("NoSuchKey", "The specified key does not exist.", 404)

    def _unseen_names(self, call: Call) -> Iterator[Refusal]:
        for kind in NAMES:
            name = call.params.get(kind.parameter)
            here = kind.service == call.service and kind.makes != call.operation
            asks = kind.service == "autoscaling" and not call.changes  # which lists, and refuses nothing
            if here and name and not asks and name in self._hidden(f"{kind.parameter} {_place(call)}"):
                yield Refusal(kind.code, kind.words.format(name), kind.status)

    def _unseen_ids(self, call: Call) -> Iterator[Refusal]:
        for found in self._hidden_ids(call.region, call.params):
            refusal = _not_found(found)
            if call.service == "autoscaling":
                words = TEMPLATE + refusal.message if found.startswith("lt-") else refusal.message
                refusal = Refusal("ValidationError", words)
            yield refusal

    def _hidden_ids(self, region: str, params: Any) -> list[str]:
        hidden = self._hidden(region)
        return [text for text in _texts(params) if text in hidden] if hidden else []


def _place(call: Call) -> str:
    """IAM's names and buckets' are everywhere the same."""
    return call.region if call.service in ("ec2", "autoscaling") else ""


def _made(call: Call, answer: Answer) -> Iterator[tuple[str, str]]:
    """Where and under which id or name what the call has made is known: ids by region, names by parameter too."""
    for kind in KINDS if call.service == "ec2" else ():
        if kind.makes == call.operation:
            text = answer.body.decode("utf-8", "replace")
            for found in re.findall(f"<{kind.element}>([^<]+)</{kind.element}>", text):
                yield call.region, found
    for named in NAMES:
        if (named.service, named.makes) == (call.service, call.operation):
            yield f"{named.parameter} {_place(call)}", call.params[named.parameter]


def _listed(call: Call) -> str:
    """The XML element by which a list names its things; '' for what is no list."""
    if call.service == "ec2":
        return next((kind.element for kind in KINDS if kind.lists == call.operation), "")
    lists = (named.parameter for named in NAMES if (named.service, named.lists) == (call.service, call.operation))
    return next(lists, "")


def _not_found(found: str) -> Refusal:
    kind = next(kind for kind in KINDS if found.startswith(kind.prefix))
    return Refusal(kind.code, kind.words.format(found))


def _texts(value: Any) -> Iterator[str]:
    """Every string in parameters that AWS looks at, lists of ids in one string taken apart."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in UNCHECKED:
                yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield from (part.strip() for part in value.split(","))


def without(body: bytes, element: str, hidden: set[str], *, everything: bool = False) -> bytes:
    """An answer's XML without the list's things of these names, or without any."""
    root = ET.fromstring(body)
    parents = {child: parent for parent in root.iter() for child in parent}
    gone = False
    for item in [item for item in parents if _tag(item) in ("item", "member")]:
        named = [child.text for child in item if _tag(child) == element]
        if named and (everything or named[0] in hidden):
            gone = True
            parents[item].remove(item)
            if _tag(parents[item]) == "instancesSet" and not len(parents[item]):  # a reservation goes with its last
                reservation = parents[parents[item]]
                parents[reservation].remove(reservation)
    return ET.tostring(root, xml_declaration=True, encoding="UTF-8") if gone else body


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
