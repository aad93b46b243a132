"""The staging bucket where an organization, or the user's own policy, denies what is asked of S3."""

from __future__ import annotations

import pytest
from conftest import REGION, Box
from helpers import ID, bucket_of, must, refused, refused_untouched

from sandbox.faults import put
from sandbox.faults.denials import Deny

# What up may ask for of a bucket, and whether S3 makes each new one so: then nothing is asked for.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
SETTINGS = {
    "s3:PutBucketPublicAccessBlock": True,
    "s3:PutEncryptionConfiguration": True,
    "s3:PutBucketVersioning": False,
    "s3:PutLifecycleConfiguration": False,
}


def deny(box: Box, *actions: str) -> None:
    put(box.aws, Deny(*actions))


def allow_all(box: Box) -> None:
    box.aws.hooks.before.clear()


@pytest.mark.parametrize("action", [action for action, is_so in SETTINGS.items() if is_so])
def test_what_is_so_in_a_new_bucket_is_not_asked_for(sandbox: Box, action: str) -> None:
    deny(sandbox, action)
    must(sandbox.up())


@pytest.mark.parametrize("action", [action for action, is_so in SETTINGS.items() if not is_so])
def test_what_a_new_bucket_lacks_and_is_denied_is_named_and_a_rerun_goes_on(sandbox: Box, action: str) -> None:
    deny(sandbox, action)
    refused(sandbox.up(), 1, action, bucket_of(sandbox))
    allow_all(sandbox)
    must(sandbox.up())
    assert must(sandbox.up()).changing == []


def test_what_is_so_in_the_clusters_bucket_is_not_asked_for(sandbox: Box) -> None:
    sandbox.cluster()
    deny(sandbox, *SETTINGS)
    assert must(sandbox.up()).changing == []


def test_of_a_brought_bucket_nothing_is_asked(sandbox: Box) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="mine-7", CreateBucketConfiguration={"LocationConstraint": REGION})
    deny(sandbox, *SETTINGS)
    result = must(sandbox.up(AWS_S3_BUCKET="mine-7"))
    assert "no snapshots of etcd are taken, since your bucket mine-7 is not versioned" in result.out + result.err


def test_an_object_that_may_not_be_read_is_no_missing_one(sandbox: Box) -> None:
    """To who may not list the bucket, S3 says 403 of a missing object too, so both rights are named."""
    sandbox.cluster()
    deny(sandbox, "s3:GetObject")
    place = f"{bucket_of(sandbox)}/{REGION}/{ID}/"
    refused_untouched(sandbox, sandbox.up(), 1, place, "AccessDenied", "s3:GetObject", "s3:ListBucket")


def test_a_bucket_that_may_not_be_listed_is_refused(sandbox: Box) -> None:
    sandbox.cluster()
    deny(sandbox, "s3:ListBucket")
    refused_untouched(sandbox, sandbox.up(), 2, bucket_of(sandbox), "s3:ListBucket")
