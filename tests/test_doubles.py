"""What AWS lets two runs make at once is looked for again: two are named by both ids, and one down removes both."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from conftest import REGION, Box
from helpers import ID, bucket_of, must, part, refused
from spread import spread
from torture.wire import wire

from sandbox.calls import Answer, Call

MAKES = {
    "vpcs": "CreateVpc",
    "dhcp options": "CreateDhcpOptions",
    "internet gateways": "CreateInternetGateway",
    "route tables": "CreateRouteTable",
    "addresses": "AllocateAddress",
    "volumes": "CreateVolume",
}


@contextmanager
def another_run(box: Box, kinds: Collection[str], when: str = "") -> Iterator[dict[str, str]]:
    """Another run makes one of each kind too, once AWS has done `when` (else the same) for this one; their ids."""
    asked: dict[str, Call] = {}
    twins: dict[str, str] = {}

    def look(call: Call, answer: Answer) -> Answer:
        asked.setdefault(call.operation, call)
        return answer

    def make_twins(send: Callable[..., Any], session: Any, request: Any) -> Any:
        answer = send(session, request)
        for kind in kinds:
            if kind not in twins and (when or MAKES[kind]) in asked:
                twins[kind] = ""  # the other run's call comes here too
                params = {name: value for name, value in asked[MAKES[kind]].params.items() if name != "ClientToken"}
                made = getattr(box.client("ec2"), xform_name(MAKES[kind]))(**params)
                twins[kind] = next(text for text in _strings(made) if text in part(box, kind))
        return answer

    box.aws.hooks.after.append(look)
    with wire(make_twins):
        yield twins
    box.aws.hooks.after.clear()


def _strings(thing: Any) -> list[str]:
    if isinstance(thing, dict):
        return [text for value in thing.values() for text in _strings(value)]
    return [thing] if isinstance(thing, str) else []


MOST = [kind for kind in MAKES if kind != "volumes"]
LATER = "CreateAutoScalingGroup"
TWICE: list[tuple[list[str], str]] = [(MOST, ""), (["volumes"], ""), (["volumes"], LATER), (MOST, LATER)]


@pytest.mark.parametrize(("kinds", "when"), spread(TWICE, 2))
def test_two_of_a_kind_are_named_the_claimed_one_counts_and_one_down_removes_both(
    sandbox: Box, kinds: list[str], when: str
) -> None:
    with another_run(sandbox, kinds, when) as twins:
        first = must(sandbox.up())
    again = sandbox.up()
    assert again.changing == []
    # Etcd's data are on one of two disks, and a claim says which was made first, not which has them.
    assert again.code == (1 if kinds == ["volumes"] else 0)
    for said in (first.err, again.err):
        warnings = [" ".join(each.split()) for each in re.split(r"^(?=warning: |error: )", said, flags=re.MULTILINE)]
        for kind in kinds:
            (of_this,) = [each for each in warnings if twins[kind] in each]
            assert "there must be one" in of_this
            assert "but there are 2" in of_this
            assert said is again.err or "was claimed first and counts" in of_this
    must(sandbox.down())
    assert sandbox.inventory() == {}


CLAIM = {
    "vpcs": "VPC",
    "dhcp options": "DHCP-option-set",
    "internet gateways": "internet-gateway",
    "route tables": "route-table",
    "addresses": "elastic-IP",
    "volumes": "master-disk",
}


@pytest.mark.parametrize("kind", spread(MAKES, 2))
def test_a_claim_that_another_run_has_replaced_is_seen_before_the_run_ends(sandbox: Box, kind: str) -> None:
    """By one to which nothing of ours showed: two runs would go on with two, and both end well."""

    def overtake(call: Call, answer: Answer) -> Answer:
        if call.operation == "CreateAutoScalingGroup" and twins.get(kind):
            key = f"{REGION}/{ID}/claims/{CLAIM[kind]}"
            sandbox.client("s3").put_object(Bucket=bucket_of(sandbox), Key=key, Body=twins[kind].encode())
        return answer

    with another_run(sandbox, [kind]) as twins:
        sandbox.aws.hooks.after.append(overtake)
        result = sandbox.up()
    refused(result, 1, "another run has claimed", "kube_down.py removes both")
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_whatever_aws_lets_two_runs_make_is_claimed(sandbox: Box) -> None:
    """Each call of an up that makes something, once more with another token: AWS refuses it, or up claims the first."""
    asked: dict[str, Call] = {}

    def look(call: Call, answer: Answer) -> Answer:
        if call.operation.startswith(("Create", "Allocate", "Import", "Run")) and call.number and not answer.refused:
            asked.setdefault(f"{call.service}:{call.operation}", call)
        return answer

    sandbox.aws.hooks.after.append(look)
    must(sandbox.up(KUBE_MASTER_SELF_HEAL="true"))
    sandbox.aws.hooks.after.clear()
    made_twice = {name for name, call in asked.items() if _is_taken(sandbox, call)}
    assert made_twice == {f"ec2:{operation}" for operation in MAKES.values()}
    assert len(asked) > len(MAKES) + 10


def _is_taken(box: Box, call: Call) -> bool:
    params = {name: value for name, value in call.params.items() if name != "ClientToken"}
    try:
        getattr(box.client(call.service), xform_name(call.operation))(**params)
    except ClientError:
        return False
    return True
