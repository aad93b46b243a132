"""What a rerun mends and a down removes on a drifted cluster, with the answer to that very call lost once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Box
from helpers import GROUP, OWNED, master_of, must, named, part, put_alarm, shape
from spread import spread

from sandbox.calls import Answer, Call, LoseAnswer


def lose(box: Box, operation: str) -> list[str]:
    """Lose the answer to the next such call that AWS does; the list holds it afterwards."""
    lost: list[str] = []

    def look(call: Call, answer: Answer) -> Answer:
        if not lost and f"{call.service}:{call.operation}" == operation and not answer.refused:
            lost.append(operation)
            raise LoseAnswer
        return answer

    box.aws.hooks.after.append(look)
    return lost


def move_subnet(box: Box) -> None:
    ec2 = box.client("ec2")
    [vpc] = part(box, "vpcs")
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    filters = [{"Name": "association.subnet-id", "Values": list(part(box, "subnets"))}]
    [ours] = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    [association] = [a for a in ours["Associations"] if not a["Main"]]
    ec2.replace_route_table_association(AssociationId=association["RouteTableAssociationId"], RouteTableId=table)


def drop_rule(box: Box) -> None:
    group = named(box, "security groups", "kubernetes-master-kubernetes")
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    box.client("ec2").revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])


def drop_route(box: Box) -> None:
    ec2 = box.client("ec2")
    for table in ec2.describe_route_tables(Filters=[{"Name": "tag:KubernetesCluster", "Values": ["kubernetes"]}])[
        "RouteTables"
    ]:
        ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")


def stop_master(box: Box) -> None:
    box.client("ec2").stop_instances(InstanceIds=[master_of(box)])
    box.clock.sleep(60)


def take_address(box: Box) -> None:
    [address] = box.client("ec2").describe_addresses()["Addresses"]
    box.client("ec2").disassociate_address(AssociationId=address["AssociationId"])


def resize_group(box: Box) -> None:
    box.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=GROUP, MaxSize=7)


def disk_size(box: Box) -> int:
    """GiB of the master's disk."""
    found = box.client("ec2").describe_volumes(VolumeIds=[named(box, "volumes", "kubernetes-master-pd")])
    return int(found["Volumes"][0]["Size"])


DRIFTS: list[tuple[Callable[[Box], None], str]] = [
    (move_subnet, "ec2:ReplaceRouteTableAssociation"),
    (drop_rule, "ec2:AuthorizeSecurityGroupIngress"),
    (drop_route, "ec2:CreateRoute"),
    (stop_master, "ec2:StartInstances"),
    (take_address, "ec2:AssociateAddress"),
    (resize_group, "autoscaling:UpdateAutoScalingGroup"),
]


@pytest.fixture
def cluster(sandbox: Box) -> Box:
    sandbox.cluster()
    return sandbox


def test_every_repairs_answer_may_be_lost(cluster: Box) -> None:
    before = part(cluster, "route tables"), shape(cluster)
    for drift, operation in DRIFTS:
        drift(cluster)
        lost = lose(cluster, operation)
        must(cluster.up())
        assert lost == [operation]
        cluster.aws.hooks.after.clear()
        for table in set(part(cluster, "route tables")) - set(before[0]):
            cluster.client("ec2").delete_route_table(RouteTableId=table)
        assert shape(cluster) == before[1], operation


def test_a_disk_that_grows_is_asked_to_grow_once(cluster: Box) -> None:
    lost = lose(cluster, "ec2:ModifyVolume")
    must(cluster.up(MASTER_DISK_SIZE=40))
    assert lost
    assert disk_size(cluster) == 40


def test_a_change_of_the_disk_waits_for_the_one_before(cluster: Box) -> None:
    must(cluster.up(MASTER_DISK_SIZE=30))
    result = must(cluster.up(MASTER_DISK_SIZE=40))
    errors = [call.error for call in result.calls if call.operation == "ModifyVolume"]
    assert (errors[0], errors[-1]) == ("IncorrectModificationState", "")
    assert disk_size(cluster) == 40


REMOVALS = ["cloudwatch:DeleteAlarms", "elbv2:DeleteTargetGroup", "elbv2:DeleteLoadBalancer"]


@pytest.mark.parametrize("operation", spread(REMOVALS, 1))
def test_what_is_gone_by_a_lost_removal_is_gone(cluster: Box, operation: str) -> None:
    vpc, labels = next(iter(part(cluster, "vpcs"))), [{"Key": OWNED, "Value": "owned"}]
    cluster.client("elbv2").create_target_group(Name="web", Protocol="TCP", Port=80, VpcId=vpc, Tags=labels)
    cluster.client("elbv2").create_load_balancer(
        Name="web", Subnets=list(part(cluster, "subnets")), Type="network", Tags=labels
    )
    put_alarm(cluster, f"k8s-{master_of(cluster)}-StatusCheckFailed")
    lost = lose(cluster, operation)
    result = must(cluster.down())
    assert lost == [operation]
    assert "refused" not in result.err
    assert cluster.inventory() == {}
