"""Sizes that nobody chose follow NUM_NODES when a cluster is made, and stay once it is there."""

from __future__ import annotations

import re

from conftest import REGION, Box
from helpers import ID, bucket_of, master_of, must, part, read_object, refused, remembered, settle

AWAY = "the API does not answer until the master is back"


def size(box: Box) -> str:
    return str(part(box, "instances")[master_of(box)]["type"])


def resized_by_hand(box: Box, to: str, *, started: bool) -> None:
    ec2, master = box.client("ec2"), master_of(box)
    ec2.stop_instances(InstanceIds=[master])
    settle(box)
    ec2.modify_instance_attribute(InstanceId=master, InstanceType={"Value": to})
    if started:
        ec2.start_instances(InstanceIds=[master])
        settle(box)


def test_more_minions_never_stop_the_master(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=4)
    del sandbox.environ["NUM_NODES"]
    master = master_of(sandbox)
    for flags in (["--dry-run"], []):
        result = sandbox.up(*flags, NUM_NODES=6)
        assert "MASTER_SIZE stays t3.medium, whatever NUM_NODES is; for 6 minions m6i.large is advised" in result.out
        assert AWAY not in result.out
        assert "master i" not in "".join(line for line in result.out.splitlines() if "would" in line)
    assert not [call for call in result.changing if call in ("ec2:StopInstances", "ec2:ModifyInstanceAttribute")]
    assert (master_of(sandbox), size(sandbox), remembered(sandbox)["MASTER_SIZE"]) == (master, "t3.medium", "t3.medium")
    again = must(sandbox.up())
    assert (again.changing, "advised" in again.out) == ([], False)
    asked = must(sandbox.up(MASTER_SIZE=""))  # its own variable: computed anew
    assert asked.out.index(AWAY) < asked.out.index(f"master {master}, to change its size")
    assert (master_of(sandbox), size(sandbox)) == (master, "m6i.large")
    assert must(sandbox.up()).changing == []


def test_more_minions_replace_none(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=1)
    dry = sandbox.up("--dry-run", NUM_NODES=60)
    assert "NODE_SIZE stays t3.small, whatever NUM_NODES is; for 60 minions t3.medium is advised" in dry.out
    assert "DesiredCapacity 1 → 60" in dry.out
    assert "would replace minion" not in dry.out
    assert "would replace minion" in sandbox.up("--dry-run", NUM_NODES=60, NODE_SIZE="").out


def test_what_is_shown_is_what_the_run_would_have(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=4)
    shown = sandbox.up("--show-settings", NUM_NODES=6).out
    assert re.search(r"MASTER_SIZE\W+t3\.medium", shown), shown


def test_a_remembered_number_that_is_none_is_said_as_ever(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=4)
    del sandbox.environ["NUM_NODES"]
    s3, place = sandbox.client("s3"), {"Bucket": bucket_of(sandbox), "Key": f"{REGION}/{ID}/settings.env"}
    text = read_object(sandbox, place["Key"]).decode()
    s3.put_object(**place, Body=re.sub(r"NUM_NODES='\d+'", "NUM_NODES='x'", text).encode())
    for flags in (["--show-settings"], []):
        refused(sandbox.up(*flags), 2, "NUM_NODES: 'x'", "settings.env")


def test_a_cluster_that_is_not_there_has_no_size_to_keep(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=4)
    must(sandbox.down("--keep-disk"))
    must(sandbox.up(NUM_NODES=6))
    assert size(sandbox) == "m6i.large"


def test_a_master_that_somebody_resized_is_not_stopped_for_it(sandbox: Box) -> None:
    sandbox.cluster()
    master = master_of(sandbox)
    resized_by_hand(sandbox, "m6i.large", started=True)
    result = must(sandbox.up())
    assert (result.changing, size(sandbox)) == ([], "m6i.large")
    assert f"master {master} is m6i.large, and not t3.medium: MASTER_SIZE=t3.medium python kube_up.py" in result.err
    assert "Nothing to do, but for what the warnings name" in sandbox.up("--dry-run").out
    must(sandbox.up(MASTER_SIZE="m6i.large"))
    assert f"master {master} is" not in must(sandbox.up()).err


def test_one_that_is_stopped_is_started_with_its_size(sandbox: Box) -> None:
    sandbox.cluster()
    resized_by_hand(sandbox, "m6i.large", started=False)
    must(sandbox.up())
    assert size(sandbox) == "t3.medium"


def test_a_named_master_is_said_to_take_the_api_away_before_it_does(sandbox: Box) -> None:
    sandbox.cluster()
    master = master_of(sandbox)
    result = must(sandbox.up(KUBE_REPLACE_MASTER=master))
    assert result.out.index(AWAY) < result.out.index(f"termination protection of {master}")
    assert AWAY not in must(sandbox.up(KUBE_REPLACE_MASTER=master)).out
    assert ID in result.out
