"""docs/strictness.md has a row for every call of lib; each rule of backend/strict_more.py refuses as AWS does."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from conftest import REGION, Box
from test_permissions import ROOT, SERVICES, operations, paginated_names, written_calls

from sandbox.tests.test_sandbox_strict import TRUST, Net, refused

ZONE = f"{REGION}a"
UNKNOWN = "0123456789abcdef0"


@pytest.fixture
def net(sandbox: Box) -> Net:
    return Net(sandbox)


def rows() -> list[tuple[str, str]]:
    """Service and operation of each row."""
    found, service = [], ""
    for line in (ROOT / "docs" / "strictness.md").read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"## .*\(`([a-z0-9-]+)`\)", line):
            service = heading[1]
        elif row := re.match(r"\| ([A-Z]\w+) \|", line):
            found.append((service, row[1]))
    return found


def test_every_call_of_lib_has_a_row() -> None:
    assert written_calls() - set(rows()) == set()
    named = {
        operations(service)[name] for name in paginated_names() for service in SERVICES if name in operations(service)
    }
    assert named - {operation for _, operation in rows()} == set()


def test_every_row_is_a_call_of_lib() -> None:
    paged = {(s, operations(s)[name]) for name in paginated_names() for s in SERVICES if name in operations(s)}
    assert set(rows()) - written_calls() - paged == set()
    assert len(rows()) == len(set(rows()))


# --- EC2 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    ["instances", "addresses", "network_interfaces", "dhcp_options", "security_groups", "instance_type_offerings"],
)
def test_unknown_filter_is_refused(net: Net, call: str) -> None:
    describe = getattr(net.ec2, f"describe_{call}")
    assert refused(describe, Filters=[{"Name": "no-such-filter", "Values": ["x"]}]) == "InvalidParameterValue"


@pytest.mark.parametrize(
    "tag", [{"Key": "aws:x", "Value": ""}, {"Key": "k" * 128, "Value": ""}, {"Key": "k", "Value": "v" * 256}]
)
def test_tags_that_none_may_have_are_refused(net: Net, tag: dict[str, str]) -> None:
    assert refused(net.ec2.create_tags, Resources=[net.vpc], Tags=[tag]) == "InvalidParameterValue"
    specification = [{"ResourceType": "internet-gateway", "Tags": [tag]}]
    assert refused(net.ec2.create_internet_gateway, TagSpecifications=specification) == "InvalidParameterValue"


@pytest.mark.parametrize(("kind", "times"), [("subnet", 1), ("vpc", 2)])
def test_tags_of_another_kind_and_keys_twice_are_refused(net: Net, kind: str, times: int) -> None:
    tags = [{"Key": "k", "Value": "v"}] * times
    wrong = {"CidrBlock": "10.0.0.0/16", "TagSpecifications": [{"ResourceType": kind, "Tags": tags}]}
    assert refused(net.ec2.create_vpc, **wrong) == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Description": "it's"}, "InvalidParameterValue"),
        ({"GroupName": "sg-x"}, "InvalidParameterValue"),
        ({"GroupName": "x" * 256}, "InvalidParameterValue"),
        ({"VpcId": f"vpc-{UNKNOWN}"}, "InvalidVpcID.NotFound"),
    ],
)
def test_security_group_is_refused(net: Net, wrong: dict[str, str], code: str) -> None:
    good = {"GroupName": "g", "Description": "g", "VpcId": net.vpc}
    assert refused(net.ec2.create_security_group, **(good | wrong)) == code


def test_rule_twice_in_one_call_is_refused_otherwise_than_one_that_is_there(net: Net) -> None:
    group = net.make_group()
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]}
    allow = net.ec2.authorize_security_group_ingress
    assert refused(allow, GroupId=group, IpPermissions=[rule, rule]) == "InvalidParameterValue"
    allow(GroupId=group, IpPermissions=[rule])
    assert refused(allow, GroupId=group, IpPermissions=[rule]) == "InvalidPermission.Duplicate"
    described = rule | {"IpRanges": [{"CidrIp": "203.0.113.0/24", "Description": "it's"}]}
    assert refused(allow, GroupId=group, IpPermissions=[described]) == "InvalidParameterValue"


def test_subnet_too_small_is_refused(net: Net) -> None:
    assert refused(net.make_subnet, cidr="172.20.9.0/29") == "InvalidSubnet.Range"


def test_route_needs_a_gateway_of_its_network(net: Net) -> None:
    table = net.ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": net.gateway}
    assert refused(net.ec2.create_route, **route) == "InvalidParameterValue"
    net.attach_gateway()
    net.ec2.create_route(**route)
    assert refused(net.ec2.create_route, **route) == "RouteAlreadyExists"


def test_local_route_is_there_and_stays(net: Net) -> None:
    net.attach_gateway()
    table = net.ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    local = {"RouteTableId": table, "DestinationCidrBlock": "172.20.0.0/16"}
    assert refused(net.ec2.create_route, **local, GatewayId=net.gateway) == "RouteAlreadyExists"
    assert refused(net.ec2.delete_route, **local) == "InvalidParameterValue"


def test_table_and_subnet_are_of_one_vpc(net: Net) -> None:
    other = net.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    table = net.ec2.create_route_table(VpcId=other)["RouteTable"]["RouteTableId"]
    associate = net.ec2.associate_route_table
    assert refused(associate, RouteTableId=table, SubnetId=net.subnet) == "InvalidParameterValue"


def test_one_attribute_a_call(net: Net) -> None:
    yes = {"Value": True}
    modify = net.ec2.modify_vpc_attribute
    two = refused(modify, VpcId=net.vpc, EnableDnsSupport=yes, EnableDnsHostnames=yes)
    interface = net.make_interface()
    change = net.ec2.modify_network_interface_attribute
    three = refused(change, NetworkInterfaceId=interface, SourceDestCheck=yes, Groups=[net.make_group()])
    assert (two, three) == ("InvalidParameterCombination", "InvalidParameterCombination")
    assert refused(change, NetworkInterfaceId=interface, Groups=[f"sg-{UNKNOWN}"]) == "InvalidGroup.NotFound"


def test_address_that_was_never_ours_is_refused(net: Net) -> None:
    assert refused(net.ec2.allocate_address, Domain="vpc", Address="198.51.100.7") == "InvalidAddress.NotFound"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"AvailabilityZone": f"{REGION}z"}, "InvalidZone.NotFound"),
        ({"VolumeType": "gp9"}, "InvalidParameterValue"),
        ({"Size": 0}, "InvalidParameterValue"),
        ({"Size": 70000}, "InvalidParameterValue"),
    ],
)
def test_disk_is_refused(net: Net, wrong: dict[str, Any], code: str) -> None:
    good = {"AvailabilityZone": ZONE, "VolumeType": "gp3", "Size": 20}
    assert refused(net.ec2.create_volume, **(good | wrong)) == code


def test_disk_never_shrinks(net: Net) -> None:
    disk = net.ec2.create_volume(AvailabilityZone=ZONE, VolumeType="gp3", Size=20)["VolumeId"]
    assert refused(net.ec2.modify_volume, VolumeId=disk, Size=10) == "InvalidParameterValue"


def test_template_needs_a_good_name_and_a_source_that_is_there(net: Net) -> None:
    data = {"InstanceType": "t3.small"}
    create = net.ec2.create_launch_template
    code = refused(create, LaunchTemplateName="n o", LaunchTemplateData=data)
    assert code == "InvalidLaunchTemplateName.MalformedException"
    again = {"LaunchTemplateId": net.make_template(), "SourceVersion": "9", "LaunchTemplateData": data}
    assert refused(net.ec2.create_launch_template_version, **again) == "InvalidLaunchTemplateId.VersionNotFound"


def test_regions_are_those_that_a_new_account_has(net: Net) -> None:
    describe = net.ec2.describe_regions
    listed = [each["RegionName"] for each in describe()["Regions"]]
    everywhere = {each["RegionName"]: each["OptInStatus"] for each in describe(AllRegions=True)["Regions"]}
    assert (len(listed), everywhere["us-west-2"]) == (17, "opt-in-not-required")
    assert (everywhere["eu-south-1"], everywhere["af-south-1"]) == ("not-opted-in", "not-opted-in")
    assert "cn-north-1" not in everywhere
    assert refused(describe, RegionNames=["us-west-9"]) == "InvalidParameterValue"
    assert [e["RegionName"] for e in net.box.client("ec2", "cn-north-1").describe_regions()["Regions"]] == [
        "cn-north-1",
        "cn-northwest-1",
    ]


def test_tags_are_listed_by_ec2s_names_of_kinds(net: Net) -> None:
    address = net.ec2.allocate_address(Domain="vpc")["AllocationId"]
    net.ec2.create_tags(Resources=[address, net.vpc], Tags=[{"Key": "a/b", "Value": "1"}, {"Key": "c", "Value": "2"}])
    asked = [{"Name": "key", "Values": ["a/*"]}]
    found = {tag["ResourceId"]: tag["ResourceType"] for tag in net.ec2.describe_tags(Filters=asked)["Tags"]}
    assert found == {address: "elastic-ip", net.vpc: "vpc"}
    asked.append({"Name": "resource-type", "Values": ["elastic-ip"]})
    assert [tag["ResourceId"] for tag in net.ec2.describe_tags(Filters=asked)["Tags"]] == [address]


def test_buckets_say_their_region_when_asked_by_prefix(sandbox: Box) -> None:
    s3, there = sandbox.client("s3"), {"LocationConstraint": "eu-west-1"}
    sandbox.client("s3", "eu-west-1").create_bucket(Bucket="objects", CreateBucketConfiguration=there)
    assert "BucketRegion" not in s3.list_buckets()["Buckets"][0]
    assert s3.list_buckets(Prefix="obj")["Buckets"][0]["BucketRegion"] == "eu-west-1"
    assert s3.list_buckets(Prefix="other")["Buckets"] == []


# --- IAM, S3 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"RoleName": "r" * 65}, "ValidationError"),
        ({"RoleName": "a:b"}, "ValidationError"),
        ({"RoleName": "NODES"}, "EntityAlreadyExists"),
        ({"AssumeRolePolicyDocument": "{"}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": '{"Statement": [{"Effect": "Allow"}]}'}, "MalformedPolicyDocument"),
    ],
)
def test_role_is_refused(net: Net, wrong: dict[str, str], code: str) -> None:
    net.make_profile("nodes")
    assert refused(net.iam.create_role, **({"RoleName": "other", "AssumeRolePolicyDocument": TRUST} | wrong)) == code


def test_profile_with_a_bad_name_is_refused(net: Net) -> None:
    assert refused(net.iam.create_instance_profile, InstanceProfileName="p" * 129) == "ValidationError"


def test_policies_of_a_role_are_limited_together(net: Net) -> None:
    net.make_profile("nodes")
    many = [f"arn:aws:s3:::{number:060}" for number in range(80)]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": many}]})
    net.iam.put_role_policy(RoleName="nodes", PolicyName="one", PolicyDocument=policy)
    net.iam.put_role_policy(RoleName="nodes", PolicyName="one", PolicyDocument=policy)
    put = net.iam.put_role_policy
    assert refused(put, RoleName="nodes", PolicyName="two", PolicyDocument=policy) == "LimitExceeded"


@pytest.mark.parametrize("name", ["Upper", "a_b", "a..b", "192.168.1.1", "xn--aaa", "aaa-s3alias", "-abc"])
def test_bucket_name_is_refused(sandbox: Box, name: str) -> None:
    where = {"LocationConstraint": REGION}
    create = sandbox.client("s3").create_bucket
    assert refused(create, Bucket=name, CreateBucketConfiguration=where) == "InvalidBucketName"


def test_objects_have_limits(sandbox: Box) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="objects", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert refused(s3.put_object, Bucket="objects", Key="k" * 1025) == "KeyTooLongError"
    assert refused(s3.put_object, Bucket="objects", Key="k", ServerSideEncryption="none") == "InvalidArgument"
    many = {"Objects": [{"Key": str(number)} for number in range(1001)]}
    assert refused(s3.delete_objects, Bucket="objects", Delete=many) == "MalformedXML"


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ({"NewerNoncurrentVersions": 5}, "MalformedXML"),
        ({"NoncurrentDays": 1, "NewerNoncurrentVersions": 101}, "InvalidArgument"),
        ({"NoncurrentDays": 1, "NewerNoncurrentVersions": 0}, "InvalidArgument"),
        ({"NoncurrentDays": 1, "NewerNoncurrentVersions": 100}, ""),
    ],
)
def test_versions_are_kept_by_number_from_a_day_on(sandbox: Box, ends: dict[str, int], code: str) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="objects", CreateBucketConfiguration={"LocationConstraint": REGION})
    rule = {"ID": "r", "Filter": {"Prefix": "k"}, "Status": "Enabled", "NoncurrentVersionExpiration": ends}
    asked = {"Bucket": "objects", "LifecycleConfiguration": {"Rules": [rule]}}
    if code:
        assert refused(s3.put_bucket_lifecycle_configuration, **asked) == code
        assert refused(s3.get_bucket_lifecycle_configuration, Bucket="objects") == "NoSuchLifecycleConfiguration"
    else:
        s3.put_bucket_lifecycle_configuration(**asked)
        assert s3.get_bucket_lifecycle_configuration(Bucket="objects")["Rules"] == [rule]


# --- Auto Scaling, load balancers, alarms ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [{"AutoScalingGroupName": "a:b"}, {"AutoScalingGroupName": "a" * 256}, {"MinSize": 2}, {"DesiredCapacity": 5}],
)
def test_group_is_refused(net: Net, wrong: dict[str, Any]) -> None:
    good = {"AutoScalingGroupName": "other", "MinSize": 0, "MaxSize": 1, "VPCZoneIdentifier": net.subnet}
    template = {"LaunchTemplateId": net.make_template()}
    assert (
        refused(net.asg.create_auto_scaling_group, **(good | {"LaunchTemplate": template} | wrong)) == "ValidationError"
    )


def test_groups_sizes_stay_in_order(net: Net) -> None:
    net.make_autoscaling(size=1)
    update = net.asg.update_auto_scaling_group
    assert refused(update, AutoScalingGroupName="nodes", MinSize=3) == "ValidationError"
    assert refused(update, AutoScalingGroupName="nodes", DesiredCapacity=5) == "ValidationError"


def mixed(template_id: str, **distribution: Any) -> dict[str, Any]:
    """A group's policy of spot instances of two types."""
    template = {"LaunchTemplateSpecification": {"LaunchTemplateId": template_id}}
    shares = {"OnDemandPercentageAboveBaseCapacity": 0, "SpotAllocationStrategy": "price-capacity-optimized"}
    return {
        "LaunchTemplate": {**template, "Overrides": [{"InstanceType": "t3.medium"}, {"InstanceType": "t3a.medium"}]},
        "InstancesDistribution": shares | distribution,
    }


@pytest.mark.parametrize(
    ("data", "wrong", "code"),
    [
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, {}, "InvalidQueryParameter"),
        ({}, {"SpotAllocationStrategy": "cheapest"}, "ValidationError"),
        ({}, {"SpotMaxPrice": "0.0001"}, "ValidationError"),
    ],
)
def test_policy_of_several_types_is_refused(net: Net, data: dict[str, Any], wrong: dict[str, Any], code: str) -> None:
    good = {"AutoScalingGroupName": "other", "MinSize": 0, "MaxSize": 1, "VPCZoneIdentifier": net.subnet}
    policy = mixed(net.make_template(**data), **wrong)
    assert refused(net.asg.create_auto_scaling_group, **good, MixedInstancesPolicy=policy) == code


def test_policy_of_several_types_beside_a_template_with_a_wrong_type_or_too_many_is_refused(net: Net) -> None:
    net.make_autoscaling(size=1)
    update, policy = net.asg.update_auto_scaling_group, mixed(net.autoscaling()["LaunchTemplate"]["LaunchTemplateId"])
    own = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
    both = {"AutoScalingGroupName": "nodes", "LaunchTemplate": own, "MixedInstancesPolicy": policy}
    assert refused(update, **both) == "ValidationError"
    for kinds in (["t3.small", "t4g.small"], ["t3.small"] * 41):
        policy["LaunchTemplate"]["Overrides"] = [{"InstanceType": kind} for kind in kinds]
        assert refused(update, AutoScalingGroupName="nodes", MixedInstancesPolicy=policy) == "ValidationError"


def test_a_group_has_a_template_or_a_policy_and_keeps_it_when_its_size_changes(net: Net) -> None:
    net.make_autoscaling(size=1)
    net.box.clock.sleep(60)
    update, policy = net.asg.update_auto_scaling_group, mixed(net.autoscaling()["LaunchTemplate"]["LaunchTemplateId"])
    update(AutoScalingGroupName="nodes", MixedInstancesPolicy=policy)
    update(AutoScalingGroupName="nodes", MaxSize=2, DesiredCapacity=2)
    net.box.clock.sleep(60)
    found = net.autoscaling()
    assert ("LaunchTemplate" in found, sorted(each["InstanceType"] for each in found["Instances"])) == (
        False,
        ["t3.medium", "t3.small"],
    )
    assert found["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandAllocationStrategy"] == "prioritized"
    own = policy["LaunchTemplate"]["LaunchTemplateSpecification"] | {"Version": "$Default"}
    update(AutoScalingGroupName="nodes", LaunchTemplate=own)
    assert ("MixedInstancesPolicy" in net.autoscaling(), net.autoscaling()["LaunchTemplate"]["Version"]) == (
        False,
        "$Default",
    )


@pytest.mark.parametrize(("group", "key"), [("other", "k"), ("nodes", "aws:k")])
def test_groups_tags_are_refused(net: Net, group: str, key: str) -> None:
    net.make_autoscaling(size=1)
    tag = {
        "ResourceId": group,
        "ResourceType": "auto-scaling-group",
        "Key": key,
        "Value": "",
        "PropagateAtLaunch": True,
    }
    assert refused(net.asg.create_or_update_tags, Tags=[tag]) == "ValidationError"


def test_a_load_balancer_under_deletion_protection_stays(sandbox: Box) -> None:
    ec2, elb = sandbox.client("ec2"), sandbox.client("elbv2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    arn = elb.create_load_balancer(Name="web", Type="network", Subnets=[subnet])["LoadBalancers"][0]["LoadBalancerArn"]
    for value in ("true", "false"):
        protection = {"Key": "deletion_protection.enabled", "Value": value}
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[protection])
        if value == "true":
            assert refused(elb.delete_load_balancer, LoadBalancerArn=arn) == "OperationNotPermitted"
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert elb.describe_load_balancers()["LoadBalancers"] == []


def test_tags_of_load_balancers_that_are_gone_are_refused(sandbox: Box) -> None:
    arn = f"arn:aws:elasticloadbalancing:{REGION}:123456789012:"
    describe = sandbox.client("elbv2").describe_tags
    assert refused(describe, ResourceArns=[f"{arn}loadbalancer/net/x/0123456789abcdef"]) == "LoadBalancerNotFound"
    assert refused(describe, ResourceArns=[f"{arn}targetgroup/x/0123456789abcdef"]) == "TargetGroupNotFound"
    many = [f"x{number}" for number in range(21)]
    assert refused(sandbox.client("elb").describe_tags, LoadBalancerNames=many) == "ValidationError"


def test_alarm_that_is_gone_is_refused(sandbox: Box) -> None:
    assert refused(sandbox.client("cloudwatch").delete_alarms, AlarmNames=["none"]) == "ResourceNotFound"


# --- Route 53


def record(
    kind: str = "A", value: str = "203.0.113.1", *, name: str = "a.example.com", ttl: int = 60
) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": value}]}


class Records:
    """A zone of the account's, which has one record."""

    def __init__(self, box: Box) -> None:
        self.client = box.client("route53")
        self.zone = self.client.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
        self.change(("CREATE", record()))

    def asked(self, *changes: tuple[str, dict[str, Any]], zone: str = "") -> dict[str, Any]:
        listed = [{"Action": action, "ResourceRecordSet": each} for action, each in changes]
        return {"HostedZoneId": zone or self.zone, "ChangeBatch": {"Changes": listed}}

    def change(self, *changes: tuple[str, dict[str, Any]]) -> None:
        self.client.change_resource_record_sets(**self.asked(*changes))

    def listed(self) -> list[dict[str, Any]]:
        found = self.client.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return [each for each in found if each["Type"] not in ("NS", "SOA")]


@pytest.fixture
def kept(sandbox: Box) -> Records:
    return Records(sandbox)


@pytest.mark.parametrize(
    "change",
    [
        ("CREATE", record(value="203.0.113.2")),
        ("CREATE", record("CNAME", "b.example.com")),
        ("UPSERT", record("CNAME", "b.example.com")),
        ("UPSERT", record(value="2001:db8::1")),
        ("UPSERT", record("TXT", "bare")),
        ("UPSERT", record(name="a.badexample.com")),
        ("DELETE", record(value="203.0.113.2")),
        ("DELETE", record(ttl=300)),
        ("DELETE", record("TXT", '"x"')),
        ("DELETE", record(name="b.example.com")),
    ],
)
def test_a_change_of_records_that_cannot_be_is_refused_with_its_whole_batch(
    kept: Records, change: tuple[str, dict[str, Any]]
) -> None:
    good, before = ("CREATE", record(name="good.example.com")), kept.listed()
    asked = kept.asked(good, change)
    assert refused(kept.client.change_resource_record_sets, **asked) == "InvalidChangeBatch"
    assert kept.listed() == before


def test_records_are_put_repaired_and_deleted(kept: Records) -> None:
    changed, mark = record(value="203.0.113.2"), record("TXT", '"x"')
    kept.change(("UPSERT", changed), ("CREATE", mark))
    assert [each["ResourceRecords"] for each in kept.listed()] == [[{"Value": "203.0.113.2"}], [{"Value": '"x"'}]]
    asked = kept.asked(("DELETE", record()))  # as it was at first
    assert refused(kept.client.change_resource_record_sets, **asked) == "InvalidChangeBatch"
    kept.change(*(("DELETE", each) for each in kept.listed()))
    assert kept.listed() == []
    kept.change(("CREATE", record()))
    assert len(kept.listed()) == 1


def test_zones_that_are_not_there_are_refused(kept: Records, net: Net) -> None:
    asked = kept.asked(("DELETE", record()), zone="Z0123456789ABCDEFGHIJ")
    assert refused(kept.client.change_resource_record_sets, **asked) == "NoSuchHostedZone"
    listing = kept.client.list_resource_record_sets
    assert refused(listing, HostedZoneId="Z0123456789ABCDEFGHIJ") == "NoSuchHostedZone"
    assert refused(listing, HostedZoneId=kept.zone, StartRecordType="A") == "InvalidInput"
    by_vpc = kept.client.list_hosted_zones_by_vpc
    assert refused(by_vpc, VPCId=f"vpc-{UNKNOWN}", VPCRegion=REGION) == "InvalidInput"


# --- EventBridge Scheduler


GROUP = "masters"
SCHEDULER_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "scheduler.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {
                        "aws:SourceArn": f"arn:aws:scheduler:{REGION}:123456789012:schedule-group/{GROUP}",
                        "aws:SourceAccount": "123456789012",
                    }
                },
            }
        ],
    }
)


@pytest.fixture
def good(sandbox: Box) -> dict[str, Any]:
    """A schedule that is taken, in a group that is there, for a role that is known."""
    sandbox.client("scheduler").create_schedule_group(Name=GROUP)
    role = sandbox.client("iam").create_role(RoleName="healer", AssumeRolePolicyDocument=SCHEDULER_TRUST)["Role"]["Arn"]
    sandbox.clock.sleep(5)
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:runInstances", "RoleArn": role, "Input": "{}"}
    return {
        "Name": "heal",
        "GroupName": GROUP,
        "ScheduleExpression": "rate(1 minute)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": target,
    }


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"GroupName": "other"}, "ResourceNotFoundException"),
        ({"ScheduleExpression": "rate(30 seconds)"}, "ValidationException"),
        ({"ScheduleExpression": "rate(0 minutes)"}, "ValidationException"),
        ({"Target": {"Input": "{"}}, "ValidationException"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:describeInstances"}}, "ValidationException"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:runInstance"}}, "ValidationException"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:ec3:runInstances"}}, "ValidationException"),
        ({"Target": {"RoleArn": "arn:aws:iam::123456789012:role/nobody"}}, "ValidationException"),
    ],
)
def test_schedule_is_refused(sandbox: Box, good: dict[str, Any], wrong: dict[str, Any], code: str) -> None:
    scheduler = sandbox.client("scheduler")
    asked = good | wrong | {"Target": good["Target"] | wrong.get("Target", {})}
    assert refused(scheduler.create_schedule, **asked) == code
    scheduler.create_schedule(**good)
    assert refused(scheduler.create_schedule, **good) == "ConflictException"
    assert refused(scheduler.update_schedule, **asked) == code


def test_schedules_role_must_trust_the_group_and_be_known(sandbox: Box, good: dict[str, Any]) -> None:
    scheduler, iam = sandbox.client("scheduler"), sandbox.client("iam")
    scheduler.create_schedule_group(Name="others")
    assert refused(scheduler.create_schedule, **(good | {"GroupName": "others"})) == "ValidationException"
    new = iam.create_role(RoleName="new", AssumeRolePolicyDocument=SCHEDULER_TRUST)["Role"]["Arn"]
    asked = good | {"Target": good["Target"] | {"RoleArn": new}}
    assert refused(scheduler.create_schedule, **asked) == "ValidationException"
    sandbox.clock.sleep(5)
    scheduler.create_schedule(**asked)


def test_schedule_groups_are_refused(sandbox: Box, good: dict[str, Any]) -> None:
    scheduler = sandbox.client("scheduler")
    scheduler.create_schedule(**good)
    assert refused(scheduler.create_schedule_group, Name=GROUP) == "ConflictException"
    assert scheduler.get_schedule(GroupName=GROUP, Name="heal")["State"] == "ENABLED"  # the group is not a new one
    assert refused(scheduler.delete_schedule_group, Name="other") == "ResourceNotFoundException"
    arn = f"arn:aws:scheduler:{REGION}:123456789012:schedule-group/other"
    assert refused(scheduler.list_tags_for_resource, ResourceArn=arn) == "ResourceNotFoundException"
    assert refused(scheduler.tag_resource, ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}]) == (
        "ResourceNotFoundException"
    )


def test_schedule_runs_at_its_rate_with_an_id_of_its_own(net: Net, good: dict[str, Any]) -> None:
    interface = net.make_interface()
    data = {"NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": interface}], "DisableApiTermination": True}
    run = {
        "LaunchTemplate": {"LaunchTemplateId": net.make_template(**data), "Version": "$Default"},
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": "<aws.scheduler.execution-id>",
    }
    asked = good | {"Target": good["Target"] | {"Input": json.dumps(run)}}
    net.box.client("scheduler").create_schedule(**asked)
    for _ in range(3):
        net.box.clock.sleep(50)
    assert net.box.aws.world.state.invoked == ["done", *["InvalidNetworkInterface.InUse"] * 2]
    eni = net.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]
    protected = net.ec2.describe_instance_attribute(
        InstanceId=eni["Attachment"]["InstanceId"], Attribute="disableApiTermination"
    )
    assert protected["DisableApiTermination"]["Value"] is True


def test_instance_of_a_template_that_is_not_there_is_refused(net: Net) -> None:
    template = {"LaunchTemplateId": f"lt-{UNKNOWN}"}
    code = refused(net.ec2.run_instances, LaunchTemplate=template, MinCount=1, MaxCount=1)
    assert code == "InvalidLaunchTemplateId.NotFound"
