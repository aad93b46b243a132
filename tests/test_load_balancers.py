"""What Services' load balancers need of the nodes' group and of a brought subnet: limited, or checked and said."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import REGION, Box
from helpers import ID, master_of, must, part, refused_untouched, tagged
from test_options import Brought, addons

from lib.checks import elbsubnets

OPTION = "KUBE_LOAD_BALANCER_CIDR"
MINIONS = f"kubernetes-minion-{ID}"


def group_of(box: Box) -> tuple[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = part(box, "security groups")
    return next((name, group) for name, group in found.items() if group["name"] == MINIONS)


def cloud_conf(box: Box) -> str:
    documents = addons(box)["cloud-controller-manager"]
    return str(next(each["data"]["cloud.conf"] for each in documents if each["kind"] == "ConfigMap"))


def controllers_rules(box: Box) -> None:
    """What cloud-provider-aws adds for a classic load balancer, and for a network load balancer."""
    ec2, (minions, _) = box.client("ec2"), group_of(box)
    vpc = next(iter(part(box, "vpcs")))
    made = ec2.create_security_group(
        GroupName="k8s-elb-a1", Description="one of theirs", VpcId=vpc, TagSpecifications=tagged("security-group")
    )
    pair = [{"GroupId": made["GroupId"]}]
    client = [{"CidrIp": "203.0.113.0/24", "Description": "kubernetes.io/rule/nlb/client=a2"}]
    ec2.authorize_security_group_ingress(
        GroupId=minions,
        IpPermissions=[
            {"IpProtocol": "-1", "UserIdGroupPairs": pair},
            {"IpProtocol": "tcp", "FromPort": 30123, "ToPort": 30123, "IpRanges": client},
        ],
    )


def test_by_default_the_controller_lets_each_of_them_in_and_its_rules_stay(sandbox: Box) -> None:
    sandbox.cluster()
    assert "DisableSecurityGroupIngress" not in cloud_conf(sandbox)
    controllers_rules(sandbox)
    assert must(sandbox.up()).changing == []


def test_with_the_option_one_rule_is_for_all_and_the_controllers_go(sandbox: Box) -> None:
    sandbox.cluster()
    before = group_of(sandbox)[1]
    controllers_rules(sandbox)
    assert sandbox.up("--dry-run", **{OPTION: "172.20.0.0/16"}).code == 3
    must(sandbox.up(**{OPTION: "172.20.0.0/16"}))
    rules = str(group_of(sandbox)[1])
    assert "tcp 30000-32767 172.20.0.0/16" in rules
    assert "udp 30000-32767 172.20.0.0/16" in rules
    assert "203.0.113.0" not in rules
    assert len(group_of(sandbox)[1]["in"]) == len(before["in"]) + 2
    assert must(sandbox.up()).changing == []

    off = must(sandbox.up(**{OPTION: ""}))
    assert "load balancers reach no minion until the cloud controller manager lets each of them in again" in off.err
    assert (
        "soon, where the master was made without the option; one that was made with it has to be made anew" in off.err
    )
    assert "KUBE_REPLACE_MASTER=" not in off.err  # this one was: nothing of it is another than it was made with
    assert group_of(sandbox)[1] == before
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_master_that_is_made_with_it_has_a_controller_that_adds_none(sandbox: Box) -> None:
    must(sandbox.up(**{OPTION: "172.20.0.0/16,10.0.0.0/8"}))
    section = cloud_conf(sandbox).partition("[Global]\n")[2]
    assert "DisableSecurityGroupIngress = true\n" in section
    off = must(sandbox.up(**{OPTION: ""}))
    assert "one that was made with it has to be made anew for that (KUBE_REPLACE_MASTER)" in off.err
    assert f"KUBE_REPLACE_MASTER={master_of(sandbox)} python kube_up.py" in off.err


def test_ranges_that_would_fill_the_group_are_refused(sandbox: Box) -> None:
    many = ",".join(f"10.{number}.0.0/16" for number in range(20))
    ssh = ",".join(f"203.0.113.{number}/32" for number in range(19))
    said = refused_untouched(sandbox, sandbox.up(**{OPTION: many, "SSH_CIDR": ssh}), 2, f"{OPTION}: 20 ranges")
    assert "are 61 rules" in said


# --- which subnet


def subnet(
    name: str, *tags: tuple[str, str], zone: str = "a", public: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A subnet and its route table."""
    pairs = [{"Key": key, "Value": value} for key, value in tags]
    routes = [{"GatewayId": "local"}, *([{"GatewayId": "igw-1"}] if public else [])]
    return (
        {"SubnetId": name, "AvailabilityZone": f"{REGION}{zone}", "VpcId": "vpc-1", "Tags": pairs},
        {"Associations": [{"SubnetId": name}], "Routes": routes},
    )


OTHERS = ("kubernetes.io/cluster/other", "owned")
SHARED = (f"kubernetes.io/cluster/{ID}", "shared")
ROLE = ("kubernetes.io/role/elb", "1")
CASES: dict[str, tuple[list[tuple[dict[str, Any], dict[str, Any]]], str]] = {
    "alone": ([subnet("subnet-2")], ""),
    "the first of two": ([subnet("subnet-2"), subnet("subnet-3")], ""),
    "the second of two": ([subnet("subnet-2"), subnet("subnet-1")], "into subnet-1 in place of subnet-2"),
    "the second, and has the role": ([subnet("subnet-2", ROLE), subnet("subnet-1")], ""),
    "the second, and has the cluster's tag": ([subnet("subnet-2", SHARED), subnet("subnet-1")], ""),
    "another has the role": ([subnet("subnet-2", SHARED), subnet("subnet-3", ROLE)], "into subnet-3 in place"),
    "of another zone": ([subnet("subnet-2"), subnet("subnet-1", zone="b")], ""),
    "another cluster's": ([subnet("subnet-2", OTHERS), subnet("subnet-3")], "bears another cluster's tag"),
    "another cluster's and ours": ([subnet("subnet-2", OTHERS, SHARED), subnet("subnet-3")], ""),
    "private": ([subnet("subnet-2", public=False), subnet("subnet-3")], "no route to an internet gateway"),
    "private, with public ones elsewhere": (
        [subnet("subnet-2", public=False), subnet("subnet-3", zone="b")],
        f"none in {REGION}a, and in subnet-3",
    ),
    "all private": ([subnet("subnet-2", public=False)], "stay pending, but for internal ones"),
}


@pytest.mark.parametrize("name", CASES)
def test_where_load_balancers_are_put(name: str) -> None:
    pairs, words = CASES[name]
    every, tables = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = elbsubnets.words_of(ID, every[0], every, tables)
    assert (words in found) if words else not found, found


def test_a_subnet_without_a_table_of_its_own_has_the_main_one() -> None:
    main = {"Associations": [{"Main": True}], "Routes": [{"GatewayId": "igw-1"}]}
    assert elbsubnets.is_public([main], "subnet-1")
    assert not elbsubnets.is_public([{**main, "Routes": []}], "subnet-1")


def test_a_brought_subnet_that_gets_none_is_said_before_the_run_and_not_changed(sandbox: Box) -> None:
    brought = Brought(sandbox)
    assert "load balancer" not in must(sandbox.up(SUBNET_ID=brought.subnet)).err
    must(sandbox.down(SUBNET_ID=brought.subnet))
    brought.ec2.create_tags(Resources=[brought.subnet], Tags=[{"Key": "kubernetes.io/cluster/other", "Value": "owned"}])
    second = brought.ec2.create_subnet(VpcId=brought.vpc, CidrBlock="172.31.8.0/24", AvailabilityZone=f"{REGION}a")
    before = part(sandbox, "subnets")
    dry = sandbox.up("--dry-run", SUBNET_ID=brought.subnet)
    assert f"SUBNET_ID: {brought.subnet} bears another cluster's tag" in dry.err
    must(sandbox.up(SUBNET_ID=brought.subnet))
    assert part(sandbox, "subnets") == before
    assert second["Subnet"]["SubnetId"] in before
    rerun = must(sandbox.up())
    assert rerun.changing == []
    assert len(rerun.calls) <= 42
