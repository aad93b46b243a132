"""The inventory that tests compare sees every kind of change that lib makes: what it does not see could be left."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import REGION, Box
from helpers import must, settle
from test_permissions import written_calls

from sandbox.backend import cloud
from sandbox.backend.holdings import inventory
from sandbox.calls import Answer, Call
from sandbox.inventory import shows_in

CHANGING = sorted(
    (service, operation)
    for service, operation in written_calls()
    if Call(service, operation, REGION, {}, "query").changes
)


@pytest.mark.parametrize(("service", "operation"), CHANGING, ids=[":".join(each) for each in CHANGING])
def test_every_changing_call_of_lib_shows_in_a_kind(service: str, operation: str) -> None:
    assert shows_in(service, operation)


def test_a_call_of_no_known_kind_fails_the_run_that_made_it(sandbox: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.inventory._SHOWS", (("subnets", "ec2: CreateSubnet"),))
    with pytest.raises(AssertionError, match="shows in no inventory"):
        sandbox.up()


ALREADY_SO = ("s3", "PutPublicAccessBlock")  # a new bucket has all four


class Watch:
    """Whatever changes the account: in which kinds the inventory differs, held against those in which it may."""

    def __init__(self, box: Box) -> None:
        self.unseen: list[str] = []
        self.seen: set[tuple[str, str]] = set()
        self._before: dict[str, Any] = {}
        box.aws.hooks.before.append(self._look)
        box.aws.hooks.after.append(self._compare)

    def _look(self, call: Call) -> None:
        if call.changes:
            self._before = kinds()

    def _compare(self, call: Call, answer: Answer) -> Answer:
        if call.changes and not answer.refused:
            now = kinds()
            changed = {kind for kind in {*now, *self._before} if now.get(kind) != self._before.get(kind)}
            self.seen.add((call.service, call.operation))
            seen = changed & shows_in(call.service, call.operation)
            if not seen and (call.service, call.operation) != ALREADY_SO:
                self.unseen.append(f"{call.service} {call.operation} {call.params}: {sorted(changed)}")
        return answer


def kinds() -> dict[str, Any]:
    """The inventory by kind, of the region and of each service that has none; all buckets are one."""
    found = inventory()
    kinds: dict[str, Any] = {"s3": found.pop("s3", {})}
    for place in found.keys() - (set(cloud.regions_in_use()) - {REGION}):
        kinds |= found[place]
    return kinds


def test_what_a_call_changes_is_seen_where_the_table_says(sandbox: Box) -> None:
    sandbox.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    watch = Watch(sandbox)
    must(sandbox.up(KUBE_MASTER_SELF_HEAL="true", KUBE_API_DNS_NAME="api.example.com", NUM_NODES="1"))
    settle(sandbox)
    must(sandbox.up(NUM_NODES="2", MASTER_DISK_SIZE="30", KUBE_MASTER_SELF_HEAL="false"))
    must(sandbox.down())
    assert watch.unseen == []
    assert len(watch.seen) > 50  # of the 87 in lib: the rest are repairs and what others' things ask for
