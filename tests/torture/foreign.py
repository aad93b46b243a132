"""What others made in the cluster's VPC and beside it survives down, which names what is in its way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from conftest import REGION
from helpers import GROUP, SharedBox, bucket_of, master_of, must, named, only, part, settle, template_data

from sandbox.backend import cloud
from torture.stage import Stage

Tags = list[dict[str, str]]
TAGGINGS: list[Tags] = [
    [],
    [{"Key": "KubernetesCluster", "Value": "other"}, {"Key": "kubernetes.io/cluster/other", "Value": "owned"}],
]
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


@dataclass(frozen=True)
class Thing:
    """Something of somebody else's: its kind in the inventory, its id, and how its owner removes it.

    `blocks` says whether our VPC or bucket cannot go while it is there; `said` is how down then names it, if not by id.
    """

    kind: str
    name: str
    remove: Callable[[], object]
    blocks: bool = True
    said: str = ""
    region: str = REGION


def foreign(stage: Stage, number: int) -> None:
    """Down leaves it as it is; it says so where it could not finish, and finishes once its owner has removed it."""
    make, tags = MAKERS[(number - 1) // len(TAGGINGS)], TAGGINGS[(number - 1) % len(TAGGINGS)]
    stage.whole_cluster()
    box = stage.box
    thing = make(box, tags)
    settle(box)
    before = _entry(box, thing)
    assert before, f"{thing.name} is not there to begin with"
    ended = box.down()
    settle(box)
    assert _entry(box, thing) == before, f"{thing.name} was {before} and is {_entry(box, thing)}"
    assert ended.code == int(thing.blocks), ended.out + ended.err
    if thing.blocks:
        assert (thing.said or thing.name) in ended.err, f"{thing.name} is in the way and not named:\n{ended.err}"
        assert "again" in ended.err
    thing.remove()
    settle(box)
    if box.inventory() != {}:
        must(box.down())
    stage.check_gone(f"after {thing.name} was removed")


def _entry(box: SharedBox, thing: Thing) -> Any:
    """The thing in the inventory, with what it was attached to left out."""
    things = box.inventory().get(thing.region, {}).get(thing.kind, {})
    if isinstance(things, list):
        return thing.name in things
    entry = (things.get("objects", {}) if thing.region == "s3" else things).get(thing.name)
    attached = ("instance", "interface")
    return {key: value for key, value in entry.items() if key not in attached} if isinstance(entry, dict) else entry


def _specification(kind: str, tags: Tags) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tags}] if tags else []


def _subnet(box: SharedBox) -> str:
    return str(only(part(box, "subnets")))


def _vpc(box: SharedBox) -> str:
    return str(only(part(box, "vpcs")))


def an_interface(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    made = ec2.create_network_interface(
        SubnetId=_subnet(box), TagSpecifications=_specification("network-interface", tags)
    )["NetworkInterface"]["NetworkInterfaceId"]
    return Thing("interfaces", made, lambda: ec2.delete_network_interface(NetworkInterfaceId=made))


def _run(box: SharedBox, tags: Tags) -> str:
    made = box.client("ec2").run_instances(
        ImageId=template_data(box)["ImageId"],
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        SubnetId=_subnet(box),
        TagSpecifications=_specification("instance", tags),
    )
    settle(box)
    return str(made["Instances"][0]["InstanceId"])


def an_instance(box: SharedBox, tags: Tags) -> Thing:
    made = _run(box, tags)
    return Thing("instances", made, lambda: box.client("ec2").terminate_instances(InstanceIds=[made]))


def an_instance_named_as_the_master(box: SharedBox, tags: Tags) -> Thing:
    made = _run(box, [*tags, {"Key": "Name", "Value": "kubernetes-master"}])
    return Thing("instances", made, lambda: box.client("ec2").terminate_instances(InstanceIds=[made]))


def a_volume(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    made = ec2.create_volume(Size=5, AvailabilityZone=f"{REGION}a", TagSpecifications=_specification("volume", tags))[
        "VolumeId"
    ]
    return Thing("volumes", made, lambda: ec2.delete_volume(VolumeId=made), blocks=False)


def a_volume_in_the_master(box: SharedBox, tags: Tags) -> Thing:
    thing = a_volume(box, tags)
    box.client("ec2").attach_volume(VolumeId=thing.name, InstanceId=master_of(box), Device="/dev/sdk")
    return thing


def a_security_group(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    made = ec2.create_security_group(
        GroupName="theirs",
        Description="theirs",
        VpcId=_vpc(box),
        TagSpecifications=_specification("security-group", tags),
    )["GroupId"]
    return Thing("security groups", made, lambda: ec2.delete_security_group(GroupId=made))


def _our_minions(box: SharedBox) -> str:
    groups = part(box, "security groups").items()
    return str(next(key for key, group in groups if group["name"].startswith("kubernetes-minion")))


def _let_in(box: SharedBox, group: str) -> list[dict[str, Any]]:
    """Let our minions into a group of somebody else's."""
    rule = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": _our_minions(box)}]}]
    box.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=rule)
    return rule


def a_security_group_that_names_ours(box: SharedBox, tags: Tags) -> Thing:
    theirs = a_security_group(box, tags)
    _let_in(box, theirs.name)
    return theirs


def a_rule_of_the_vpcs_own_group(box: SharedBox, _: Tags) -> Thing:
    group = next(key for key, group in part(box, "security groups").items() if group["name"] == "default")
    rule = _let_in(box, group)
    ec2 = box.client("ec2")
    return Thing("security groups", group, lambda: ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rule))


def an_interface_in_the_master(box: SharedBox, tags: Tags) -> Thing:
    theirs = an_interface(box, tags)
    box.client("ec2").attach_network_interface(NetworkInterfaceId=theirs.name, InstanceId=master_of(box), DeviceIndex=1)
    return theirs


def an_address_of_a_minion(box: SharedBox, tags: Tags) -> Thing:
    theirs, master = an_address(box, tags), master_of(box)
    minion = next(key for key in part(box, "instances") if key != master)
    box.client("ec2").associate_address(AllocationId=theirs.name, InstanceId=minion)
    return theirs


def a_route_table(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    made = ec2.create_route_table(VpcId=_vpc(box), TagSpecifications=_specification("route-table", tags))["RouteTable"][
        "RouteTableId"
    ]
    return Thing("route tables", made, lambda: ec2.delete_route_table(RouteTableId=made))


def a_subnet(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    made = ec2.create_subnet(
        VpcId=_vpc(box), CidrBlock="172.20.9.0/24", TagSpecifications=_specification("subnet", tags)
    )["Subnet"]["SubnetId"]
    return Thing("subnets", made, lambda: ec2.delete_subnet(SubnetId=made))


def a_load_balancer(box: SharedBox, tags: Tags) -> Thing:
    """With the interface that AWS puts into the subnet for it, and a security group of its own."""
    elb, ec2, group = box.client("elb"), box.client("ec2"), a_security_group(box, tags)
    interface = ec2.create_network_interface(SubnetId=_subnet(box), Groups=[group.name], Description="ELB theirs")
    elb.create_load_balancer(
        LoadBalancerName="theirs",
        Listeners=[{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}],
        Subnets=[_subnet(box)],
        SecurityGroups=[group.name],
        **({"Tags": tags} if tags else {}),
    )

    def remove() -> None:
        elb.delete_load_balancer(LoadBalancerName="theirs")
        ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterface"]["NetworkInterfaceId"])
        group.remove()

    return Thing("load balancers", "theirs", remove, said="ELB theirs")


def _managed(box: SharedBox, kind: str, requester: str, description: str) -> Thing:
    """An interface that a service of AWS made for itself in the subnet."""
    ec2 = box.client("ec2")
    made = ec2.create_network_interface(SubnetId=_subnet(box), Description=description)["NetworkInterface"]
    name = made["NetworkInterfaceId"]
    eni = cloud.ec2(REGION).enis[name]
    eni.interface_type, eni.requester_id, eni.requester_managed = kind, requester, True

    def remove() -> None:
        eni.requester_managed = False
        ec2.delete_network_interface(NetworkInterfaceId=name)

    return Thing("interfaces", name, remove, said=f"{name} (")


def a_lambdas_interface(box: SharedBox, _: Tags) -> Thing:
    return _managed(box, "lambda", "AROAEXAMPLE:theirs", "AWS Lambda VPC ENI-theirs-0123")


def a_databases_interface(box: SharedBox, _: Tags) -> Thing:
    return _managed(box, "interface", "amazon-rds", "RDSNetworkInterface")


def a_file_systems_interface(box: SharedBox, _: Tags) -> Thing:
    return _managed(box, "interface", "amazon-efs", "EFS mount target for fs-0123 (fsmt-0123)")


def a_nat_gateway(box: SharedBox, tags: Tags) -> Thing:
    """A public one, whose address keeps the internet gateway too."""
    ec2, address = box.client("ec2"), an_address(box, tags)
    made = ec2.create_nat_gateway(
        SubnetId=_subnet(box), AllocationId=address.name, TagSpecifications=_specification("natgateway", tags)
    )["NatGateway"]["NatGatewayId"]
    eni = cloud.ec2(REGION).nat_gateways[made]._eni

    def remove() -> None:
        ec2.delete_nat_gateway(NatGatewayId=made)
        eni.requester_managed = False
        if eni.id in cloud.ec2(REGION).enis:
            ec2.delete_network_interface(NetworkInterfaceId=eni.id)
        address.remove()

    return Thing("NAT gateways", made, remove)


def _endpoint(box: SharedBox, service: str, tags: Tags, **more: Any) -> Thing:
    ec2 = box.client("ec2")
    made = ec2.create_vpc_endpoint(
        VpcId=_vpc(box), ServiceName=service, TagSpecifications=_specification("vpc-endpoint", tags), **more
    )["VpcEndpoint"]
    name = made["VpcEndpointId"]

    def remove() -> None:
        ec2.delete_vpc_endpoints(VpcEndpointIds=[name])
        for interface in made.get("NetworkInterfaceIds", []):
            cloud.ec2(REGION).enis.pop(interface, None)

    return Thing("VPC endpoints", name, remove)


def a_gateway_endpoint(box: SharedBox, tags: Tags) -> Thing:
    return _endpoint(box, f"com.amazonaws.{REGION}.s3", tags, VpcEndpointType="Gateway")


def an_interface_endpoint(box: SharedBox, tags: Tags) -> Thing:
    return _endpoint(box, f"com.amazonaws.{REGION}.sqs", tags, VpcEndpointType="Interface", SubnetIds=[_subnet(box)])


def guard_dutys_endpoint(box: SharedBox, tags: Tags) -> Thing:
    theirs = [*tags, {"Key": "GuardDutyManaged", "Value": "true"}]
    service = f"com.amazonaws.{REGION}.guardduty-data"
    return _endpoint(box, service, theirs, VpcEndpointType="Interface", SubnetIds=[_subnet(box)])


def a_network_acl(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    made = ec2.create_network_acl(VpcId=_vpc(box), TagSpecifications=_specification("network-acl", tags))
    name = made["NetworkAcl"]["NetworkAclId"]
    return Thing("network ACLs", name, lambda: ec2.delete_network_acl(NetworkAclId=name))


def a_peering(box: SharedBox, tags: Tags) -> Thing:
    """From another VPC of theirs, which goes with it."""
    ec2, ours = box.client("ec2"), _vpc(box)
    other = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    specification = _specification("vpc-peering-connection", tags)
    made = ec2.create_vpc_peering_connection(VpcId=other, PeerVpcId=ours, TagSpecifications=specification)
    name = made["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=name)

    def remove() -> None:
        ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=name)
        ec2.delete_vpc(VpcId=other)

    return Thing("peering connections", name, remove)


def a_vpn_gateway(box: SharedBox, tags: Tags) -> Thing:
    ec2, vpc = box.client("ec2"), _vpc(box)
    made = ec2.create_vpn_gateway(Type="ipsec.1", TagSpecifications=_specification("vpn-gateway", tags))
    name = made["VpnGateway"]["VpnGatewayId"]
    ec2.attach_vpn_gateway(VpnGatewayId=name, VpcId=vpc)

    def remove() -> None:
        ec2.detach_vpn_gateway(VpnGatewayId=name, VpcId=vpc)
        ec2.delete_vpn_gateway(VpnGatewayId=name)

    return Thing("VPN gateways", name, remove)


def an_egress_only_gateway(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    specification = _specification("egress-only-internet-gateway", tags)
    made = ec2.create_egress_only_internet_gateway(VpcId=_vpc(box), TagSpecifications=specification)
    name = made["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]

    def remove() -> None:
        ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=name)

    return Thing("egress-only internet gateways", name, remove)


def a_carrier_gateway(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    made = ec2.create_carrier_gateway(VpcId=_vpc(box), TagSpecifications=_specification("carrier-gateway", tags))
    name = made["CarrierGateway"]["CarrierGatewayId"]
    return Thing("carrier gateways", name, lambda: ec2.delete_carrier_gateway(CarrierGatewayId=name))


def a_group_of_ours_in_their_vpc(box: SharedBox, _: Tags) -> Thing:
    ec2, ours = box.client("ec2"), _our_minions(box)
    other = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    ec2.associate_security_group_vpc(GroupId=ours, VpcId=other)

    def remove() -> None:
        ec2.disassociate_security_group_vpc(GroupId=ours, VpcId=other)
        ec2.delete_vpc(VpcId=other)

    return Thing("vpcs", other, remove)


def an_outward_rule_that_names_ours(box: SharedBox, tags: Tags) -> Thing:
    theirs, ec2 = a_security_group(box, tags), box.client("ec2")
    rule = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": _our_minions(box)}]}]
    ec2.authorize_security_group_egress(GroupId=theirs.name, IpPermissions=rule)
    return Thing("security groups", theirs.name, theirs.remove, said=f"an egress rule of {theirs.name}")


def a_route_table_of_ours_in_their_subnet(box: SharedBox, tags: Tags) -> Thing:
    """Ours is taken off it: it is ours. What is in the way is the subnet."""
    theirs = a_subnet(box, tags)
    table = next(key for key, each in part(box, "route tables").items() if not each.get("main"))
    box.client("ec2").associate_route_table(RouteTableId=table, SubnetId=theirs.name)
    return theirs


def an_address(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    made = ec2.allocate_address(Domain="vpc", TagSpecifications=_specification("elastic-ip", tags))["AllocationId"]
    return Thing("addresses", made, lambda: ec2.release_address(AllocationId=made), blocks=False)


def an_address_in_use(box: SharedBox, tags: Tags) -> Thing:
    ec2, instance = box.client("ec2"), _run(box, tags)
    made = ec2.allocate_address(Domain="vpc", TagSpecifications=_specification("elastic-ip", tags))
    ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=instance)

    def remove() -> None:
        ec2.terminate_instances(InstanceIds=[instance])
        settle(box)
        ec2.release_address(AllocationId=made["AllocationId"])

    return Thing("addresses", made["AllocationId"], remove, said=instance)


def a_key_pair(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    ec2.create_key_pair(KeyName="kubernetes-kubernetes-theirs", TagSpecifications=_specification("key-pair", tags))
    name = "kubernetes-kubernetes-theirs"
    return Thing("key pairs", name, lambda: ec2.delete_key_pair(KeyName=name), blocks=False)


def a_launch_template(box: SharedBox, tags: Tags) -> Thing:
    ec2 = box.client("ec2")
    data = {key: value for key, value in template_data(box).items() if key in ("ImageId", "InstanceType")}
    made = ec2.create_launch_template(
        LaunchTemplateName="kubernetes-minion-group",
        LaunchTemplateData=data,
        TagSpecifications=_specification("launch-template", tags),
    )["LaunchTemplate"]["LaunchTemplateId"]
    return Thing("launch templates", made, lambda: ec2.delete_launch_template(LaunchTemplateId=made), blocks=False)


def a_group(box: SharedBox, tags: Tags) -> Thing:
    template, scaling, name = a_launch_template(box, tags), box.client("autoscaling"), f"{GROUP}-theirs"
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateId": template.name},
        MinSize=0,
        MaxSize=0,
        VPCZoneIdentifier=_subnet(box),
        Tags=[tag | {"ResourceId": name, "ResourceType": "auto-scaling-group"} for tag in tags],
    )

    def remove() -> None:
        scaling.delete_auto_scaling_group(AutoScalingGroupName=name)
        settle(box)
        template.remove()

    return Thing("groups", name, remove, blocks=False)


def an_object(box: SharedBox, tags: Tags) -> Thing:
    s3, bucket, key = box.client("s3"), bucket_of(box), f"{REGION}/kubernetes-2/settings.env"
    s3.put_object(Bucket=bucket, Key=key, Body=b"theirs")

    def remove() -> None:
        """For good: in a versioned bucket an object that is only deleted has versions that stay."""
        for version in s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]:
            s3.delete_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])

    return Thing(bucket, key, remove, said=bucket, region="s3")


def a_role(box: SharedBox, tags: Tags) -> Thing:
    iam, name = box.client("iam"), "kubernetes-master-kubernetes"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, Tags=tags)
    return Thing("roles", name, lambda: iam.delete_role(RoleName=name), blocks=False, region="iam")


def a_snapshot(box: SharedBox, tags: Tags) -> Thing:
    ec2, disk = box.client("ec2"), named(box, "volumes", "kubernetes-master-pd")
    made = ec2.create_snapshot(VolumeId=disk, TagSpecifications=_specification("snapshot", tags))["SnapshotId"]
    return Thing("snapshots", made, lambda: ec2.delete_snapshot(SnapshotId=made), blocks=False)


MAKERS: Sequence[Callable[[SharedBox, Tags], Thing]] = (
    an_interface,
    an_instance,
    an_instance_named_as_the_master,
    a_volume,
    a_volume_in_the_master,
    a_security_group,
    a_security_group_that_names_ours,
    a_rule_of_the_vpcs_own_group,
    an_interface_in_the_master,
    an_address_of_a_minion,
    a_route_table,
    a_subnet,
    a_load_balancer,
    a_lambdas_interface,
    a_databases_interface,
    a_file_systems_interface,
    a_nat_gateway,
    a_gateway_endpoint,
    an_interface_endpoint,
    guard_dutys_endpoint,
    a_network_acl,
    a_peering,
    a_vpn_gateway,
    an_egress_only_gateway,
    a_carrier_gateway,
    a_group_of_ours_in_their_vpc,
    an_outward_rule_that_names_ours,
    a_route_table_of_ours_in_their_subnet,
    an_address,
    an_address_in_use,
    a_key_pair,
    a_launch_template,
    a_group,
    an_object,
    a_role,
    a_snapshot,
)
