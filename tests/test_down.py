"""The way down: the account is as before, what was brought stays, and what cannot go is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REGION, Box
from helpers import (
    GROUP,
    ID,
    OWNED,
    TAGS,
    answer_with,
    bucket_of,
    kubeconfig,
    lose_settings,
    master_of,
    must,
    named,
    neighbour,
    only,
    part,
    put_alarm,
    read_object,
    refused,
    refused_untouched,
    settle,
    shape,
    stop_after,
    tagged,
)
from spread import spread

from sandbox import faults
from sandbox.calls import Answer, Call
from sandbox.faults.denials import Deny

pytestmark = pytest.mark.story

TAG_LIST = [{"Key": key, "Value": value} for key, value in TAGS.items()]


# --- the whole way


def test_the_account_is_as_before_and_the_run_says_so(sandbox: Box) -> None:
    before = sandbox.inventory()
    must(sandbox.up())
    result = must(sandbox.down())
    assert sandbox.inventory() == before == {}
    assert "nothing is left of it" in result.out
    assert not kubeconfig(sandbox).exists() or "aws_" not in kubeconfig(sandbox).read_text()
    assert Path(sandbox.environ["AWS_SSH_KEY"]).exists()
    assert Path(sandbox.environ["AWS_SSH_KEY"] + ".pub").exists()


def test_aws_refuses_nothing_on_the_way_down_but_what_went_along_with_its_owner(sandbox: Box) -> None:
    sandbox.cluster()
    result = must(sandbox.down())
    refusals = {(call.operation, call.error) for call in result.calls if call.changes and call.status >= 300}
    assert refusals <= {("DisassociateRouteTable", "InvalidAssociationID.NotFound")}


def test_what_others_made_survives_to_the_last_tag(sandbox: Box) -> None:
    neighbour(sandbox)
    before = sandbox.inventory()
    must(sandbox.up())
    must(sandbox.down())
    assert sandbox.inventory() == before


def test_two_clusters_side_by_side_are_apart(sandbox: Box) -> None:
    sandbox.cluster()
    alone = sandbox.inventory()
    two: dict[str, object] = {"KUBE_AWS_INSTANCE_PREFIX": "second", "KUBE_VPC_CIDR_BASE": "172.21"}
    must(sandbox.up(**two))
    both = yaml.safe_load(kubeconfig(sandbox).read_text())
    assert {c["name"] for c in both["clusters"]} == {f"aws_{ID}", "aws_second"}
    assert len({c["cluster"]["server"] for c in both["clusters"]}) == 2
    assert must(sandbox.up()).changing == []
    must(sandbox.down(KUBE_AWS_INSTANCE_PREFIX="second"))
    assert sandbox.inventory() == alone
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == {}


# --- nothing found


def test_nothing_found_says_where_it_looked_and_touches_nothing(sandbox: Box) -> None:
    said = refused_untouched(sandbox, sandbox.down(), 1, "123456789012", REGION, f"cluster {ID}")
    assert "nothing was touched" in said


def test_another_region_touches_nothing(sandbox: Box) -> None:
    sandbox.cluster()
    before = sandbox.inventory()[REGION]
    refused_untouched(sandbox, sandbox.down(KUBE_AWS_ZONE="eu-central-1a"), 1, "eu-central-1")
    assert sandbox.inventory()[REGION] == before
    assert must(sandbox.up()).changing == []


def test_another_clusters_name_touches_nothing(sandbox: Box) -> None:
    sandbox.cluster()
    before = sandbox.inventory()
    refused_untouched(sandbox, sandbox.down(KUBE_AWS_INSTANCE_PREFIX="prod"), 1, "cluster prod")
    assert sandbox.inventory() == before


def test_a_second_down_finds_nothing(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.down())
    refused_untouched(sandbox, sandbox.down(), 1, "nothing of cluster")


# --- what Kubernetes made


def load_balancer(box: Box, name: str, labels: list[dict[str, str]]) -> str:
    """A classic load balancer in the cluster's subnet with a group of its own, as a Service makes it."""
    ec2, vpc = box.client("ec2"), only(part(box, "vpcs"))
    specification = [{"ResourceType": "security-group", "Tags": labels}]
    group = ec2.create_security_group(
        GroupName=f"k8s-elb-{name}", Description="elb", VpcId=vpc, TagSpecifications=specification
    )["GroupId"]
    minions = only(g for g, e in part(box, "security groups").items() if e["name"] == f"kubernetes-minion-{ID}")
    pair = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=minions, IpPermissions=[pair])
    listener = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}
    box.client("elb").create_load_balancer(
        LoadBalancerName=name,
        Listeners=[listener],
        Subnets=[only(part(box, "subnets"))],
        SecurityGroups=[group],
        Tags=labels,
    )
    return str(group)


def network_load_balancer(box: Box, name: str, labels: list[dict[str, str]]) -> None:
    """A network load balancer with its target group."""
    elb = box.client("elbv2")
    elb.create_load_balancer(Name=name, Type="network", Subnets=[only(part(box, "subnets"))], Tags=labels)
    elb.create_target_group(Name=name, Protocol="TCP", Port=80, VpcId=only(part(box, "vpcs")), Tags=labels)


def test_load_balancers_of_both_kinds_go_with_their_groups(sandbox: Box) -> None:
    sandbox.cluster()
    load_balancer(sandbox, "a1", TAG_LIST)
    network_load_balancer(sandbox, "a2", TAG_LIST)
    result = must(sandbox.down())
    assert sandbox.inventory() == {}
    for words in ("load balancer a1", "load balancer a2", "target group a2", "k8s-elb-a1"):
        assert words in result.out


def test_others_load_balancers_in_the_vpc_stay_and_are_what_stands_in_the_way(sandbox: Box) -> None:
    sandbox.cluster()
    labels = [{"Key": "kubernetes.io/cluster/other", "Value": "owned"}]
    group = load_balancer(sandbox, "theirs", labels)
    before = sandbox.inventory()[REGION]["load balancers"]
    refused(sandbox.down(), 1, only(part(sandbox, "vpcs")))
    assert sandbox.inventory()[REGION]["load balancers"] == before
    assert group in part(sandbox, "security groups")
    sandbox.client("elb").delete_load_balancer(LoadBalancerName="theirs")
    sandbox.client("ec2").delete_security_group(GroupId=group)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_what_the_load_balancer_controller_made_goes_and_another_clusters_stays(sandbox: Box) -> None:
    sandbox.cluster()
    ec2, elb, subnet, vpc = sandbox.client("ec2"), sandbox.client("elbv2"), *network(sandbox)
    minions = group_of(sandbox, f"kubernetes-minion-{ID}")
    for name, cluster in (("k8s-shop", ID), ("k8s-theirs", "other")):
        labels = [{"Key": "elbv2.k8s.aws/cluster", "Value": cluster}]
        group = ec2.create_security_group(
            GroupName=name,
            Description="x",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": labels}],
        )["GroupId"]
        elb.create_load_balancer(Name=name, Type="application", Subnets=[subnet], SecurityGroups=[group], Tags=labels)
        elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc, Tags=labels)
        if cluster == ID:
            pair = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": group}]}
            ec2.authorize_security_group_ingress(GroupId=minions, IpPermissions=[pair])
    result = sandbox.down()
    refused(result, 1, vpc)
    for words in ("load balancer k8s-shop", "target group k8s-shop", "security group sg-"):
        assert words in result.out
    left = sandbox.inventory()[REGION]
    assert "/k8s-theirs/" in only(left["load balancers"])
    assert [group["name"] for group in left["security groups"].values() if group["name"] != "default"] == ["k8s-theirs"]


@pytest.mark.parametrize("way", ["ingress", "egress"])
def test_rules_between_our_groups_keep_neither(sandbox: Box, way: str) -> None:
    sandbox.cluster()
    ec2 = sandbox.client("ec2")
    master, minion = (group_of(sandbox, f"kubernetes-{role}-{ID}") for role in ("master", "minion"))
    for group, other in ((master, minion), (minion, master), (master, master)):
        pair = {"IpProtocol": "tcp", "FromPort": 10250, "ToPort": 10250, "UserIdGroupPairs": [{"GroupId": other}]}
        getattr(ec2, f"authorize_security_group_{way}")(GroupId=group, IpPermissions=[pair])
    start = sandbox.clock.now
    must(sandbox.down())
    assert sandbox.clock.now - start < 30
    assert sandbox.inventory() == {}


def network(box: Box) -> tuple[str, str]:
    """The cluster's subnet and VPC."""
    return only(part(box, "subnets")), only(part(box, "vpcs"))


def group_of(box: Box, name: str) -> str:
    """The id of a security group."""
    return str(only(key for key, group in part(box, "security groups").items() if group["name"] == name))


def test_what_may_not_be_looked_at_is_said(sandbox: Box) -> None:
    sandbox.cluster()
    _, vpc = network(sandbox)
    made = sandbox.client("ec2").create_vpc_endpoint(VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.s3")
    endpoint = made["VpcEndpoint"]["VpcEndpointId"]
    faults.put(sandbox.aws, Deny("ec2:DescribeVpcEndpoints"))
    start = sandbox.clock.now
    said = sandbox.down(KUBE_WAIT_DELETE_SECONDS=3000).err
    assert sandbox.clock.now - start < 900
    assert endpoint not in said
    assert "perhaps VPC endpoints, which could not be looked at: UnauthorizedOperation" in said
    assert "ask for ec2:DescribeVpcEndpoints, or look for VPC endpoints yourself" in said
    assert "on its way out" not in said
    assert "nothing was found" not in said


def claim(box: Box, name: str, size: int, labels: dict[str, str] = TAGS) -> str:
    """The volume of a PersistentVolumeClaim, as the CSI driver makes it."""
    described = labels | {
        "kubernetes.io/created-for/pvc/name": name,
        "kubernetes.io/created-for/pvc/namespace": "shop",
        "Name": f"{ID}-dynamic-pvc-{name}",
    }
    specification = {"ResourceType": "volume", "Tags": [{"Key": k, "Value": v} for k, v in described.items()]}
    made = box.client("ec2").create_volume(Size=size, AvailabilityZone=f"{REGION}a", TagSpecifications=[specification])
    return str(made["VolumeId"])


def test_claims_volumes_are_listed_by_name_and_size_before_they_go(sandbox: Box) -> None:
    sandbox.cluster()
    ours, theirs = claim(sandbox, "orders", 7), claim(sandbox, "foreign", 9, {"kubernetes.io/cluster/other": "owned"})
    out = must(sandbox.down()).out
    assert list(part(sandbox, "volumes")) == [theirs]
    line = next(line for line in out.splitlines() if ours in line)
    assert "shop/orders" in line
    assert "7 GiB" in line
    assert out.index(ours) < out.index("Instances")


DRIVER = {"ebs.csi.aws.com/cluster": "true"}


def volume_by_hand(box: Box, labels: dict[str, str]) -> str:
    made = box.client("ec2").create_volume(
        Size=5, AvailabilityZone=f"{REGION}a", TagSpecifications=specification("volume", labels)
    )
    return str(made["VolumeId"])


def specification(kind: str, labels: dict[str, str]) -> list[Any]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in labels.items()]}]


def volume_in_a_minion(box: Box, labels: dict[str, str]) -> str:
    volume = volume_by_hand(box, labels)
    settle(box)
    minion = next(i for i in part(box, "instances") if i != master_of(box))
    box.client("ec2").attach_volume(VolumeId=volume, InstanceId=minion, Device="/dev/sdk")
    return volume


def snapshot_of(box: Box, volume: str, labels: dict[str, str]) -> str:
    made = box.client("ec2").create_snapshot(VolumeId=volume, TagSpecifications=specification("snapshot", labels))
    return str(made["SnapshotId"])


# Each kind of thing that can hold a person's data and the cluster's tag.
DATA: dict[str, Callable[[Box, dict[str, str]], str]] = {
    "a volume": volume_by_hand,
    "a volume for the driver": lambda box, labels: volume_by_hand(box, labels | DRIVER),
    "a volume in a minion": volume_in_a_minion,
    "a snapshot of the master's disk": lambda box, labels: snapshot_of(
        box, named(box, "volumes", f"{ID}-master-pd"), labels
    ),
    "a claim's snapshot": lambda box, labels: snapshot_of(
        box, claim(box, "orders", 7), labels | DRIVER | {"CSIVolumeSnapshotName": "snapshot-1"}
    ),
}


@pytest.mark.parametrize("kind", spread(DATA, 2))
def test_data_that_no_claim_made_stays_also_with_the_clusters_tags_and_is_named(sandbox: Box, kind: str) -> None:
    sandbox.cluster()
    theirs = DATA[kind](sandbox, TAGS)
    result = must(sandbox.down())
    left = sandbox.inventory()
    assert [list(things) for things in left[REGION].values()] == [[theirs]]
    assert set(left) == {REGION}
    seen, *_, said, last = [line for line in result.out.splitlines() if theirs in line or "is left of it" in line]
    assert "yours, it stays" in seen
    assert said.startswith("Yours, and charged for")
    assert "nothing else is left of it" in last
    said = refused_untouched(sandbox, sandbox.down(), 1, "nothing of cluster")
    assert "but what is yours: " in said
    assert theirs in said


def test_a_volume_with_the_drivers_tag_alone_is_nobodys_that_down_knows(sandbox: Box) -> None:
    sandbox.cluster()
    theirs = volume_by_hand(sandbox, DRIVER)
    assert theirs not in must(sandbox.down()).out
    assert list(part(sandbox, "volumes")) == [theirs]


@pytest.mark.parametrize("name", ["minion", "master"])
def test_a_root_disk_that_outlived_its_instance_goes(sandbox: Box, name: str) -> None:
    sandbox.cluster()
    volume_by_hand(sandbox, TAGS | {"Name": f"{ID}-{name}-root"})
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_the_masters_alarms_go(sandbox: Box) -> None:
    sandbox.cluster()
    for name in (f"k8s-{master_of(sandbox)}-statuscheckfailure-reboot", "theirs"):
        put_alarm(sandbox, name)
    must(sandbox.down())
    assert sandbox.inventory() == {REGION: {"alarms": {"theirs": {"tags": {}}}}}


def test_an_alarm_whose_deletion_got_no_answer_is_no_failure(sandbox: Box) -> None:
    sandbox.cluster()
    name = f"k8s-{master_of(sandbox)}-reboot"
    alarm = {"MetricName": "x", "Namespace": "AWS/EC2", "Period": 60, "EvaluationPeriods": 5, "Threshold": 1}
    sandbox.client("cloudwatch").put_metric_alarm(
        AlarmName=name, ComparisonOperator="GreaterThanThreshold", Statistic="Maximum", **alarm
    )

    def lose(call: Call, answer: Answer) -> Answer:
        if call.operation == "DeleteAlarms":
            sandbox.aws.hooks.after.clear()
            answer.lost = True
        return answer

    sandbox.aws.hooks.after.append(lose)
    result = must(sandbox.down())
    assert result.operations.count("cloudwatch:DeleteAlarms") == 4  # ours are two
    assert sandbox.inventory() == {}


# --- what stands in the way


def test_a_foreign_interface_is_named_the_rest_goes_and_a_rerun_finishes(sandbox: Box) -> None:
    sandbox.cluster()
    foreign = sandbox.client("ec2").create_network_interface(
        SubnetId=only(part(sandbox, "subnets")), Description="a lambda's"
    )["NetworkInterface"]["NetworkInterfaceId"]
    subnet, vpc = only(part(sandbox, "subnets")), only(part(sandbox, "vpcs"))
    result = sandbox.down()
    said = refused(result, 1, subnet, vpc)
    assert f"{foreign} (a lambda's)" in result.err
    assert "run the same command again" in said
    left = sandbox.inventory()
    assert set(left) == {REGION}  # no bucket, no roles
    assert set(left[REGION]) <= {"vpcs", "subnets", "interfaces", "security groups", "route tables", "dhcp options"}
    assert list(left[REGION]["interfaces"]) == [foreign]
    sandbox.client("ec2").delete_network_interface(NetworkInterfaceId=foreign)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_foreign_security_group_stays_and_keeps_the_vpc(sandbox: Box) -> None:
    sandbox.cluster()
    vpc = only(part(sandbox, "vpcs"))
    foreign = sandbox.client("ec2").create_security_group(GroupName="theirs", Description="theirs", VpcId=vpc)[
        "GroupId"
    ]
    result = sandbox.down()
    refused(result, 1, vpc)
    assert foreign in result.err
    assert foreign in part(sandbox, "security groups")
    sandbox.client("ec2").delete_security_group(GroupId=foreign)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_rule_of_others_that_names_our_group_stays_and_is_named(sandbox: Box) -> None:
    sandbox.cluster()
    ec2, vpc = sandbox.client("ec2"), only(part(sandbox, "vpcs"))
    minions = only(g for g, e in part(sandbox, "security groups").items() if e["name"] == f"kubernetes-minion-{ID}")
    foreign = ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=vpc)["GroupId"]
    ports = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}
    ec2.authorize_security_group_ingress(
        GroupId=foreign,
        IpPermissions=[
            ports | {"UserIdGroupPairs": [{"GroupId": minions}]},
            ports | {"IpRanges": [{"CidrIp": "10.9.0.0/16"}]},
        ],
    )
    before = part(sandbox, "security groups")[foreign]
    result = sandbox.down()
    refused(result, 1, minions)
    assert f"in the way: an ingress rule of {foreign}" in result.err
    assert part(sandbox, "security groups")[foreign] == before
    ec2.delete_security_group(GroupId=foreign)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_interfaces_that_leave_by_themselves_are_waited_for(sandbox: Box) -> None:
    sandbox.cluster()
    answer_with(
        sandbox,
        "ec2:DeleteSubnet",
        "DependencyViolation",
        "The subnet has dependencies and cannot be deleted.",
        times=3,
    )
    must(sandbox.down())
    assert sandbox.inventory() == {}


DELETES = ["ec2:DeleteInternetGateway", "ec2:DeleteKeyPair", "iam:DeleteRole", "ec2:DeleteLaunchTemplate"]


@pytest.mark.parametrize("operation", spread([*DELETES, "s3:DeleteBucket"], 2))
def test_one_refusal_does_not_keep_the_rest_and_is_said(sandbox: Box, operation: str) -> None:
    sandbox.cluster()
    answer_with(sandbox, operation, "UnauthorizedOperation", "You are not authorized to perform this operation.")
    result = sandbox.down()
    refused(result, 1, "left of cluster")
    assert operation.split(":")[1] in result.err
    assert not part(sandbox, "instances")
    sandbox.aws.hooks.before.clear()
    must(sandbox.down())
    assert sandbox.inventory() == {}


# --- --keep-disk


def test_keep_disk_keeps_what_is_precious_and_says_which(sandbox: Box) -> None:
    sandbox.cluster()
    volume, disk = claim(sandbox, "orders", 7), named(sandbox, "volumes", f"{ID}-master-pd")
    address, bucket = part(sandbox, "addresses"), sandbox.inventory()["s3"]
    result = must(sandbox.down("--keep-disk"))
    left = sandbox.inventory()
    assert set(left) == {REGION, "s3"}
    assert set(left[REGION]) == {"volumes", "addresses"}
    assert set(left[REGION]["volumes"]) == {volume, disk}
    assert set(left[REGION]["addresses"]) == set(address)
    assert left["s3"] == bucket
    kept = next(line for line in result.out.splitlines() if line.startswith("Kept"))
    for word in (volume, disk, only(address), only(address.values())["address"], only(bucket)):
        assert word in kept


def test_the_next_up_uses_what_was_kept_and_a_plain_down_removes_it(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=3)
    address = only(part(sandbox, "addresses"))
    disk, pki = named(sandbox, "volumes", f"{ID}-master-pd"), read_object(sandbox, f"{REGION}/{ID}/pki.tar")
    whole = shape(sandbox)
    must(sandbox.down("--keep-disk"))
    must(sandbox.up(NUM_NODES=3))
    settle(sandbox, 2)
    assert shape(sandbox) == whole
    assert only(part(sandbox, "addresses")) == address
    assert named(sandbox, "volumes", f"{ID}-master-pd") == disk
    assert read_object(sandbox, f"{REGION}/{ID}/pki.tar") == pki
    must(sandbox.down("--keep-disk"))
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_keep_disk_twice_is_as_good_as_once(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.down("--keep-disk"))
    before = sandbox.inventory()
    result = must(sandbox.down("--keep-disk"))
    assert result.changing == []
    assert sandbox.inventory() == before


def test_a_master_that_is_terminated_leaves_its_disk_to_keep(sandbox: Box) -> None:
    sandbox.cluster(AWS_S3_BUCKET="a-name-of-mine-1")
    must(sandbox.down("--keep-disk"))
    del sandbox.environ["NUM_NODES"]
    must(sandbox.up())  # AWS_S3_BUCKET is forgotten: the disk's tag says it
    assert list(sandbox.inventory()["s3"]) == ["a-name-of-mine-1"]
    must(sandbox.down())
    assert sandbox.inventory() == {}


# --- leftovers


MADE = [
    *("s3:CreateBucket", "iam:CreateRole", "iam:AddRoleToInstanceProfile", "ec2:ImportKeyPair", "ec2:CreateVpc"),
    *("ec2:CreateDhcpOptions", "ec2:CreateSubnet", "ec2:CreateInternetGateway", "ec2:CreateRouteTable"),
    *("ec2:CreateNetworkInterface", "ec2:AllocateAddress", "ec2:CreateVolume", "ec2:RunInstances"),
    *("ec2:CreateLaunchTemplate", "autoscaling:CreateAutoScalingGroup"),
]


@pytest.mark.parametrize("last", spread(MADE, 3))
def test_a_half_made_cluster_goes_without_a_trace(sandbox: Box, last: str) -> None:
    stop_after(sandbox, last)
    assert sandbox.up().code == 130
    sandbox.aws.hooks.after.clear()
    assert sandbox.inventory() != {}
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_roles_that_alone_are_left_go(sandbox: Box) -> None:
    sandbox.cluster()
    answer_with(sandbox, "iam:DeleteRole", "UnauthorizedOperation", "no")
    refused(sandbox.down(), 1, "role kubernetes-master")
    sandbox.aws.hooks.before.clear()
    assert set(sandbox.inventory()) == {"iam"}
    must(sandbox.down())
    assert sandbox.inventory() == {}


def rename_vpc(box: Box) -> None:
    _, vpc = network(box)
    box.client("ec2").create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "renamed"}])


def lose_all_but_roles(box: Box) -> None:
    before = dict(box.inventory()["iam"])
    lose_settings(box)
    deny = Deny("iam:Delete*", "iam:Remove*")
    box.aws.hooks.before.append(deny.before)
    refused(box.down(), 1, "left of cluster kubernetes: ", "role kubernetes-master-kubernetes-mine-")
    box.aws.hooks.before.clear()
    assert box.inventory() == {"iam": before}


LOSSES: dict[str, list[Callable[[Box], None]]] = {
    "settings and the VPC's name": [lose_settings, rename_vpc],
    "the VPC's name": [rename_vpc],
    "all but the roles": [lose_all_but_roles],
    "settings": [lose_settings],
}


@pytest.mark.parametrize("lost", spread(LOSSES, 2))
def test_roles_go_whatever_vpc_name_is_in_their_names(sandbox: Box, lost: str) -> None:
    """It is the one that is remembered; where that was lost, the roles are found by their beginning, end and tags."""
    sandbox.cluster(VPC_NAME="mine", KUBE_MASTER_SELF_HEAL="true")
    for lose in LOSSES[lost]:
        lose(sandbox)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_roles_go_though_down_is_told_another_vpc_name(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.down(VPC_NAME="wrong"))
    assert sandbox.inventory() == {}


def test_roles_of_another_cluster_that_begin_and_end_alike_stay(sandbox: Box) -> None:
    """Those of cluster kubernetes-b begin as cluster kubernetes' would with a VPC_NAME that begins with b-."""
    must(sandbox.up(KUBE_AWS_INSTANCE_PREFIX=f"{ID}-b", KUBE_VPC_CIDR_BASE="172.21"))
    others = sandbox.inventory()
    must(sandbox.up(VPC_NAME="mine"))
    [ours] = set(sandbox.inventory()["s3"]) - set(others["s3"])
    sandbox.client("s3").delete_object(Bucket=ours, Key=f"{REGION}/{ID}/settings.env")
    must(sandbox.down())
    assert sandbox.inventory() == others


def test_roles_that_may_not_be_listed_are_said(sandbox: Box) -> None:
    sandbox.cluster(VPC_NAME="mine")
    lose_settings(sandbox)
    deny = Deny("iam:ListRoles", "iam:ListInstanceProfiles")
    sandbox.aws.hooks.before.append(deny.before)
    result = must(sandbox.down())
    assert "iam:ListRoles" in result.err
    assert "iam:ListInstanceProfiles" in result.err
    assert "another VPC_NAME than kubernetes-vpc" in result.err
    must(sandbox.down(VPC_NAME="mine"))
    assert sandbox.inventory() == {}


def test_a_role_of_our_name_without_our_tag_stays(sandbox: Box) -> None:
    sandbox.cluster()
    iam = sandbox.client("iam")
    name = f"kubernetes-minion-{ID}-kubernetes-vpc-{REGION}"
    iam.untag_role(RoleName=name, TagKeys=list(TAGS))
    must(sandbox.down())
    assert list(sandbox.inventory()["iam"]["roles"]) == [name]


def test_groups_are_found_by_tag_though_no_instance_runs(sandbox: Box) -> None:
    sandbox.cluster()
    sandbox.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=GROUP, MinSize=0, DesiredCapacity=0)
    settle(sandbox)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_an_instance_that_left_its_group_goes_too(sandbox: Box) -> None:
    sandbox.cluster()
    run = sandbox.client("ec2").run_instances(
        ImageId=only({i["image"] for i in part(sandbox, "instances").values()}),
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        SubnetId=only(part(sandbox, "subnets")),
        TagSpecifications=tagged("instance", Name=f"{ID}-minion"),
    )
    must(sandbox.down())
    assert run["Instances"][0]["InstanceId"] not in part(sandbox, "instances")
    assert sandbox.inventory() == {}


def test_other_versions_of_objects_go_too(sandbox: Box) -> None:
    sandbox.cluster()
    s3, bucket = sandbox.client("s3"), bucket_of(sandbox)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    must(sandbox.up(NUM_NODES=3))
    must(sandbox.up(NUM_NODES=2))
    s3.delete_object(Bucket=bucket, Key=f"{REGION}/{ID}/join-token")
    must(sandbox.down())
    assert sandbox.inventory() == {}


# --- kubeconfig


def test_an_entry_of_our_name_that_points_elsewhere_stays(sandbox: Box) -> None:
    sandbox.cluster()
    text = kubeconfig(sandbox).read_text()
    elsewhere = re.sub(r"server: https://\S+", "server: https://10.1.2.3", text)
    elsewhere = re.sub(r"(certificate-authority-data: )\S+", r"\1dGhlaXJz", elsewhere)
    kubeconfig(sandbox).write_text(elsewhere)
    must(sandbox.down())
    assert kubeconfig(sandbox).read_text() == elsewhere


def test_an_entry_with_the_clusters_ca_goes_though_its_address_was_let_go_before(sandbox: Box) -> None:
    sandbox.cluster()
    stop_after(sandbox, "ec2:DeleteVolume")  # address, interface and disk are gone, and with them what the server was
    assert sandbox.down().code == 130
    sandbox.aws.hooks.after.clear()
    must(sandbox.down())
    assert "aws_" not in kubeconfig(sandbox).read_text()


def test_the_entries_under_a_former_name_go_too_and_a_persons_own_stay(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.up(KUBE_CONFIG_CONTEXT="second"))
    data = yaml.safe_load(kubeconfig(sandbox).read_text())
    server = {
        "server": "https://h",
        "certificate-authority-data": data["clusters"][0]["cluster"]["certificate-authority-data"],
    }
    data["clusters"].append({"name": "mine", "cluster": server})
    data["contexts"].append({"name": "mine", "context": {"cluster": "mine", "user": "me"}})
    kubeconfig(sandbox).write_text(yaml.safe_dump(data))
    must(sandbox.down())
    left = yaml.safe_load(kubeconfig(sandbox).read_text())
    names = {section: [each["name"] for each in left[section] or []] for section in ("clusters", "users", "contexts")}
    assert names == {"clusters": ["mine"], "users": [], "contexts": ["mine"]}


def test_what_is_kept_of_kubeconfig_is_everything_else(sandbox: Box) -> None:
    kubeconfig(sandbox).parent.mkdir(parents=True, exist_ok=True)
    mine = "# mine\napiVersion: v1\nkind: Config\nclusters:\n- name: home  # the cellar\n  cluster:\n    server: https://h\n"
    kubeconfig(sandbox).write_text(mine)
    must(sandbox.up())
    must(sandbox.down())
    text = kubeconfig(sandbox).read_text()
    assert text.startswith(mine)
    data = yaml.safe_load(text)
    assert data["clusters"] == [{"name": "home", "cluster": {"server": "https://h"}}]
    assert not data.get("users")
    assert not data.get("contexts")
    assert not data.get("current-context")


def test_tags_of_the_cluster_are_the_ones_that_own(sandbox: Box) -> None:
    # "shared" is what others' subnets and VPCs get so that load balancers may use them.
    sandbox.cluster()
    volume = claim(sandbox, "shared", 3, {OWNED: "shared"})
    must(sandbox.down())
    assert list(part(sandbox, "volumes")) == [volume]


def test_an_address_that_still_counts_as_in_use_is_released_a_moment_later(sandbox: Box) -> None:
    sandbox.cluster()
    answer_with(sandbox, "ec2:ReleaseAddress", "InvalidIPAddress.InUse", "Address is in use.", times=2)
    must(sandbox.down())
    assert sandbox.inventory() == {}
