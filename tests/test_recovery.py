"""docs/recovery.md: what it says to type, typed."""

from __future__ import annotations

from conftest import REGION, Box
from helpers import (
    ID,
    bucket_of,
    kill_master,
    kubeconfig,
    must,
    named,
    part,
    read_object,
    refused,
    settle,
    shape,
)

PKI = f"{REGION}/{ID}/pki.tar"


def empty_bucket(box: Box, *, delete: bool) -> None:
    """What somebody else's clean-up does."""
    s3, name = box.client("s3"), bucket_of(box)
    for version in s3.list_object_versions(Bucket=name)["Versions"]:
        s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
    if delete:
        s3.delete_bucket(Bucket=name)


def test_without_its_ca_a_cluster_gets_no_second_one_and_goes_on_with_the_first_put_back(sandbox: Box) -> None:
    must(sandbox.up())
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
    must(sandbox.up())
    empty_bucket(sandbox, delete=True)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_lost_ssh_key_is_made_anew_and_the_machines_keep_theirs(sandbox: Box) -> None:
    must(sandbox.up())
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
    must(sandbox.up())
    whole = shape(sandbox)
    ec2 = sandbox.client("ec2")
    kill_master(sandbox)
    settle(sandbox)
    ec2.delete_volume(VolumeId=named(sandbox, "volumes", f"{ID}-master-pd"))
    must(sandbox.up())
    settle(sandbox)
    assert shape(sandbox) == whole
