"""The internet gateway of the VPC. A brought VPC that has one keeps it, and it stays its owner's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lib.aws.changes import Planned, Retry, Sole, never, one
from lib.aws.tags import cluster_tags, find_borne, find_ours, tag_specification, tags_of
from lib.cluster import Cluster
from lib.run.errors import SettingError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InternetGatewayTypeDef

    from lib.aws.client import Aws
    from lib.settings.config import Config


def find_gateway(aws: Aws, config: Config) -> InternetGatewayTypeDef | None:
    """The cluster's own gateway, attached or not. Raises Ambiguous for two."""
    found = find_ours("internet gateway", functools.partial(_describe, aws), config.cluster_id, _id)
    return one("internet gateway", found, _id, claimed=aws.claimed)


def tagged_gateways(aws: Aws, config: Config) -> list[InternetGatewayTypeDef]:
    """Every gateway with a tag of the cluster's."""
    return find_borne(functools.partial(_describe, aws), config.cluster_id, _id)


def _describe(aws: Aws, filters: list[Any]) -> list[InternetGatewayTypeDef]:
    return aws.every("describe_internet_gateways", "InternetGateways", Filters=filters)


def _id(gateway: InternetGatewayTypeDef) -> str:
    return gateway["InternetGatewayId"]


def attached_gateway(aws: Aws, vpc_id: str) -> InternetGatewayTypeDef | None:
    """Whatever gateway the VPC has; it can have one at most."""
    if isinstance(vpc_id, Planned):
        return None
    found = _describe(aws, [{"Name": "attachment.vpc-id", "Values": [vpc_id]}])
    return found[0] if found else None


def check_way_out(aws: Aws, config: Config) -> None:
    """Raises SettingError for a brought VPC without a gateway where neither master nor minions have a public address.

    Such a VPC is private on purpose: making it a gateway would end that, and without one the nodes reach no server.
    """
    public = config.kube_enable_master_public_ip or config.kube_enable_node_public_ip
    if config.vpc_id and not config.subnet_id and not public and attached_gateway(aws, config.vpc_id) is None:
        raise SettingError(
            "VPC_ID",
            f"{config.vpc_id} has no internet gateway, and neither the master nor minions have a public address",
            "give a subnet of it that has a way out, through a NAT gateway say, as SUBNET_ID",
        )


def ensure_gateway(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with its VPC's gateway: the one it has, else ours, made and attached. A brought subnet needs none."""
    if cluster.config.subnet_id:
        return cluster
    return cluster.having(Cluster.gateway_id, _ensure(aws, cluster.config, vpc_id=cluster.vpc_id))


def _ensure(aws: Aws, config: Config, *, vpc_id: str) -> str:
    if config.vpc_id and (attached := attached_gateway(aws, vpc_id)):
        aws.console.found(f"internet gateway {attached['InternetGatewayId']}")
        return attached["InternetGatewayId"]
    own = find_gateway(aws, config)
    if own:
        aws.console.found(f"internet gateway {own['InternetGatewayId']}")
        aws.repair_tags(own["InternetGatewayId"], tags_of(own), _tags(config))
    gateway_id = own["InternetGatewayId"] if own else _make_gateway(aws, config)
    attachments = own.get("Attachments", []) if own else []
    if not any(attachment.get("VpcId") == vpc_id for attachment in attachments):
        aws.change(
            "attach",
            f"{gateway_id} to {vpc_id}",
            lambda: aws.ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id),
            done_on=["Resource.AlreadyAssociated"],
        )
    return gateway_id


def _tags(config: Config) -> dict[str, str]:
    return {"Name": config.cluster_id, **cluster_tags(config)}


def _make_gateway(aws: Aws, config: Config) -> str:
    tags = tag_specification("internet-gateway", _tags(config))

    def look() -> str | None:
        again = find_gateway(aws, config)
        return again["InternetGatewayId"] if again else None

    return aws.make(
        "internet gateway",
        lambda: aws.ec2.create_internet_gateway(TagSpecifications=tags)["InternetGateway"]["InternetGatewayId"],
        look=look,
        sole=Sole(
            "internet gateway",
            config.cluster_id,
            look,
            find=lambda name: next(iter(_describe(aws, [{"Name": "internet-gateway-id", "Values": [name]}])), None),
            delete=lambda name: aws.ec2.delete_internet_gateway(InternetGatewayId=name),
        ),
    )


def _detach_gateway(aws: Aws, gateway: InternetGatewayTypeDef, wait_if: Retry) -> None:
    """Detach our gateway from its VPC; no public address may be in use there any more."""
    gateway_id = gateway["InternetGatewayId"]
    for attachment in gateway.get("Attachments", []):
        vpc_id = attachment["VpcId"]
        aws.remove(
            "detach",
            f"{gateway_id} from {vpc_id}",
            functools.partial(aws.ec2.detach_internet_gateway, InternetGatewayId=gateway_id, VpcId=vpc_id),
            done_on=["Gateway.NotAttached"],
            retry_if=wait_if,
        )


def delete_gateway(aws: Aws, gateway: InternetGatewayTypeDef, *, wait_if: Retry = never) -> None:
    """Detach our gateway, then remove it."""
    _detach_gateway(aws, gateway, wait_if)
    gateway_id = gateway["InternetGatewayId"]
    words = f"internet gateway {gateway_id}"
    aws.remove("delete", words, lambda: aws.ec2.delete_internet_gateway(InternetGatewayId=gateway_id))
