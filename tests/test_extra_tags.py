"""KUBE_EXTRA_TAGS: on all that is made, from the call that makes it; changed and taken off by a rerun; never ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from conftest import REGION, Box
from helpers import (
    ID,
    TAGS,
    answer_with,
    bucket_of,
    master_of,
    must,
    only,
    part,
    refused,
    refused_untouched,
    remembered,
    tagged,
    template_data,
)
from test_options import Brought, addons

from lib.settings import tagging

MINE = {"team": "a", "cost center": "b=1/2"}
ASKED = ",".join(f"{key}={value}" for key, value in MINE.items())
ALL = {"KUBE_MASTER_SELF_HEAL": "true", "KUBE_ENABLE_POD_IDENTITY": "true"}  # all kinds that there can be


def all_tags(box: Box) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Whatever of the account bears tags, by kind and name; but for what EC2 makes along with a VPC."""
    inventory = box.inventory()
    for place in (inventory.get(REGION, {}), inventory.get("iam", {}), {"buckets": inventory.get("s3", {})}):
        for kind, things in place.items():
            for name, thing in things.items() if isinstance(things, dict) else ():
                if thing.get("name") != "default" and not thing.get("main"):
                    found = thing["tags"].items()
                    yield kind, name, {key: v[0] if isinstance(v, list) else v for key, v in found}


KINDS = {
    *("vpcs", "subnets", "internet gateways", "route tables", "security groups", "dhcp options", "interfaces"),
    *("addresses", "volumes", "instances", "key pairs", "launch templates", "groups", "alarms", "schedule groups"),
    *("roles", "instance profiles", "buckets", "identity providers"),
}


def test_they_are_on_everything_that_is_made_from_the_call_that_makes_it(sandbox: Box) -> None:
    made = must(sandbox.up(KUBE_EXTRA_TAGS=ASKED, **ALL))
    kinds = set()
    for kind, name, found in all_tags(sandbox):
        assert found.items() >= {**MINE, **TAGS}.items(), (kind, name)
        kinds.add(kind)
    assert kinds == KINDS
    later = {"CreateTags", "TagRole", "TagInstanceProfile", "TagResource", "CreateOrUpdateTags", "PutBucketTagging"}
    assert not later & {call.rpartition(":")[2] for call in made.changing}
    again = must(sandbox.up())
    assert again.changing == []
    assert f"KUBE_EXTRA_TAGS={ASKED}" in again.out
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_rerun_costs_no_call_more_for_them(sandbox: Box) -> None:
    sandbox.cluster(KUBE_EXTRA_TAGS="team=a, cost center = b ,")
    with_them = must(sandbox.up())
    assert with_them.changing == []
    assert "ec2:DescribeTags" not in with_them.operations
    assert len(with_them.calls) <= 42


def claim(box: Box, **more: str) -> str:
    """A volume that the EBS driver made for a claim."""
    named = {"Name": "pvc-1", "kubernetes.io/created-for/pvc/name": "data"} | more
    made = box.client("ec2").create_volume(
        Size=1, AvailabilityZone=f"{REGION}a", TagSpecifications=tagged("volume", **named)
    )
    return str(made["VolumeId"])


def test_a_rerun_puts_them_on_all_that_is_there_changes_them_and_takes_them_off(sandbox: Box) -> None:
    must(sandbox.up(**ALL))
    before, instances = sandbox.inventory(), set(part(sandbox, "instances"))
    volume = claim(sandbox)
    theirs = sandbox.client("ec2").create_volume(
        Size=1, AvailabilityZone=f"{REGION}a", TagSpecifications=tagged("volume", Name="by hand")
    )["VolumeId"]
    foretold = sandbox.up("--dry-run", KUBE_EXTRA_TAGS=ASKED)
    assert foretold.code == 3
    result = must(sandbox.up(KUBE_EXTRA_TAGS=ASKED))
    assert result.operations.count("ec2:CreateTags") == 1  # whatever there is of EC2's
    assert foretold.out.count("would tag ") == result.out.count("tag  ") > 10
    for kind, name, found in all_tags(sandbox):
        assert (found.items() >= MINE.items()) is (name != theirs), (kind, name)
    assert set(part(sandbox, "instances")) == instances  # no machine is replaced for a tag
    assert must(sandbox.up()).changing == []

    must(sandbox.up(KUBE_EXTRA_TAGS="team=c,new=1"))
    for kind, name, found in all_tags(sandbox):
        if name != theirs:
            assert found.items() >= {"team": "c", "new": "1"}.items(), (kind, name)
            assert "cost center" not in found, (kind, name)
    assert must(sandbox.up()).changing == []

    must(sandbox.up(KUBE_EXTRA_TAGS=""))
    for kind, name, found in all_tags(sandbox):
        assert not {"team", "new"} & set(found), (kind, name)
    staging = next(name for name in sandbox.inventory()["s3"] if "staging" in name)
    assert "KUBE_EXTRA_TAGS" not in remembered(sandbox, bucket=staging)
    assert must(sandbox.up()).changing == []
    sandbox.client("ec2").delete_volume(VolumeId=volume)
    sandbox.client("ec2").delete_volume(VolumeId=theirs)
    assert _kinds(sandbox.inventory()) == _kinds(before)


def _kinds(inventory: dict[str, Any]) -> dict[str, int]:
    return {kind: len(things) for kind, things in inventory[REGION].items()}


def test_a_value_that_somebody_else_gave_the_key_stays(sandbox: Box) -> None:
    sandbox.cluster(KUBE_EXTRA_TAGS="team=a")
    sandbox.client("ec2").create_tags(Resources=[master_of(sandbox)], Tags=[{"Key": "other", "Value": "x"}])
    vpc = only(part(sandbox, "vpcs"))
    must(sandbox.up())
    sandbox.client("ec2").create_tags(Resources=[vpc], Tags=[{"Key": "team", "Value": "z"}])
    must(sandbox.up(KUBE_EXTRA_TAGS="cost=b"))
    assert part(sandbox, "vpcs")[vpc]["tags"].items() >= {"team": "z", "cost": "b"}.items()
    assert part(sandbox, "instances")[master_of(sandbox)]["tags"].items() >= {"other": "x", "cost": "b"}.items()


def test_one_that_was_taken_off_is_put_back(sandbox: Box) -> None:
    sandbox.cluster(KUBE_EXTRA_TAGS="team=a")
    vpc = only(part(sandbox, "vpcs"))
    sandbox.client("ec2").delete_tags(Resources=[vpc], Tags=[{"Key": "team"}])
    assert must(sandbox.up()).changing == ["ec2:CreateTags"]
    assert part(sandbox, "vpcs")[vpc]["tags"]["team"] == "a"


def test_a_run_that_is_stopped_while_it_takes_them_off_is_gone_on_with(sandbox: Box) -> None:
    sandbox.cluster(KUBE_EXTRA_TAGS="team=a")
    before = list(sandbox.aws.hooks.before)
    answer_with(sandbox, "iam:UntagRole", "AccessDenied", "not authorized", status=403)
    refused(sandbox.up(KUBE_EXTRA_TAGS=""), 1, "tag team of role")
    sandbox.aws.hooks.before[:] = before
    must(sandbox.up(KUBE_EXTRA_TAGS=""))
    assert [(kind, name) for kind, name, found in all_tags(sandbox) if "team" in found] == []


def test_what_was_brought_is_never_tagged(sandbox: Box) -> None:
    brought = Brought(sandbox)
    before = {kind: part(sandbox, kind) for kind in ("vpcs", "subnets", "route tables", "internet gateways")}
    tags_before = json.dumps([[each["tags"] for each in things.values()] for things in before.values()])
    must(sandbox.up(SUBNET_ID=brought.subnet))
    must(sandbox.up(KUBE_EXTRA_TAGS="team=a"))
    must(sandbox.up(KUBE_EXTRA_TAGS=""))
    after = [[each["tags"] for each in part(sandbox, kind).values()] for kind in before]
    assert json.dumps(after) == tags_before


def test_volumes_of_claims_have_them_from_the_ebs_driver(sandbox: Box) -> None:
    sandbox.cluster()
    assert "--extra-tags" not in str(addons(sandbox))
    must(sandbox.down())
    must(sandbox.up(KUBE_EXTRA_TAGS=ASKED))
    arguments = [
        argument
        for document in addons(sandbox)["aws-ebs-csi-driver"]
        if document["kind"] == "Deployment"
        for container in document["spec"]["template"]["spec"]["containers"]
        for argument in container.get("args", [])
    ]
    assert f"--extra-tags={ASKED}" in arguments
    assert yaml.safe_load(yaml.safe_dump(arguments)) == arguments


def test_new_minions_are_launched_with_those_of_now(sandbox: Box) -> None:
    sandbox.cluster(KUBE_EXTRA_TAGS="team=a")
    changed = must(sandbox.up(KUBE_EXTRA_TAGS="team=b"))
    assert "which learns them when the master is made anew; the command stands below" in changed.out
    assert f"KUBE_REPLACE_MASTER={master_of(sandbox)} python kube_up.py" in changed.err
    for specification in template_data(sandbox)["TagSpecifications"]:
        assert {"Key": "team", "Value": "b"} in specification["Tags"]
    must(sandbox.up(NUM_NODES=5))
    assert {each["tags"]["team"] for each in part(sandbox, "instances").values()} == {"b"}
    assert {each["tags"]["team"] for each in part(sandbox, "volumes").values()} == {"b"}


def test_every_key_that_is_set_by_anybody_in_a_cluster_is_reserved(sandbox: Box) -> None:
    """No tag of a person's can be taken for one that means something here."""
    sandbox.cluster(KUBE_API_DNS_NAME="", **ALL)  # all else that lib writes stands in the next test
    keys = {key for _, _, found in all_tags(sandbox) for key in found}
    assert len(keys) > 8
    assert [key for key in keys if not tagging.is_of_itself(key)] == []


@pytest.mark.parametrize("key", [f"kubernetes.io/cluster/{ID}", "KubernetesCluster", "Name", "role", "AWS:x"])
def test_a_reserved_key_is_refused_before_anything_is_changed(sandbox: Box, key: str) -> None:
    refused_untouched(sandbox, sandbox.up(KUBE_EXTRA_TAGS=f"{key}=x"), 2, "KUBE_EXTRA_TAGS", "is reserved")


def test_a_bucket_that_is_brought_stays_as_it_was(sandbox: Box) -> None:
    sandbox.client("s3").create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": REGION})
    must(sandbox.up(AWS_S3_BUCKET="mine", KUBE_EXTRA_TAGS="team=a"))
    must(sandbox.up(KUBE_EXTRA_TAGS=""))
    assert sandbox.inventory()["s3"][bucket_of(sandbox)]["tags"] == {}
