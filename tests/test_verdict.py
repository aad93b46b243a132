"""How a dry run ends: what it foretells is what the run then does, for each kind of change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from conftest import Box, Result
from helpers import master_of, must, named, prices, refused, remembered, shape, watched
from spread import spread
from test_snapshots import DISK, take_snapshot

from lib.checks import permissions
from sandbox.calls import Call
from sandbox.faults import denials

READING = ("Describe", "Get", "List", "Simulate")
PRICE = re.compile(r"^  price    (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    """What is asked of a cluster: "MASTER" and "DISK" stand for the ids of the master and its disk.

    `before` is None where there is no cluster.
    """

    asked: Mapping[str, object]
    before: Mapping[str, object] | None = field(default_factory=dict)
    kinds: str = ""
    away: bool = False


BACK = {"KUBE_RESTORE_SNAPSHOT": "latest", "KUBE_DISCARD_DISK": "DISK"}
CHANGES = {
    "a new cluster": Change({}, before=None),
    "nothing": Change({}),
    "more minions": Change({"NUM_NODES": 3}),
    "fewer minions": Change({"NUM_NODES": 1}),
    "NODE_SIZE": Change({"NODE_SIZE": "t3.large"}),
    "NODE_SIZE and fewer": Change({"NODE_SIZE": "t3.large", "NUM_NODES": 1}),
    "NODE_LABELS": Change({"NODE_LABELS": "disk=ssd"}),
    "MASTER_SIZE": Change({"MASTER_SIZE": "t3.large"}, away=True),
    "KUBE_REPLACE_MASTER": Change({"KUBE_REPLACE_MASTER": "MASTER"}, away=True),
    "KUBERNETES_VERSION": Change({"KUBERNETES_VERSION": "1.37.2"}, before={"KUBERNETES_VERSION": "1.36.3"}, away=True),
    "SSH_CIDR": Change({"SSH_CIDR": "203.0.113.0/24"}),
    "MASTER_DISK_SIZE": Change({"MASTER_DISK_SIZE": 30}),
    "KUBE_MASTER_SELF_HEAL": Change({"KUBE_MASTER_SELF_HEAL": "true"}),
    "no more KUBE_MASTER_SELF_HEAL": Change(
        {"KUBE_MASTER_SELF_HEAL": "false"}, before={"KUBE_MASTER_SELF_HEAL": "true"}
    ),
    "KUBE_DISCARD_DISK": Change(BACK, away=True),
    "KUBE_DISCARD_DISK, healing": Change(BACK, before={"KUBE_MASTER_SELF_HEAL": "true"}, away=True),
    "KUBE_DISCARD_DISK, healing no more": Change(
        {**BACK, "KUBE_MASTER_SELF_HEAL": "false"}, before={"KUBE_MASTER_SELF_HEAL": "true"}, away=True
    ),
    "KUBE_DISCARD_DISK, healing from now on": Change({**BACK, "KUBE_MASTER_SELF_HEAL": "true"}, away=True),
}


def begun(box: Box, change: Change) -> dict[str, object]:
    """The cluster before the change; what is asked of it."""
    if change.before is not None:
        box.cluster(**change.before)
    if "DISK" not in change.asked.values():
        return {name: master_of(box) if value == "MASTER" else value for name, value in change.asked.items()}
    take_snapshot(box, b"before it went wrong", release=remembered(box)["KUBERNETES_VERSION"])
    return {name: named(box, "volumes", DISK) if value == "DISK" else value for name, value in change.asked.items()}


def foretold(result: Result) -> dict[str, int]:
    """What a dry run's verdict counts, by kind."""
    found = re.search(r"^  changes  (.*)$", result.out, re.MULTILINE)
    return {kind: int(number) for number, kind in re.findall(r"(\d+) to (\w+)", found[1])} if found else {}


def done(result: Result) -> dict[str, int]:
    """What the summary of a run counts, by kind."""
    past = {"made": "make", "changed": "change", "replaced": "replace", "removed": "remove"}
    found = re.search(r" is up after \d+ s \((.*)\)\.$", result.out, re.MULTILINE)
    assert found, result.out
    return {past[kind]: int(number) for number, kind in re.findall(rf"(\d+) ({'|'.join(past)})", found[1])}


@pytest.mark.parametrize("name", spread(CHANGES, 3))
def test_what_the_dry_run_foretells_is_what_the_run_does_with_the_rights_that_it_takes(sandbox: Box, name: str) -> None:
    change = CHANGES[name]
    asked = begun(sandbox, change)
    before, master = shape(sandbox), master_of(sandbox) if change.before is not None else ""
    dry = sandbox.up("--dry-run", **asked)
    assert (dry.changing, shape(sandbox)) == ([], before)
    told = foretold(dry)
    assert dry.code == (3 if told else 0), dry.out + dry.err
    assert f"This would make {sum(told.values())} change" in dry.out or not told
    lacking = rights_foretold(sandbox, asked)
    with watched(sandbox) as calls:
        real = must(sandbox.up(**asked))
    assert done(real) == told
    assert lacking == taken(calls) & set(changing_actions())
    assert bool(real.changing) == bool(told)
    assert PRICE.findall(real.out) == PRICE.findall(dry.out) != []
    ended = {call.operation for call in calls if call.params.get("InstanceIds") == [master]}
    assert ("  API      away" in dry.out) == bool(ended & {"StopInstances", "TerminateInstances"}) == change.away
    still = {name: value for name, value in asked.items() if name != "KUBE_REPLACE_MASTER"}
    assert not foretold(sandbox.up("--dry-run", **still)), "the run has left something to do"


# --- rights


def taken(changing: list[Call]) -> set[str]:
    """The actions that these calls took, as IAM names them."""
    tagging = {"ec2:CreateTags" for call in changing if call.service == "ec2" and call.params.get("TagSpecifications")}
    return tagging.union(*(denials.actions(call.service, call.operation) for call in changing))


def changing_actions() -> list[str]:
    """All that the policy allows that changes something, and that a simulation can be asked about."""
    asked = [action for each in permissions.statements() if "Condition" not in each for action in each["Action"]]
    return [action for action in asked if not action.partition(":")[2].startswith(READING)]


def rights_foretold(box: Box, asked: Mapping[str, object]) -> set[str]:
    """Those that a dry run says it lacks where there is no right to change anything."""
    deny = denials.Deny(*changing_actions())
    box.aws.hooks.before.append(deny.before)
    dry = box.up("--dry-run", **asked)
    box.aws.hooks.before.remove(deny.before)
    found = re.search(r"^error: this would fail: no right to (.*)$", dry.err, re.MULTILINE)
    assert (dry.code, dry.changing) == (1 if found else 0, [])
    return set(found[1].split(", ") if found else [])


def test_what_down_may_not_remove_is_foretold(sandbox: Box) -> None:
    sandbox.cluster()
    deny = denials.Deny("ec2:DeleteVpc", "ec2:CreateVpc", "ec2:ModifyVolume")
    sandbox.aws.hooks.before.append(deny.before)
    dry = sandbox.down("--dry-run")
    refused(dry, 1, "this would fail: no right to ec2:DeleteVpc\n")
    assert dry.changing == []


def test_what_a_run_may_not_and_need_not_do_fails_no_dry_run(sandbox: Box) -> None:
    sandbox.cluster()
    deny = denials.Deny("ec2:CreateVpc")
    sandbox.aws.hooks.before.append(deny.before)
    dry = sandbox.up("--dry-run", NUM_NODES=3)
    assert dry.code == 3, dry.err
    assert "warning: IAM's simulation does not allow moto: ec2:CreateVpc" in dry.err


def test_a_refusal_that_a_dry_run_meets_would_end_the_run_too(sandbox: Box) -> None:
    deny = denials.Deny("ec2:DescribeVpcs")
    sandbox.aws.hooks.before.append(deny.before)
    refused(sandbox.up("--dry-run"), 1, "error: this would fail: ", "ec2:DescribeVpcs")


# --- price


def test_a_rerun_says_what_the_cluster_costs_as_it_is_then(sandbox: Box) -> None:
    sandbox.cluster()
    # 0.0416 + 3 x 0.0208 + 4 x 0.005 + 124 GiB x 0.08 / 730
    assert PRICE.findall(must(sandbox.up(NUM_NODES=3)).out) == ["about 0.138 USD an hour, 100.44 a month"]
    again = must(sandbox.up(NUM_NODES=3))
    assert PRICE.findall(again.out) == ["about 0.138 USD an hour, 100.44 a month"]
    assert "pricing:GetProducts" not in again.operations


def test_a_rerun_that_changes_nothing_asks_for_no_price(sandbox: Box) -> None:
    sandbox.cluster()
    prices(sandbox).unlink(missing_ok=True)
    again = must(sandbox.up())
    assert (PRICE.findall(again.out), "pricing:GetProducts" in again.operations) == ([], False)
