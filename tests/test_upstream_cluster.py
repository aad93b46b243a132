"""A cluster that the original's kube-up.sh made: kube_down.py knows it by the one tag that it has, and what has none by
what it is bound to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import REGION, Box
from helpers import ID, must, neighbour, part, settle

from sandbox.backend import cloud

UPSTREAM = json.loads((Path(__file__).parent / "upstream_up.json").read_text())
ZONE = f"{REGION}a"
(GROUP,) = UPSTREAM["lc"]
(PAIR,) = UPSTREAM["key"]
PROFILES: list[str] = UPSTREAM["profiles"]
TRUST = json.dumps(
    {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
)


@dataclass(frozen=True)
class Upstream:
    """The ids of what it is made of that bears no tag, or that a test looks at."""

    address: str
    public_ip: str
    gateway: str
    master: str
    disk: str


def _tag(box: Box, resource: str, **more: str) -> None:
    tags = [{"Key": key, "Value": value} for key, value in {**more, "KubernetesCluster": ID}.items()]
    box.client("ec2").create_tags(Resources=[resource], Tags=tags)


def _roles(box: Box) -> None:
    iam = box.client("iam")
    for name in PROFILES:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    box.clock.sleep(30.0)


def _network(box: Box) -> tuple[str, str, str, list[str]]:
    """Subnet, gateway, route table and the two security groups, by the calls of kube-up.sh, in its order."""
    ec2 = box.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
    _tag(box, vpc, Name="kubernetes-vpc")
    domain = {"Key": "domain-name", "Values": [f"{REGION}.compute.internal"]}
    options = ec2.create_dhcp_options(DhcpConfigurations=[domain])["DhcpOptions"]["DhcpOptionsId"]
    _tag(box, options, Name="kubernetes-dhcp-option-set")
    ec2.associate_dhcp_options(DhcpOptionsId=options, VpcId=vpc)
    subnet = ec2.create_subnet(CidrBlock="172.20.0.0/24", VpcId=vpc, AvailabilityZone=ZONE)["Subnet"]["SubnetId"]
    _tag(box, subnet)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    _tag(box, table)
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    groups = []
    for role in ("master", "minion"):
        made = ec2.create_security_group(GroupName=f"kubernetes-{role}-{ID}", Description=f"of {role}s", VpcId=vpc)
        groups.append(made["GroupId"])
        _tag(box, made["GroupId"])
    for of in groups:
        for source in groups:
            pair = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": source}]}
            ec2.authorize_security_group_ingress(GroupId=of, IpPermissions=[pair])
    return subnet, gateway, table, groups


def build(box: Box) -> Upstream:
    """What kube-up.sh leaves: tests/upstream_up.json has it as it was seen."""
    ec2 = box.client("ec2")
    _roles(box)
    ec2.import_key_pair(KeyName=PAIR, PublicKeyMaterial=(box.home / ".ssh" / "kube_aws_rsa.pub").read_bytes())
    subnet, gateway, table, (of_master, of_minions) = _network(box)
    disk = ec2.create_volume(AvailabilityZone=ZONE, VolumeType="gp2", Size=20)["VolumeId"]
    address = ec2.allocate_address(Domain="vpc")
    _tag(box, disk, Name=f"{ID}-master-pd", **{"kubernetes.io/master-ip": address["PublicIp"]})
    image = ec2.describe_images(Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"][0]["ImageId"]
    launch: dict[str, Any] = {
        "ImageId": image,
        "InstanceType": "t3.small",
        "KeyName": PAIR,
        "MinCount": 1,
        "MaxCount": 1,
    }
    nic = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [of_master], "PrivateIpAddress": "172.20.0.9"}
    made = ec2.run_instances(**launch, IamInstanceProfile={"Name": PROFILES[0]}, NetworkInterfaces=[nic])
    master = made["Instances"][0]["InstanceId"]
    _tag(box, master, Name=f"{ID}-master", Role=f"{ID}-master")
    settle(box)
    ec2.associate_address(InstanceId=master, AllocationId=address["AllocationId"])
    ec2.attach_volume(VolumeId=disk, Device="/dev/sdb", InstanceId=master)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.246.0.0/24", InstanceId=master)
    _minions(box, image=image, subnet=subnet, group_id=of_minions)
    return Upstream(address["AllocationId"], address["PublicIp"], gateway, master, disk)


def _minions(box: Box, *, image: str, subnet: str, group_id: str) -> None:
    """The group. Accounts of today make no launch configuration, so it is planted, once the group has its machines."""
    ec2, scaling = box.client("ec2"), box.client("autoscaling")
    data = {
        "ImageId": image,
        "InstanceType": "t3.small",
        "KeyName": PAIR,
        "SecurityGroupIds": [group_id],
        "IamInstanceProfile": {"Name": PROFILES[1]},
    }
    template = ec2.create_launch_template(LaunchTemplateName="for-now", LaunchTemplateData=data)["LaunchTemplate"]
    tags = {"Name": f"{ID}-minion", "Role": f"{ID}-minion", "KubernetesCluster": ID}
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Default"},
        MinSize=2,
        MaxSize=2,
        VPCZoneIdentifier=subnet,
        Tags=[{"ResourceId": GROUP, "Key": k, "Value": v, "PropagateAtLaunch": True} for k, v in tags.items()],
    )
    settle(box, 15)
    plant_configuration(GROUP, image=image, group_id=group_id, profile=PROFILES[1])
    group = cloud.autoscaling(REGION).autoscaling_groups[GROUP]
    group.ec2_launch_template, group.launch_config_name = None, GROUP
    ec2.delete_launch_template(LaunchTemplateId=template["LaunchTemplateId"])


def plant_configuration(name: str, *, image: str, group_id: str, profile: str) -> None:
    """A launch configuration of before AWS stopped making them."""
    cloud.autoscaling(REGION).create_launch_configuration(
        name=name,
        image_id=image,
        key_name=PAIR,
        kernel_id="",
        ramdisk_id="",
        security_groups=[group_id],
        user_data="",
        instance_type="t3.small",
        instance_monitoring=False,
        instance_profile_name=profile,
        spot_price=None,
        ebs_optimized=False,
        associate_public_ip_address=True,
        block_device_mappings=[],
    )


def test_it_is_what_was_seen(sandbox: Box) -> None:
    """The cluster of these tests has the tags, kind by kind, that the original's had."""
    build(sandbox)
    found = sandbox.inventory()[REGION]
    assert {json.dumps(each["tags"], sort_keys=True) for each in found["vpcs"].values()} == {
        json.dumps(tags, sort_keys=True) for _, tags in UPSTREAM["vpcs"]
    }
    assert [each["tags"] for each in found["subnets"].values()] == [tags for *_, tags in UPSTREAM["subnets"]]
    assert [each["tags"] for each in found["addresses"].values()] == [tags for *_, tags in UPSTREAM["eip"]]
    assert [each["tags"] for each in found["dhcp options"].values()] == [tags for _, tags in UPSTREAM["dhcp"]]
    seen = {json.dumps(tags, sort_keys=True) for *_, tags, _ in UPSTREAM["inst"]}
    tags = [each["tags"] for each in found["instances"].values()]
    given = [{k: v for k, v in each.items() if not k.startswith("aws:ec2launchtemplate:")} for each in tags]
    assert {json.dumps(each, sort_keys=True) for each in given} == seen
    assert found["launch configurations"] == UPSTREAM["lc"]
    assert sorted(sandbox.inventory()["iam"]["roles"]) == UPSTREAM["roles"]


def test_it_is_emptied_and_what_other_clusters_may_have_is_named(sandbox: Box) -> None:
    neighbour(sandbox)
    before = sandbox.inventory()
    made = build(sandbox)
    whole = sandbox.inventory()
    planned = sandbox.down("--dry-run")
    assert planned.code == 3
    for thing in (made.public_ip, made.gateway, made.disk, f"launch configuration {GROUP}"):
        assert thing in planned.out
    assert sandbox.inventory() == whole
    done = must(sandbox.down())
    left = sandbox.inventory()
    assert left[REGION].pop("key pairs").pop(PAIR)
    assert left[REGION] == {kind: things for kind, things in before[REGION].items() if kind != "key pairs"}
    assert left["s3"] == before["s3"]
    for kind in ("roles", "instance profiles"):
        assert sorted(set(left["iam"][kind]) - set(before["iam"][kind])) == PROFILES
    said = next(line for line in done.out.splitlines() if line.startswith("Left, for other clusters may have it too"))
    for name in PROFILES:
        assert f"role and instance profile {name}" in done.out
    assert "key pair" in said


def test_an_address_that_serves_something_else_by_now_stays(sandbox: Box) -> None:
    made = build(sandbox)
    ec2 = sandbox.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="172.31.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.0.0/24")["Subnet"]["SubnetId"]
    ec2.attach_internet_gateway(
        VpcId=vpc, InternetGatewayId=ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    )
    theirs = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    ec2.associate_address(AllocationId=made.address, NetworkInterfaceId=theirs, AllowReassociation=True)
    must(sandbox.down())
    assert list(part(sandbox, "addresses")) == [made.address]


def test_an_address_that_down_is_told_is_ones_own_stays(sandbox: Box) -> None:
    made = build(sandbox)
    must(sandbox.down(MASTER_RESERVED_IP=made.public_ip))
    assert list(part(sandbox, "addresses")) == [made.address]


@pytest.mark.parametrize("bound", [True, False])
def test_only_what_is_bound_to_the_cluster_goes(sandbox: Box, bound: bool) -> None:
    """A launch configuration of no group any more is known by the security group that it puts machines into."""
    build(sandbox)
    sandbox.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
    settle(sandbox, 20)
    if not bound:
        configuration = cloud.autoscaling(REGION).launch_configurations[GROUP]
        configuration.security_groups = ["sg-0123456789abcdef0"]
    must(sandbox.down())
    assert list(part(sandbox, "launch configurations")) == ([] if bound else [GROUP])
