"""NODE_SPOT_SIZES: a spot group of several types, so that a pool that is full is not the end."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Box
from helpers import GROUP, must, part, refused, refused_untouched, remembered, settle, stop_after, template_data
from test_roll import SCALED, minions, types, watch

from sandbox.backend import images
from sandbox.faults import put
from sandbox.faults.shortages import NoCapacity

PRICE: dict[str, object] = {"NODE_SPOT_PRICE": "0.05"}
SPOT: dict[str, object] = {**PRICE, "NODE_SIZE": "t3.small", "NODE_SPOT_SIZES": "t3a.small,t2.small"}


def group(box: Box) -> dict[str, Any]:
    found: dict[str, Any] = box.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]
    return found


def kinds(box: Box) -> list[str]:
    return [each["InstanceType"] for each in group(box)["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]]


def bought(box: Box) -> set[str]:
    """As what the minions run."""
    return {part(box, "instances")[each]["spot"] for each in minions(box)}


def test_the_group_launches_spot_instances_of_the_first_size_that_aws_has_and_a_rerun_changes_nothing(
    sandbox: Box,
) -> None:
    put(sandbox.aws, NoCapacity("t3.small"))
    made = must(sandbox.up(**SPOT))
    assert f"group {GROUP} of 2 t3.small or t3a.small or t2.small" in made.out
    assert "for 2 spot t3.small or t3a.small or t2.small" in made.out
    assert (types(sandbox), bought(sandbox)) == (["t3a.small"] * 2, {"spot"})
    assert kinds(sandbox) == ["t3.small", "t3a.small", "t2.small"]
    shares = group(sandbox)["MixedInstancesPolicy"]["InstancesDistribution"]
    assert (shares["OnDemandBaseCapacity"], shares["OnDemandPercentageAboveBaseCapacity"]) == (0, 0)
    assert (shares["SpotAllocationStrategy"], shares["SpotMaxPrice"]) == ("price-capacity-optimized", "0.05")
    assert not {"InstanceType", "InstanceMarketOptions"} & set(template_data(sandbox))
    again = must(sandbox.up())
    assert (again.changing, len(again.calls) <= 42) == ([], True)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_without_the_option_nothing_is_as_it_was_not(sandbox: Box) -> None:
    sandbox.cluster(**PRICE)
    assert "MixedInstancesPolicy" not in group(sandbox)
    assert template_data(sandbox)["InstanceType"] == "t3.small"


def test_a_minion_stays_as_long_as_its_size_is_among_them(sandbox: Box) -> None:
    sandbox.cluster(**SPOT)
    old = minions(sandbox)
    more = must(sandbox.up(NODE_SPOT_SIZES="t3a.small,m5.large", NODE_SPOT_PRICE="0.06"))
    words = "Overrides t3.small, t3a.small, t2.small → t3.small, t3a.small, m5.large, SpotMaxPrice 0.05 → 0.06"
    assert f"group {GROUP}: {words}" in more.out
    assert more.operations.count("autoscaling:UpdateAutoScalingGroup") == 1
    must(sandbox.up(NODE_SIZE="m5.large", NODE_SPOT_SIZES="t3.small"))
    assert (minions(sandbox), kinds(sandbox)) == (old, ["m5.large", "t3.small"])
    serving = watch(sandbox)
    foretold = sandbox.up("--dry-run", NODE_SPOT_SIZES="t3a.small")
    assert (foretold.code, foretold.changing) == (3, [])
    words = "t3.small is not among m5.large, t3a.small: NODE_SPOT_SIZES"
    assert [f"would replace minion {each} ({words})" in foretold.out for each in old] == [True, True]
    assert f"minion {old[0]} ({words})" in must(sandbox.up(NODE_SPOT_SIZES="t3a.small")).out
    assert (types(sandbox), serving) == (["m5.large"] * 2, [2, 2])
    assert must(sandbox.up()).changing == []


def test_a_price_that_aws_writes_otherwise_is_the_same(sandbox: Box) -> None:
    sandbox.cluster(**SPOT)
    policy = group(sandbox)["MixedInstancesPolicy"]
    policy["InstancesDistribution"]["SpotMaxPrice"] = "0.0500"
    spec = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
    policy["LaunchTemplate"]["LaunchTemplateSpecification"] = {
        "LaunchTemplateId": spec["LaunchTemplateId"],
        "Version": spec["Version"],
    }
    sandbox.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=GROUP, MixedInstancesPolicy=policy)
    assert must(sandbox.up()).changing == []


def test_to_several_sizes_and_back_minions_are_replaced_one_by_one(sandbox: Box) -> None:
    sandbox.cluster(**PRICE)
    serving = watch(sandbox)
    there = must(sandbox.up(**SPOT))
    assert "launch template version 1 → 2: NODE_SPOT_SIZES)" in there.out
    assert "MixedInstancesPolicy none → t3.small, t3a.small, t2.small" in there.out
    assert (bought(sandbox), serving) == ({"spot"}, [2, 2])
    assert must(sandbox.up()).changing == []
    must(sandbox.up(NODE_SPOT_SIZES=""))
    found = group(sandbox)
    assert "MixedInstancesPolicy" not in found
    assert found["LaunchTemplate"]["Version"] == "$Default"
    assert (template_data(sandbox)["InstanceType"], bought(sandbox)) == ("t3.small", {"spot"})
    assert must(sandbox.up()).changing == []


def test_the_policy_stays_while_the_autoscaler_and_a_roll_change_the_number(sandbox: Box) -> None:
    sandbox.cluster(**SPOT, **SCALED)
    sandbox.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    settle(sandbox)
    must(sandbox.up(NODE_LABELS="a=b"))
    assert (len(minions(sandbox)), kinds(sandbox)) == (3, ["t3.small", "t3a.small", "t2.small"])
    assert must(sandbox.up()).changing == []


def test_on_demand_minions_become_spot_ones_first(sandbox: Box) -> None:
    """AWS would replace them by itself, undrained."""
    sandbox.cluster()
    result = sandbox.up(**SPOT)
    refused(result, 2, "NODE_SPOT_SIZES", "without draining them", "give NODE_SPOT_PRICE alone first")
    assert result.changing == []
    stop_after(sandbox, "ec2:CreateLaunchTemplateVersion")
    stopped = sandbox.up(**PRICE)
    sandbox.aws.hooks.after.pop()
    assert (stopped.code, remembered(sandbox)["NODE_SPOT_PRICE"]) == (130, "0.05")
    assert "spot" not in bought(sandbox)
    refused_untouched(sandbox, sandbox.up(**SPOT), 2, "NODE_SPOT_SIZES", minions(sandbox)[0], "without draining them")
    must(sandbox.up(**PRICE))
    must(sandbox.up(**SPOT))
    assert bought(sandbox) == {"spot"}


def test_a_stopped_run_that_made_spot_minions_on_demand_ones_is_no_way_around_it(sandbox: Box) -> None:
    sandbox.cluster(**SPOT)
    stop_after(sandbox, "autoscaling:TerminateInstanceInAutoScalingGroup")
    assert sandbox.up(NODE_SPOT_PRICE="").code == 130
    sandbox.aws.hooks.after.pop()
    said = refused_untouched(sandbox, sandbox.up(**PRICE), 2, "NODE_SPOT_SIZES", "without draining them")
    assert "give NODE_SPOT_PRICE with NODE_SPOT_SIZES= first" in said
    must(sandbox.up(**PRICE, NODE_SPOT_SIZES=""))
    assert bought(sandbox) == {"spot"}
    must(sandbox.up(**SPOT))
    assert must(sandbox.up()).changing == []


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ("m7g.large", "m7g.large is arm64, and NODE_SIZE t3.small is amd64"),
        ("m9z.large", "has no instance type m9z.large"),
    ],
)
def test_each_size_is_looked_at_as_node_size_is(sandbox: Box, sizes: str, words: str) -> None:
    result = sandbox.up(**{**SPOT, "NODE_SPOT_SIZES": f"t3a.small,{sizes}"})
    assert "NODE_SPOT_SIZES" in refused(result, 2, words)
    assert result.changing == []


@pytest.mark.parametrize(("sizes", "code"), [("m5.xlarge,m5.2xlarge", 2), ("m5.large,m5.2xlarge", 3)])
def test_a_quota_must_do_for_the_smallest_of_the_sizes(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch, sizes: str, code: int
) -> None:
    monkeypatch.setitem(images.QUOTAS, ("ec2", "L-34B43A08"), ("spot vCPUs", 4.0))
    said = sandbox.up("--dry-run", **PRICE, NODE_SIZE="m5.4xlarge", NODE_SPOT_SIZES=sizes)
    assert (said.code, "needs 8 spot vCPUs" in said.err) == (code, code == 2)


def test_status_counts_minions_that_are_none_of_the_groups_sizes(sandbox: Box) -> None:
    sandbox.cluster(**SPOT)
    assert "outdated" not in sandbox.up("--status").out
    policy = group(sandbox)["MixedInstancesPolicy"]
    del policy["LaunchTemplate"]["LaunchTemplateSpecification"]["LaunchTemplateName"]
    policy["LaunchTemplate"]["Overrides"] = [{"InstanceType": "t2.small"}]
    sandbox.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=GROUP, MixedInstancesPolicy=policy)
    assert "2 outdated" in sandbox.up("--status").out
