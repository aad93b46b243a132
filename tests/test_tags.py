"""What is ours: by either of the cluster's tags, unless it is tagged for another cluster; and what filters ask for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import botocore.session
import pytest
from conftest import Box
from helpers import MASTER_ROLE, OWNED, TAGS, drop_tags, must, named, only, part, refused
from spread import spread

from lib.aws import filters, tags

ANOTHERS = {"KubernetesCluster": "other", "kubernetes.io/cluster/other": "owned"}


@pytest.mark.parametrize(
    ("found", "ours", "owner"),
    [
        (TAGS, True, ""),
        ({"KubernetesCluster": "kubernetes"}, True, ""),
        ({OWNED: "owned"}, True, ""),
        ({OWNED: "shared"}, False, ""),
        ({}, False, ""),
        ({"Name": "kubernetes-master"}, False, ""),
        (ANOTHERS, False, "other"),
        (TAGS | {"KubernetesCluster": "other"}, False, "other"),
        (TAGS | {"kubernetes.io/cluster/other": "owned"}, False, "other"),
        (TAGS | {"kubernetes.io/cluster/other": "shared"}, True, ""),
        (TAGS | {"KubernetesCluster": ""}, True, ""),
    ],
)
def test_ours_is_what_has_a_tag_of_ours_and_is_no_other_clusters(found: dict[str, str], ours: bool, owner: str) -> None:
    assert tags.is_ours("kubernetes", found) is ours
    assert tags.other_owner("kubernetes", found) == owner


def documented_filters() -> set[str]:
    """The filters of all of EC2's describe calls, as its API reference lists them (botocore carries it)."""
    ec2 = botocore.session.get_session().get_service_model("ec2")
    shapes = [ec2.operation_model(name).input_shape for name in ec2.operation_names if name.startswith("Describe")]
    texts = [shape.members["Filters"].documentation for shape in shapes if shape and "Filters" in shape.members]
    return set(re.findall("<code>([a-z][a-zA-Z.-]+)</code> - ", "".join(texts)))


def texts_of_lib() -> set[str]:
    trees = [ast.parse(path.read_text()) for path in Path("lib").glob("**/*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str)}


def test_every_filter_of_lib_is_held_against_what_it_found() -> None:
    """Whatever stands in lib and is the name of a filter; names of one word are too many other things to tell."""
    names = documented_filters()
    assert len(names) > 500
    assert set(filters.VALUES) <= names
    asked = {text for text in texts_of_lib() & names if "-" in text}
    assert len(asked) > 15
    assert asked - set(filters.VALUES) == {"availability-zone"}  # the LocationType of offerings, and no filter here


def test_a_filter_that_nobody_knows_is_no_filter() -> None:
    with pytest.raises(LookupError, match="cidr-block"):
        filters.held([], [{"Name": "vpc-id", "Values": ["vpc-1"]}, {"Name": "cidr-block", "Values": ["10.0.0.0/8"]}])


def test_only_one_place_asks_ec2_with_filters() -> None:
    """Where every answer is held against them; Auto Scaling's groups are asked for by the keys of tags."""
    files = [
        path
        for path in Path("lib").glob("**/*.py")
        if re.search(r"(ec2|autoscaling|paginate)\S*\([^)]*Filters=", path.read_text())
    ]
    assert sorted(path.name for path in files) == ["listing.py", "minions.py"]


# --- what a run does with it


@pytest.mark.parametrize("lost", TAGS)
def test_what_lost_one_of_its_tags_goes_with_the_cluster(sandbox: Box, lost: str) -> None:
    sandbox.cluster()
    for kind in ("addresses", "volumes", "interfaces", "launch templates", "vpcs", "dhcp options"):
        for each, entry in part(sandbox, kind).items():
            if lost in entry["tags"]:
                drop_tags(sandbox, each, lost)
    sandbox.client("iam").untag_role(RoleName=MASTER_ROLE, TagKeys=[lost])
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_roles_that_two_clusters_call_the_same_stay_the_first_ones(sandbox: Box) -> None:
    """kubernetes-master-a-b-x-us-west-2 is of cluster a and VPC b-x, and of cluster a-b and VPC x."""
    first = {"KUBE_AWS_INSTANCE_PREFIX": "a-b", "VPC_NAME": "x"}
    second = {"KUBE_AWS_INSTANCE_PREFIX": "a", "VPC_NAME": "b-x", "KUBE_VPC_CIDR_BASE": "172.21"}
    must(sandbox.up(**first))
    before = sandbox.inventory()["iam"]
    refused(sandbox.up(**second), 1, "role kubernetes-master-a-b-x-us-west-2", "cluster a-b", "VPC_NAME")
    assert sandbox.inventory()["iam"] == before
    must(sandbox.down(**second))
    assert sandbox.inventory()["iam"] == before
    assert must(sandbox.up(**first)).changing == []
    must(sandbox.down(**first))
    assert sandbox.inventory() == {}


def test_what_two_clusters_have_tags_on_is_named_and_left_alone(sandbox: Box) -> None:
    sandbox.cluster()
    disk = named(sandbox, "volumes", "kubernetes-master-pd")
    sandbox.client("ec2").create_tags(Resources=[disk], Tags=[{"Key": "KubernetesCluster", "Value": "other"}])
    refused(sandbox.up(), 1, disk, "cluster other", "take the tags of other off it")
    refused(sandbox.down(), 1, disk, "cluster other")
    assert list(part(sandbox, "volumes")) == [disk]
    sandbox.client("ec2").create_tags(Resources=[disk], Tags=[{"Key": "KubernetesCluster", "Value": "kubernetes"}])
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_load_balancers_target_groups_and_schedules_in_dispute_are_named(sandbox: Box) -> None:
    """What AWS shows no tags of with itself: load balancers of both kinds, target groups, schedule groups."""
    sandbox.cluster(KUBE_MASTER_SELF_HEAL="true")
    subnet = only(part(sandbox, "subnets"))
    both = [{"Key": key, "Value": value} for key, value in (TAGS | {"KubernetesCluster": "other"}).items()]
    sandbox.client("elb").create_load_balancer(
        LoadBalancerName="classic",
        Listeners=[{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}],
        Subnets=[subnet],
        Tags=both,
    )
    elbv2 = sandbox.client("elbv2")
    elbv2.create_load_balancer(Name="newer", Type="network", Subnets=[subnet], Tags=both)
    elbv2.create_target_group(Name="targets", Protocol="TCP", Port=80, VpcId=only(part(sandbox, "vpcs")), Tags=both)
    scheduler = sandbox.client("scheduler")
    group = scheduler.get_schedule_group(Name="kubernetes-master-heal")["Arn"]
    scheduler.tag_resource(ResourceArn=group, Tags=both)
    result = sandbox.down()
    for words in ("load balancer classic", "load balancer newer", "targetgroup/targets", "schedule group kubernetes-"):
        assert words in result.err
    assert result.code == 1
    assert sorted(part(sandbox, "load balancers")) != []
    assert list(part(sandbox, "schedule groups")) == ["kubernetes-master-heal"]


KINDS = ["vpcs", "subnets", "launch templates", "addresses", "dhcp options", "internet gateways"]


@pytest.mark.parametrize(("kind", "lost"), spread([(kind, lost) for kind in KINDS for lost in TAGS], 3))
def test_a_tag_that_was_taken_off_is_put_back(sandbox: Box, kind: str, lost: str) -> None:
    sandbox.cluster()
    each = only(part(sandbox, kind))
    drop_tags(sandbox, each, lost)
    must(sandbox.up())
    assert TAGS.items() <= part(sandbox, kind)[each]["tags"].items()
