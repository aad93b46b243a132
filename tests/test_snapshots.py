"""Snapshots of etcd: the bucket that keeps them, and a lost disk made anew from one."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from conftest import REGION, Box
from helpers import (
    ID,
    bucket_of,
    drop_tags,
    kill_master,
    master_of,
    master_settings,
    must,
    named,
    part,
    refused,
    refused_untouched,
    remembered,
    settle,
    stop_after,
)
from spread import spread

PREFIX = f"{REGION}/{ID}/"
KEY = f"{PREFIX}etcd-snapshot.db.gz"
DISK = f"{ID}-master-pd"


def take_snapshot(box: Box, content: bytes, bucket: str = "", *, release: str = "1.37.2") -> str:
    """What the master does; the version's id."""
    box.clock.sleep(60)
    said = {"kubernetes-version": release} if release else {}
    answer = box.client("s3").put_object(Bucket=bucket or bucket_of(box), Key=KEY, Body=content, Metadata=said)
    return str(answer["VersionId"])


def terminate_master(box: Box) -> None:
    kill_master(box)
    settle(box)


def lose_disk(box: Box) -> None:
    """The master dies, and its disk with it."""
    terminate_master(box)
    box.client("ec2").delete_volume(VolumeId=named(box, "volumes", DISK))


def made_from(box: Box) -> str:
    """What the master's disk says of the snapshot that it was made from; what the master is told must be the same."""
    tag = part(box, "volumes")[named(box, "volumes", DISK)]["tags"].get("KubernetesRestore", "")
    assert master_settings(box)["KUBE_RESTORE_VERSION"] == tag
    return str(tag)


def brought(box: Box, *, versioned: bool) -> str:
    """A bucket of the user's own, with an object, a neighbour of ours by name, and a rule in it."""
    s3, name = box.client("s3"), "my-own-bucket"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    if versioned:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ID": "mine", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 7}}
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    for _ in range(2):
        s3.put_object(Bucket=name, Key=f"{REGION}/{ID}2/etcd-snapshot.db.gz", Body=b"another cluster's")
    return name


# --- the bucket


def rules(box: Box) -> dict[str, dict[str, Any]]:
    """Our bucket's lifecycle rules by the prefix that each is about."""
    found = box.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket_of(box))["Rules"]
    return {rule["Filter"]["Prefix"]: rule for rule in found}


def test_snapshots_are_kept_by_number_and_all_else_that_is_overwritten_for_a_day(sandbox: Box) -> None:
    sandbox.cluster()
    s3, name = sandbox.client("s3"), bucket_of(sandbox)
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    found = rules(sandbox)
    assert found[KEY]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1, "NewerNoncurrentVersions": 28}
    assert [rule for prefix, rule in found.items() if KEY.startswith(prefix)] == [found[KEY]]  # nothing by age alone
    for key in sandbox.inventory()["s3"][name]["objects"]:
        (rule,) = (rule for prefix, rule in found.items() if key.startswith(prefix))
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert all(rule["AbortIncompleteMultipartUpload"] for rule in found.values())
    assert all("Expiration" not in rule for rule in found.values())  # what is the newest stays


def test_how_many_are_kept_can_be_changed_and_rules_of_somebodys_own_stay(sandbox: Box) -> None:
    sandbox.cluster()
    s3, name = sandbox.client("s3"), bucket_of(sandbox)
    theirs = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 1}}
    both = [*s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"], theirs]
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": both})
    result = must(sandbox.up(KUBE_ETCD_SNAPSHOTS_KEPT=5))
    assert "s3:PutBucketLifecycleConfiguration" in result.changing
    assert rules(sandbox)[KEY]["NoncurrentVersionExpiration"]["NewerNoncurrentVersions"] == 5
    assert rules(sandbox)["x/"] == theirs
    assert len(rules(sandbox)) == len(both)
    assert must(sandbox.up()).changing == []


def test_the_master_is_told_how_often(sandbox: Box) -> None:
    sandbox.cluster(KUBE_ETCD_SNAPSHOT_HOURS=12)
    assert master_settings(sandbox)["KUBE_ETCD_SNAPSHOT_HOURS"] == "12"
    assert master_settings(sandbox)["KUBE_SNAPSHOT"] == "etcd-snapshot.db.gz"


@pytest.mark.parametrize(
    ("versioned", "hours", "told", "words"),
    [
        (False, 6, "0", "warning: no snapshots of etcd are taken, since your bucket my-own-bucket is not versioned"),
        (False, 0, "0", ""),
        (True, 6, "6", "your bucket's lifecycle rules are left alone"),
    ],
)
def test_a_brought_bucket_gets_snapshots_only_if_it_is_versioned(
    sandbox: Box, versioned: bool, hours: int, told: str, words: str
) -> None:
    name = brought(sandbox, versioned=versioned)
    before = sandbox.inventory()["s3"][name]
    result = must(sandbox.up(AWS_S3_BUCKET=name, KUBE_ETCD_SNAPSHOT_HOURS=hours))
    assert master_settings(sandbox)["KUBE_ETCD_SNAPSHOT_HOURS"] == told
    said = result.out + result.err
    assert words in said
    assert ("snapshots of etcd" in said) is bool(words)
    after = sandbox.inventory()["s3"][name]
    assert {**after, "objects": {}} == {**before, "objects": {}}
    if versioned:
        take_snapshot(sandbox, b"one", name)
        take_snapshot(sandbox, b"two", name)
    must(sandbox.down())
    assert sandbox.inventory() == {"s3": {name: before}}  # every version of ours is gone, and none of theirs


def test_down_removes_every_version_and_every_mark_of_a_deletion(sandbox: Box) -> None:
    sandbox.cluster()
    for content in (b"one", b"two", b"three"):
        take_snapshot(sandbox, content)
    sandbox.client("s3").delete_object(Bucket=bucket_of(sandbox), Key=KEY)
    must(sandbox.down("--keep-disk"))
    assert len(sandbox.inventory()["s3"][bucket_of(sandbox)]["objects"][KEY]) == 4
    must(sandbox.down())
    assert sandbox.inventory() == {}


# --- a lost disk


def test_a_lost_disk_is_not_silently_an_empty_cluster(sandbox: Box) -> None:
    sandbox.cluster()
    first = take_snapshot(sandbox, b"x" * 2**20, release="1.37.1")
    second = take_snapshot(sandbox, b"two", release="")
    lose_disk(sandbox)
    for flags in ([], ["--dry-run"]):
        said = refused_untouched(sandbox, sandbox.up(*flags), 2, "KUBE_RESTORE_SNAPSHOT: the master's disk is gone")
        assert f"s3://{bucket_of(sandbox)}/{KEY} has 2 snapshots of etcd, the newest of " in said
        assert "; say latest to restore it on a new disk, or another's id (" in said
        listed = rf"{second} of [^;,]+, release unknown, 0.0 MiB; {first} of [^;,]+, Kubernetes 1.37.1, 1.0 MiB"
        assert re.search(rf"\({listed}\), or none to begin with an empty cluster", said)


def test_the_newest_snapshot_is_restored_on_a_new_disk_and_every_rerun_knows_it(sandbox: Box) -> None:
    sandbox.cluster()
    take_snapshot(sandbox, b"one")
    newest = take_snapshot(sandbox, b"two")
    sandbox.client("s3").delete_object(Bucket=bucket_of(sandbox), Key=KEY)  # somebody's mistake does not lose it
    lose_disk(sandbox)
    dry = sandbox.up("--dry-run", KUBE_RESTORE_SNAPSHOT="latest")
    assert dry.code == 3
    assert f"snapshot {newest} of " in dry.out
    must(sandbox.up(KUBE_RESTORE_SNAPSHOT="latest"))
    assert made_from(sandbox) == newest
    assert "KUBE_RESTORE_SNAPSHOT" not in remembered(sandbox)
    settle(sandbox)
    for more in ({}, {"KUBE_RESTORE_SNAPSHOT": "latest"}, {"KUBE_RESTORE_SNAPSHOT": newest}):
        result = must(sandbox.up(**more))
        assert result.changing == []
        assert "was made with other settings" not in result.out + result.err
    assert f"made from snapshot {newest}" in result.out
    terminate_master(sandbox)
    must(sandbox.up())  # the next master is told the same, and finds data on the disk
    assert made_from(sandbox) == newest


def test_an_older_snapshot_is_restored_by_its_version(sandbox: Box) -> None:
    sandbox.cluster()
    older = take_snapshot(sandbox, b"one")
    newest = take_snapshot(sandbox, b"two")
    lose_disk(sandbox)
    said = refused_untouched(sandbox, sandbox.up(KUBE_RESTORE_SNAPSHOT="abc"), 2, "has no version abc; say latest")
    assert said.index(newest) < said.index(older)
    must(sandbox.up(KUBE_RESTORE_SNAPSHOT=older))
    assert made_from(sandbox) == older


def test_none_begins_with_an_empty_cluster(sandbox: Box) -> None:
    sandbox.cluster()
    take_snapshot(sandbox, b"one")
    lose_disk(sandbox)
    must(sandbox.up(KUBE_RESTORE_SNAPSHOT="none"))
    assert made_from(sandbox) == ""
    assert must(sandbox.up()).changing == []


STOPS = [
    ("ec2:CreateVolume", ""),
    ("ec2:CreateVolume", "latest"),
    ("ec2:RunInstances", "latest"),
    ("ec2:RunInstances", ""),
]


@pytest.mark.parametrize(("operation", "again"), spread(STOPS, 2))
def test_a_restore_that_was_stopped_goes_on(sandbox: Box, operation: str, again: str) -> None:
    sandbox.cluster()
    newest = take_snapshot(sandbox, b"one")
    lose_disk(sandbox)
    stop_after(sandbox, operation, signal.SIGINT)
    assert sandbox.up(KUBE_RESTORE_SNAPSHOT="latest").code == 130
    sandbox.aws.hooks.after.clear()
    must(sandbox.up(KUBE_RESTORE_SNAPSHOT=again))
    assert made_from(sandbox) == newest


def said_first(said: str, *, after: str) -> list[str]:
    """The commands that a refusal of a snapshot says to type, beginning with that word: the last is the run's own."""
    commands = f"{after}{said.rpartition(f' {after}')[2]}".strip()
    *first, last = commands.split(", then ")
    last, _, loss = last.partition(" too, ")
    assert loss == "which throws that away for ever"
    return [*first, f"KUBE_RESTORE_SNAPSHOT=latest {last.removeprefix('say ')} python kube_up.py"]


def typed(box: Box, commands: list[str]) -> None:
    """One after another, and each ends well."""
    for command in commands:
        before, _, after = command.rpartition("python kube_up.py")
        if before or not after:
            must(box.up(**dict(pair.split("=") for pair in before.split())))
        else:
            aws(box, command)


def aws(box: Box, command: str) -> None:
    """A command of the AWS CLI, done as it does it; a wait by the simulated clock."""
    _, service, operation, *rest = command.split()
    if operation == "wait":
        assert rest[0] in ("instance-terminated", "volume-available")
        settle(box)
        return
    given: dict[str, Any] = {}
    for flag, value in zip(rest, [*rest[1:], ""], strict=True):
        if flag.startswith("--no-"):
            given[parameter(flag.removeprefix("--no"))] = {"Value": False}
        elif flag.startswith("--"):
            given[parameter(flag)] = [value] if flag.endswith("s") else value
    getattr(box.client(service), operation.replace("-", "_"))(**given)


def parameter(flag: str) -> str:
    return "".join(part.capitalize() for part in flag.split("-"))


def test_nothing_is_restored_over_a_disk_that_is_there_and_the_refusal_says_how_to_remove_it(sandbox: Box) -> None:
    sandbox.cluster()
    newest = take_snapshot(sandbox, b"one")
    disk, master = named(sandbox, "volumes", DISK), master_of(sandbox)
    last = f"leave it out to keep what is on the disk, or say KUBE_DISCARD_DISK={disk} too, which throws that away"
    said = refused_untouched(sandbox, sandbox.up(KUBE_RESTORE_SNAPSHOT="latest"), 2, f"the master's disk {disk}", last)
    typed(sandbox, said_first(said, after="say"))
    assert made_from(sandbox) == newest
    assert disk not in part(sandbox, "volumes")
    assert master_of(sandbox) != master
    terminate_master(sandbox)
    other, disk = take_snapshot(sandbox, b"two"), named(sandbox, "volumes", DISK)
    refused_untouched(sandbox, sandbox.up(KUBE_RESTORE_SNAPSHOT=other), 2, f"or say KUBE_DISCARD_DISK={disk} too")
    must(sandbox.up(KUBE_RESTORE_SNAPSHOT=other, KUBE_DISCARD_DISK=disk))
    assert made_from(sandbox) == other


def test_a_machine_that_only_has_the_disk_is_not_ended_for_a_restore(sandbox: Box) -> None:
    sandbox.cluster()
    newest, disk = take_snapshot(sandbox, b"one"), named(sandbox, "volumes", DISK)
    terminate_master(sandbox)
    minion = next(iter(part(sandbox, "instances")))
    sandbox.client("ec2").attach_volume(VolumeId=disk, InstanceId=minion, Device="/dev/sdx")
    commands = [
        f"aws ec2 detach-volume --volume-id {disk} --instance-id {minion}",
        f"aws ec2 wait volume-available --volume-ids {disk}",
    ]
    given = {"KUBE_RESTORE_SNAPSHOT": "latest"}
    first = ", then ".join(commands)
    words = f"attached to {minion}, which is not the master; detach it first: {first}, then this again\n"
    refused_untouched(sandbox, sandbox.up(**given, KUBE_DISCARD_DISK=disk), 2, words)
    said = refused_untouched(sandbox, sandbox.up(**given), 2, f"or {first}, then say KUBE_DISCARD_DISK={disk} too")
    typed(sandbox, said_first(said, after="aws ec2 detach-volume"))
    assert made_from(sandbox) == newest
    assert minion in part(sandbox, "instances")


def test_a_stopped_restore_goes_on_once_its_master_has_taken_a_snapshot_and_only_another_one_is_refused(
    sandbox: Box,
) -> None:
    sandbox.cluster()
    older, restored = take_snapshot(sandbox, b"one"), take_snapshot(sandbox, b"two")
    lose_disk(sandbox)
    stop_after(sandbox, "ec2:RunInstances", signal.SIGINT)
    assert sandbox.up(KUBE_RESTORE_SNAPSHOT="latest").code == 130
    sandbox.aws.hooks.after.clear()
    settle(sandbox)
    newer = take_snapshot(sandbox, b"of the restored master")
    result = must(sandbox.up(KUBE_RESTORE_SNAPSHOT="latest"))
    assert made_from(sandbox) == restored
    assert f"made from snapshot {restored} of " in result.err
    assert f"it is not restored again, and there is 1 newer, the newest {newer} of " in result.err
    assert "newer" not in must(sandbox.up()).err
    for other in (older, newer):
        refused_untouched(
            sandbox, sandbox.up(KUBE_RESTORE_SNAPSHOT=other), 2, "is there, and a snapshot is restored on"
        )


def lose_disk_alone(box: Box) -> tuple[str, str]:
    """The disk is lost, and its master lives; the ids of both."""
    disk, master = named(box, "volumes", DISK), master_of(box)
    lose_disk_of(box, disk, master)
    return disk, master


def lose_disk_of(box: Box, disk: str, master: str) -> None:
    box.client("ec2").detach_volume(VolumeId=disk, InstanceId=master, Force=True)
    box.client("ec2").delete_volume(VolumeId=disk)


@pytest.mark.parametrize("asked", ["latest", ""])
def test_a_living_master_without_its_disk_is_made_anew_once_it_is_named(sandbox: Box, asked: str) -> None:
    sandbox.cluster()
    newest = take_snapshot(sandbox, b"one") if asked else ""
    disk, master = lose_disk_alone(sandbox)
    too = f"say KUBE_REPLACE_MASTER={master} too, which makes that master anew with the new disk"
    there = f"the master {master} (running), which knows {disk}, is there"
    words = f"KUBE_REPLACE_MASTER: the master's disk is gone, and {there}; {too}"
    for stale in ("", "i-0123456789abcdef0"):
        again = sandbox.up(KUBE_RESTORE_SNAPSHOT=asked, KUBE_REPLACE_MASTER=stale)
        said = refused_untouched(sandbox, again, 2, words)
        assert len(said.splitlines()) == 1
    given = {"KUBE_RESTORE_SNAPSHOT": asked, "KUBE_REPLACE_MASTER": master}
    dry = sandbox.up("--dry-run", **given)
    assert (dry.code, f"would delete {master}" in dry.out) == (3, True)
    order = must(sandbox.up(**given)).operations
    assert order.index("ec2:CreateVolume") < order.index("ec2:TerminateInstances") < order.index("ec2:RunInstances")
    assert made_from(sandbox) == (newest if asked == "latest" else "")
    settle(sandbox)
    assert part(sandbox, "volumes")[named(sandbox, "volumes", DISK)]["instance"] == master_of(sandbox) != master
    for more, words in (({}, ""), (given, f"KUBE_REPLACE_MASTER: {master} is not the master, which is ")):
        result = must(sandbox.up(**more))
        assert result.changing == []
        assert words in result.err
        assert ("is not the master" in result.err) is bool(words)


def test_who_is_asked_which_snapshot_is_told_of_the_master_that_lives_too(sandbox: Box) -> None:
    sandbox.cluster()
    take_snapshot(sandbox, b"one")
    _, master = lose_disk_alone(sandbox)
    refused_untouched(sandbox, sandbox.up(), 2, f"an empty cluster; and say KUBE_REPLACE_MASTER={master} too")
    said = refused_untouched(sandbox, sandbox.up(KUBE_REPLACE_MASTER=master), 2, "with an empty cluster")
    assert master not in said


@pytest.mark.parametrize("operation", spread(["ec2:CreateVolume", "ec2:TerminateInstances"], 1))
def test_a_restore_of_a_living_master_that_was_stopped_goes_on_by_itself(sandbox: Box, operation: str) -> None:
    sandbox.cluster()
    newest = take_snapshot(sandbox, b"one")
    drop_tags(sandbox, master_of(sandbox), "KubernetesMasterDisk")  # an older one never had it
    _, master = lose_disk_alone(sandbox)
    stop_after(sandbox, operation, signal.SIGINT)
    assert sandbox.up(KUBE_RESTORE_SNAPSHOT="latest", KUBE_REPLACE_MASTER=master).code == 130
    sandbox.aws.hooks.after.clear()
    must(sandbox.up())
    assert made_from(sandbox) == newest
    assert master_of(sandbox) != master


# --- another bucket, or none


def test_a_cluster_is_not_begun_anew_in_another_bucket_than_its_own(sandbox: Box) -> None:
    sandbox.cluster()
    newest, own = take_snapshot(sandbox, b"one"), bucket_of(sandbox)
    other, typo = brought(sandbox, versioned=True), "my-bucket-typo"

    def refused_all(*, master: str = "", latest: str = "latest") -> None:
        for asked in (other, typo):
            for more in ({}, {"KUBE_RESTORE_SNAPSHOT": latest, "KUBE_REPLACE_MASTER": master}):
                words = f"AWS_S3_BUCKET: the cluster's state is in {own}, not in {asked}; leave it out\n"
                refused_untouched(sandbox, sandbox.up(AWS_S3_BUCKET=asked, **more), 2, words)

    refused_all()
    _, master = lose_disk_alone(sandbox)
    refused_all(master=master)
    terminate_master(sandbox)
    refused_all(latest="none")
    must(sandbox.up(AWS_S3_BUCKET=own, KUBE_RESTORE_SNAPSHOT="latest"))
    assert made_from(sandbox) == newest
    must(sandbox.down(AWS_S3_BUCKET=own))
    assert list(sandbox.inventory()) == ["s3"]


def lose_bucket(box: Box, name: str) -> dict[str, bytes]:
    """It is deleted, with all that was in it; the secrets are given back."""
    s3, keys = box.client("s3"), (f"{PREFIX}pki.tar", f"{PREFIX}join-token")
    secrets = {key: s3.get_object(Bucket=name, Key=key)["Body"].read() for key in keys}
    for version in s3.list_object_versions(Bucket=name)["Versions"]:
        s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=name)
    return secrets


def test_a_cluster_whose_bucket_is_gone_goes_on_in_another_one_only_with_its_ca(sandbox: Box) -> None:
    sandbox.cluster()
    own, other = bucket_of(sandbox), brought(sandbox, versioned=True)
    secrets = lose_bucket(sandbox, own)
    words = f"the cluster's bucket {own} is gone, and {{}} does not hold the cluster's CA; leave it out, or put the CA"
    for asked in ("my-bucket-typo", other):
        refused_untouched(sandbox, sandbox.up(AWS_S3_BUCKET=asked), 2, words.format(asked))
    for key, content in secrets.items():
        sandbox.client("s3").put_object(Bucket=other, Key=key, Body=content)
    master = master_of(sandbox)
    must(sandbox.up(AWS_S3_BUCKET=other))
    must(sandbox.up())
    assert master_of(sandbox) == master
    assert list(sandbox.inventory()["s3"]) == [other]


def test_another_bucket_will_do_where_the_own_one_was_made_anew_without_the_ca(sandbox: Box) -> None:
    sandbox.cluster()
    secrets = lose_bucket(sandbox, bucket_of(sandbox))
    refused(sandbox.up(), 1, "the cluster's CA, is gone")
    other = brought(sandbox, versioned=True)
    for key, content in secrets.items():
        sandbox.client("s3").put_object(Bucket=other, Key=key, Body=content)
    must(sandbox.up(AWS_S3_BUCKET=other))
    assert must(sandbox.up()).changing == []


def test_a_brought_bucket_that_is_lost_is_made_anew_once(sandbox: Box) -> None:
    given = brought(sandbox, versioned=True)
    must(sandbox.up(AWS_S3_BUCKET=given))
    secrets = lose_bucket(sandbox, given)
    refused(sandbox.up(), 1, "the cluster's CA, is gone")
    again = sandbox.up()
    refused(again, 1, "the cluster's CA, is gone")
    assert "s3:CreateBucket" not in again.operations
    for key, content in secrets.items():
        sandbox.client("s3").put_object(Bucket=bucket_of(sandbox), Key=key, Body=content)
    assert sandbox.up("--dry-run").code in (0, 3)
    must(sandbox.up())


def test_down_leaves_no_bucket_behind_because_another_one_is_named(sandbox: Box) -> None:
    sandbox.cluster()
    own, other = bucket_of(sandbox), brought(sandbox, versioned=True)
    before = sandbox.inventory()
    for named_one in (other, "my-bucket-typo"):
        words = f"the cluster's state is in {own}, not in {named_one}; leave it out"
        refused_untouched(sandbox, sandbox.down(AWS_S3_BUCKET=named_one), 2, words)
    assert sandbox.inventory() == before


@pytest.mark.parametrize("tagged", [True, False])
def test_without_bucket_and_disk_the_master_is_neither_ended_nor_given_a_second_ca(sandbox: Box, tagged: bool) -> None:
    sandbox.cluster()
    master, own = master_of(sandbox), bucket_of(sandbox)
    lose_bucket(sandbox, own)
    if not tagged:  # one that was made before there was the tag
        drop_tags(sandbox, named(sandbox, "interfaces", f"{ID}-master"), "KubernetesStagingBucket")
    disk = named(sandbox, "volumes", DISK)
    drop_tags(sandbox, disk, *part(sandbox, "volumes")[disk]["tags"])
    for replaced in ("", master):
        refused_untouched(
            sandbox, sandbox.up(KUBE_REPLACE_MASTER=replaced), 2, f"create-tags --resources {disk} --tags"
        )
    lose_disk_of(sandbox, disk, master)
    refused_untouched(sandbox, sandbox.up(), 2, f"say KUBE_REPLACE_MASTER={master} too")
    was_made = named(sandbox, "interfaces", f"{ID}-master") if tagged else master
    refused(sandbox.up(KUBE_REPLACE_MASTER=master), 1, "the cluster's CA, is gone", f"{was_made} was made with it")
    assert f"{PREFIX}pki.tar" not in sandbox.inventory()["s3"][own]["objects"]
    assert master_of(sandbox) == master


def test_a_snapshot_is_of_no_use_without_the_ca_of_which_an_earlier_version_will_do(sandbox: Box) -> None:
    sandbox.cluster()
    take_snapshot(sandbox, b"one")
    lose_disk(sandbox)
    s3, pki = sandbox.client("s3"), {"Bucket": bucket_of(sandbox), "Key": f"{PREFIX}pki.tar"}
    s3.delete_object(**pki)
    words = ("pki.tar, the cluster's CA, is gone", "docs/recovery.md, The bucket is lost")
    refused_untouched(sandbox, sandbox.up(KUBE_RESTORE_SNAPSHOT="latest"), 1, *words)
    earlier = s3.list_object_versions(Bucket=pki["Bucket"], Prefix=pki["Key"])["Versions"][0]["VersionId"]
    s3.put_object(**pki, Body=s3.get_object(**pki, VersionId=earlier)["Body"].read())
    must(sandbox.up(KUBE_RESTORE_SNAPSHOT="latest"))


def test_where_no_snapshot_is_a_lost_disk_is_made_anew_and_none_is_restored(sandbox: Box) -> None:
    refused_untouched(sandbox, sandbox.up(KUBE_RESTORE_SNAPSHOT="latest"), 2, "there is no snapshot")
    must(sandbox.up())
    lose_disk(sandbox)
    refused_untouched(
        sandbox, sandbox.up(KUBE_RESTORE_SNAPSHOT="latest"), 2, f"there is no snapshot s3://{bucket_of(sandbox)}"
    )
    must(sandbox.up())
    assert made_from(sandbox) == ""


@pytest.mark.parametrize(("release", "code"), [("1.36.9", 2), ("1.37.3", 2), ("1.37.1", 0), ("", 0)])
def test_a_snapshot_is_restored_by_its_own_minor_release(sandbox: Box, release: str, code: int) -> None:
    """Which may be a newer patch of it. One that does not say its release is restored with a warning."""
    sandbox.cluster(NUM_NODES=1)
    snapshot = take_snapshot(sandbox, b"one", release=release)
    lose_disk(sandbox)
    result = sandbox.up(NUM_NODES=1, KUBE_RESTORE_SNAPSHOT="latest")
    if code:
        words = (f"KUBERNETES_VERSION: the snapshot {snapshot}", f"is of Kubernetes {release}", "would be of 1.37.2")
        refused_untouched(sandbox, result, 2, *words, f"say KUBERNETES_VERSION={release} too")
    else:
        assert (f", Kubernetes {release}, " in must(result).out) is bool(release)
        assert ("does not say of which release" in result.err) is not bool(release)
        assert result.operations.count("s3:HeadObject") == 1


def test_a_run_for_one_more_group_restores_nothing(sandbox: Box) -> None:
    sandbox.cluster()
    more = {"KUBE_USE_EXISTING_MASTER": "true", "KUBE_AWS_ZONE": f"{REGION}b", "KUBE_SUBNET_CIDR": "172.20.1.0/24"}
    refused(sandbox.up(KUBE_RESTORE_SNAPSHOT="latest", **more), 2, "KUBE_USE_EXISTING_MASTER leaves the master alone")
