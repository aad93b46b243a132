"""What the original's kube-up.sh made without a tag, as kube_down.py knows it by what bears one.

It tagged with `KubernetesCluster` alone, and not everything: neither the elastic IP nor the internet gateway, nor what
has no tags, the launch configuration. These are the cluster's by what they are bound to. Its roles, of names without a
region, and its key pair, of a name without a cluster, may be another cluster's as well: they are named, and stay, as
they did after kube-down.sh. A cluster of ours asks for none of this, and its runs need no rights for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lib.aws.tags import CLUSTER, PREFIX, bears_one, other_owner, tags_of
from lib.disk import MASTER_IP_TAG
from lib.gateway import attached_gateway
from lib.volumes import is_disk

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import AddressTypeDef, InternetGatewayTypeDef

    from lib.aws.client import Aws
    from lib.iam import Identity
    from lib.settings.config import Config


def made(config: Config, things: Sequence[Any]) -> list[Any]:
    """Those of the cluster's things that are tagged as the original did, with the first of the two tags alone."""
    return [each for each in things if _is_upstreams(config, tags_of(each))]


def _is_upstreams(config: Config, tags: Mapping[str, str]) -> bool:
    return tags.get(CLUSTER) == config.cluster_id and PREFIX + config.cluster_id not in tags


def _is_untagged(config: Config, thing: Mapping[str, Any]) -> bool:
    tags = tags_of(thing)
    return not bears_one(config.cluster_id, tags) and not other_owner(config.cluster_id, tags)


def find_addresses(
    aws: Aws, config: Config, *, instances: Sequence[Any], volumes: Sequence[Any]
) -> list[AddressTypeDef]:
    """The elastic IP that the master's disk names, or that the master has; one that this run is told to keep is not it.

    One that serves something else by now is nobody's to release.
    """
    masters = {
        each["InstanceId"] for each in made(config, instances) if tags_of(each).get("Name") == config.master_name
    }
    disks = [volume for volume in made(config, volumes) if is_disk(config, volume)]
    named = {tags_of(disk).get(MASTER_IP_TAG, "") for disk in disks} - {""}
    if not masters and not named:
        return []
    return [
        address
        for address in aws.every("describe_addresses", "Addresses")
        if address["PublicIp"] != config.master_reserved_ip
        and _is_untagged(config, address)
        and _is_masters(address, masters, named)
    ]


def _is_masters(address: AddressTypeDef, masters: set[str], named: set[str]) -> bool:
    user = address.get("InstanceId") or address.get("NetworkInterfaceId")
    return user in masters or (not user and address["PublicIp"] in named)


def find_gateways(aws: Aws, config: Config, vpcs: Sequence[Any]) -> list[InternetGatewayTypeDef]:
    """The untagged gateways of the VPCs that kube-up.sh made; a VPC has one at most."""
    found = [attached_gateway(aws, vpc["VpcId"]) for vpc in made(config, vpcs)]
    return [gateway for gateway in found if gateway and _is_untagged(config, gateway)]


def find_launch_configurations(
    aws: Aws, config: Config, *, groups: Sequence[Any], security_groups: Sequence[Any]
) -> list[Any]:
    """Those that a group of the cluster's launches from, or that put machines into a security group of its."""
    used = {group.get("LaunchConfigurationName", "") for group in made(config, groups)} - {""}
    into = {group["GroupId"] for group in made(config, security_groups)}
    if not used and not into:
        return []
    pages = aws.autoscaling.get_paginator("describe_launch_configurations").paginate()
    there = [each for page in pages for each in page["LaunchConfigurations"]]
    return [each for each in there if each["LaunchConfigurationName"] in used or into & set(each["SecurityGroups"])]


def delete_launch_configuration(aws: Aws, configuration: Mapping[str, Any]) -> None:
    """Remove it once no group uses it."""
    name = configuration["LaunchConfigurationName"]
    aws.remove(
        "delete",
        f"launch configuration {name}",
        lambda: aws.autoscaling.delete_launch_configuration(LaunchConfigurationName=name),
        done_on=["ValidationError"],  # as for a group that is not there
        retry_on=["ResourceInUse"],
    )


def shared(
    config: Config,
    *,
    instances: Sequence[Any],
    configurations: Sequence[Any],
    key_pairs: Sequence[Any],
    identities: Sequence[Identity],
) -> list[str]:
    """Instance profiles and key pairs that the cluster's machines have, in words: others' may have them as well."""
    machines = made(config, instances)
    profiles = {each["IamInstanceProfile"]["Arn"] for each in machines if each.get("IamInstanceProfile")}
    profiles |= {each["IamInstanceProfile"] for each in configurations if each.get("IamInstanceProfile")}
    pairs = {each.get("KeyName", "") for each in [*machines, *configurations]}
    pairs -= {"", *(pair["KeyName"] for pair in key_pairs)}
    names = sorted({profile.rpartition("/")[2] for profile in profiles} - {each.name for each in identities})
    return [*(f"role and instance profile {name}" for name in names), *(f"key pair {name}" for name in sorted(pairs))]
