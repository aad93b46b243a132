"""--dry-run of both scripts: says what would be done, by the same decisions, and changes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Box

pytestmark = pytest.mark.story


def would(out: str) -> list[str]:
    return re.findall(r"^ +would (\w+)", out, re.MULTILINE)


def test_an_empty_account_stays_empty_and_the_whole_way_up_is_said(sandbox: Box) -> None:
    before = sandbox.inventory()
    result = sandbox.up("--dry-run")
    assert result.code == 3
    assert result.changing == []
    assert sandbox.inventory() == before
    assert not Path(sandbox.environ["KUBECONFIG"]).exists()
    real = sandbox.up()
    assert len(would(result.out)) == len(re.findall(r" … ", real.out))


def test_a_finished_cluster_has_nothing_to_do(sandbox: Box) -> None:
    assert sandbox.up().code == 0
    result = sandbox.up("--dry-run")
    assert (result.code, result.changing, would(result.out)) == (0, [], [])
    assert "Nothing to do." in result.out


def test_drift_is_named_with_what_it_is_and_what_it_would_be(sandbox: Box) -> None:
    assert sandbox.up(NUM_NODES=2).code == 0
    group = sandbox.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["kubernetes-master-kubernetes"]}]
    )["SecurityGroups"][0]
    sandbox.client("ec2").revoke_security_group_ingress(
        GroupId=group["GroupId"], IpPermissions=[p for p in group["IpPermissions"] if p.get("FromPort") == 22]
    )
    result = sandbox.up("--dry-run", NUM_NODES=3)
    assert (result.code, result.changing) == (3, [])
    assert f"would allow tcp/22 from 0.0.0.0/0 to {group['GroupId']}" in result.out
    assert "DesiredCapacity 2 → 3" in result.out


def test_what_down_would_remove_is_what_down_removes(sandbox: Box) -> None:
    assert sandbox.up().code == 0
    there = sandbox.inventory()
    result = sandbox.down("--dry-run")
    assert (result.code, result.changing) == (3, [])
    assert sandbox.inventory() == there
    real = sandbox.down()
    assert real.code == 0
    assert len(would(result.out)) == len(re.findall(r" … ", real.out))
