"""docs/recovery.md: what it says to type, typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import REGION, Box
from helpers import (
    ID,
    bucket_of,
    drop_tags,
    empty_bucket,
    kill_master,
    kubeconfig,
    master_of,
    master_settings,
    must,
    named,
    only,
    part,
    read_object,
    refused,
    refused_untouched,
    remembered,
    settle,
    shape,
    stop_after,
)
from spread import spread
from test_snapshots import KEY, made_from, take_snapshot, typed

DOCS = Path(__file__).parent.parent / "docs"
PKI = f"{REGION}/{ID}/pki.tar"


def test_without_its_ca_a_cluster_gets_no_second_one_and_goes_on_with_the_first_put_back(sandbox: Box) -> None:
    sandbox.cluster()
    pki, entries = read_object(sandbox, PKI), kubeconfig(sandbox).read_text()
    for delete in (True, False):
        empty_bucket(sandbox, delete=delete)
        said = refused(sandbox.up(), 1, "pki.tar, the cluster's CA, is gone", "docs/recovery.md")
        assert named(sandbox, "volumes", f"{ID}-master-pd") in said
        assert PKI not in sandbox.inventory()["s3"][bucket_of(sandbox)]["objects"]
        sandbox.client("s3").put_object(Bucket=bucket_of(sandbox), Key=PKI, Body=pki)
        must(sandbox.up())
        assert kubeconfig(sandbox).read_text() == entries


def test_a_cluster_whose_bucket_is_gone_is_still_removed(sandbox: Box) -> None:
    sandbox.cluster()
    empty_bucket(sandbox, delete=True)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_lost_ssh_key_is_made_anew_and_the_machines_keep_theirs(sandbox: Box) -> None:
    sandbox.cluster()
    before = dict(part(sandbox, "instances"))
    for name in ("kube_aws_rsa", "kube_aws_rsa.pub"):
        (sandbox.home / ".ssh" / name).unlink()
    must(sandbox.up())
    assert part(sandbox, "instances") == before
    assert len(part(sandbox, "key pairs")) == 2
    kill_master(sandbox)
    settle(sandbox)
    must(sandbox.up())
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_lost_disk_is_made_anew(sandbox: Box) -> None:
    sandbox.cluster()
    whole = shape(sandbox)
    ec2 = sandbox.client("ec2")
    kill_master(sandbox)
    settle(sandbox)
    ec2.delete_volume(VolumeId=named(sandbox, "volumes", f"{ID}-master-pd"))
    must(sandbox.up())
    settle(sandbox)
    assert shape(sandbox) == whole


def test_a_disk_that_has_only_lost_its_tags_is_the_masters_again_with_two_of_them(sandbox: Box) -> None:
    sandbox.cluster()
    settle(sandbox)
    disk, whole = named(sandbox, "volumes", f"{ID}-master-pd"), shape(sandbox)
    drop_tags(sandbox, disk, *part(sandbox, "volumes")[disk]["tags"])
    master, words = master_of(sandbox), f"the master's disk {disk} is there, and has lost the cluster's tags"
    two = {"KubernetesCluster": ID, "Name": f"{ID}-master-pd"}
    typed = " ".join(f"Key={key},Value={value}" for key, value in two.items())
    for more in ({}, {"KUBE_RESTORE_SNAPSHOT": "none", "KUBE_REPLACE_MASTER": master}):
        command = f"aws ec2 create-tags --resources {disk} --tags {typed}\n"
        refused_untouched(sandbox, sandbox.up(**more), 2, words, command)
    tags = [{"Key": key, "Value": value} for key, value in two.items()]
    sandbox.client("ec2").create_tags(Resources=[disk], Tags=tags)
    must(sandbox.up())
    assert (master_of(sandbox), shape(sandbox)) == (master, whole)
    kill_master(sandbox)  # which knew its disk
    drop_tags(sandbox, disk, "KubernetesCluster", f"kubernetes.io/cluster/{ID}")
    settle(sandbox)
    refused_untouched(sandbox, sandbox.up(KUBE_RESTORE_SNAPSHOT="none"), 2, words)


def block(name: str, heading: str) -> str:
    """The commands below a heading that have the disk thrown away and one made anew, without their comments."""
    text = (DOCS / name).read_text().partition(f"{heading}\n")[2]
    found = next(
        each for each in re.findall(r"(?m)(?:^    .*\n)+", text) if re.search("KUBE_DISCARD_DISK=.* python", each)
    )
    return re.sub(r" +#.*", "", found)


@pytest.mark.parametrize(
    ("name", "heading", "before", "after"),
    [
        ("recovery.md", "### Back to a snapshot while the disk is there", "1.37.2", "1.37.2"),
        ("upgrading.md", "## Going back", "1.36.3", "1.37.2"),
    ],
)
def test_the_way_back_to_a_snapshot_while_the_disk_is_there(
    sandbox: Box, name: str, heading: str, before: str, after: str
) -> None:
    sandbox.cluster(KUBE_MASTER_SELF_HEAL="true", KUBERNETES_VERSION=before)
    settle(sandbox)
    taken = take_snapshot(sandbox, b"before it went wrong", release=before)
    must(sandbox.up(KUBERNETES_VERSION=after))
    listed = refused(sandbox.up(KUBE_RESTORE_SNAPSHOT="which"), 2, "has no version which; say latest, or one of: ")
    assert f"{taken} of " in listed
    assert f", Kubernetes {before}" in listed
    settle(sandbox)
    master, disk = master_of(sandbox), named(sandbox, "volumes", f"{ID}-master-pd")
    (command,) = block(name, heading).replace("vol-…", disk).replace("<the version's id>", taken).splitlines()
    minions = set(part(sandbox, "instances")) - {master}
    typed(sandbox, [command.strip()])
    assert (made_from(sandbox), master_settings(sandbox)["KUBERNETES_VERSION"]) == (taken, before)
    assert disk not in part(sandbox, "volumes")
    assert (minions <= set(part(sandbox, "instances"))) is (before == after)
    sandbox.clock.sleep(240.0)  # the schedule is there again, and finds a master
    assert master_of(sandbox) != master
    assert must(sandbox.up()).changing == []
    again = must(sandbox.up(**{**given(command), "KUBERNETES_VERSION": before}))
    assert again.changing == []
    assert f"KUBE_DISCARD_DISK: disk {disk} is gone already" in again.out


def given(command: str) -> dict[str, str]:
    """The variables before a command."""
    return dict(pair.split("=") for pair in command.split() if "=" in pair)


# --- the disk that is thrown away


def gone_wrong(box: Box) -> tuple[str, dict[str, str]]:
    """A cluster with a disk to throw away, and how that is said; the version of its only snapshot."""
    box.cluster()
    taken = take_snapshot(box, b"before it went wrong", release=remembered(box)["KUBERNETES_VERSION"])
    disk = named(box, "volumes", f"{ID}-master-pd")
    return taken, {"KUBE_RESTORE_SNAPSHOT": "latest", "KUBE_DISCARD_DISK": disk}


def test_what_goes_with_a_disk_is_said_before_anything_does(sandbox: Box) -> None:
    _, asked = gone_wrong(sandbox)
    disk, master = asked["KUBE_DISCARD_DISK"], master_of(sandbox)
    took = next(iter(sandbox.client("s3").list_object_versions(Bucket=bucket_of(sandbox), Prefix=KEY)["Versions"]))
    loses = (
        f"disk {disk} is removed for ever, with all that came after the snapshot of "
        f"{took['LastModified']:%Y-%m-%d %H:%M} UTC"
    )
    words = f"warning: {loses}; master {master} is replaced\n"
    dry = sandbox.up("--dry-run", **asked)
    assert (dry.code, dry.changing, words in dry.err) == (3, [], True)
    assert f"  loses    {loses}\n" in dry.out
    assert f"  API      away for minutes, while master {master} is made anew; pods run on\n" in dry.out
    real = must(sandbox.up(**asked))
    assert words in real.err
    assert "the API does not answer until the master is back" in real.out.partition("Staging bucket")[0]
    order = real.operations
    calls = ("ec2:TerminateInstances", "ec2:DeleteVolume", "ec2:CreateVolume", "ec2:RunInstances")
    assert sorted(calls, key=order.index) == list(calls)
    assert [order.count(call) for call in calls] == [1] * 4


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"KUBE_RESTORE_SNAPSHOT": ""}, "KUBE_DISCARD_DISK: goes with KUBE_RESTORE_SNAPSHOT=latest, or a version's id"),
        ({"KUBE_RESTORE_SNAPSHOT": "none"}, "KUBE_DISCARD_DISK: goes with KUBE_RESTORE_SNAPSHOT=latest"),
        ({"KUBE_RESTORE_SNAPSHOT": "which"}, "KUBE_RESTORE_SNAPSHOT: "),
        ({"KUBE_DISCARD_DISK": "ROOT"}, "is not the master's, which is vol-"),
        ({"KUBE_DISCARD_DISK": "vol-0123456789abcdef0"}, "a snapshot is restored on a new one only; leave it out"),
        ({"KUBE_DISCARD_DISK": "the disk"}, "such as vol-0123456789abcdef0"),
        ({"KUBERNETES_VERSION": "1.36.3"}, "and the new master would be of 1.36.3; say KUBERNETES_VERSION="),
    ],
)
def test_a_disk_is_thrown_away_only_by_its_id_and_for_a_snapshot(
    sandbox: Box, more: dict[str, str], words: str
) -> None:
    _, asked = gone_wrong(sandbox)
    asked |= more
    if asked["KUBE_DISCARD_DISK"] == "ROOT":
        asked["KUBE_DISCARD_DISK"] = next(
            each for each, it in part(sandbox, "volumes").items() if it["tags"].get("Name") == f"{ID}-master-root"
        )
    for flags in ((), ("--dry-run",)):
        said = refused_untouched(sandbox, sandbox.up(*flags, **asked), 2, words)
        assert len(said.splitlines()) == 1


def test_a_disk_stays_where_its_snapshot_cannot_be_read(sandbox: Box) -> None:
    """One that a rule has moved to an archive is listed and described as any other."""
    _, asked = gone_wrong(sandbox)
    bucket, said = bucket_of(sandbox), {"kubernetes-version": remembered(sandbox)["KUBERNETES_VERSION"]}
    sandbox.clock.sleep(60)
    archived = sandbox.client("s3").put_object(
        Bucket=bucket, Key=KEY, Body=b"of last year", Metadata=said, StorageClass="GLACIER"
    )
    words = f"the snapshot {archived['VersionId']} of "
    refused_untouched(sandbox, sandbox.up(**asked), 1, words, "cannot be read (InvalidObjectState), and disk vol-")


TAKEN = ["scheduler:DeleteSchedule", "ec2:TerminateInstances", "ec2:DeleteVolume", "ec2:CreateVolume"]


@pytest.mark.parametrize(
    ("operation", "told"),
    spread([(each, told) for each in (*TAKEN, "ec2:RunInstances") for told in (True, False)], 3),
)
def test_a_disk_that_was_being_thrown_away_when_the_run_stopped(sandbox: Box, operation: str, told: bool) -> None:
    """The same command goes on. A plain run takes nothing: it keeps the disk, asks, or goes on with the new one."""
    sandbox.environ["KUBE_MASTER_SELF_HEAL"] = "true"
    taken, asked = gone_wrong(sandbox)
    stop_after(sandbox, operation)
    assert sandbox.up(**asked).code == 130
    sandbox.aws.hooks.after.clear()
    old = asked["KUBE_DISCARD_DISK"]
    kept = old in part(sandbox, "volumes")
    if told:
        must(sandbox.up(**asked))
    elif operation == "ec2:DeleteVolume":
        refused_untouched(sandbox, sandbox.up(), 2, "the master's disk is gone", "say latest")
        must(sandbox.up(KUBE_RESTORE_SNAPSHOT="latest"))
    else:
        must(sandbox.up())
    assert (named(sandbox, "volumes", f"{ID}-master-pd") == old) is (kept and not told)
    assert made_from(sandbox) == ("" if kept and not told else taken)
    settle(sandbox)
    assert must(sandbox.up()).changing == []


# --- a zone is lost


def _without_disk(box: Box) -> None:
    """What kube_down.py --keep-disk leaves, and then the disk's end."""
    must(box.down("--keep-disk"))
    box.client("ec2").delete_volume(VolumeId=named(box, "volumes", f"{ID}-master-pd"))


def test_the_way_into_another_zone(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES="3")
    settle(sandbox)
    taken = take_snapshot(sandbox, b"before the zone was lost", release=remembered(sandbox)["KUBERNETES_VERSION"])
    pki, address, entry = read_object(sandbox, PKI), part(sandbox, "addresses"), kubeconfig(sandbox).read_text()
    disk = named(sandbox, "volumes", f"{ID}-master-pd")
    text = (DOCS / "recovery.md").read_text().partition("## A zone is lost\n")[2]
    down, delete, up = (line.strip() for line in re.sub(r" +#.*", "", text).split("\n\n")[1].splitlines())
    refused_untouched(sandbox, sandbox.up(KUBE_AWS_ZONE=f"{REGION}b"), 2, "A zone is lost")
    assert down == "python kube_down.py --keep-disk"
    must(sandbox.down("--keep-disk"))
    del sandbox.environ["NUM_NODES"]
    refused_untouched(
        sandbox, sandbox.up(KUBE_AWS_ZONE=f"{REGION}b"), 2, disk, f"aws ec2 delete-volume --volume-id {disk}"
    )
    typed(sandbox, [delete.replace("vol-…", disk)])
    said = must(sandbox.up(**dict(pair.split("=") for pair in up.split()[:2]))).out
    assert f"KUBE_AWS_ZONE: {REGION}a → {REGION}b" in said
    assert "forgotten" not in said
    settle(sandbox)
    assert {each["zone"] for kind in ("instances", "volumes", "subnets") for each in part(sandbox, kind).values()} == {
        f"{REGION}b"
    }
    assert made_from(sandbox) == taken
    assert read_object(sandbox, PKI) == pki
    assert list(part(sandbox, "addresses")) == list(address)
    assert _servers(kubeconfig(sandbox).read_text()) == _servers(entry)
    assert (remembered(sandbox)["KUBE_AWS_ZONE"], remembered(sandbox)["NUM_NODES"]) == (f"{REGION}b", "3")
    del sandbox.environ["KUBE_AWS_ZONE"]
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == {}


def _servers(text: str) -> list[str]:
    return re.findall(r"server: (\S+)", text)


def test_another_zones_subnet_forgets_the_addresses_of_the_old_one(sandbox: Box) -> None:
    sandbox.cluster()
    _without_disk(sandbox)
    elsewhere = {"KUBE_AWS_ZONE": f"{REGION}b", "KUBE_SUBNET_CIDR": "172.20.7.0/24"}
    assert "forgotten, for it was of another subnet: MASTER_INTERNAL_IP=172.20.0.9" in must(sandbox.up(**elsewhere)).out
    assert only(part(sandbox, "subnets").values())["cidr"] == "172.20.7.0/24"
    assert remembered(sandbox)["MASTER_INTERNAL_IP"] == "172.20.7.9"


def test_a_cluster_leaves_no_minions_behind_in_its_old_zone(sandbox: Box) -> None:
    """An interface that somebody deleted by hand is not all there was of the zone."""
    sandbox.cluster()
    kill_master(sandbox)
    settle(sandbox)
    ec2 = sandbox.client("ec2")
    ec2.delete_volume(VolumeId=named(sandbox, "volumes", f"{ID}-master-pd"))
    ec2.delete_network_interface(NetworkInterfaceId=named(sandbox, "interfaces", f"{ID}-master"))
    subnet = only(part(sandbox, "subnets"))
    words = (f"group {ID}-minion-group-{REGION}a", subnet, "kube_down.py --keep-disk")
    refused_untouched(sandbox, sandbox.up(KUBE_AWS_ZONE=f"{REGION}b"), 2, *words)


def test_a_further_zone_for_a_cluster_that_is_not_there_is_told_a_way_that_works(sandbox: Box) -> None:
    sandbox.cluster()
    kill_master(sandbox)
    settle(sandbox)
    another = {"KUBE_AWS_ZONE": f"{REGION}b", "KUBE_USE_EXISTING_MASTER": "true", "KUBE_SUBNET_CIDR": "172.20.1.0/24"}
    refused(sandbox.up("--dry-run", **another), 1, f"KUBE_AWS_ZONE={REGION}a python kube_up.py", "A zone is lost")
    _without_disk(sandbox)
    refused_untouched(sandbox, sandbox.up(**another), 1, "without KUBE_USE_EXISTING_MASTER")
    must(sandbox.up(KUBE_AWS_ZONE=f"{REGION}b"))


def test_the_elastic_ip_that_was_kept_says_where_the_ca_is(sandbox: Box) -> None:
    """AWS_S3_BUCKET is forgotten, and no disk is there to tell."""
    sandbox.cluster(AWS_S3_BUCKET="a-name-of-mine-2")
    pki = read_object(sandbox, PKI)
    _without_disk(sandbox)
    sandbox.environ.pop("AWS_S3_BUCKET", None)
    must(sandbox.up())
    assert list(sandbox.inventory()["s3"]) == ["a-name-of-mine-2"]
    assert read_object(sandbox, PKI) == pki
    _without_disk(sandbox)
    must(sandbox.down())
    assert sandbox.inventory() == {}
