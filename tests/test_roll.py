"""Other settings, the same command: minions are replaced one by one, and those too many drained before they go."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import REGION, Box
from helpers import GROUP, answer_with, master_of, must, part, refused, settle, stop_after
from spread import spread

from sandbox.backend import cloud, nodes
from sandbox.calls import Answer, Call
from sandbox.hosts import apiserver
from sandbox.world import Delays, Kube

pytestmark = pytest.mark.story


@pytest.fixture
def cluster(sandbox: Box) -> Box:
    """A cluster of two minions."""
    sandbox.cluster()
    return sandbox


def kube(box: Box) -> Kube:
    return box.aws.world.state.kube


def minions(box: Box) -> list[str]:
    """The instances that are minions and live."""
    settle(box)
    return sorted(i for i in part(box, "instances") if i != master_of(box))


def types(box: Box) -> list[str]:
    return [part(box, "instances")[i]["type"] for i in minions(box)]


def size(box: Box) -> list[int]:
    found: list[int] = part(box, "groups")[GROUP]["size"]
    return found


def pod(box: Box, name: str, instance: str, *, owner: str = "ReplicaSet", phase: str = "Running", **meta: Any) -> None:
    """Put a pod on a minion's node."""
    owners = [{"kind": owner, "name": "x", "controller": True}] if owner else []
    address = box.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    kube(box).pods.append(
        {
            "metadata": {"name": name, "namespace": "default", "ownerReferences": owners, **meta},
            "spec": {"nodeName": address["PrivateDnsName"]},
            "status": {"phase": phase},
        }
    )


def names(box: Box) -> list[str]:
    return [p["metadata"]["name"] for p in kube(box).pods]


def watch(box: Box) -> list[int]:
    """Note terminations in the stand-in API's log; returns how many minions took pods at each of them, that one not."""
    serving: list[int] = []

    def look(call: Call, answer: Answer) -> Answer:
        if call.operation == "TerminateInstanceInAutoScalingGroup" and not answer.refused:
            kube(box).log.append(f"terminate {call.params['InstanceId']}")
            nodes = [i for i, thing in part(box, "instances").items() if thing["state"] == "running"]
            gone = {i for i, thing in kube(box).nodes.items() if thing["unschedulable"]}
            serving.append(len(set(nodes) - gone) - 1)
        return answer

    box.aws.hooks.after.append(look)
    return serving


def test_nodes_of_instances_that_are_gone_do_not_count(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=1)
    kube(sandbox).ghosts.append(
        {
            "metadata": {"name": "ip-172-20-0-99.us-west-2.compute.internal"},
            "spec": {"providerID": f"aws:///{REGION}a/i-00000000000000000"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
    )
    sandbox.aws.world.delays = Delays(host=10**6)
    refused(sandbox.up(NUM_NODES=2, KUBE_WAIT_NODES_SECONDS=10), 1, "3 nodes to be Ready", "2 of 3 Ready")


def test_two_then_four_then_one(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.up(NUM_NODES=4))
    assert (len(minions(sandbox)), size(sandbox)) == (4, [4, 4, 4])
    there = minions(sandbox)
    for number, instance in enumerate(there):
        pod(sandbox, f"web-{number}", instance)
    found = sandbox.client("ec2").describe_instances(InstanceIds=there)["Reservations"]
    named = {i["InstanceId"]: i["PrivateDnsName"] for each in found for i in each["Instances"]}
    watch(sandbox)
    must(sandbox.up(NUM_NODES=1))
    left = minions(sandbox)
    assert (len(left), size(sandbox)) == (1, [1, 1, 1])
    log = kube(sandbox).log
    for number, instance in enumerate(there):
        if instance not in left:
            mine = [log.index(f"{what}") for what in (f"cordon {instance}", f"evict default/web-{number}")]
            assert mine == sorted(mine)
            assert mine[-1] < log.index(f"terminate {instance}") < log.index(f"delete {named[instance]}")
    assert f"delete {named[left[0]]}" not in log
    assert names(sandbox) == [f"web-{there.index(left[0])}"]
    again = must(sandbox.up(NUM_NODES=1))
    assert (again.changing, len(again.calls) <= 42) == ([], True)


def test_what_stays_on_a_node_is_not_evicted(cluster: Box) -> None:
    for instance in minions(cluster):
        pod(cluster, f"proxy-{instance}", instance, owner="DaemonSet")
        pod(cluster, f"static-{instance}", instance, annotations={"kubernetes.io/config.mirror": "x"})
        pod(cluster, f"done-{instance}", instance, phase="Succeeded")
    there = len(names(cluster))
    must(cluster.up(NUM_NODES=1))
    assert len(names(cluster)) == there
    assert not [line for line in kube(cluster).log if line.startswith("evict")]


def test_a_pod_that_nothing_makes_again_is_named(cluster: Box) -> None:
    for instance in minions(cluster):
        pod(cluster, f"bare-{instance}", instance, owner="")
    assert "belongs to no controller" in must(cluster.up(NUM_NODES=1)).err


def test_a_disruption_budget_is_kept_and_a_rerun_goes_on(cluster: Box) -> None:
    before = minions(cluster)
    for instance in before:
        pod(cluster, f"web-{instance}", instance)
        kube(cluster).held[f"default/web-{instance}"] = "web"
    result = cluster.up(NUM_NODES=1, KUBE_DRAIN_SECONDS=60)
    said = refused(result, 1, "pod default/web-i-", "Cannot evict pod as it would violate the pod's disruption budget.")
    assert "The disruption budget web needs 1 healthy pods and has 1 currently" in said
    assert "KUBE_DRAIN_SECONDS" in said
    assert minions(cluster) == before
    assert not any(node["unschedulable"] for node in kube(cluster).nodes.values())
    kube(cluster).held.clear()
    must(cluster.up(NUM_NODES=1))
    assert (len(minions(cluster)), size(cluster)) == (1, [1, 1, 1])


def test_another_size_replaces_all_one_by_one(cluster: Box) -> None:
    old = minions(cluster)
    serving = watch(cluster)
    must(cluster.up(NODE_SIZE="t3.large"))
    assert types(cluster) == ["t3.large"] * 2
    assert size(cluster) == [2, 2, 2]
    assert not set(old) & set(minions(cluster))
    assert serving == [2, 2]
    assert kube(cluster).log.count(f"cordon {old[0]}") == 1
    assert must(cluster.up()).changing == []


SETTINGS: list[dict[str, object]] = [
    {"KUBE_EXTRA_PACKAGES": "nfs-common"},
    {"NODE_ROOT_DISK_SIZE": 40},
    {"NODE_LABELS": "a=b"},
    {"NODE_SPOT_PRICE": "0.05"},
]


@pytest.mark.parametrize("setting", spread(SETTINGS, 2, ids=[next(iter(each)) for each in SETTINGS]))
def test_whatever_a_minion_is_made_from(cluster: Box, setting: dict[str, object]) -> None:
    old = minions(cluster)
    said = must(cluster.up(**setting)).err
    assert (len(minions(cluster)), set(old) & set(minions(cluster))) == (2, set())
    # What master and minions boot with: the master is told of.
    assert ("KUBE_REPLACE_MASTER=i-" in said) is ("KUBE_EXTRA_PACKAGES" in setting)


def test_fewer_and_of_another_size_at_once(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=3)
    result = must(sandbox.up(NUM_NODES=1, NODE_SIZE="t3.large"))
    assert (types(sandbox), size(sandbox)) == (["t3.large"], [1, 1, 1])
    assert result.operations.count("autoscaling:TerminateInstanceInAutoScalingGroup") == 3


def test_a_dry_run_says_it_and_changes_nothing(cluster: Box) -> None:
    before = cluster.inventory()
    first, second = minions(cluster)
    result = cluster.up("--dry-run", NODE_SIZE="t3.large")
    assert (result.code, result.changing) == (3, [])
    for instance in (first, second):
        assert f"would replace minion {instance} (launch template version 1 → a new one: NODE_SIZE" in result.out
    fewer = cluster.up("--dry-run", NUM_NODES=1)
    assert (fewer.code, fewer.out.count("would remove minion i-")) == (3, 1)
    assert (cluster.inventory(), kube(cluster).log) == (before, [])


FEWER: dict[str, object] = {"NUM_NODES": 1}
OTHERS: dict[str, object] = {"NODE_SIZE": "t3.large"}
BEGUN = [(FEWER, 0), (FEWER, 1), (OTHERS, 1), (OTHERS, 0)]


@pytest.mark.parametrize(("change", "number"), spread(BEGUN, 2))
def test_who_goes_first_is_foretold(cluster: Box, change: dict[str, object], number: int) -> None:
    """It is the same decision, of the same nodes: here that one which an earlier run began with."""
    begun = minions(cluster)[number]
    kube(cluster).nodes[begun] = {"annotations": {"kube-up/cordoned": "true"}, "unschedulable": True}
    foretold = re.findall(r"would (?:remove|replace) minion (\S+)", cluster.up("--dry-run", **change).out)
    done = re.findall(r"remove +minion (\S+)", must(cluster.up(**change)).out)
    assert (foretold, foretold[0]) == (done, begun)


def test_a_node_that_a_person_cordoned_stays_so_and_one_of_ours_does_not(cluster: Box) -> None:
    theirs, ours = minions(cluster)
    kube(cluster).nodes[theirs] = {"annotations": {}, "unschedulable": True}
    kube(cluster).nodes[ours] = {"annotations": {"kube-up/cordoned": "true"}, "unschedulable": True}
    must(cluster.up())
    assert kube(cluster).nodes[theirs]["unschedulable"]
    assert kube(cluster).nodes[ours] == {"annotations": {}, "unschedulable": False}


def test_the_autoscalers_number_is_kept_while_nodes_are_replaced(sandbox: Box) -> None:
    given: dict[str, object] = {"KUBE_ENABLE_CLUSTER_AUTOSCALER": "true", "KUBE_AUTOSCALER_MAX_NODES": 3}
    sandbox.cluster(**given)
    sandbox.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    settle(sandbox)
    must(sandbox.up(NODE_SIZE="t3.large"))
    assert (types(sandbox), size(sandbox)) == (["t3.large"] * 3, [1, 3, 3])


SCALED: dict[str, object] = {"KUBE_ENABLE_CLUSTER_AUTOSCALER": "true", "KUBE_AUTOSCALER_MAX_NODES": 6}


def scale(box: Box, by: int) -> None:
    """What the cluster autoscaler does: more by a number, fewer by taking one away that nobody else is about to."""
    group = cloud.autoscaling(REGION).autoscaling_groups[GROUP]
    if by > 0:
        group.set_desired_capacity(group.desired_capacity + by)
        return
    cordoned = {i for i, node in kube(box).nodes.items() if node["unschedulable"]}
    idle = [state.instance.id for state in group.instance_states if state.instance.id not in cordoned][-1]
    box.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=idle, ShouldDecrementDesiredCapacity=True
    )


def on_cordon(box: Box, do: Callable[[], None]) -> None:
    """Have something happen once the first node is cordoned: the group has one more then."""
    left = [do]

    def look() -> None:
        if left and any(node["unschedulable"] for node in kube(box).nodes.values()):
            left.pop()()

    box.aws.on_tick.append(look)


def group_tags(box: Box) -> set[str]:
    found = box.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return {tag["Key"] for tag in found[0]["Tags"]}


@pytest.mark.parametrize("by", [2, -1])
def test_what_the_autoscaler_does_meanwhile_stays(sandbox: Box, by: int) -> None:
    sandbox.cluster(**SCALED, NUM_NODES=3)
    tags, to = group_tags(sandbox), 3 + by
    on_cordon(sandbox, lambda: scale(sandbox, by))
    result = must(sandbox.up(NODE_SIZE="t3.large"))
    assert (types(sandbox), size(sandbox)) == (["t3.large"] * to, [1, to, 6])
    assert "one too many" not in result.out
    assert group_tags(sandbox) == tags
    assert must(sandbox.up()).changing == []


def test_what_the_autoscaler_takes_away_is_not_waited_for(sandbox: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.cluster(**SCALED, NUM_NODES=3)
    monkeypatch.setitem(nodes.ROUTED, "status", "True")
    ticks = [0]

    def look() -> None:
        ticks[0] += cloud.autoscaling(REGION).autoscaling_groups[GROUP].desired_capacity == 4
        if ticks[0] == 50:
            sandbox.aws.on_tick.remove(look)
            scale(sandbox, -1)
            monkeypatch.setitem(nodes.ROUTED, "status", "False")

    sandbox.aws.on_tick.append(look)
    must(sandbox.up(NODE_SIZE="t3.large"))
    assert (types(sandbox), size(sandbox)) == (["t3.large"] * 3, [1, 3, 6])


STEPS = [
    "autoscaling:CreateOrUpdateTags",
    "autoscaling:UpdateAutoScalingGroup",
    "autoscaling:TerminateInstanceInAutoScalingGroup",
    "autoscaling:DeleteTags",
]


@pytest.mark.parametrize("at", spread(STEPS, 2))
def test_a_replacement_that_is_killed_leaves_no_more_minions_than_the_autoscaler_wants(sandbox: Box, at: str) -> None:
    sandbox.cluster(**SCALED, NUM_NODES=3)
    tags = group_tags(sandbox)
    stop_after(sandbox, at)
    assert sandbox.up(NODE_SIZE="t3.large").code == 130
    sandbox.aws.hooks.after.pop()
    must(sandbox.up())
    assert (types(sandbox), size(sandbox)) == (["t3.large"] * 3, [1, 3, 6])
    assert group_tags(sandbox) == tags


@pytest.mark.parametrize("code", [500, 403])
def test_a_node_that_may_not_be_deleted_is_a_warning(cluster: Box, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    answer = apiserver.status(code, "x", "failed calling webhook x.example.com")
    monkeypatch.setattr(apiserver, "_delete_node", lambda *_: answer)
    result = must(cluster.up(NODE_SIZE="t3.large"))
    assert types(cluster) == ["t3.large"] * 2
    assert result.err.count("failed calling webhook x.example.com") == 2
    assert result.err.count("the cloud controller manager will delete it") == 2
    assert result.err.count("waited 10 s for node") == (2 if code == 500 else 0)


def test_a_replacement_without_the_autoscaler_marks_nothing(cluster: Box) -> None:
    result = must(cluster.up(NODE_SIZE="t3.large"))
    assert not {"autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags"} & set(result.operations)


def test_a_termination_whose_answer_is_lost_takes_one_minion_only(cluster: Box) -> None:
    must(cluster.up(NUM_NODES=3))
    operation = "autoscaling:TerminateInstanceInAutoScalingGroup"
    done = [0]

    def lose(call: Call, answer: Answer) -> Answer:
        if f"{call.service}:{call.operation}" == operation and not done[0]:
            done[0] = 1
            answer.lost = True
        return answer

    cluster.aws.hooks.after.append(lose)
    must(cluster.up(NUM_NODES=2))
    assert (done, len(minions(cluster)), size(cluster)) == ([1], 2, [2, 2, 2])


def test_auto_scaling_is_told_no_before_it_must_be(cluster: Box) -> None:
    answer_with(
        cluster, "autoscaling:TerminateInstanceInAutoScalingGroup", "ScalingActivityInProgress", "busy", times=2
    )
    must(cluster.up(NUM_NODES=1))
    assert len(minions(cluster)) == 1


def test_a_private_master_out_of_reach_grows_only(sandbox: Box) -> None:
    private: dict[str, object] = {"KUBE_ENABLE_MASTER_PUBLIC_IP": "false"}
    sandbox.cluster(**private)
    must(sandbox.up(NUM_NODES=3))
    refused(sandbox.up(NUM_NODES=1), 1, "minions cannot be drained", "inside the VPC")
    assert len(minions(sandbox)) == 3
    old = minions(sandbox)
    words = "until then the old minions stay, and a new one is made from the new settings"
    refused(sandbox.up(NUM_NODES=3, NODE_SIZE="t3.large"), 1, "3 minions are outdated", words)
    assert minions(sandbox) == old
    sandbox.client("ec2").terminate_instances(InstanceIds=old[:1])
    sandbox.clock.sleep(30.0)
    assert sorted(types(sandbox)) == ["t3.large", "t3.small", "t3.small"]


def test_nothing_is_drained_before_the_new_nodes_pods_have_a_route(
    cluster: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = minions(cluster)
    monkeypatch.setitem(nodes.ROUTED, "status", "True")
    refused(cluster.up(NODE_SIZE="t3.large", KUBE_WAIT_NODES_SECONDS=60), 1, "2 other minions to be Ready", "0 of 2")
    assert (kube(cluster).log, set(old) <= set(minions(cluster))) == ([], True)
    monkeypatch.setitem(nodes.ROUTED, "status", "False")
    must(cluster.up())
    assert types(cluster) == ["t3.large"] * 2
