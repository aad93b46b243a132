"""The DHCP options of our VPC: the domain that private DNS names end in (the original's create-dhcp-option-set)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lib.aws.changes import Retry, Sole, never, one
from lib.aws.tags import cluster_tags, find_borne, find_ours, tag_specification, tags_of
from lib.cluster import Cluster
from lib.run.errors import SettingError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import DhcpOptionsTypeDef, VpcTypeDef

    from lib.aws.client import Aws
    from lib.settings.config import Config

NAME = "kubernetes-dhcp-option-set"


def find_dhcp_options(aws: Aws, config: Config) -> DhcpOptionsTypeDef | None:
    """The cluster's own option set, None if there is none. Raises Ambiguous for two."""
    found = find_ours("DHCP option set", functools.partial(_describe, aws), config.cluster_id, _id, name=NAME)
    return one("DHCP option set", found, _id, claimed=aws.claimed)


def tagged_dhcp_options(aws: Aws, config: Config) -> list[DhcpOptionsTypeDef]:
    """Every option set with a tag of the cluster's."""
    return find_borne(functools.partial(_describe, aws), config.cluster_id, _id)


def _describe(aws: Aws, filters: list[Any]) -> list[DhcpOptionsTypeDef]:
    return aws.every("describe_dhcp_options", "DhcpOptions", Filters=filters)


def _id(options: DhcpOptionsTypeDef) -> str:
    return options["DhcpOptionsId"]


def ensure_dhcp_options(aws: Aws, cluster: Cluster) -> None:
    """The option set, made if it is not there and associated with our VPC. A brought VPC keeps what it has.

    Raises SettingError when DHCP_OPTION_SET_ID would change a brought VPC.
    """
    config, vpc = cluster.config, cluster.vpc
    if config.vpc_id:
        check_brought_options(config, vpc)
        aws.console.found(f"DHCP options {vpc['DhcpOptionsId']}, the VPC's own")
        return
    options_id = config.dhcp_option_set_id or _ensure_own(aws, config)
    if vpc["DhcpOptionsId"] != options_id:
        aws.change(
            "set",
            f"{vpc['VpcId']}: DHCP options {vpc['DhcpOptionsId'] or 'default'} → {options_id}",
            lambda: aws.ec2.associate_dhcp_options(DhcpOptionsId=options_id, VpcId=vpc["VpcId"]),
        )


def check_brought_options(config: Config, vpc: VpcTypeDef) -> None:
    """Raises SettingError when DHCP_OPTION_SET_ID is not what a brought VPC has."""
    if config.dhcp_option_set_id and config.dhcp_option_set_id != vpc["DhcpOptionsId"]:
        raise SettingError(
            "DHCP_OPTION_SET_ID",
            f"{config.vpc_id} is yours and has {vpc['DhcpOptionsId']}",
            "associate it there yourself, or leave it empty",
        )


def _tags(config: Config) -> dict[str, str]:
    return {"Name": NAME, **cluster_tags(config)}


def _ensure_own(aws: Aws, config: Config) -> str:
    found = find_dhcp_options(aws, config)
    if found:
        aws.console.found(f"DHCP options {found['DhcpOptionsId']}")
        aws.repair_tags(found["DhcpOptionsId"], tags_of(found), _tags(config))
        return found["DhcpOptionsId"]

    def create() -> str:
        answer = aws.ec2.create_dhcp_options(
            DhcpConfigurations=[
                {"Key": "domain-name", "Values": [config.dhcp_domain]},
                {"Key": "domain-name-servers", "Values": ["AmazonProvidedDNS"]},
            ],
            TagSpecifications=tag_specification("dhcp-options", _tags(config)),
        )
        return answer["DhcpOptions"]["DhcpOptionsId"]

    def look() -> str | None:
        again = find_dhcp_options(aws, config)
        return again["DhcpOptionsId"] if again else None

    sole = Sole(
        "DHCP option set",
        config.cluster_id,
        look,
        find=lambda options_id: next(iter(_describe(aws, [{"Name": "dhcp-options-id", "Values": [options_id]}])), None),
        delete=lambda options_id: aws.ec2.delete_dhcp_options(DhcpOptionsId=options_id),
    )
    return aws.make(f"DHCP options {config.dhcp_domain}", create, look=look, sole=sole)


def check_given(aws: Aws, config: Config) -> None:
    """Raises SettingError when DHCP_OPTION_SET_ID names nothing."""
    wanted = config.dhcp_option_set_id
    if wanted and not _describe(aws, [{"Name": "dhcp-options-id", "Values": [wanted]}]):
        raise SettingError(
            "DHCP_OPTION_SET_ID", f"there is no {wanted} in {aws.region}", "give one of that region, or leave it empty"
        )


def delete_dhcp_options(aws: Aws, options: DhcpOptionsTypeDef, *, wait_if: Retry = never) -> None:
    """Remove our option set; its VPC is gone by then."""
    options_id = options["DhcpOptionsId"]
    words = f"DHCP options {options_id}"
    aws.remove("delete", words, lambda: aws.ec2.delete_dhcp_options(DhcpOptionsId=options_id), retry_if=wait_if)
