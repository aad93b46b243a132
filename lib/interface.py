"""The master's network interface: it holds MASTER_INTERNAL_IP while masters come and go.

An interface can be in one instance at a time, so it is also what keeps two masters from ever living at once.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from lib.aws.changes import became, one
from lib.aws.client import Aws
from lib.aws.tags import find_borne, find_ours, tag_specification, tags_of
from lib.cluster import Cluster
from lib.run.errors import KubeError, SettingError
from lib.settings import limits
from lib.settings.config import Config, master_address

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import NetworkInterfaceTypeDef


def find_interface(aws: Aws, config: Config) -> NetworkInterfaceTypeDef | None:
    """The master's interface, None if there is none. Raises Ambiguous for two."""
    name = config.master_name
    what, describe = "network interface of the master", functools.partial(_describe, aws)
    return one(what, find_ours(what, describe, config.cluster_id, _id, name=name, role=name), _id)


def _describe(aws: Aws, filters: list[Any]) -> list[NetworkInterfaceTypeDef]:
    return aws.every("describe_network_interfaces", "NetworkInterfaces", Filters=filters)


def _id(interface: NetworkInterfaceTypeDef) -> str:
    return interface["NetworkInterfaceId"]


def check_address_free(aws: Aws, config: Config, *, subnet_id: str) -> None:
    """Raises SettingError when something else has MASTER_INTERNAL_IP in the subnet."""
    filters = [
        {"Name": "subnet-id", "Values": [subnet_id]},
        {"Name": "addresses.private-ip-address", "Values": [config.master_internal_ip]},
    ]
    taken = _describe(aws, filters)
    if taken:
        raise SettingError(
            "MASTER_INTERNAL_IP",
            f"{config.master_internal_ip} is taken by {taken[0]['NetworkInterfaceId']}",
            f"give another address of {subnet_id}",
        )


def settle_address(config: Config, *, cidr: str, interface: NetworkInterfaceTypeDef | None, given: bool) -> Config:
    """The settings for a subnet of that range: MASTER_INTERNAL_IP as given, else the living master's, else its .9.

    Raises SettingError for a given one outside it.
    """
    config = dataclasses.replace(config, kube_subnet_cidr=cidr)
    if config.kube_use_existing_master:
        return dataclasses.replace(config, master_internal_ip=interface["PrivateIpAddress"] if interface else "")
    if not given:
        ip = interface["PrivateIpAddress"] if interface else master_address(cidr)
        config = dataclasses.replace(config, master_internal_ip=ip)
    limits.check_master_address(config.master_internal_ip, subnet=cidr)
    return config


def ensure_interface(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the interface that has MASTER_INTERNAL_IP in the subnet, made if there is none.

    One that is there has its group, tags and description repaired.
    """
    subnet_id, group_id = cluster.subnet_id, cluster.groups.master
    interface_id = (
        _repair(aws, cluster.config, cluster.found.interface, subnet_id, group_id, cluster.kept_tags)
        if cluster.found.interface
        else _make(aws, cluster.config, subnet_id, group_id, cluster.kept_tags)
    )
    return cluster.having(Cluster.interface_id, interface_id)


def _repair(
    aws: Aws, config: Config, found: NetworkInterfaceTypeDef, subnet_id: str, group_id: str, tags: dict[str, str]
) -> str:
    interface_id = found["NetworkInterfaceId"]
    _check_place(config, found, subnet_id=subnet_id)
    aws.console.found(f"interface {interface_id} {found['PrivateIpAddress']}")
    aws.repair_tags(interface_id, tags_of(found), tags)
    described = _description(config)
    if found.get("Description") != described:
        aws.change(
            "set",
            f"{interface_id}: {became('description', found.get('Description'), described)}",
            lambda: aws.ec2.modify_network_interface_attribute(
                NetworkInterfaceId=interface_id, Description={"Value": described}
            ),
        )
    groups = [group["GroupId"] for group in found["Groups"]]
    if groups != [group_id]:
        aws.change(
            "set",
            f"{interface_id}: security group {', '.join(groups)} → {group_id}",
            lambda: aws.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface_id, Groups=[group_id]),
        )
    return interface_id


def _description(config: Config) -> str:
    return f"{config.master_name}: the master's fixed address"


def _check_place(config: Config, found: NetworkInterfaceTypeDef, *, subnet_id: str) -> None:
    if found["PrivateIpAddress"] != config.master_internal_ip:
        raise SettingError(
            "MASTER_INTERNAL_IP",
            f"every minion knows the master at {found['PrivateIpAddress']}, not at {config.master_internal_ip}",
            "leave it as it was, or make another cluster",
        )
    if found["SubnetId"] != subnet_id:
        raise KubeError(
            f"the master's interface {found['NetworkInterfaceId']} is in {found['SubnetId']}, not in {subnet_id}",
            hint="KUBE_USE_EXISTING_MASTER=true adds minions in another zone or subnet",
        )


def _make(aws: Aws, config: Config, subnet_id: str, group_id: str, tags: dict[str, str]) -> str:
    token = aws.token()

    def create() -> str:
        answer = aws.ec2.create_network_interface(
            SubnetId=subnet_id,
            PrivateIpAddress=config.master_internal_ip,
            Groups=[group_id],
            Description=_description(config),
            TagSpecifications=tag_specification("network-interface", tags),
            ClientToken=token,
        )
        return answer["NetworkInterface"]["NetworkInterfaceId"]

    # No claim in the bucket: a subnet has one interface of an address, so EC2 itself refuses a second run's.
    def look() -> str | None:
        again = find_interface(aws, config)
        return again["NetworkInterfaceId"] if again else None

    return aws.make(f"interface {config.master_internal_ip}", create, look=look)


def tagged_interfaces(aws: Aws, config: Config) -> list[NetworkInterfaceTypeDef]:
    """Every interface with a tag of the cluster's, but for those that go with their instance."""
    found = find_borne(functools.partial(_describe, aws), config.cluster_id, _id)
    return [interface for interface in found if not interface.get("Attachment", {}).get("DeleteOnTermination")]


def delete_interface(aws: Aws, interface: NetworkInterfaceTypeDef) -> None:
    """Remove an interface of ours; its instance is gone by then, though AWS may take a moment to see it."""
    interface_id = interface["NetworkInterfaceId"]
    aws.remove(
        "delete",
        f"interface {interface_id}",
        lambda: aws.ec2.delete_network_interface(NetworkInterfaceId=interface_id),
        retry_on=["InvalidNetworkInterface.InUse", "InvalidParameterValue"],
    )
