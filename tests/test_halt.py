"""Off at night: no minions (NUM_NODES=0), and a cluster that is stopped (--stop) until the next plain run."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import Box
from helpers import GROUP, ID, master_of, must, part, refused, refused_untouched, settle, shape
from spread import spread

STOPPED = ["autoscaling:UpdateAutoScalingGroup", "ec2:StopInstances"]


def states(box: Box) -> dict[str, str]:
    """The instances that are not terminated, by their state."""
    found = box.client("ec2").describe_instances()["Reservations"]
    every = {i["InstanceId"]: i["State"]["Name"] for each in found for i in each["Instances"]}
    return {instance: state for instance, state in every.items() if state != "terminated"}


def group(box: Box, name: str = GROUP) -> tuple[int, int, int]:
    """The bounds of a group, and its size."""
    asked: Any = {"AutoScalingGroupNames": [name]}
    found = box.client("autoscaling").describe_auto_scaling_groups(**asked)["AutoScalingGroups"][0]
    return found["MinSize"], found["MaxSize"], found["DesiredCapacity"]


# --- no minions


def test_a_cluster_without_minions_comes_up_and_says_what_waits(sandbox: Box) -> None:
    up = must(sandbox.up(NUM_NODES=0))
    assert "group kubernetes-minion-group-us-west-2a of 0 t3.small" in up.out
    assert "no minions: pods wait until there is one, CoreDNS among them" in up.out
    # 0.0416 + 0.005 + 28 GiB x 0.08 / 730
    assert (
        "  price    about 0.050 USD an hour, 36.26 a month\n           1 t3.medium, 28 GiB gp3, 1 public address;"
        in up.out
    )
    assert list(states(sandbox)) == [master_of(sandbox)]
    again = must(sandbox.up(NUM_NODES=0))
    assert (again.changing, "1 minion" in again.out) == ([], False)
    must(sandbox.up(NUM_NODES=1))
    assert group(sandbox) == (1, 1, 1)


def test_the_last_minions_are_drained_and_come_back(sandbox: Box) -> None:
    sandbox.cluster()
    none = must(sandbox.up(NUM_NODES=0))
    assert (none.out.count("(one too many)"), group(sandbox)) == (2, (0, 0, 0))
    assert must(sandbox.up(NUM_NODES=0)).changing == []
    must(sandbox.up(NUM_NODES=2))
    assert group(sandbox) == (2, 2, 2)


# --- stopped


@pytest.mark.parametrize("heals", spread([True, False], 1))
def test_a_cluster_is_stopped_and_a_plain_run_starts_it_as_it_was(sandbox: Box, heals: bool) -> None:
    sandbox.cluster(KUBE_MASTER_SELF_HEAL=str(heals).lower())
    before, master = shape(sandbox), master_of(sandbox)
    dry = sandbox.up("--stop", "--dry-run")
    assert (dry.code, dry.changing, shape(sandbox)) == (3, [], before)
    assert "  changes  2 to change\n" in dry.out
    assert f"  API      away until python kube_up.py starts master {master}" in dry.out

    stopped = must(sandbox.up("--stop"))
    assert stopped.changing == STOPPED
    assert (states(sandbox), group(sandbox)) == ({master: "stopped"}, (0, 2, 0))
    assert re.search(r"\nCluster kubernetes is stopped after \d+ s \(2 changes: 2 changed\)\.\n", stopped.out)
    # 28 GiB x 0.08 / 730 + 0.005
    price = "about 0.008 USD an hour, 5.89 a month\n           28 GiB gp3, 1 public address; traffic and S3 not counted"
    assert f"  price    {price}" in stopped.out
    assert f"  price    {price}" in dry.out
    assert "python kube_up.py, with 2 minions as before" in stopped.out

    settle(sandbox, 600)  # a schedule, or an alarm, has had its turns
    assert states(sandbox) == {master: "stopped"}
    assert must(sandbox.up("--stop")).changing == []
    status = sandbox.up("--status").out
    assert re.search(r"^  cost +5\.89 USD a month with its master stopped,", status, re.MULTILINE)
    assert re.search(rf"^  master +{master} t3.medium, stopped, .* UTC; kube_up.py starts it$", status, re.MULTILINE)
    assert (sandbox.up("--stop", "--dry-run").code, states(sandbox)) == (0, {master: "stopped"})

    started = must(sandbox.up())
    assert started.changing == ["ec2:StartInstances", "autoscaling:UpdateAutoScalingGroup"]
    assert (master_of(sandbox), shape(sandbox)) == (master, before)


def test_a_stop_that_was_stopped_goes_on(sandbox: Box) -> None:
    sandbox.cluster()
    sandbox.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=GROUP, MinSize=0, DesiredCapacity=0)
    settle(sandbox)
    assert must(sandbox.up("--stop")).changing == ["ec2:StopInstances"]


def test_a_stopped_cluster_is_taken_down(sandbox: Box) -> None:
    empty = sandbox.inventory(mask=True)
    must(sandbox.up())
    must(sandbox.up("--stop"))
    must(sandbox.down())
    assert (states(sandbox), sandbox.inventory(mask=True)) == ({}, empty)


def test_every_group_is_stopped_and_each_comes_back_by_its_own_command(sandbox: Box) -> None:
    sandbox.cluster()
    more = {"KUBE_USE_EXISTING_MASTER": "true", "NODE_SIZE": "t3.large", "NUM_NODES": 1}
    must(sandbox.up(**more))
    name = f"{GROUP}-t3-large"
    stopped = must(sandbox.up("--stop"))
    assert (len(states(sandbox)), group(sandbox), group(sandbox, name)) == (1, (0, 2, 0), (0, 1, 0))
    assert f"then its own command for the group {name}" in stopped.out
    must(sandbox.up())
    assert (group(sandbox), group(sandbox, name)) == ((2, 2, 2), (0, 1, 0))
    must(sandbox.up(**more))
    assert group(sandbox, name) == (1, 1, 1)


def test_where_there_is_nothing_to_stop_that_is_said(sandbox: Box) -> None:
    refused_untouched(sandbox, sandbox.up("--stop"), 1, f"no master of {ID} in us-west-2: there is nothing to stop")
    assert part(sandbox, "instances") == {}


def test_stop_is_for_the_whole_cluster(sandbox: Box) -> None:
    result = sandbox.up("--stop", KUBE_USE_EXISTING_MASTER="true")
    refused_untouched(sandbox, result, 2, "KUBE_USE_EXISTING_MASTER: --stop stops the whole cluster")


def test_down_has_no_stop(sandbox: Box) -> None:
    refused(sandbox.down("--stop"), 2, "unrecognized arguments: --stop")
