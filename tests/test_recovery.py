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
)
from test_snapshots import made_from, take_snapshot, typed

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
    """The commands below a heading that end with the disk gone and one made anew, without their comments."""
    text = (DOCS / name).read_text().partition(f"{heading}\n")[2]
    found = next(each for each in re.findall(r"(?m)(?:^    .*\n)+", text) if "delete-volume" in each)
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
    commands = block(name, heading).replace("i-…", master).replace("vol-…", disk).replace("<the version's id>", taken)
    first, *rest = (line.strip() for line in commands.splitlines())
    typed(sandbox, [first])
    sandbox.clock.sleep(240.0)
    typed(sandbox, rest)
    assert (made_from(sandbox), master_settings(sandbox)["KUBERNETES_VERSION"]) == (taken, before)
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
