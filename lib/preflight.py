"""What can be refused before anything is made: brought things that are not there, and numbers that do not fit."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib import address, dhcp, dns, gateway, iam, interface, nodeproxy, podidentity, routetable, subnet, vpc
from lib.aws.tags import is_ours, tags_of
from lib.checks import elbsubnets, lifecycle
from lib.kube.api import server_url
from lib.kubeconfig import check_kubeconfig, refuse_another_cluster
from lib.pki import find_ca_cert
from lib.run.errors import SettingError
from lib.settings import limits
from lib.settings.config import Config
from lib.settings.layers import Layers
from lib.sshkey import check_key

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import NetworkInterfaceTypeDef, SubnetTypeDef

    from lib.aws.client import Aws
    from lib.aws.objects import Bucket

# No account's quota was ever less, so a smaller cluster need not ask.
_ROUTES_EVERYBODY_HAS = 50
NON_MASQUERADE = "NON_MASQUERADE_CIDR"


def check_settings(
    aws: Aws,
    config: Config,
    *,
    found: NetworkInterfaceTypeDef | None,
    bucket: Bucket | None,
    address_given: bool,
    layers: Layers,
) -> Config:
    """The settings, completed by what AWS says of brought things. Raises SettingError; changes nothing.

    `found` is the master's interface and `bucket` the cluster's, where there are any; `address_given`:
    MASTER_INTERNAL_IP was not computed; `layers`: where the settings come from. Without a master, a NON_MASQUERADE_CIDR
    that is only remembered and does not fit the VPC any more is replaced by the pods' range.
    """
    if bucket and not bucket.ours:
        lifecycle.tell_rules(aws, config, bucket)
    check_kubeconfig(config)
    public_ip = (found or {}).get("Association", {}).get("PublicIp", "")
    server = server_url(config, public_ip) if public_ip else ""
    refuse_another_cluster(aws, config, server=server, ca_cert=lambda: find_ca_cert(aws, bucket))
    check_key(config)
    dhcp.check_given(aws, config)
    iam.check_given_roles(aws, config)
    podidentity.check_issuer(aws, config, secrets=bucket.name if bucket else "")
    config = _with_brought_network(aws, config)
    blocks = _brought_ranges(aws, config) if config.vpc_id else [config.vpc_cidr]
    config = _settle_masquerade(aws, config, layers, blocks, has_master=found is not None)
    if config.kube_use_existing_master and found:
        _check_same_table(aws, config, found)
    config = interface.settle_address(config, cidr=config.subnet_cidr, interface=found, given=address_given)
    if config.master_reserved_ip:
        brought = address.reserved_address(aws, config)
        address.check_free(config, brought, interface_id=found["NetworkInterfaceId"] if found else "")
    if not config.subnet_id and (config.kube_use_existing_master or (config.vpc_id and not found)):
        _check_subnet_free(aws, config)
    if config.subnet_id and not found:
        interface.check_address_free(aws, config, subnet_id=config.subnet_id)
    if config.kube_http_proxy:
        config = nodeproxy.with_own_places(aws, config, blocks, vpc_id=_vpc_id(aws, config, found))
    if config.kube_api_dns_name:
        dns.check_name(aws, config, vpc_id=_vpc_id(aws, config, found))
    prefix = ipaddress.IPv4Network(config.subnet_cidr).prefixlen
    limits.fits(config, subnet_prefix=prefix, routes_quota=_routes_quota(aws, config))
    return config


def _vpc_id(aws: Aws, config: Config, found: NetworkInterfaceTypeDef | None) -> str:
    """The VPC that the cluster has or is to be made in, '' for one that is not there yet."""
    known = config.vpc_id or (found["VpcId"] if found else "")
    the_vpc = None if known else vpc.find_vpc(aws, config)
    return the_vpc["VpcId"] if the_vpc else known


def check_regions(aws: Aws, config: Config, layers: Layers) -> None:
    """Raises SettingError for a region that there is not, whose endpoints nothing would answer at. Asks nobody."""
    zone_letter = "" if layers.zone_from else config.kube_aws_zone.removeprefix(config.region)
    for name, region, letter in (
        (layers.zone_from or "KUBE_AWS_ZONE", config.region, zone_letter),
        ("AWS_S3_REGION", config.aws_s3_region, ""),
    ):
        if region not in aws.regions:
            near = difflib.get_close_matches(region, aws.regions, n=3, cutoff=0.7)
            others = " or ".join(f"{each}{letter}" for each in near) or f"one such as us-west-2{letter}"
            right = f"give {others}, or install a newer botocore for a region that is new"
            raise SettingError(name, f"there is no region {region}", right)


def _with_brought_network(aws: Aws, config: Config) -> Config:
    """The settings with the VPC and range of a brought subnet. Raises SettingError for what cannot be used."""
    if config.subnet_id:
        brought = subnet.brought_subnet(aws, config)
        _check_subnets_range(config, brought["CidrBlock"])
        config = dataclasses.replace(config, vpc_id=brought["VpcId"], kube_subnet_cidr=brought["CidrBlock"])
        tables = routetable.all_tables(aws, vpc_id=config.vpc_id)
        routetable.check_brought_table(config, routetable.one_of_subnet(tables, subnet_id=config.subnet_id))
        _warn_of_names(aws, config, brought)
        every = subnet.all_subnets(aws, vpc_id=config.vpc_id)
        if words := elbsubnets.words_of(config.cluster_id, brought, every, tables):
            aws.console.warn(f"SUBNET_ID: {words} (docs/recipes.md, A subnet of yours, and its tags)")
    elif config.vpc_id:
        subnet.check_inside(config, vpc.brought_vpc(aws, config.vpc_id))
        gateway.check_way_out(aws, config)
    return config


def _warn_of_names(aws: Aws, config: Config, brought: SubnetTypeDef) -> None:
    """The master's Node is named as its instance, which must not change with each new one."""
    if brought.get("PrivateDnsNameOptionsOnLaunch", {}).get("HostnameType") == "resource-name":
        aws.console.warn(
            f"SUBNET_ID: {config.subnet_id} names hosts by their ids, so each new master would be another Node: aws "
            f"ec2 modify-subnet-attribute --region {aws.region} --subnet-id {config.subnet_id} "
            "--private-dns-hostname-type-on-launch ip-name"
        )


def _check_same_table(aws: Aws, config: Config, found: NetworkInterfaceTypeDef) -> None:
    """Raises SettingError for a group whose subnet would use another route table than the master's.

    The controller manager puts the routes to all nodes' pods into the one that its cloud.conf names, the first group's.
    """
    first = routetable.table_of_subnet(aws, subnet_id=found["SubnetId"], vpc_id=found["VpcId"])["RouteTableId"]
    if config.subnet_id:
        table = routetable.table_of_subnet(aws, subnet_id=config.subnet_id, vpc_id=config.vpc_id)["RouteTableId"]
        name, problem = "SUBNET_ID", f"{config.subnet_id} has the route table {table}, and the master's is {first}"
    else:
        own = routetable.find_route_table(aws, config, vpc_id=found["VpcId"])
        table = first if own else ""
        name, problem = (
            "KUBE_SUBNET_CIDR",
            f"its subnet would have a table of its own, and the master's is {first}, yours",
        )
    if table != first:
        raise SettingError(
            name,
            f"{problem}: the pods' routes are in that one alone, so that pods of this group would reach no others",
            f"give SUBNET_ID with a subnet that {first} is associated with",
        )


def _check_subnets_range(config: Config, cidr: str) -> None:
    """Raises SettingError when KUBE_SUBNET_CIDR says another range than SUBNET_ID has."""
    said = config.kube_subnet_cidr
    if said and said != cidr and not config.kube_use_existing_master:  # then what is remembered is another subnet's
        problem = f"{said} is not the range of {config.subnet_id}, which is {cidr}"
        raise SettingError("KUBE_SUBNET_CIDR", problem, "leave it empty, or leave out SUBNET_ID")


def _brought_ranges(aws: Aws, config: Config) -> list[str]:
    """The ranges of the brought VPC. Raises SettingError when the pods' or services' range overlaps one of them."""
    brought = vpc.brought_vpc(aws, config.vpc_id)
    dhcp.check_brought_options(config, brought)
    blocks = vpc.ranges(brought)
    for name in ("CLUSTER_IP_RANGE", "SERVICE_CLUSTER_IP_RANGE"):
        wanted = config.text(name)
        for block in blocks:
            if ipaddress.IPv4Network(wanted).overlaps(ipaddress.IPv4Network(block)):
                raise SettingError(name, f"{wanted} overlaps {block} of {config.vpc_id}", "give a range that does not")
    return blocks


def _settle_masquerade(aws: Aws, config: Config, layers: Layers, blocks: list[str], *, has_master: bool) -> Config:
    """The settings with the NON_MASQUERADE_CIDR to use in a VPC of these ranges. Raises SettingError for a wrong one.

    A cluster that has such a one keeps it, and is warned. Where all nodes are yet to be made, what was only remembered
    gives way to the pods' range, and that is said.
    """
    name, value, pods = NON_MASQUERADE, config.non_masquerade_cidr, config.cluster_ip_range
    wrong = vpc.unmasqueraded(config, blocks)
    if not wrong:
        return config
    if has_master and layers.remembered.get(name) == value:
        aws.console.warn(f"{name}: {wrong}; {name}={pods} mends that for nodes that are made from then on")
        return config
    if layers.source(name) != "remembered":
        raise SettingError(name, wrong, limits.masquerade_hint(config))
    aws.console.warn(f"{name}: {value} → {pods}, the pods' range: {wrong}")
    return dataclasses.replace(config, non_masquerade_cidr=pods)


def _check_subnet_free(aws: Aws, config: Config) -> None:
    """Raises SettingError when the subnet to be made overlaps one that the VPC has already."""
    the_vpc = vpc.brought_vpc(aws, config.vpc_id) if config.vpc_id else vpc.find_vpc(aws, config)
    if not the_vpc:
        return
    wanted = ipaddress.IPv4Network(config.subnet_cidr)
    for there in subnet.all_subnets(aws, vpc_id=the_vpc["VpcId"]):
        ours = is_ours(config.cluster_id, tags_of(there))
        again = ours and (there["CidrBlock"], there["AvailabilityZone"]) == (config.subnet_cidr, config.kube_aws_zone)
        if not again and wanted.overlaps(ipaddress.IPv4Network(there["CidrBlock"])):
            raise SettingError(
                "KUBE_SUBNET_CIDR",
                f"{config.subnet_cidr} overlaps {there['CidrBlock']} of {there['SubnetId']} in "
                f"{there['AvailabilityZone']}",
                "give a range that no subnet of the VPC has",
            )


def _routes_quota(aws: Aws, config: Config) -> int:
    """How many routes a table may have (Service Quotas, L-93826ACB); AWS's default where that does not answer."""
    if limits.nodes_at_most(config) + 3 <= _ROUTES_EVERYBODY_HAS:
        return limits.ROUTES_DEFAULT
    try:
        answer = aws.quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-93826ACB")
        return int(answer["Quota"]["Value"])
    except (ClientError, BotoCoreError, KeyError):  # not allowed to ask, or not offered in this partition
        return limits.ROUTES_DEFAULT
