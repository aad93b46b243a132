"""Lifecycle rules of a bucket that was brought: what they take of the cluster is said before anything is changed."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from conftest import REGION, Box
from helpers import ID, answer_with, must
from test_snapshots import brought

from lib.checks import lifecycle

PREFIX = f"{REGION}/{ID}/"
DAYS: dict[str, Any] = {"Expiration": {"Days": 30}}
GLACIER: dict[str, Any] = {"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}
ALL = "pki.tar, join-token, settings.env, addons/"
AT = datetime.datetime(2027, 1, 31, tzinfo=datetime.UTC)
DEEP: dict[str, Any] = {"Transitions": [{"Date": AT, "StorageClass": "DEEP_ARCHIVE"}]}

RULES: dict[str, tuple[dict[str, Any], str]] = {
    "of everything": ({**DAYS, "Filter": {}}, f"expires {ALL} 30 days after they were put"),
    "in the old form": ({**DAYS, "Prefix": ""}, f"expires {ALL} 30 days after they were put"),
    "of the region": ({**DAYS, "Filter": {"Prefix": f"{REGION}/"}}, f"expires {ALL}"),
    "of one object": ({**DAYS, "Filter": {"Prefix": f"{PREFIX}pki"}}, "expires pki.tar 30 days"),
    "inside a folder": ({**DAYS, "Filter": {"Prefix": f"{PREFIX}addons/0a"}}, "expires addons/ 30 days"),
    "of another cluster": ({**DAYS, "Filter": {"Prefix": f"{REGION}/{ID}2/"}}, ""),
    "of somebody's logs": ({**DAYS, "Filter": {"Prefix": "logs/"}}, ""),
    "of what bears a tag": ({**DAYS, "Filter": {"Tag": {"Key": "a", "Value": "b"}}}, ""),
    "of a prefix and a tag": (
        {**DAYS, "Filter": {"And": {"Prefix": PREFIX, "Tags": [{"Key": "a", "Value": "b"}]}}},
        "",
    ),
    "of what is large": ({**DAYS, "Filter": {"ObjectSizeGreaterThan": 10**6}}, ""),
    "of what is small": ({**DAYS, "Filter": {"ObjectSizeLessThan": 100}}, "expires join-token 30 days"),
    "of a prefix and a size": (
        {**DAYS, "Filter": {"And": {"Prefix": REGION, "ObjectSizeGreaterThan": 100, "ObjectSizeLessThan": 10**6}}},
        "expires pki.tar, settings.env, addons/ 30 days",
    ),
    "on a day": ({"Expiration": {"Date": AT}, "Filter": {}}, f"expires {ALL} on 2027-01-31"),
    "of markers alone": ({"Expiration": {"ExpiredObjectDeleteMarker": True}, "Filter": {}}, ""),
    "of earlier versions": ({"NoncurrentVersionExpiration": {"NoncurrentDays": 1}, "Filter": {}}, ""),
    "of uploads": ({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}, "Filter": {}}, ""),
    "that is off": ({**DAYS, "Filter": {}, "Status": "Disabled"}, ""),
    "to what is read as any": ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER_IR"}], "Filter": {}}, ""),
    "to an archive": ({**GLACIER, "Filter": {}}, "moves etcd-snapshot.db.gz to Glacier Flexible Retrieval"),
    "to an archive, of any size": (
        {**GLACIER, "Filter": {"ObjectSizeGreaterThan": 1}},
        f"moves {ALL}, etcd-snapshot.db.gz to Glacier",
    ),
    "to the deepest one": ({**DEEP, "Filter": {}}, "Deep Archive, where they cannot be read, on 2027-01-31"),
}


@pytest.mark.parametrize("name", RULES)
def test_what_a_rule_takes_of_the_cluster(name: str) -> None:
    rule, words = RULES[name]
    found = lifecycle.harms({"Rules": [{"ID": "theirs", "Status": "Enabled", **rule}]}, PREFIX)
    assert len(found) == bool(words)
    assert all(each.startswith("rule theirs ") and words in each for each in found)


def test_small_objects_move_where_the_bucket_says_that_it_varies() -> None:
    rules = {"Rules": [{"ID": "theirs", "Status": "Enabled", **GLACIER, "Filter": {}}]}
    varies = {**rules, "TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
    assert "pki.tar" not in str(lifecycle.harms(rules, PREFIX))
    assert "pki.tar" in str(lifecycle.harms(varies, PREFIX))


def add_rule(box: Box, bucket: str) -> None:
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, **DAYS}
    box.client("s3").put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})


def test_such_a_rule_is_said_before_the_first_change_and_left_alone(sandbox: Box) -> None:
    name = brought(sandbox, versioned=True)
    assert "lifecycle rule" not in sandbox.up("--dry-run", AWS_S3_BUCKET=name).err
    add_rule(sandbox, name)
    words = f"AWS_S3_BUCKET: rule tidy expires {ALL} 30 days after they were put"
    assert words in " ".join(sandbox.up("--dry-run", AWS_S3_BUCKET=name).err.split())
    result = must(sandbox.up(AWS_S3_BUCKET=name))
    assert words in " ".join(result.err.split())
    first = next(number for number, call in enumerate(result.calls) if call.changes)
    assert result.operations.index("s3:GetBucketLifecycleConfiguration") < first
    assert "s3:PutBucketLifecycleConfiguration" not in result.operations


def test_only_a_brought_bucket_is_asked_once_more(sandbox: Box) -> None:
    sandbox.cluster()
    own = must(sandbox.up()).operations
    must(sandbox.down())
    must(sandbox.up(AWS_S3_BUCKET=brought(sandbox, versioned=True)))
    theirs = must(sandbox.up()).operations
    assert theirs.count("s3:GetBucketLifecycleConfiguration") == 1
    assert len(theirs) <= len(own)


def test_rules_that_may_not_be_read_are_no_end(sandbox: Box) -> None:
    name = brought(sandbox, versioned=True)
    answer_with(sandbox, "s3:GetBucketLifecycleConfiguration", "AccessDenied", "not authorized", status=403)
    said = " ".join(must(sandbox.up(AWS_S3_BUCKET=name)).err.split())
    assert "is not known (s3:GetLifecycleConfiguration: AccessDenied)" in said
