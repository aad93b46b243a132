"""What AWS lets two runs make at once is looked for again: two are named by both ids, and one down removes both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from conftest import REGION, Box
from helpers import ID, bucket_of, must, part, refused
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
def another_run(box: Box, kind: str, when: str) -> Iterator[list[str]]:
    """Another run makes one of the kind too, as soon as AWS has done `when` for this one; its id gets in the list."""
    asked: dict[str, Call] = {}
    twins: list[str] = []

    def look(call: Call, answer: Answer) -> Answer:
        asked.setdefault(call.operation, call)
        return answer

    def make_twin(send: Callable[..., Any], session: Any, request: Any) -> Any:
        answer = send(session, request)
        if not twins and when in asked:
            twins.append("")  # the other run's call comes here too
            params = {name: value for name, value in asked[MAKES[kind]].params.items() if name != "ClientToken"}
            made = getattr(box.client("ec2"), xform_name(MAKES[kind]))(**params)
            twins[0] = next(text for text in _strings(made) if text in part(box, kind))
        return answer

    box.aws.hooks.after.append(look)
    with wire(make_twin):
        yield twins
    box.aws.hooks.after.clear()


def _strings(thing: Any) -> list[str]:
    if isinstance(thing, dict):
        return [text for value in thing.values() for text in _strings(value)]
    return [thing] if isinstance(thing, str) else []


@pytest.mark.parametrize("late", [False, True], ids=["at once", "before the run's end"])
@pytest.mark.parametrize("kind", MAKES)
def test_two_of_a_kind_are_named_the_claimed_one_counts_and_one_down_removes_both(
    sandbox: Box, kind: str, late: bool
) -> None:
    with another_run(sandbox, kind, when="CreateAutoScalingGroup" if late else MAKES[kind]) as twins:
        first = must(sandbox.up())
    again = sandbox.up()
    assert again.changing == []
    # Etcd's data are on one of two disks, and a claim says which was made first, not which has them.
    assert again.code == (1 if kind == "volumes" else 0)
    for said in (first.err, again.err):
        assert "there must be one" in said
        assert "but there are 2" in said
        assert twins[0] in said
    assert "was claimed first and counts" in first.err
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


@pytest.mark.parametrize("kind", MAKES)
def test_a_claim_that_another_run_has_replaced_is_seen_before_the_run_ends(sandbox: Box, kind: str) -> None:
    """By one to which nothing of ours showed: two runs would go on with two, and both end well."""

    def overtake(call: Call, answer: Answer) -> Answer:
        if call.operation == "CreateAutoScalingGroup" and twins and twins[0]:
            key = f"{REGION}/{ID}/claims/{CLAIM[kind]}"
            sandbox.client("s3").put_object(Bucket=bucket_of(sandbox), Key=key, Body=twins[0].encode())
        return answer

    with another_run(sandbox, kind, when=MAKES[kind]) as twins:
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
