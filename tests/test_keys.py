"""A customer's KMS key that the caller may not use: EC2 answers 200 and takes the disk, or the instance, back."""

from __future__ import annotations

import pytest
from conftest import REGION, Box
from helpers import must, refused

from sandbox.backend import cloud, lifecycle
from sandbox.backend.wire import result_answer
from sandbox.calls import Answer, Call

KEY = f"arn:aws:kms:{REGION}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ASKED = "ec2:GetEbsDefaultKmsKeyId"


@pytest.fixture
def customers(sandbox: Box) -> Box:
    """An account whose region encrypts with a customer's key."""

    def answer(call: Call) -> Answer | None:
        return result_answer(call, {"KmsKeyId": KEY}) if call.operation == "GetEbsDefaultKmsKeyId" else None

    sandbox.aws.hooks.before.append(answer)
    return sandbox


def vanish_after(box: Box, operation: str) -> None:
    """Have EC2 take new volumes back as soon as it has answered this, once there are some."""

    def take(call: Call, answer: Answer) -> Answer:
        if call.operation == operation:
            cloud.ec2(REGION).volumes.clear()
        return answer

    box.aws.hooks.after.append(take)


@pytest.mark.parametrize("seen", [False, True])
def test_a_disk_that_vanishes_names_the_key(customers: Box, seen: bool) -> None:
    if seen:
        customers.aws.hooks.after.append(_creating)
    vanish_after(customers, "DescribeVolumes" if seen else "CreateVolume")
    result = customers.up()
    refused(result, 1, KEY, "kms:CreateGrant", "took it back" if seen else "to be available")
    assert "ec2:RunInstances" not in result.operations
    customers.aws.hooks.after.clear()
    must(customers.up())
    assert must(customers.up()).changing == []


def _creating(call: Call, answer: Answer) -> Answer:
    """A new volume is being made when it is first looked at."""
    if call.operation == "DescribeVolumes":
        answer.body = answer.body.replace(b"<status>available</status>", b"<status>creating</status>")
    return answer


@pytest.mark.parametrize("code", ["Client.InternalError", "Client.InvalidKMSKey.InvalidState"])
def test_a_master_that_ends_for_want_of_its_disks_key_names_the_key(customers: Box, code: str) -> None:
    def end(call: Call, answer: Answer) -> Answer:
        if call.operation == "RunInstances" and not answer.refused:
            for instance in cloud.instances(REGION):
                lifecycle.terminate(customers.aws.world, instance)
                instance._reason = ""
                instance.state_reason.code, instance.state_reason.message = code, f"{code}: Client error on launch"
        return answer

    customers.aws.hooks.after.append(end)
    refused(customers.up(), 1, "the master was terminated as it started", code, KEY, "kms:CreateGrant")
    customers.aws.hooks.after.clear()
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
