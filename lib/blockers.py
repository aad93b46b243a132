"""What is in the way of a removal: each thing for which AWS answers DependencyViolation, by id, whose, and what to do.

What has an interface in a subnet (load balancers, NAT gateways, endpoints, Lambda, EFS, RDS) is found by that. The rest
is what AWS's own list for DeleteVpc has and that has none.
https://repost.aws/knowledge-center/troubleshoot-dependency-error-delete-vpc
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lib.aws.client import Aws
from lib.aws.errors import FAILURES, ErrorKind, classify
from lib.aws.explain import explain
from lib.aws.tags import tags_of
from lib.run.errors import AwsRefusal

GUARD_DUTY = "GuardDutyManaged"  # the tag that GuardDuty gives its endpoint in a VPC and that endpoint's group


@dataclass(frozen=True)
class Blocker:
    """One thing in the way. `todo` is what removes it; `leaves`, that it goes by itself.

    `unseen`: what could not be looked at, and may be nothing.
    """

    words: str
    todo: str = ""
    leaves: bool = False
    unseen: bool = False

    @property
    def stays(self) -> bool:
        """Whether it is there, and until somebody removes it."""
        return not self.leaves and not self.unseen

    def __str__(self) -> str:
        return f"{self.words} ({self.todo})" if self.todo else self.words


@dataclass(frozen=True)
class Leaving:
    """What is on its way out already: load balancers by name, and groups, by id, whose rules name none of ours."""

    balancers: Collection[str] = ()
    groups: Collection[str] = ()


Look = Callable[[Aws, Any, Leaving], list[Blocker]]

# Whose an interface is, by its InterfaceType: EC2's API reference, NetworkInterface. `interface` is everybody else's.
_OWNERS = {
    "api_gateway_managed": "an API Gateway VPC link",
    "aws_codestar_connections_managed": "a CodeStar connection",
    "branch": "a pod of another cluster",
    "gateway_load_balancer": "a gateway load balancer",
    "gateway_load_balancer_endpoint": "a gateway load balancer endpoint",
    "global_accelerator_managed": "a Global Accelerator endpoint",
    "iot_rules_managed": "an IoT rule",
    "lambda": "a Lambda function",
    "load_balancer": "a load balancer",
    "natGateway": "a NAT gateway",
    "network_load_balancer": "a network load balancer",
    "quicksight": "a QuickSight connection",
    "transit_gateway": "a transit gateway attachment",
    "trunk": "an instance of another cluster",
    "vpc_endpoint": "a VPC endpoint",
}
# The service behind one of type `interface` that AWS manages, by how it describes it.
_SERVICES = {
    "ELB ": "a load balancer",
    "EFS mount target": "an EFS mount target",
    "RDSNetworkInterface": "an RDS database",
    "AWS Lambda VPC ENI": "a Lambda function",
}


def advice(found: Iterable[Blocker]) -> str:
    """What to do about what was found, in one line; that nothing was found, where that is so."""
    staying = [blocker for blocker in found if not blocker.leaves]
    if staying:
        return f"in the way: {', '.join(map(str, staying))}; once that is gone, run kube_down.py again"
    leaving = [blocker.words for blocker in found]
    if leaving:
        return f"in the way: {', '.join(leaving)}, on its way out: run kube_down.py again in some minutes"
    return "nothing was found that is in the way; AWS may need more time: run kube_down.py again in some minutes"


def id_of(item: Any) -> str:
    """A described thing's own id, or the id that it is."""
    if isinstance(item, str):
        return item
    keys = ("NetworkInterfaceId", "VolumeId", "AllocationId", "InstanceId")
    return next((str(item[key]) for key in keys if isinstance(item, Mapping) and item.get(key)), "it")


def instances_with(item: Any) -> set[str]:
    """The instances that have a described interface or volume: it cannot go before them."""
    if not isinstance(item, Mapping) or not ("NetworkInterfaceId" in item or "VolumeId" in item):
        return set()
    attachments = [item.get("Attachment") or {}, *item.get("Attachments", [])]
    return {attachment["InstanceId"] for attachment in attachments if attachment.get("InstanceId")}


def how_to_detach(item: Any) -> str:
    """What a person types to take a described volume or interface off its instance, '' for an instance's first one."""
    if "VolumeId" in item:
        return f"aws ec2 detach-volume --volume-id {item['VolumeId']}"
    attachment = item.get("Attachment") or {}
    name = attachment.get("AttachmentId", "")
    return f"aws ec2 detach-network-interface --attachment-id {name}" if attachment.get("DeviceIndex") else ""


# --- what to look at before what can go


def of_group(aws: Aws, group: Mapping[str, Any], leaving: Leaving) -> list[Blocker]:
    """Interfaces in a security group, and rules of others that name it."""
    group_id = group["GroupId"]
    return [
        *_seen(lambda: _interfaces(aws, "group-id", group_id, leaving), "interfaces"),
        *_seen(lambda: _rules_naming(aws, group_id, leaving), "rules of other groups"),
        *_seen(lambda: _associations(aws, group_id), "associations with other VPCs"),
    ]


def of_subnet(aws: Aws, subnet: Mapping[str, Any], leaving: Leaving) -> list[Blocker]:
    """Interfaces in a subnet."""
    return list(_seen(lambda: _interfaces(aws, "subnet-id", subnet["SubnetId"], leaving), "interfaces"))


def of_gateway(aws: Aws, gateway: Mapping[str, Any], leaving: Leaving) -> list[Blocker]:
    """Interfaces with a public address in the VPC of an internet gateway."""

    def with_public_address(vpc_id: str) -> list[Blocker]:
        return list(_interfaces(aws, "vpc-id", vpc_id, leaving, only=lambda each: bool(each.get("Association"))))

    vpcs = [attachment["VpcId"] for attachment in gateway.get("Attachments", [])]
    return [found for vpc_id in vpcs for found in _seen(lambda: with_public_address(vpc_id), "public addresses")]  # noqa: B023 it is called at once


def of_route_table(aws: Aws, table: Mapping[str, Any], _: Leaving) -> list[Blocker]:
    """Subnets with a route table of ours, or its being the VPC's main one."""
    name = table["RouteTableId"]

    def look() -> Iterator[Blocker]:
        for found in aws.every("describe_route_tables", "RouteTables", Filters=_where("route-table-id", name)):
            for association in found["Associations"]:
                if association.get("Main"):
                    yield Blocker(f"that it is the main one of {found['VpcId']}", "make another one that")
                elif association.get("SubnetId"):
                    yield Blocker(f"subnet {association['SubnetId']}", "give it another route table")

    return list(_seen(look, "associations"))


def of_dhcp_options(aws: Aws, options: Mapping[str, Any], _: Leaving) -> list[Blocker]:
    """VPCs with these DHCP options."""

    def look() -> Iterator[Blocker]:
        filters = _where("dhcp-options-id", options["DhcpOptionsId"])
        for vpc in aws.every("describe_vpcs", "Vpcs", Filters=filters):
            yield Blocker(f"VPC {vpc['VpcId']}")

    return list(_seen(look, "VPCs"))


def of_vpc(aws: Aws, vpc: Mapping[str, Any], leaving: Leaving) -> list[Blocker]:
    """All that is in a VPC, but for what EC2 made with it."""
    vpc_id = vpc["VpcId"]
    looks: list[tuple[str, Callable[[], Iterable[Blocker]]]] = [
        ("interfaces", lambda: _interfaces(aws, "vpc-id", vpc_id, leaving)),
        *((kind, lambda look=look: look(aws, vpc_id)) for kind, look in IN_A_VPC.items()),
    ]
    found = [blocker for kind, look in looks for blocker in _seen(look, kind)]
    named = " ".join(blocker.words for blocker in found if blocker.words.startswith("VPC endpoint "))
    return [blocker for blocker in found if not _is_interface_of(blocker, named)]


def _is_interface_of(blocker: Blocker, named: str) -> bool:
    """Whether it is the interface of a VPC endpoint that is named itself."""
    return blocker.words.startswith("interface ") and any(
        word.strip("():,") in named.split() for word in blocker.words.split() if word.strip("():,").startswith("vpce-")
    )


def _seen(look: Callable[[], Iterable[Blocker]], kind: str) -> list[Blocker]:
    """What a look finds; that it may not be had, where AWS denies it, which keeps nothing else from being named."""
    try:
        return list(look())
    except FAILURES as error:
        refused = explain(error)
        why = refused.code if isinstance(refused, AwsRefusal) else str(refused)
        todo = f"look for {kind} yourself"
        if isinstance(refused, AwsRefusal) and classify(error) is ErrorKind.DENIED:
            todo = f"ask for ec2:{refused.action}, or {todo}"
        return [Blocker(f"perhaps {kind}, which could not be looked at: {why}", todo, unseen=True)]


# --- one kind each


def _where(name: str, value: str) -> list[Any]:
    return [{"Name": name, "Values": [value]}]


def _interfaces(
    aws: Aws, name: str, value: str, leaving: Leaving, *, only: Callable[[Any], bool] = lambda _: True
) -> Iterator[Blocker]:
    for each in aws.every("describe_network_interfaces", "NetworkInterfaces", Filters=_where(name, value)):
        if only(each):
            yield Blocker(describe_interface(each), _remove_interface(each), leaves=is_leaving(each, leaving))


def is_leaving(interface: Mapping[str, Any], leaving: Leaving) -> bool:
    """Whether it goes by itself: with its instance, or with a load balancer that was removed."""
    attachment = interface.get("Attachment") or {}
    if attachment.get("DeleteOnTermination") and attachment.get("Status") == "detaching":
        return True
    # ELB describes its interfaces as "ELB <name>" or "ELB net/<name>/<id>".
    words = interface.get("Description", "").replace("/", " ").split()
    return words[:1] == ["ELB"] and any(name in words for name in leaving.balancers)


def describe_interface(interface: Mapping[str, Any]) -> str:
    """An interface and whose it is, with AWS's own description."""
    instance = (interface.get("Attachment") or {}).get("InstanceId")
    text = interface.get("Description") or ""
    owner = _OWNERS.get(interface.get("InterfaceType", ""), "")
    owner = owner or next((service for start, service in _SERVICES.items() if text.startswith(start)), "")
    managed = f"{interface.get('RequesterId') or 'a service'} of AWS" if interface.get("RequesterManaged") else ""
    of = f"instance {instance}" if instance else owner or managed
    whose = f"{of}: {text}" if of and text else of or text or "unattached"
    return f"interface {interface['NetworkInterfaceId']} ({whose}) in {interface.get('SubnetId', '?')}"


def _remove_interface(interface: Mapping[str, Any]) -> str:
    if (interface.get("Attachment") or {}).get("InstanceId"):
        return "end the instance"
    if interface.get("RequesterManaged") or interface.get("InterfaceType", "interface") in _OWNERS:
        return "it goes with what it is of: remove that"
    return f"aws ec2 delete-network-interface --network-interface-id {interface['NetworkInterfaceId']}"


def _rules_naming(aws: Aws, group_id: str, leaving: Leaving) -> Iterator[Blocker]:
    """The groups with a rule that names this one, inward or outward: each keeps it from going."""
    seen = {group_id, *leaving.groups}
    for name, way in (("ip-permission.group-id", "ingress"), ("egress.ip-permission.group-id", "egress")):
        for group in aws.every("describe_security_groups", "SecurityGroups", Filters=_where(name, group_id)):
            if group["GroupId"] not in seen:
                todo = f"revoke it: aws ec2 revoke-security-group-{way}"
                yield Blocker(f"an {way} rule of {group['GroupId']} {group['GroupName']}", todo)


def _associations(aws: Aws, group_id: str) -> Iterator[Blocker]:
    """VPCs that somebody has shared a group of ours with."""
    filters = _where("group-id", group_id)
    found = aws.every("describe_security_group_vpc_associations", "SecurityGroupVpcAssociations", Filters=filters)
    for each in found:
        if each.get("State") not in ("disassociated", "association-failed"):
            todo = f"aws ec2 disassociate-security-group-vpc --group-id {group_id} --vpc-id {each['VpcId']}"
            yield Blocker(f"its association with {each['VpcId']}", todo)


def _subnets(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    for each in aws.every("describe_subnets", "Subnets", Filters=_where("vpc-id", vpc_id)):
        yield Blocker(f"subnet {each['SubnetId']}", f"aws ec2 delete-subnet --subnet-id {each['SubnetId']}")


def _groups(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    for each in aws.every("describe_security_groups", "SecurityGroups", Filters=_where("vpc-id", vpc_id)):
        if each["GroupName"] != "default":
            todo = f"aws ec2 delete-security-group --group-id {each['GroupId']}"
            guard = ", GuardDuty's" if GUARD_DUTY in tags_of(each) else ""
            yield Blocker(f"security group {each['GroupId']} {each['GroupName']}{guard}", todo)


def _tables(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    for each in aws.every("describe_route_tables", "RouteTables", Filters=_where("vpc-id", vpc_id)):
        if not any(association.get("Main") for association in each["Associations"]):
            todo = f"aws ec2 delete-route-table --route-table-id {each['RouteTableId']}"
            yield Blocker(f"route table {each['RouteTableId']}", todo)


def _acls(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    for each in aws.every("describe_network_acls", "NetworkAcls", Filters=_where("vpc-id", vpc_id)):
        if not each["IsDefault"]:
            name = each["NetworkAclId"]
            yield Blocker(f"network ACL {name}", f"aws ec2 delete-network-acl --network-acl-id {name}")


def _endpoints(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    """Of all types; a gateway's has no interface. GuardDuty makes its own anew while its Runtime Monitoring is on."""
    for each in aws.every("describe_vpc_endpoints", "VpcEndpoints", Filters=_where("vpc-id", vpc_id)):
        name, state = each["VpcEndpointId"], each.get("State", "").lower()
        if state == "deleted":
            continue
        todo = f"aws ec2 delete-vpc-endpoints --vpc-endpoint-ids {name}"
        guard = GUARD_DUTY in tags_of(each) or ".guardduty-data" in each.get("ServiceName", "")
        if guard:
            todo += ", after GuardDuty's Runtime Monitoring is off, which else makes it anew"
        words = f"VPC endpoint {name} of {each.get('ServiceName', '?')}"
        yield Blocker(words, todo, leaves=state == "deleting")


def _peerings(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    ended = ("deleted", "deleting", "rejected", "failed", "expired")
    for side in ("requester-vpc-info.vpc-id", "accepter-vpc-info.vpc-id"):
        filters = _where(side, vpc_id)
        for each in aws.every("describe_vpc_peering_connections", "VpcPeeringConnections", Filters=filters):
            if each["Status"]["Code"] not in ended:
                name = each["VpcPeeringConnectionId"]
                todo = f"aws ec2 delete-vpc-peering-connection --vpc-peering-connection-id {name}"
                yield Blocker(f"peering connection {name}", todo)


def _internet_gateways(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    filters = _where("attachment.vpc-id", vpc_id)
    for each in aws.every("describe_internet_gateways", "InternetGateways", Filters=filters):
        name = each["InternetGatewayId"]
        todo = f"aws ec2 detach-internet-gateway --internet-gateway-id {name} --vpc-id {vpc_id}"
        yield Blocker(f"internet gateway {name}", todo)


def _vpn_gateways(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    for each in aws.every("describe_vpn_gateways", "VpnGateways", Filters=_where("attachment.vpc-id", vpc_id)):
        states = [a.get("State") for a in each.get("VpcAttachments", []) if a.get("VpcId") == vpc_id]
        if any(state != "detached" for state in states):
            name = each["VpnGatewayId"]
            todo = f"aws ec2 detach-vpn-gateway --vpn-gateway-id {name} --vpc-id {vpc_id}"
            yield Blocker(f"VPN gateway {name}", todo, leaves=states == ["detaching"])


def _egress_only_gateways(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    """AWS has no filter by VPC for them."""
    for each in aws.every("describe_egress_only_internet_gateways", "EgressOnlyInternetGateways"):
        if any(attachment.get("VpcId") == vpc_id for attachment in each.get("Attachments", [])):
            name = each["EgressOnlyInternetGatewayId"]
            todo = f"aws ec2 delete-egress-only-internet-gateway --egress-only-internet-gateway-id {name}"
            yield Blocker(f"egress-only internet gateway {name}", todo)


def _carrier_gateways(aws: Aws, vpc_id: str) -> Iterator[Blocker]:
    for each in aws.every("describe_carrier_gateways", "CarrierGateways", Filters=_where("vpc-id", vpc_id)):
        if each.get("State") != "deleted":
            name = each["CarrierGatewayId"]
            todo = f"aws ec2 delete-carrier-gateway --carrier-gateway-id {name}"
            yield Blocker(f"carrier gateway {name}", todo, leaves=each.get("State") == "deleting")


# What is looked for in a VPC beside interfaces, in a person's words.
IN_A_VPC: Mapping[str, Callable[[Aws, str], Iterable[Blocker]]] = {
    "subnets": _subnets,
    "security groups": _groups,
    "route tables": _tables,
    "network ACLs": _acls,
    "VPC endpoints": _endpoints,
    "peering connections": _peerings,
    "internet gateways": _internet_gateways,
    "VPN gateways": _vpn_gateways,
    "egress-only internet gateways": _egress_only_gateways,
    "carrier gateways": _carrier_gateways,
}
