"""Which of two counts: a claim in the bucket, asked where one was just made or two are found."""

from __future__ import annotations

import pytest
from conftest import REGION, Box
from helpers import ID, TAGS, bucket_of, drop_tags, must, only, part, refused, tagged
from spread import spread

from lib.aws.claims import ID_FORM

KINDS = ("VPC", "DHCP-option-set", "internet-gateway", "route-table", "elastic-IP", "master-disk")


def claims(box: Box) -> dict[str, str]:
    """What is claimed, by kind."""
    s3, bucket = box.client("s3"), bucket_of(box)
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{REGION}/{ID}/claims/").get("Contents", [])
    return {
        each["Key"].rpartition("/")[2]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read().decode()
        for each in found
    }


def test_a_first_run_claims_what_has_no_name_and_a_rerun_asks_nobody(sandbox: Box) -> None:
    first = sandbox.cluster()
    assert set(claims(sandbox)) == set(KINDS)
    assert claims(sandbox)["VPC"] == only(part(sandbox, "vpcs"))
    puts = [call for call in first.calls if call.operation == "PutObject"]
    again = must(sandbox.up())
    assert "s3:PutObject" not in again.operations
    assert len(again.calls) <= 42
    assert len(puts) >= len(KINDS)


def test_a_claim_of_what_is_gone_is_replaced(sandbox: Box) -> None:
    sandbox.cluster()
    before = claims(sandbox)
    must(sandbox.down("--keep-disk"))
    must(sandbox.up())
    after = claims(sandbox)
    assert after["VPC"] == only(part(sandbox, "vpcs")) != before["VPC"]
    assert {kind for kind in KINDS if after[kind] == before[kind]} == {"elastic-IP", "master-disk"}


def test_of_two_the_claimed_one_counts_and_down_removes_both(sandbox: Box) -> None:
    sandbox.cluster()
    ours = only(part(sandbox, "vpcs"))
    left = sandbox.client("ec2").create_vpc(
        CidrBlock="172.20.0.0/16", TagSpecifications=tagged("vpc", Name="kubernetes-vpc")
    )["Vpc"]["VpcId"]
    assert must(sandbox.up()).changing == []
    assert set(part(sandbox, "vpcs")) == {ours, left}
    must(sandbox.down())
    assert sandbox.inventory() == {}


@pytest.mark.parametrize("kind", ["VPC", "master-disk"])
def test_two_of_which_none_is_claimed_are_refused_by_both_ids(sandbox: Box, kind: str) -> None:
    sandbox.cluster()
    ec2 = sandbox.client("ec2")
    sandbox.client("s3").delete_object(Bucket=bucket_of(sandbox), Key=f"{REGION}/{ID}/claims/{kind}")
    if kind == "VPC":
        ec2.create_vpc(CidrBlock="172.20.0.0/16", TagSpecifications=tagged("vpc", Name="kubernetes-vpc"))
        refused(sandbox.up(), 1, *part(sandbox, "vpcs"))
        return
    named = {**TAGS, "Name": f"{ID}-master-pd", "Role": f"{ID}-master"}
    disk = next(key for key, each in part(sandbox, "volumes").items() if each["tags"].get("Name") == named["Name"])
    labels = [{"Key": key, "Value": value} for key, value in named.items()]
    other = ec2.create_volume(
        Size=20, AvailabilityZone=f"{REGION}a", TagSpecifications=[{"ResourceType": "volume", "Tags": labels}]
    )["VolumeId"]
    for interface in part(sandbox, "interfaces"):
        ec2.delete_tags(Resources=[interface], Tags=[{"Key": "KubernetesStagingBucket"}])
    refused(sandbox.up(), 1, disk, other)


CLAIMED = {
    "VPC": "vpcs",
    "DHCP-option-set": "dhcp options",
    "internet-gateway": "internet gateways",
    "master-disk": "volumes",
}


@pytest.mark.parametrize("kind", CLAIMED)
def test_what_is_claimed_and_tagged_for_another_cluster_is_refused_by_id(sandbox: Box, kind: str) -> None:
    """A claim says that it was this cluster's; a tag says whose it is."""
    sandbox.cluster()
    claimed = claims(sandbox)[kind]
    drop_tags(sandbox, claimed, *TAGS)
    sandbox.client("ec2").create_tags(Resources=[claimed], Tags=[{"Key": "KubernetesCluster", "Value": "other"}])
    before = part(sandbox, CLAIMED[kind])
    refused(sandbox.up(), 1, claimed, "cluster other")
    assert part(sandbox, CLAIMED[kind]) == before


@pytest.mark.parametrize("kind", spread(["VPC", "DHCP-option-set", "internet-gateway"], 1))
def test_what_is_claimed_and_has_lost_both_tags_is_given_them_back(sandbox: Box, kind: str) -> None:
    sandbox.cluster()
    claimed = claims(sandbox)[kind]
    drop_tags(sandbox, claimed, *TAGS)
    must(sandbox.up())
    assert list(part(sandbox, CLAIMED[kind])) == [claimed]
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_all_that_a_first_run_claims_is_read_as_claimed(sandbox: Box) -> None:
    """By the code that reads: an id of another form would count as no claim, and two runs would both make one."""
    sandbox.cluster()
    found = claims(sandbox)
    assert set(found) == set(KINDS)
    assert [each for each in found.values() if not ID_FORM.fullmatch(each)] == []


@pytest.mark.parametrize("content", spread([b"", b"an error page", b"\xff\xfe\x00", b"vpc-1\n"], 2))
def test_what_is_no_id_claims_nothing(sandbox: Box, content: bytes) -> None:
    """Two of a kind are there, or one is made: neither ends in a traceback, and the new id takes the object's place."""
    sandbox.cluster()
    ec2, key = sandbox.client("ec2"), f"{REGION}/{ID}/claims/DHCP-option-set"
    sandbox.client("s3").put_object(Bucket=bucket_of(sandbox), Key=key, Body=content)
    ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=only(part(sandbox, "vpcs")))
    ec2.delete_dhcp_options(DhcpOptionsId=only(part(sandbox, "dhcp options")))
    must(sandbox.up())
    assert claims(sandbox)["DHCP-option-set"] == only(part(sandbox, "dhcp options"))
    must(sandbox.down())
    assert sandbox.inventory() == {}
