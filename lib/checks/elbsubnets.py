"""Which subnets the cloud controller manager takes for load balancers that are open to the world, and why not another.

As cloud-provider-aws 1.37.0 has it: findSubnets, findELBSubnets and isSubnetPublic in pkg/providers/v1/aws.go, and
pkg/providers/v1/tags.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib.aws.tags import CLUSTER, PREFIX, tags_of

ROLE = "kubernetes.io/role/elb"


def words_of(cluster_id: str, subnet: Mapping[str, Any], every: Sequence[Any], tables: Sequence[Any]) -> str:
    """What is to be known of a brought subnet, '' where load balancers are put into it.

    `every` are the VPC's subnets, it among them, and `tables` the VPC's route tables.
    """
    own, zone = subnet["SubnetId"], subnet["AvailabilityZone"]
    if not _is_seen(cluster_id, subnet) and any(_is_seen(cluster_id, each) for each in every):
        return (
            f"{own} bears another cluster's tag, so that no load balancer of this one's is put into it, unless it has "
            f"the tag {PREFIX}{cluster_id} with the value shared too"
        )
    chosen = chosen_by_zone(cluster_id, every, tables)
    there = chosen.get(zone, "")
    if there == own:
        return ""
    if not chosen:
        return (
            f"no subnet of {subnet['VpcId']} that the cluster may use has a route to an internet gateway: Services of "
            "type LoadBalancer stay pending, but for internal ones"
        )
    if not is_public(tables, own):
        place = f"{there} in its place" if there else f"none in {zone}, and in {', '.join(sorted(chosen.values()))}"
        return (
            f"{own} has no route to an internet gateway: load balancers that are open to the world are put into {place}"
        )
    return f"load balancers are put into {there} in place of {own}, unless that alone has the tag {ROLE} (value 1)"


def chosen_by_zone(cluster_id: str, every: Sequence[Any], tables: Sequence[Any]) -> dict[str, str]:
    """The subnet that is taken in each zone: of several one with the role's tag, then the cluster's, then the first."""
    seen = [each for each in every if _is_seen(cluster_id, each) and is_public(tables, each["SubnetId"])]

    def rank(subnet: Mapping[str, Any]) -> tuple[bool, bool, str]:
        tags = tags_of(subnet)
        return ROLE not in tags, not _is_clusters(cluster_id, tags), subnet["SubnetId"]

    # The best one last, so that it is the one that stays.
    return {each["AvailabilityZone"]: each["SubnetId"] for each in sorted(seen, key=rank, reverse=True)}


def is_public(tables: Sequence[Any], subnet_id: str) -> bool:
    """Whether the subnet's own route table, else the VPC's main one, leads to an internet gateway."""
    own = [t for t in tables if any(a.get("SubnetId") == subnet_id for a in t.get("Associations", []))]
    main = [t for t in tables if any(a.get("Main") for a in t.get("Associations", []))]
    routes = [route for table in (own or main)[:1] for route in table.get("Routes", [])]
    return any(route.get("GatewayId", "").startswith("igw") for route in routes)


def _is_seen(cluster_id: str, subnet: Mapping[str, Any]) -> bool:
    tags = tags_of(subnet)
    return _is_clusters(cluster_id, tags) or not any(key.startswith(PREFIX) for key in tags)


def _is_clusters(cluster_id: str, tags: Mapping[str, str]) -> bool:
    return tags.get(CLUSTER) == cluster_id or PREFIX + cluster_id in tags
