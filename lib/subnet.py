"""The subnet in the zone: found by its tags, or brought as SUBNET_ID (the original's get_subnet_id and kube-up)."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib.aws.changes import Planned, Retry, never, one
from lib.aws.tags import cluster_tags, find_borne, find_ours, other_owner, tag_specification, tags_of
from lib.cluster import Cluster
from lib.run.errors import AwsRefusal, SettingError
from lib.vpc import ranges

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SubnetTypeDef, VpcTypeDef

    from lib.aws.client import Aws
    from lib.settings.config import Config


def all_subnets(aws: Aws, *, vpc_id: str) -> list[SubnetTypeDef]:
    """Every subnet of the VPC, whoever made it."""
    return _describe(aws, [{"Name": "vpc-id", "Values": [vpc_id]}])


def find_subnets(aws: Aws, config: Config, *, vpc_id: str) -> Sequence[SubnetTypeDef]:
    """All of the cluster's own subnets in the VPC, in every zone."""
    if isinstance(vpc_id, Planned):
        return []
    in_vpc: Any = {"Name": "vpc-id", "Values": [vpc_id]}
    return find_ours("subnet", lambda filters: _describe(aws, [*filters, in_vpc]), config.cluster_id, _id)


def tagged_subnets(aws: Aws, config: Config) -> list[SubnetTypeDef]:
    """Every subnet with a tag of the cluster's."""
    return find_borne(functools.partial(_describe, aws), config.cluster_id, _id)


def _describe(aws: Aws, filters: list[Any]) -> list[SubnetTypeDef]:
    return aws.every("describe_subnets", "Subnets", Filters=filters)


def _id(subnet: SubnetTypeDef) -> str:
    return subnet["SubnetId"]


def find_subnet(aws: Aws, config: Config, *, vpc_id: str) -> SubnetTypeDef | None:
    """The cluster's subnet in the zone, None if there is none. Raises Ambiguous for two.

    A zone may hold several (KUBE_USE_EXISTING_MASTER makes them): KUBE_SUBNET_CIDR tells which is meant.
    """
    found = [s for s in find_subnets(aws, config, vpc_id=vpc_id) if s["AvailabilityZone"] == config.kube_aws_zone]
    if config.kube_use_existing_master or len(found) > 1:
        found = [s for s in found if s["CidrBlock"] == config.subnet_cidr]
    return one(
        f"subnet of the cluster in {config.kube_aws_zone}",
        found,
        _id,
        hint="KUBE_SUBNET_CIDR or SUBNET_ID says which one is meant",
    )


def brought_subnet(aws: Aws, config: Config) -> SubnetTypeDef:
    """The subnet that the user named. Raises SettingError when it is not there, or not in the zone or the VPC."""
    found = _describe(aws, [{"Name": "subnet-id", "Values": [config.subnet_id]}])
    if not found:
        raise SettingError(
            "SUBNET_ID", f"there is no {config.subnet_id} in {aws.region}", "give one of that region, or leave it empty"
        )
    subnet = found[0]
    if subnet["AvailabilityZone"] != config.kube_aws_zone:
        where = subnet["AvailabilityZone"]
        raise SettingError(
            "SUBNET_ID",
            f"{config.subnet_id} is in {where}",
            f"set KUBE_AWS_ZONE={where}, or give a subnet of {config.kube_aws_zone}",
        )
    if config.vpc_id and subnet["VpcId"] != config.vpc_id:
        raise SettingError(
            "SUBNET_ID",
            f"{config.subnet_id} is in {subnet['VpcId']}",
            f"give a subnet of {config.vpc_id}, or set VPC_ID={subnet['VpcId']}",
        )
    return subnet


def ensure_subnet(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with its subnet, made if it is not there.

    Raises SettingError when its range does not fit into the VPC.
    """
    return cluster.having(Cluster.subnet, _ensure(aws, cluster.config, cluster.vpc))


def _ensure(aws: Aws, config: Config, vpc: VpcTypeDef) -> SubnetTypeDef:
    if config.subnet_id:
        subnet = brought_subnet(aws, config)
        aws.console.found(f"subnet {config.subnet_id} {subnet['CidrBlock']}, yours")
        return subnet
    found = find_subnet(aws, config, vpc_id=vpc["VpcId"])
    if found:
        aws.console.found(f"subnet {found['SubnetId']} {found['CidrBlock']} in {found['AvailabilityZone']}")
        aws.repair_tags(found["SubnetId"], tags_of(found), _tags(config))
        return found
    check_inside(config, vpc)
    return _make_subnet(aws, config, vpc_id=vpc["VpcId"])


def check_inside(config: Config, vpc: VpcTypeDef) -> None:
    """Raises SettingError when the subnet's range is not one of the VPC's."""
    blocks = ranges(vpc)
    wanted = ipaddress.IPv4Network(config.subnet_cidr)
    if not any(wanted.subnet_of(ipaddress.IPv4Network(block)) for block in blocks):
        raise SettingError(
            "KUBE_SUBNET_CIDR",
            f"{config.subnet_cidr} is not inside {vpc['VpcId']}, which has {', '.join(blocks)}",
            "give a range inside it that no subnet uses",
        )


def _tags(config: Config) -> dict[str, str]:
    return {"Name": f"{config.cluster_id}-{config.kube_aws_zone}", **cluster_tags(config)}


def _make_subnet(aws: Aws, config: Config, *, vpc_id: str) -> SubnetTypeDef:
    tags = tag_specification("subnet", _tags(config))

    def create() -> str:
        answer = aws.ec2.create_subnet(
            CidrBlock=config.subnet_cidr, VpcId=vpc_id, AvailabilityZone=config.kube_aws_zone, TagSpecifications=tags
        )
        return answer["Subnet"]["SubnetId"]

    # No claim in the bucket: two subnets of a VPC cannot share addresses, so EC2 itself refuses a second run's.
    def look() -> str | None:
        again = find_subnet(aws, config, vpc_id=vpc_id)
        return again["SubnetId"] if again else None

    try:
        subnet_id = aws.make(f"subnet {config.subnet_cidr} in {config.kube_aws_zone}", create, look=look)
    except AwsRefusal as refused:
        if refused.code == "InvalidSubnet.Conflict":
            others = ", ".join(_overlapping(aws, config, vpc_id=vpc_id))
            refused.hint = f"in its way: {others}; give another KUBE_SUBNET_CIDR, or a subnet of yours its tags back"
        raise
    return {
        "SubnetId": subnet_id,
        "CidrBlock": config.subnet_cidr,
        "AvailabilityZone": config.kube_aws_zone,
        "VpcId": vpc_id,
    }


def _overlapping(aws: Aws, config: Config, *, vpc_id: str) -> list[str]:
    """The subnets of the VPC that have addresses of ours, with whose they are by their tags."""
    wanted = ipaddress.IPv4Network(config.subnet_cidr)
    there = [
        each for each in all_subnets(aws, vpc_id=vpc_id) if wanted.overlaps(ipaddress.IPv4Network(each["CidrBlock"]))
    ]
    owners = [other_owner(config.cluster_id, tags_of(each)) for each in there]
    return [
        f"{each['SubnetId']} {each['CidrBlock']}" + (f" of cluster {owner}" if owner else "")
        for each, owner in zip(there, owners, strict=True)
    ]


def delete_subnet(aws: Aws, subnet: SubnetTypeDef, *, wait_if: Retry = never) -> None:
    """Remove a subnet of ours once nothing is in it."""
    subnet_id = subnet["SubnetId"]
    aws.remove("delete", f"subnet {subnet_id}", lambda: aws.ec2.delete_subnet(SubnetId=subnet_id), retry_if=wait_if)
