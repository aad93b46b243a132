"""The route table of the cluster's subnets: out to the gateway, and where the controller manager puts the pods' routes.

With SUBNET_ID it is that subnet's own table, which up leaves as it is (design: the one exception to "not ours").
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from lib.aws.changes import Planned, Retry, Sole, never, one
from lib.aws.tags import cluster_tags, find_borne, find_ours, tag_specification, tags_of
from lib.cluster import Cluster
from lib.run.errors import KubeError, SettingError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import RouteTableTypeDef, RouteTypeDef

    from lib.aws.client import Aws
    from lib.settings.config import Config

ANYWHERE = "0.0.0.0/0"


def find_route_table(aws: Aws, config: Config, *, vpc_id: str) -> RouteTableTypeDef | None:
    """The cluster's own table in the VPC, None if there is none. Raises Ambiguous for two."""
    if isinstance(vpc_id, Planned):
        return None
    in_vpc: Any = {"Name": "vpc-id", "Values": [vpc_id]}
    found = find_ours("route table", lambda filters: _describe(aws, [*filters, in_vpc]), config.cluster_id, _id)
    return one("route table", found, _id, claimed=aws.claimed)


def tagged_route_tables(aws: Aws, config: Config) -> list[RouteTableTypeDef]:
    """Every route table with a tag of the cluster's."""
    return find_borne(functools.partial(_describe, aws), config.cluster_id, _id)


def _describe(aws: Aws, filters: list[Any]) -> list[RouteTableTypeDef]:
    return aws.every("describe_route_tables", "RouteTables", Filters=filters)


def _id(table: RouteTableTypeDef) -> str:
    return table["RouteTableId"]


def all_tables(aws: Aws, *, vpc_id: str) -> list[RouteTableTypeDef]:
    """Every route table of the VPC, whoever made it."""
    return _describe(aws, [_named("vpc-id", vpc_id)])


def table_of_subnet(aws: Aws, *, subnet_id: str, vpc_id: str) -> RouteTableTypeDef:
    """The table that a brought subnet uses: its own, else the VPC's main one."""
    # No filter finds the main table by a subnet: one that uses it has no association of its own.
    for filters in (
        [{"Name": "association.subnet-id", "Values": [subnet_id]}],
        [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "association.main", "Values": ["true"]}],
    ):
        found = _describe(aws, filters)
        if found:
            return found[0]
    raise KubeError(f"{subnet_id} has no route table, and {vpc_id} no main one")


def one_of_subnet(tables: Sequence[RouteTableTypeDef], *, subnet_id: str) -> RouteTableTypeDef:
    """The same of all tables of its VPC, which are known."""
    own = [table for table in tables if any(a.get("SubnetId") == subnet_id for a in table["Associations"])]
    main = [table for table in tables if any(a.get("Main") for a in table["Associations"])]
    if not (own or main):
        raise KubeError(f"{subnet_id} has no route table, and its VPC no main one")
    return (own or main)[0]


def brought_table_id(aws: Aws, config: Config) -> str:
    """The route table of a brought subnet, 'none' where the cluster has its own: what the master's role may change."""
    if not config.subnet_id:
        return "none"
    return table_of_subnet(aws, subnet_id=config.subnet_id, vpc_id=config.vpc_id)["RouteTableId"]


def ensure_route_table(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the table for the pods' routes: associated with the subnet, with a way out to the gateway.

    Raises SettingError for a brought subnet whose table routes to instances: the controller manager cannot use it.
    """
    config, vpc_id = cluster.config, cluster.vpc_id
    if config.subnet_id:
        return cluster.having(Cluster.route_table_id, _use_brought(aws, config, vpc_id=vpc_id))
    table = find_route_table(aws, config, vpc_id=vpc_id)
    if table:
        aws.console.found(f"route table {table['RouteTableId']}")
        aws.repair_tags(table["RouteTableId"], tags_of(table), _tags(config))
    table_id = table["RouteTableId"] if table else _make_route_table(aws, config, vpc_id=vpc_id)
    _associate(aws, table_id, table, subnet_id=cluster.subnet_id)
    _route_out(aws, table_id, table, gateway_id=cluster.gateway_id)
    return cluster.having(Cluster.route_table_id, table_id)


def _use_brought(aws: Aws, config: Config, *, vpc_id: str) -> str:
    table = table_of_subnet(aws, subnet_id=config.subnet_id, vpc_id=vpc_id)
    table_id = table["RouteTableId"]
    check_brought_table(config, table)
    aws.console.found(f"route table {table_id}, yours")
    aws.console.say(
        f"routes of pods ({config.cluster_ip_range}) will be put into it, and no others; kube_down.py takes them out"
    )
    return table_id


def check_brought_table(config: Config, table: RouteTableTypeDef) -> None:
    """Raises SettingError when a brought table routes others to instances, or the pods' range elsewhere."""
    strange = [
        route.get("DestinationCidrBlock", "?")
        for route in table["Routes"]
        if _to_instance(route) and not is_pod_route(config, route)
    ]
    taken = [r["DestinationCidrBlock"] for r in table["Routes"] if _overlaps_pods(config, r) and not _to_instance(r)]
    if taken:
        raise SettingError(
            "CLUSTER_IP_RANGE",
            f"the route table {table['RouteTableId']} of {config.subnet_id} routes {', '.join(taken)} elsewhere",
            "give a range that is free there",
        )
    if strange:
        raise SettingError(
            "SUBNET_ID",
            f"its route table {table['RouteTableId']} routes {', '.join(strange)} to an instance or interface, "
            "which the cloud controller manager cannot work with",
            "give a subnet with a table of its own that has a NAT gateway instead",
        )


def _to_instance(route: RouteTypeDef) -> bool:
    # What a blackhole led to is gone, and may have been an instance: it is taken for one.
    return bool(route.get("InstanceId") or route.get("NetworkInterfaceId")) or route.get("State") == "blackhole"


def _overlaps_pods(config: Config, route: RouteTypeDef) -> bool:
    block = route.get("DestinationCidrBlock", "")
    if not block or block == ANYWHERE:
        return False
    return ipaddress.IPv4Network(block).overlaps(ipaddress.IPv4Network(config.cluster_ip_range))


def is_pod_route(config: Config, route: RouteTypeDef) -> bool:
    """Whether a route lies inside CLUSTER_IP_RANGE: the controller manager's, for one node's pods."""
    block = route.get("DestinationCidrBlock", "")
    return bool(block) and ipaddress.IPv4Network(block).subnet_of(ipaddress.IPv4Network(config.cluster_ip_range))


def _tags(config: Config) -> dict[str, str]:
    return {"Name": config.cluster_id, **cluster_tags(config)}


def _make_route_table(aws: Aws, config: Config, *, vpc_id: str) -> str:
    token = aws.token()
    tags = tag_specification("route-table", _tags(config))
    return aws.make(
        "route table",
        lambda: aws.ec2.create_route_table(VpcId=vpc_id, TagSpecifications=tags, ClientToken=token)["RouteTable"][
            "RouteTableId"
        ],
        sole=Sole(
            "route table",
            config.cluster_id,
            lambda: (find_route_table(aws, config, vpc_id=vpc_id) or {}).get("RouteTableId"),
            find=lambda name: next(
                iter(_describe(aws, [_named("route-table-id", name), _named("vpc-id", vpc_id)])), None
            ),
            delete=lambda name: aws.ec2.delete_route_table(RouteTableId=name),
        ),
    )


def _named(name: str, value: str) -> Any:
    return {"Name": name, "Values": [value]}


def _associate(aws: Aws, table_id: str, table: RouteTableTypeDef | None, *, subnet_id: str) -> None:
    if table and any(a.get("SubnetId") == subnet_id for a in table["Associations"]):
        return
    # A subnet has one table: where it has another, associating ours would be refused, and a move is one call.
    there = _association(aws, subnet_id)
    if there:
        aws.change("set", f"{subnet_id}: route table {there[0]} → {table_id}", lambda: _move(aws, table_id, subnet_id))
        return
    aws.change(
        "attach",
        f"{table_id} to {subnet_id}",
        lambda: aws.ec2.associate_route_table(RouteTableId=table_id, SubnetId=subnet_id),
        done_on=["Resource.AlreadyAssociated"],
    )


def _association(aws: Aws, subnet_id: str) -> tuple[str, str] | None:
    """The table that our subnet is associated with, and the association's id, which a move makes anew."""
    if isinstance(subnet_id, Planned):
        return None
    filters = [{"Name": "association.subnet-id", "Values": [subnet_id]}]
    for table in _describe(aws, filters):
        for association in table["Associations"]:
            if association.get("SubnetId") == subnet_id:
                return table["RouteTableId"], association["RouteTableAssociationId"]
    return None


def _move(aws: Aws, table_id: str, subnet_id: str) -> None:
    """Give our subnet our table in place of the one that someone gave it; done where an earlier, lost call did it."""
    there = _association(aws, subnet_id)
    if there and there[0] != table_id:
        aws.ec2.replace_route_table_association(AssociationId=there[1], RouteTableId=table_id)


def _route_out(aws: Aws, table_id: str, table: RouteTableTypeDef | None, *, gateway_id: str) -> None:
    present = [r for r in table["Routes"] if r.get("DestinationCidrBlock") == ANYWHERE] if table else []
    if present and present[0].get("GatewayId") == gateway_id and present[0].get("State") != "blackhole":
        return
    put = aws.ec2.replace_route if present else aws.ec2.create_route
    old = f"{_target(present[0])} → " if present else "to "
    aws.change(
        "route",
        f"{ANYWHERE} {old}{gateway_id} in {table_id}",
        lambda: put(RouteTableId=table_id, DestinationCidrBlock=ANYWHERE, GatewayId=gateway_id),
        done_on=["RouteAlreadyExists"],
    )


def _target(route: RouteTypeDef) -> str:
    """Where a route leads, and that this is gone, if it is."""
    gone = " (gone)" if route.get("State") == "blackhole" else ""
    names = ("GatewayId", "NatGatewayId", "NetworkInterfaceId", "TransitGatewayId", "VpcPeeringConnectionId")
    found: Any = route
    return next((str(found[name]) for name in names if found.get(name)), "elsewhere") + gone


def delete_route_table(aws: Aws, table: RouteTableTypeDef, *, wait_if: Retry = never) -> None:
    """Dissociate our table, then remove it with all its routes."""
    table_id = table["RouteTableId"]
    for association in table["Associations"]:
        call = functools.partial(aws.ec2.disassociate_route_table, AssociationId=association["RouteTableAssociationId"])
        aws.remove("detach", f"{table_id} from {association.get('SubnetId', '?')}", call)
    words = f"route table {table_id}"
    aws.remove("delete", words, lambda: aws.ec2.delete_route_table(RouteTableId=table_id), retry_if=wait_if)


def own_pod_routes(
    config: Config, table: RouteTableTypeDef, *, targets: Collection[str], any_range: bool = False
) -> list[str]:
    """The ranges of a brought table that lead to the cluster's instances or interfaces, or to ones that are gone.

    `any_range`: CLUSTER_IP_RANGE is not known. Up takes no table with other routes to instances (check_brought_table).
    """

    def is_ours(route: RouteTypeDef) -> bool:
        if "DestinationCidrBlock" not in route:
            return False
        leads_to_us = route.get("InstanceId") in targets or route.get("NetworkInterfaceId") in targets
        is_pods = is_pod_route(config, route)
        return (leads_to_us and (is_pods or any_range)) or (is_pods and route.get("State") == "blackhole")

    return [route["DestinationCidrBlock"] for route in table["Routes"] if is_ours(route)]


def delete_route(aws: Aws, route: tuple[str, str]) -> None:
    """Take one route, given as table and range, out of a table that is not ours."""
    table_id, block = route
    call = functools.partial(aws.ec2.delete_route, RouteTableId=table_id, DestinationCidrBlock=block)
    aws.remove("remove", f"route {block} from {table_id}", call)
