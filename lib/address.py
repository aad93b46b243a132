"""The master's elastic IP: MASTER_RESERVED_IP, or the cluster's own (the original's assign-elastic-ip)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lib.aws.changes import Planned, Sole, one
from lib.aws.client import Aws
from lib.aws.tags import find_borne, find_ours, tag_specification, tags_of
from lib.cluster import Cluster
from lib.run.errors import SettingError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import AddressTypeDef

    from lib.settings.config import Config


def find_address(aws: Aws, config: Config) -> AddressTypeDef | None:
    """The cluster's own elastic IP, None if there is none. Raises Ambiguous for two."""
    name = config.master_name
    describe = functools.partial(_describe, aws)
    found = find_ours("elastic IP", describe, config.cluster_id, _id, name=name, role=name)
    return one("elastic IP", found, lambda a: f"{_id(a)} {a['PublicIp']}", claimed=aws.claimed)


def tagged_addresses(aws: Aws, config: Config) -> list[AddressTypeDef]:
    """Every elastic IP with a tag of the cluster's."""
    return find_borne(functools.partial(_describe, aws), config.cluster_id, _id)


def _describe(aws: Aws, filters: list[Any]) -> list[AddressTypeDef]:
    return aws.every("describe_addresses", "Addresses", Filters=filters)


def _id(address: AddressTypeDef) -> str:
    return address["AllocationId"]


def reserved_address(aws: Aws, config: Config) -> AddressTypeDef:
    """The address that the user brought. Raises SettingError when the account has it not in this region."""
    found = _describe(aws, [{"Name": "public-ip", "Values": [config.master_reserved_ip]}])
    if not found:
        raise SettingError(
            "MASTER_RESERVED_IP",
            f"account {aws.account} has no elastic IP {config.master_reserved_ip} in {aws.region}",
            "give one of its own there, or leave it empty",
        )
    return found[0]


def check_free(config: Config, address: AddressTypeDef, *, interface_id: str) -> None:
    """Raises SettingError when the brought address serves something that is not the master."""
    user = address.get("NetworkInterfaceId") or address.get("InstanceId")
    if user and user != interface_id:
        raise SettingError(
            "MASTER_RESERVED_IP",
            f"{config.master_reserved_ip} is in use by {user}",
            "give one that is free, or disassociate it first",
        )


def ensure_address(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the master's public address on its interface; '' with KUBE_ENABLE_MASTER_PUBLIC_IP=false."""
    if not cluster.config.kube_enable_master_public_ip:
        aws.console.say("the master has no public address (KUBE_ENABLE_MASTER_PUBLIC_IP=false)")
        return cluster.having(Cluster.public_ip, "")
    address = _brought_or_own(aws, cluster.config, tags=cluster.kept_tags)
    if address.get("NetworkInterfaceId") != cluster.interface_id:
        _associate(aws, cluster.config, address, interface_id=cluster.interface_id)
    return cluster.having(Cluster.public_ip, address["PublicIp"])


def _brought_or_own(aws: Aws, config: Config, *, tags: dict[str, str]) -> AddressTypeDef:
    if config.master_reserved_ip:
        address = reserved_address(aws, config)
        aws.console.found(f"elastic IP {address['PublicIp']}, yours")
        return address
    found = find_address(aws, config)
    if found:
        aws.console.found(f"elastic IP {found['PublicIp']}")
        aws.repair_tags(found["AllocationId"], tags_of(found), tags)
        return found
    return _make_address(aws, config, tags=tags)


def _make_address(aws: Aws, config: Config, *, tags: dict[str, str]) -> AddressTypeDef:
    # A change answers one id: the address that a person sees. What is called with the other one looks it up here.
    made: dict[str, AddressTypeDef] = {}

    def create() -> str:
        answer = aws.ec2.allocate_address(
            Domain="vpc", TagSpecifications=tag_specification("elastic-ip", tags), **_border_group(aws, config)
        )
        made[answer["PublicIp"]] = {"AllocationId": answer["AllocationId"], "PublicIp": answer["PublicIp"]}
        return answer["PublicIp"]

    def look() -> str | None:
        again = find_address(aws, config)
        if again:
            made[again["PublicIp"]] = again
        return again["PublicIp"] if again else None

    def find(public_ip: str) -> AddressTypeDef | None:
        found = _describe(aws, [{"Name": "public-ip", "Values": [public_ip]}])
        made.update({each["PublicIp"]: each for each in found})
        return found[0] if found else None

    sole = Sole(
        "elastic IP",
        config.cluster_id,
        look,
        find,
        delete=lambda public_ip: aws.ec2.release_address(AllocationId=made[public_ip]["AllocationId"]),
    )
    public_ip = aws.make("elastic IP", create, look=look, sole=sole)
    return made.get(public_ip, {"AllocationId": Planned("(new)"), "PublicIp": public_ip})


def _border_group(aws: Aws, config: Config) -> dict[str, Any]:
    """A local zone's own addresses; those of the region cannot be used there."""
    zone = config.kube_aws_zone
    if zone[:-1] == aws.region:  # a region's own zones bear its name and a letter
        return {}
    found = aws.ec2.describe_availability_zones(ZoneNames=[zone])["AvailabilityZones"]
    return {"NetworkBorderGroup": found[0]["NetworkBorderGroup"]}


def _associate(aws: Aws, config: Config, address: AddressTypeDef, *, interface_id: str) -> None:
    """Ours may be taken back from wherever someone put it; a brought one is never taken from another."""
    if config.master_reserved_ip:
        check_free(config, address, interface_id=interface_id)
    aws.change(
        "attach",
        f"{address['PublicIp']} to {interface_id}",
        lambda: aws.ec2.associate_address(
            AllocationId=address["AllocationId"],
            NetworkInterfaceId=interface_id,
            AllowReassociation=not config.master_reserved_ip,
        ),
    )


def disassociate(aws: Aws, address: AddressTypeDef) -> None:
    """Take the address off its interface."""
    if association := address.get("AssociationId"):
        aws.remove(
            "detach",
            f"{address['PublicIp']} from {address.get('NetworkInterfaceId', '?')}",
            lambda: aws.ec2.disassociate_address(AssociationId=association),
        )


def delete_address(aws: Aws, address: AddressTypeDef) -> None:
    """Release an address that up allocated. One that the user brought is never passed here.

    Just after it was disassociated, EC2 may still take it for one in use.
    """
    disassociate(aws, address)
    aws.remove(
        "release",
        f"elastic IP {address['PublicIp']}",
        lambda: aws.ec2.release_address(AllocationId=address["AllocationId"]),
        retry_on=["InvalidIPAddress.InUse"],
    )
