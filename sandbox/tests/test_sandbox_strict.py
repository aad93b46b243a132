"""The sandbox refuses what AWS refuses. Each test is one rule that moto alone does not have, or has otherwise."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, Box

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
DEBIAN = "/aws/service/debian/release/13/latest/"


def refused(function: Any, **parameters: Any) -> str:
    """The code with which AWS refuses this call."""
    with pytest.raises(ClientError) as caught:
        function(**parameters)
    return str(caught.value.response["Error"]["Code"])


class Net:
    """A VPC with a subnet, a gateway and an image to launch, made by plain calls."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.ec2 = box.client("ec2")
        self.iam = box.client("iam")
        self.asg = box.client("autoscaling")
        self.vpc = self.ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.make_subnet("172.20.0.0/24")
        self.gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.image = self.find_image("amd64")

    def find_image(self, architecture: str) -> str:
        return str(self.box.client("ssm").get_parameter(Name=DEBIAN + architecture)["Parameter"]["Value"])

    def make_subnet(self, cidr: str, zone: str = f"{REGION}a") -> str:
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=zone)
        return str(made["Subnet"]["SubnetId"])

    def attach_gateway(self) -> None:
        self.ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)

    def make_interface(self, **more: Any) -> str:
        made = self.ec2.create_network_interface(SubnetId=self.subnet, **more)
        return str(made["NetworkInterface"]["NetworkInterfaceId"])

    def make_group(self, name: str = "nodes") -> str:
        return str(self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"])

    def launch(self, **more: Any) -> str:
        base = {"ImageId": self.image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
        if "NetworkInterfaces" not in more:
            base["SubnetId"] = self.subnet
        return str(self.ec2.run_instances(**(base | more))["Instances"][0]["InstanceId"])

    def instance(self, instance_id: str) -> dict[str, Any]:
        found = self.ec2.describe_instances(InstanceIds=[instance_id])
        return dict(found["Reservations"][0]["Instances"][0])

    def state(self, instance_id: str) -> str:
        return str(self.instance(instance_id)["State"]["Name"])

    def end(self, instance_id: str) -> None:
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.box.clock.sleep(60)

    def make_profile(self, name: str = "nodes") -> None:
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        self.iam.create_instance_profile(InstanceProfileName=name)
        self.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

    def make_template(self, **data: Any) -> str:
        data = {"ImageId": self.image, "InstanceType": "t3.small"} | data
        made = self.ec2.create_launch_template(LaunchTemplateName="nodes", LaunchTemplateData=data)
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def make_autoscaling(self, size: int = 2, **data: Any) -> None:
        template = self.make_template(**data)
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName="nodes",
            MinSize=size,
            MaxSize=size,
            VPCZoneIdentifier=self.subnet,
            LaunchTemplate={"LaunchTemplateId": template},
            Tags=[{"Key": "Name", "Value": "minion", "PropagateAtLaunch": True}],
        )

    def autoscaling(self) -> dict[str, Any]:
        return dict(self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["nodes"])["AutoScalingGroups"][0])


@pytest.fixture
def net(sandbox: Box) -> Net:
    return Net(sandbox)


# --- deletes in the wrong order --------------------------------------------------------------------------------------


def test_vpc_with_subnet_is_kept(net: Net) -> None:
    assert refused(net.ec2.delete_vpc, VpcId=net.vpc) == "DependencyViolation"


@pytest.mark.parametrize("what", ["gateway", "route table", "security group"])
def test_vpc_with_parts_is_kept(net: Net, what: str) -> None:
    net.ec2.delete_subnet(SubnetId=net.subnet)
    if what == "gateway":
        net.attach_gateway()
    if what == "route table":
        net.ec2.create_route_table(VpcId=net.vpc)
    if what == "security group":
        net.make_group()
    assert refused(net.ec2.delete_vpc, VpcId=net.vpc) == "DependencyViolation"


def test_vpc_without_parts_goes_and_its_dhcp_options_stay(net: Net) -> None:
    options = net.ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["x.internal"]}])
    name = options["DhcpOptions"]["DhcpOptionsId"]
    net.ec2.associate_dhcp_options(VpcId=net.vpc, DhcpOptionsId=name)
    assert refused(net.ec2.delete_dhcp_options, DhcpOptionsId=name) == "DependencyViolation"
    net.ec2.delete_subnet(SubnetId=net.subnet)
    net.ec2.delete_vpc(VpcId=net.vpc)
    net.ec2.delete_dhcp_options(DhcpOptionsId=name)
    net.ec2.delete_internet_gateway(InternetGatewayId=net.gateway)
    assert net.box.inventory() == {}


def test_subnet_with_interface_is_kept(net: Net) -> None:
    net.make_interface()
    assert refused(net.ec2.delete_subnet, SubnetId=net.subnet) == "DependencyViolation"


def test_subnet_with_instance_is_kept_until_it_is_terminated(net: Net) -> None:
    instance = net.launch()
    net.ec2.terminate_instances(InstanceIds=[instance])
    assert refused(net.ec2.delete_subnet, SubnetId=net.subnet) == "DependencyViolation"
    net.box.clock.sleep(60)
    net.ec2.delete_subnet(SubnetId=net.subnet)


def test_security_group_named_by_another_groups_rule_is_kept(net: Net) -> None:
    master, minion = net.make_group("master"), net.make_group("minion")
    rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": minion}]}
    net.ec2.authorize_security_group_ingress(GroupId=master, IpPermissions=[rule])
    assert refused(net.ec2.delete_security_group, GroupId=minion) == "DependencyViolation"
    net.ec2.revoke_security_group_ingress(GroupId=master, IpPermissions=[rule])
    net.ec2.delete_security_group(GroupId=minion)


def test_security_group_that_names_itself_goes(net: Net) -> None:
    group = net.make_group()
    rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    net.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    net.ec2.delete_security_group(GroupId=group)


def test_security_group_of_interface_is_kept(net: Net) -> None:
    group = net.make_group()
    interface = net.make_interface(Groups=[group])
    assert refused(net.ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    net.ec2.delete_network_interface(NetworkInterfaceId=interface)
    net.ec2.delete_security_group(GroupId=group)


def test_security_group_of_instance_is_kept_until_it_is_terminated(net: Net) -> None:
    group = net.make_group()
    instance = net.launch(SecurityGroupIds=[group])
    net.ec2.terminate_instances(InstanceIds=[instance])
    assert refused(net.ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    net.box.clock.sleep(60)
    net.ec2.delete_security_group(GroupId=group)


def test_attached_gateway_is_kept(net: Net) -> None:
    net.attach_gateway()
    assert refused(net.ec2.delete_internet_gateway, InternetGatewayId=net.gateway) == "DependencyViolation"


def test_gateway_stays_attached_while_public_addresses_are_mapped(net: Net) -> None:
    net.attach_gateway()
    address = net.ec2.allocate_address(Domain="vpc")["AllocationId"]
    association = net.ec2.associate_address(AllocationId=address, NetworkInterfaceId=net.make_interface())
    detach = {"InternetGatewayId": net.gateway, "VpcId": net.vpc}
    assert refused(net.ec2.detach_internet_gateway, **detach) == "DependencyViolation"
    net.ec2.disassociate_address(AssociationId=association["AssociationId"])
    net.ec2.detach_internet_gateway(**detach)


def test_second_gateway_is_refused(net: Net) -> None:
    net.attach_gateway()
    other = net.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    attach = {"InternetGatewayId": other, "VpcId": net.vpc}
    assert refused(net.ec2.attach_internet_gateway, **attach) == "InvalidParameterValue"


def test_the_same_gateway_twice_is_refused_by_a_code_of_its_own(net: Net) -> None:
    net.attach_gateway()
    attach = {"InternetGatewayId": net.gateway, "VpcId": net.vpc}
    assert refused(net.ec2.attach_internet_gateway, **attach) == "Resource.AlreadyAssociated"


def test_route_table_in_use_is_kept(net: Net) -> None:
    table = net.ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    association = net.ec2.associate_route_table(RouteTableId=table, SubnetId=net.subnet)["AssociationId"]
    assert refused(net.ec2.delete_route_table, RouteTableId=table) == "DependencyViolation"
    net.ec2.disassociate_route_table(AssociationId=association)
    net.ec2.delete_route_table(RouteTableId=table)


def test_subnet_has_one_route_table(net: Net) -> None:
    first, second = (net.ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"] for _ in range(2))
    net.ec2.associate_route_table(RouteTableId=first, SubnetId=net.subnet)
    again = {"RouteTableId": second, "SubnetId": net.subnet}
    assert refused(net.ec2.associate_route_table, **again) == "Resource.AlreadyAssociated"


def test_interface_in_use_is_kept(net: Net) -> None:
    interface = net.make_interface()
    net.launch(NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface}])
    assert refused(net.ec2.delete_network_interface, NetworkInterfaceId=interface) == "InvalidParameterValue"


def test_associated_address_is_kept(net: Net) -> None:
    net.attach_gateway()
    address = net.ec2.allocate_address(Domain="vpc")["AllocationId"]
    net.ec2.associate_address(AllocationId=address, NetworkInterfaceId=net.make_interface())
    assert refused(net.ec2.release_address, AllocationId=address) == "InvalidIPAddress.InUse"


def test_address_needs_a_gateway(net: Net) -> None:
    address = net.ec2.allocate_address(Domain="vpc")["AllocationId"]
    associate = {"AllocationId": address, "NetworkInterfaceId": net.make_interface()}
    assert refused(net.ec2.associate_address, **associate) == "Gateway.NotAttached"


def test_deleted_interface_frees_its_address(net: Net) -> None:
    net.attach_gateway()
    address = net.ec2.allocate_address(Domain="vpc")["AllocationId"]
    interface = net.make_interface()
    net.ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)
    net.ec2.delete_network_interface(NetworkInterfaceId=interface)
    net.ec2.release_address(AllocationId=address)


def test_volume_in_use_is_kept(net: Net) -> None:
    instance = net.launch()
    net.box.clock.sleep(60)
    volume = net.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=20, VolumeType="gp3")["VolumeId"]
    net.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdb")
    assert refused(net.ec2.delete_volume, VolumeId=volume) == "VolumeInUse"


@pytest.mark.parametrize("what", ["policy", "profile"])
def test_role_in_use_is_kept(net: Net, what: str) -> None:
    if what == "profile":
        net.make_profile()
    else:
        net.iam.create_role(RoleName="nodes", AssumeRolePolicyDocument=TRUST)
        net.iam.put_role_policy(
            RoleName="nodes",
            PolicyName="all",
            PolicyDocument=TRUST.replace("[]", '[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]'),
        )
    assert refused(net.iam.delete_role, RoleName="nodes") == "DeleteConflict"


def test_profile_with_role_is_kept(net: Net) -> None:
    net.make_profile()
    assert refused(net.iam.delete_instance_profile, InstanceProfileName="nodes") == "DeleteConflict"


def test_role_that_is_not_in_the_profile_is_not_found(net: Net) -> None:
    net.make_profile()
    both = {"InstanceProfileName": "nodes", "RoleName": "nodes"}
    net.iam.remove_role_from_instance_profile(**both)
    assert refused(net.iam.remove_role_from_instance_profile, **both) == "NoSuchEntity"


def test_bucket_with_objects_is_kept(sandbox: Box) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="staging", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="staging", Key="a", Body=b"a")
    assert refused(s3.delete_bucket, Bucket="staging") == "BucketNotEmpty"


# --- tokens ----------------------------------------------------------------------------------------------------------


def token_calls(net: Net) -> dict[str, tuple[Any, dict[str, Any], dict[str, Any]]]:
    launch = {"ImageId": net.image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1, "SubnetId": net.subnet}
    data = {"ImageId": net.image}
    return {
        "RunInstances": (net.ec2.run_instances, launch, {"InstanceType": "t3.medium"}),
        "CreateNetworkInterface": (net.ec2.create_network_interface, {"SubnetId": net.subnet}, {"Description": "x"}),
        "CreateVolume": (net.ec2.create_volume, {"AvailabilityZone": f"{REGION}a", "Size": 20}, {"Size": 30}),
        "CreateRouteTable": (net.ec2.create_route_table, {"VpcId": net.vpc}, {"VpcId": "vpc-0"}),
        "CreateLaunchTemplate": (
            net.ec2.create_launch_template,
            {"LaunchTemplateName": "nodes", "LaunchTemplateData": data},
            {"LaunchTemplateName": "others"},
        ),
    }


TOKEN_CALLS = ["RunInstances", "CreateNetworkInterface", "CreateVolume", "CreateRouteTable", "CreateLaunchTemplate"]


@pytest.mark.parametrize("name", TOKEN_CALLS)
def test_repeat_with_the_token_makes_nothing(net: Net, name: str) -> None:
    call, parameters, _ = token_calls(net)[name]
    first = call(ClientToken="one", **parameters)
    before = net.box.inventory()
    again = call(ClientToken="one", **parameters)
    first.pop("ResponseMetadata"), again.pop("ResponseMetadata")
    assert (again, net.box.inventory()) == (first, before)


@pytest.mark.parametrize("name", TOKEN_CALLS)
def test_token_with_other_parameters_is_refused(net: Net, name: str) -> None:
    call, parameters, other = token_calls(net)[name]
    call(ClientToken="one", **parameters)
    assert refused(call, ClientToken="one", **(parameters | other)) == "IdempotentParameterMismatch"


def test_another_token_makes_another(net: Net) -> None:
    first, second = net.launch(ClientToken="one"), net.launch(ClientToken="two")
    assert first != second


# --- instances -------------------------------------------------------------------------------------------------------


def test_instance_takes_its_time(net: Net) -> None:
    instance = net.launch()
    seen = [net.state(instance)]
    net.box.clock.sleep(60)
    seen.append(net.state(instance))
    net.ec2.terminate_instances(InstanceIds=[instance])
    seen.append(net.state(instance))
    net.box.clock.sleep(60)
    seen.append(net.state(instance))
    assert seen == ["pending", "running", "shutting-down", "terminated"]


def test_terminated_instance_is_listed_for_an_hour_without_its_parts(net: Net) -> None:
    instance = net.launch()
    net.end(instance)
    listed = net.instance(instance)
    assert "SubnetId" not in listed
    assert listed["NetworkInterfaces"] == []
    net.box.clock.sleep(3700)
    assert net.ec2.describe_instances()["Reservations"] == []


def test_stopped_instance_starts_as_pending(net: Net) -> None:
    instance = net.launch()
    net.box.clock.sleep(60)
    net.ec2.stop_instances(InstanceIds=[instance])
    assert net.state(instance) == "stopping"
    net.box.clock.sleep(60)
    assert net.state(instance) == "stopped"
    net.ec2.start_instances(InstanceIds=[instance])
    assert net.state(instance) == "pending"


def test_instance_is_in_the_zone_of_its_interface(net: Net) -> None:
    net.subnet = net.make_subnet("172.20.1.0/24", f"{REGION}b")
    instance = net.launch(NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": net.make_interface()}])
    assert net.instance(instance)["Placement"]["AvailabilityZone"] == f"{REGION}b"


def test_interface_in_use_cannot_be_launched_on(net: Net) -> None:
    """An interface in one instance is the lock that keeps two masters from living at once."""
    nics = [{"DeviceIndex": 0, "NetworkInterfaceId": net.make_interface()}]
    first = net.launch(NetworkInterfaces=nics)
    assert refused(net.launch, NetworkInterfaces=nics) == "InvalidNetworkInterface.InUse"
    net.ec2.terminate_instances(InstanceIds=[first])
    assert refused(net.launch, NetworkInterfaces=nics) == "InvalidNetworkInterface.InUse"
    net.box.clock.sleep(60)
    net.launch(NetworkInterfaces=nics)


def test_brought_interface_outlives_the_instance_and_keeps_its_address(net: Net) -> None:
    net.attach_gateway()
    interface = net.make_interface(PrivateIpAddress="172.20.0.9")
    address = net.ec2.allocate_address(Domain="vpc")["AllocationId"]
    net.ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)
    net.end(net.launch(NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface}]))
    found = net.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]
    assert (found["Status"], found["PrivateIpAddress"]) == ("available", "172.20.0.9")
    assert found["Association"]["AllocationId"] == address


def test_interface_made_by_the_launch_goes_with_the_instance(net: Net) -> None:
    net.end(net.launch())
    assert net.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_root_disk_goes_and_other_disk_stays(net: Net) -> None:
    instance = net.launch()
    net.box.clock.sleep(60)
    volume = net.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=20, VolumeType="gp3")["VolumeId"]
    net.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdb")
    net.end(instance)
    left = net.ec2.describe_volumes()["Volumes"]
    assert [(disk["VolumeId"], disk["State"]) for disk in left] == [(volume, "available")]


def test_root_disk_has_the_images_device_name(net: Net) -> None:
    [disk] = net.instance(net.launch())["BlockDeviceMappings"]
    assert (disk["DeviceName"], disk["Ebs"]["DeleteOnTermination"]) == ("/dev/xvda", True)


def test_root_disk_smaller_than_the_image_is_refused(net: Net) -> None:
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 4}}
    assert refused(net.launch, BlockDeviceMappings=[disk]) == "InvalidBlockDeviceMapping"


def test_disk_of_another_zone_cannot_be_attached(net: Net) -> None:
    instance = net.launch()
    volume = net.ec2.create_volume(AvailabilityZone=f"{REGION}b", Size=20)["VolumeId"]
    attach = {"VolumeId": volume, "InstanceId": instance, "Device": "/dev/sdb"}
    assert refused(net.ec2.attach_volume, **attach) == "IncorrectState"
    net.box.clock.sleep(60)
    assert refused(net.ec2.attach_volume, **attach) == "InvalidVolume.ZoneMismatch"


def test_private_address_is_given_once(net: Net) -> None:
    net.make_interface(PrivateIpAddress="172.20.0.9")
    assert refused(net.make_interface, PrivateIpAddress="172.20.0.9") == "InvalidIPAddress.InUse"
    assert refused(net.launch, PrivateIpAddress="172.20.0.9") == "InvalidIPAddress.InUse"


@pytest.mark.parametrize("address", ["172.20.0.3", "172.20.0.255", "172.21.0.9"])
def test_private_address_that_no_subnet_gives_is_refused(net: Net, address: str) -> None:
    assert refused(net.make_interface, PrivateIpAddress=address) == "InvalidParameterValue"


def test_launches_take_addresses_around_a_reserved_one(net: Net) -> None:
    net.make_interface(PrivateIpAddress="172.20.0.5")
    taken = [net.instance(net.launch())["PrivateIpAddress"] for _ in range(3)]
    assert taken == ["172.20.0.4", "172.20.0.6", "172.20.0.7"]


def test_protected_instance_is_not_terminated(net: Net) -> None:
    instance = net.launch(DisableApiTermination=True)
    assert refused(net.ec2.terminate_instances, InstanceIds=[instance]) == "OperationNotPermitted"
    net.ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    net.ec2.terminate_instances(InstanceIds=[instance])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"InstanceType": "t9.huge"}, "InvalidParameterValue"),
        ({"InstanceType": "t4g.small"}, "InvalidParameterValue"),  # arm64, and the image is amd64
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
        ({"SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
        ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)
def test_launch_is_refused(net: Net, wrong: dict[str, Any], code: str) -> None:
    assert refused(net.launch, **wrong) == code
    assert net.ec2.describe_instances()["Reservations"] == []


def test_user_data_of_the_greatest_size_is_taken(net: Net) -> None:
    net.launch(UserData="x" * 16384)


def test_template_with_too_much_user_data_is_refused(net: Net) -> None:
    data = base64.b64encode(b"x" * 16385).decode()
    assert refused(net.make_template, UserData=data) == "InvalidParameterValue"


def test_new_profile_is_visible_late(net: Net) -> None:
    net.make_profile()
    profile = {"IamInstanceProfile": {"Name": "nodes"}}
    assert refused(net.launch, **profile) == "InvalidParameterValue"
    net.box.clock.sleep(60)
    net.launch(**profile)


def test_role_new_in_an_old_profile_is_visible_late(net: Net) -> None:
    net.iam.create_role(RoleName="nodes", AssumeRolePolicyDocument=TRUST)
    net.iam.create_instance_profile(InstanceProfileName="nodes")
    net.box.clock.sleep(60)
    net.iam.add_role_to_instance_profile(InstanceProfileName="nodes", RoleName="nodes")
    assert refused(net.launch, IamInstanceProfile={"Name": "nodes"}) == "InvalidParameterValue"


def test_dry_run_changes_nothing(net: Net) -> None:
    before = net.box.inventory()
    assert refused(net.ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True) == "DryRunOperation"
    assert net.box.inventory() == before


def test_topology_is_answered(net: Net) -> None:
    instance = net.launch()
    net.box.clock.sleep(60)
    [found] = net.ec2.describe_instance_topology(InstanceIds=[instance])["Instances"]
    assert (found["InstanceId"], len(found["NetworkNodes"])) == (instance, 3)


@pytest.mark.parametrize("kind", ["t3.small", "t4g.medium", "m7i.large", "m7g.large", "c7g.4xlarge"])
@pytest.mark.parametrize("zone", [f"{REGION}a", f"{REGION}b"])
def test_types_of_today_are_offered(net: Net, kind: str, zone: str) -> None:
    offers = net.ec2.describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "location", "Values": [zone]}, {"Name": "instance-type", "Values": [kind]}],
    )
    assert [offer["Location"] for offer in offers["InstanceTypeOfferings"]] == [zone]


# --- groups ----------------------------------------------------------------------------------------------------------


def test_launch_configurations_are_refused(net: Net) -> None:
    code = refused(
        net.asg.create_launch_configuration,
        LaunchConfigurationName="nodes",
        ImageId=net.image,
        InstanceType="t3.small",
    )
    assert code == "UnsupportedOperation"


def test_group_launches_after_its_answer(net: Net) -> None:
    net.make_autoscaling()
    assert net.autoscaling()["Instances"] == []
    net.box.clock.sleep(0.6)
    assert [each["LifecycleState"] for each in net.autoscaling()["Instances"]] == ["Pending", "Pending"]
    net.box.clock.sleep(60)
    assert [each["LifecycleState"] for each in net.autoscaling()["Instances"]] == ["InService", "InService"]


def test_group_whose_template_is_gone_says_so_and_goes_on(net: Net) -> None:
    net.make_autoscaling()
    net.ec2.delete_launch_template(LaunchTemplateName="nodes")
    net.box.clock.sleep(60)
    assert net.autoscaling()["Instances"] == []
    activities = net.asg.describe_scaling_activities(AutoScalingGroupName="nodes")["Activities"]
    assert activities[0]["StatusCode"] == "Failed"
    assert "does not exist" in activities[0]["StatusMessage"]


def test_groups_instances_are_what_the_template_says(net: Net) -> None:
    net.make_profile()
    net.box.clock.sleep(60)
    group = net.make_group()
    net.make_autoscaling(
        size=1,
        UserData=base64.b64encode(b"hello").decode(),
        IamInstanceProfile={"Name": "nodes"},
        NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": True, "Groups": [group]}],
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 32, "VolumeType": "gp3", "Encrypted": True}}
        ],
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Role", "Value": "minion"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "Role", "Value": "disk"}]},
        ],
    )
    net.box.clock.sleep(60)
    instance = net.instance(net.autoscaling()["Instances"][0]["InstanceId"])
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert (tags["Name"], tags["Role"], tags["aws:autoscaling:groupName"]) == ("minion", "minion", "nodes")
    assert [each["GroupId"] for each in instance["SecurityGroups"]] == [group]
    assert instance["PublicIpAddress"]
    assert instance["PrivateIpAddress"].startswith("172.20.0.")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["IamInstanceProfile"]["Arn"].endswith("/nodes")
    [volume] = net.ec2.describe_volumes()["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (32, "gp3", True)
    assert volume["Tags"] == [{"Key": "Role", "Value": "disk"}]
    data = net.ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    assert base64.b64decode(data["UserData"]["Value"]) == b"hello"


def test_group_without_public_addresses_has_none(net: Net) -> None:
    net.make_autoscaling(NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": False}])
    net.box.clock.sleep(60)
    for each in net.autoscaling()["Instances"]:
        assert "PublicIpAddress" not in net.instance(each["InstanceId"])


def test_group_replaces_what_is_terminated(net: Net) -> None:
    net.make_autoscaling()
    net.box.clock.sleep(60)
    old = net.autoscaling()["Instances"][0]["InstanceId"]
    net.end(old)
    net.box.clock.sleep(60)
    now = [each["InstanceId"] for each in net.autoscaling()["Instances"]]
    assert len(now) == 2
    assert old not in now


def test_group_follows_the_default_version_of_its_template(net: Net) -> None:
    net.make_autoscaling(size=1)
    net.box.clock.sleep(60)
    template = net.ec2.describe_launch_templates()["LaunchTemplates"][0]["LaunchTemplateId"]
    net.ec2.create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.large"}
    )
    net.ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion="2")
    net.end(net.autoscaling()["Instances"][0]["InstanceId"])
    net.box.clock.sleep(60)
    assert [each["InstanceType"] for each in net.autoscaling()["Instances"]] == ["t3.large"]


def test_group_grows_and_shrinks(net: Net) -> None:
    net.make_autoscaling(size=2)
    net.box.clock.sleep(60)
    for size in (5, 1):
        net.asg.update_auto_scaling_group(AutoScalingGroupName="nodes", MinSize=size, MaxSize=size)
        net.box.clock.sleep(60)
        net.box.clock.sleep(60)
        assert (net.autoscaling()["DesiredCapacity"], len(net.autoscaling()["Instances"])) == (size, size)


def test_group_with_instances_is_kept_unless_forced(net: Net) -> None:
    net.make_autoscaling()
    assert refused(net.asg.delete_auto_scaling_group, AutoScalingGroupName="nodes") == "ScalingActivityInProgress"
    net.box.clock.sleep(60)
    assert refused(net.asg.delete_auto_scaling_group, AutoScalingGroupName="nodes") == "ResourceInUse"
    net.asg.delete_auto_scaling_group(AutoScalingGroupName="nodes", ForceDelete=True)
    assert net.autoscaling()["Status"] == "Delete in progress"
    net.box.clock.sleep(60)
    net.box.clock.sleep(60)
    assert net.asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []


def test_group_on_its_way_out_can_neither_be_made_nor_changed(net: Net) -> None:
    net.make_autoscaling()
    net.box.clock.sleep(60)
    net.asg.delete_auto_scaling_group(AutoScalingGroupName="nodes", ForceDelete=True)
    template = net.ec2.describe_launch_templates()["LaunchTemplates"][0]["LaunchTemplateId"]
    sizes = {"AutoScalingGroupName": "nodes", "MinSize": 1, "MaxSize": 1}
    again = sizes | {"VPCZoneIdentifier": net.subnet, "LaunchTemplate": {"LaunchTemplateId": template}}
    assert refused(net.asg.create_auto_scaling_group, **again) == "AlreadyExists"
    assert refused(net.asg.update_auto_scaling_group, **sizes) == "ScalingActivityInProgress"


def test_group_with_a_profile_not_yet_visible_is_refused(net: Net) -> None:
    net.make_profile()
    assert refused(net.make_autoscaling, IamInstanceProfile={"Name": "nodes"}) == "ValidationError"


def test_launch_that_fails_is_in_the_groups_log(net: Net) -> None:
    net.make_profile()
    net.box.clock.sleep(60)
    net.make_autoscaling(IamInstanceProfile={"Name": "nodes"})
    net.iam.remove_role_from_instance_profile(InstanceProfileName="nodes", RoleName="nodes")
    net.box.clock.sleep(60)
    log = net.asg.describe_scaling_activities(AutoScalingGroupName="nodes")["Activities"]
    assert (log[0]["StatusCode"], net.autoscaling()["Instances"]) == ("Failed", [])
    assert "no associated IAM Roles" in log[0]["StatusMessage"]


def test_full_subnet_launches_nothing(net: Net) -> None:
    net.subnet = net.make_subnet("172.20.9.0/28")
    net.make_autoscaling(size=12)
    net.box.clock.sleep(60)
    log = net.asg.describe_scaling_activities(AutoScalingGroupName="nodes")["Activities"]
    assert "enough free addresses" in log[0]["StatusMessage"]


# --- storage ---------------------------------------------------------------------------------------------------------


def make_bucket(box: Box, **more: Any) -> Any:
    s3 = box.client("s3")
    s3.create_bucket(Bucket="staging", CreateBucketConfiguration={"LocationConstraint": REGION}, **more)
    return s3


def test_location_must_fit_the_region(sandbox: Box) -> None:
    assert refused(sandbox.client("s3").create_bucket, Bucket="staging") == "IllegalLocationConstraintException"
    east = sandbox.client("s3", "us-east-1")
    constraint = {"LocationConstraint": "us-east-1"}
    code = refused(east.create_bucket, Bucket="staging", CreateBucketConfiguration=constraint)
    assert code == "InvalidLocationConstraint"
    east.create_bucket(Bucket="staging")


def test_new_bucket_is_private_and_encrypted(sandbox: Box) -> None:
    s3 = make_bucket(sandbox)
    block = s3.get_public_access_block(Bucket="staging")["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    rules = s3.get_bucket_encryption(Bucket="staging")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_public_lists_and_policies_are_refused(sandbox: Box) -> None:
    assert refused(make_bucket, box=sandbox, ACL="public-read") == "InvalidBucketAclWithObjectOwnership"
    s3 = make_bucket(sandbox)
    put = {"Bucket": "staging", "Key": "a", "Body": b"a"}
    assert refused(s3.put_object, ACL="public-read", **put) == "AccessControlListNotSupported"
    assert refused(s3.put_bucket_acl, Bucket="staging", ACL="public-read") == "AccessControlListNotSupported"
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::staging/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    assert refused(s3.put_bucket_policy, Bucket="staging", Policy=policy) == "AccessDenied"


def test_bucket_of_another_owner_is_refused(sandbox: Box) -> None:
    s3 = make_bucket(sandbox)
    put = {"Bucket": "staging", "Key": "a", "Body": b"a"}
    assert refused(s3.put_object, ExpectedBucketOwner="000000000000", **put) == "AccessDenied"
    assert refused(s3.head_bucket, Bucket="staging", ExpectedBucketOwner="000000000000") == "403"
    s3.put_object(ExpectedBucketOwner="123456789012", **put)


def test_object_is_put_once_under_if_none_match(sandbox: Box) -> None:
    s3 = make_bucket(sandbox)
    s3.put_object(Bucket="staging", Key="ca", Body=b"one", IfNoneMatch="*")
    assert refused(s3.put_object, Bucket="staging", Key="ca", Body=b"two", IfNoneMatch="*") == "PreconditionFailed"
    assert s3.get_object(Bucket="staging", Key="ca")["Body"].read() == b"one"


def test_bucket_is_addressed_in_its_own_region(sandbox: Box) -> None:
    make_bucket(sandbox)
    sandbox.calls.clear()
    sandbox.client("s3", "eu-west-1").head_bucket(Bucket="staging")
    assert next((call.operation, call.status) for call in sandbox.calls) == ("HeadBucket", 301)


# --- what a new account has ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", ["us-west-2", "us-east-1", "eu-central-1"])
@pytest.mark.parametrize(
    ("parameter", "owner", "architecture", "device"),
    [
        ("/aws/service/debian/release/12/latest/amd64", "136693071363", "x86_64", "/dev/xvda"),
        ("/aws/service/debian/release/13/latest/arm64", "136693071363", "arm64", "/dev/xvda"),
        (
            "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
            "099720109477",
            "x86_64",
            "/dev/sda1",
        ),
    ],
)
def test_images_are_found_by_parameter(
    sandbox: Box, region: str, parameter: str, owner: str, architecture: str, device: str
) -> None:
    name = sandbox.client("ssm", region).get_parameter(Name=parameter)["Parameter"]["Value"]
    [image] = sandbox.client("ec2", region).describe_images(ImageIds=[name])["Images"]
    assert (image["OwnerId"], image["Architecture"], image["RootDeviceName"]) == (owner, architecture, device)
    assert image["EnaSupport"]
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 8


@pytest.mark.parametrize(
    ("service", "code", "value"),
    [("vpc", "L-93826ACB", 500), ("vpc", "L-F678F1CE", 5), ("ec2", "L-1216C47A", 256), ("ec2", "L-0263D0A3", 5)],
)
def test_quotas_are_answered(sandbox: Box, service: str, code: str, value: int) -> None:
    quotas = sandbox.client("service-quotas")
    assert quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"] == value


def test_unknown_quota_is_refused(sandbox: Box) -> None:
    quotas = sandbox.client("service-quotas")
    assert refused(quotas.get_service_quota, ServiceCode="vpc", QuotaCode="L-0") == "NoSuchResourceException"


def test_what_moto_cannot_is_said_plainly(sandbox: Box) -> None:
    codes = refused(sandbox.client("ec2").get_password_data, InstanceId="i-00000000000000000")
    assert codes in ("NotImplementedInSandbox", "InvalidInstanceID.NotFound")
