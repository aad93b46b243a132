"""A customer's KMS key that the caller may not use: EC2 answers 200 and takes the disk, or the instance, back."""

from __future__ import annotations

import pytest
from conftest import REGION, Box
from helpers import GROUP, must, refused
from spread import spread

from sandbox import faults
from sandbox.backend import cloud
from sandbox.calls import Answer, Call
from sandbox.faults import keys

KEY = keys.arn(REGION)
ASKED = "ec2:GetEbsDefaultKmsKeyId"


@pytest.fixture
def customers(sandbox: Box) -> Box:
    """An account whose region encrypts with a customer's key, which everybody may use."""
    faults.put(sandbox.aws, keys.NoKey())
    return sandbox


def mend(box: Box) -> None:
    """Have the key let everybody use it."""
    box.aws.hooks.before.clear()
    box.aws.hooks.after.clear()
    box.aws.world.starts.clear()


def test_a_disk_that_vanishes_names_the_key(sandbox: Box) -> None:
    faults.put(sandbox.aws, keys.NoKey("user"))
    result = sandbox.up()
    refused(result, 1, KEY, "kms:CreateGrant", "this user", "to be available")
    assert "ec2:RunInstances" not in result.operations
    mend(sandbox)
    must(sandbox.up())
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_disk_that_vanishes_after_it_was_seen_was_taken_back(customers: Box) -> None:
    def take(call: Call, answer: Answer) -> Answer:
        if call.operation == "DescribeVolumes":
            cloud.ec2(REGION).volumes.clear()
            answer.body = answer.body.replace(b"<status>available</status>", b"<status>creating</status>")
        return answer

    customers.aws.hooks.after.append(take)
    refused(customers.up(), 1, KEY, "kms:CreateGrant", "took it back")


SETTINGS: dict[str, dict[str, str]] = {
    "a first run": {},
    "more minions": {"NUM_NODES": "3"},
    "another size": {"NODE_SIZE": "t3.large"},
}


@pytest.mark.parametrize("when", spread(SETTINGS, 2))
def test_minions_that_end_for_want_of_their_disks_key_name_the_key_and_whose_rights(sandbox: Box, when: str) -> None:
    """Auto Scaling has no code for it: the words are those of its log, as users' reports have them."""
    settings = SETTINGS[when]
    if when != "a first run":
        sandbox.cluster()
    faults.put(sandbox.aws, keys.NoKey("autoscaling"))
    result = sandbox.up(**settings)
    why = "Termination Reason: Client.InternalError: Client error on launch"
    refused(
        result,
        1,
        f"the minions of {GROUP} end as they start",
        why,
        KEY,
        "kms:CreateGrant",
        "AWSServiceRoleForAutoScaling",
    )
    mend(sandbox)
    must(sandbox.up())
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == {}


@pytest.mark.parametrize("code", spread(["Client.InternalError", "Client.InvalidKMSKey.InvalidState"], 1))
def test_a_master_that_ends_for_want_of_its_disks_key_names_the_key(customers: Box, code: str) -> None:
    customers.aws.world.starts.append(lambda _: (code, f"{code}: Client error on launch"))
    refused(customers.up(), 1, "the master was terminated as it started", code, KEY, "kms:CreateGrant")
    mend(customers)
    must(customers.up())


def test_a_customers_key_is_told_before_the_first_change_and_a_rerun_does_not_ask(customers: Box) -> None:
    first = must(customers.up())
    assert first.out.index(KEY) < first.out.index("create ")
    assert first.operations.count(ASKED) == 1
    assert ASKED not in must(customers.up()).operations


def test_aws_own_key_is_no_news(sandbox: Box) -> None:
    first = must(sandbox.up())
    assert ASKED in first.operations
    assert "default key" not in first.out
