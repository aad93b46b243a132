"""The VPC: found by its tags, or brought as VPC_ID (the original's get_vpc_id and kube-up)."""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING, Any

from lib.aws.changes import Retry, Sole, never, one
from lib.aws.tags import cluster_tags, find_borne, find_ours, tag_specification, tags_of
from lib.cluster import Cluster
from lib.run.errors import SettingError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import VpcTypeDef

    from lib.aws.client import Aws
    from lib.settings.config import Config

DNS_ATTRIBUTES = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}


def find_vpc(aws: Aws, config: Config) -> VpcTypeDef | None:
    """The cluster's own VPC, None if there is none. Raises Ambiguous for two."""
    found = find_ours("VPC", functools.partial(_describe, aws), config.cluster_id, _id, name=config.vpc_name)
    return one("VPC", found, _id, claimed=aws.claimed)


def tagged_vpcs(aws: Aws, config: Config) -> list[VpcTypeDef]:
    """Every VPC with a tag of the cluster's."""
    return find_borne(functools.partial(_describe, aws), config.cluster_id, _id)


def _id(vpc: VpcTypeDef) -> str:
    return vpc["VpcId"]


def brought_vpc(aws: Aws, vpc_id: str) -> VpcTypeDef:
    """The VPC that the user named. Raises SettingError when it is not there."""
    found = _describe(aws, [{"Name": "vpc-id", "Values": [vpc_id]}])
    if not found:
        raise SettingError(
            "VPC_ID", f"there is no VPC {vpc_id} in {aws.region}", "give one of that region, or leave it empty"
        )
    return found[0]


def ranges(vpc: VpcTypeDef) -> list[str]:
    """Every IPv4 range that the VPC has, the first of which it was made with."""
    return [block["CidrBlock"] for block in vpc.get("CidrBlockAssociationSet", [])] or [vpc["CidrBlock"]]


def unmasqueraded(config: Config, blocks: list[str]) -> str:
    """What breaks where pods keep their own addresses towards one of the VPC's ranges, '' where they do not.

    The VPC's DNS server answers sources inside the VPC (kubernetes 15932, 17084), and a peer's, a VPN's or a database's
    subnet has no route to the pods' range.
    """
    inside = ipaddress.IPv4Network(config.non_masquerade_cidr)
    wrong = next((block for block in blocks if inside.overlaps(ipaddress.IPv4Network(block))), None)
    if wrong is None:
        return ""
    return (
        f"{inside} overlaps {wrong} of the VPC: pods keep their own addresses there, so the VPC's DNS server does not "
        "answer them, and peered, VPN and database hosts have no way back to them"
    )


def _describe(aws: Aws, filters: list[Any]) -> list[VpcTypeDef]:
    return aws.every("describe_vpcs", "Vpcs", Filters=filters)


def ensure_vpc(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with its VPC, made or repaired where it is ours; a brought one as it is.

    Its DNS support and host names are on: a node's name is its private DNS name.
    """
    return cluster.having(Cluster.vpc, _ensure(aws, cluster.config))


def _ensure(aws: Aws, config: Config) -> VpcTypeDef:
    if config.vpc_id:
        brought = brought_vpc(aws, config.vpc_id)
        aws.console.found(f"VPC {config.vpc_id} {brought['CidrBlock']}, yours")
        return brought
    vpc = find_vpc(aws, config)
    if vpc:
        aws.console.found(f"VPC {vpc['VpcId']} {vpc['CidrBlock']}")
        wrong = unmasqueraded(config, [block for block in ranges(vpc) if block != config.vpc_cidr])
        if wrong:  # preflight.check has looked at the range that it was made with
            aws.console.warn(f"NON_MASQUERADE_CIDR: {wrong}")
        aws.repair_tags(vpc["VpcId"], tags_of(vpc), _tags(config))
        _repair_dns(aws, vpc["VpcId"])
        return vpc
    return _make_vpc(aws, config)


def _tags(config: Config) -> dict[str, str]:
    return {"Name": config.vpc_name, **cluster_tags(config)}


def _make_vpc(aws: Aws, config: Config) -> VpcTypeDef:
    tags = tag_specification("vpc", _tags(config))

    def look() -> str | None:
        found = find_vpc(aws, config)
        return found["VpcId"] if found else None

    vpc_id = aws.make(
        f"VPC {config.vpc_name} {config.vpc_cidr}",
        lambda: aws.ec2.create_vpc(CidrBlock=config.vpc_cidr, TagSpecifications=tags)["Vpc"]["VpcId"],
        look=look,
        sole=Sole(
            "VPC",
            config.cluster_id,
            look,
            find=lambda vpc_id: next(iter(_describe(aws, [{"Name": "vpc-id", "Values": [vpc_id]}])), None),
            delete=lambda vpc_id: aws.ec2.delete_vpc(VpcId=vpc_id),
        ),
    )
    _enable_dns(aws, vpc_id, "enableDnsHostnames")  # EC2 switches DNS support on by itself
    return {"VpcId": vpc_id, "CidrBlock": config.vpc_cidr, "DhcpOptionsId": ""}


def _repair_dns(aws: Aws, vpc_id: str) -> None:
    for attribute, member in DNS_ATTRIBUTES.items():
        answer = aws.ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=attribute)  # type: ignore[arg-type]
        if not answer[member]["Value"]:  # type: ignore[literal-required]
            _enable_dns(aws, vpc_id, attribute)


def _enable_dns(aws: Aws, vpc_id: str, attribute: str) -> None:
    change = {DNS_ATTRIBUTES[attribute]: {"Value": True}}
    words = f"{vpc_id}: {attribute} false → true"
    aws.change("set", words, lambda: aws.ec2.modify_vpc_attribute(VpcId=vpc_id, **change))  # type: ignore[arg-type]


def delete_vpc(aws: Aws, vpc: VpcTypeDef, *, wait_if: Retry = never) -> None:
    """Remove our VPC once it is empty."""
    vpc_id = vpc["VpcId"]
    aws.remove("delete", f"VPC {vpc_id}", lambda: aws.ec2.delete_vpc(VpcId=vpc_id), retry_if=wait_if)
