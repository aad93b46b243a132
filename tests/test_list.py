"""kube_up.py --list: the account's clusters over its regions, what dead ones have left, and where nobody may look."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from conftest import REGION, Box, Result
from helpers import ID, bucket_of, kill_master, must, named, only, part, refused, settle
from test_terminal import on_terminal, plain
from test_upstream_cluster import build

from lib.bucket import name_for, names_for
from lib.checks import permissions
from lib.teardown import kinds
from sandbox.calls import Answer, Call, LoseAnswer, Refusal, refusal_answer
from sandbox.faults import put
from sandbox.faults.denials import Deny, actions

FAR, DEV = "eu-west-1", {"KUBE_AWS_INSTANCE_PREFIX": "dev", "KUBE_AWS_ZONE": "eu-west-1b"}
REGIONS = 17  # that a new account has
NOT_LOOKED_FOR = ["load balancers", "alarms", "schedules", "roles", "identity providers", "DNS names"]
# How --list sees each kind that kube_down.py knows: as something of EC2's with tags, of that type; by its own call; or
# not, which it says in these words.
SEEN = {
    "vpcs": "vpc",
    "instances": "instance",
    "templates": "launch-template",
    "addresses": "elastic-ip",
    "interfaces": "network-interface",
    "disks": "volume",
    "volumes": "volume",
    "security_groups": "security-group",
    "subnets": "subnet",
    "gateways": "internet-gateway",
    "route_tables": "route-table",
    "dhcp_options": "dhcp-options",
    "key_pairs": "key-pair",
    "groups": "its own call",
    "identities": "roles",
    "balancers": "load balancers",
    "target_groups": "load balancers",
    "alarms": "alarms",
    "api_names": "DNS names",
    "schedule_groups": "schedules",
    "issuers": "identity providers",  # and buckets, which are looked for
    "launch_configurations": "the original's",
}


@contextlib.contextmanager
def counted(box: Box) -> Iterator[Counter[str]]:
    """How many calls came in each region."""
    seen: Counter[str] = Counter()

    def count(call: Call) -> None:
        seen[call.region] += 1

    box.aws.hooks.before.insert(0, count)
    yield seen
    box.aws.hooks.before.remove(count)


def listed(box: Box, *argv: str, code: int = 0) -> Result:
    """A run of --list, which must change nothing: not a call of it can."""
    before = box.inventory()
    result = box.up("--list", *argv)
    assert result.code == code, result.out + result.err
    assert [call.operation for call in result.calls if call.changes] == []
    assert box.inventory() == before
    return result


def rows(out: str) -> list[list[str]]:
    """The table's rows by their cells, its head left out; of the age only that it is told in minutes."""
    lines = out.partition("\n\n")[0].splitlines()[1:]
    return [
        [re.sub(r"^\d+ min$", "… min", cell.strip()) for cell in line.split("  ") if cell.strip()] for line in lines
    ]


def lose_regions(box: Box, *regions: str, code: str = "") -> None:
    """No call in these regions is answered, or each is refused with that code."""

    def lose(call: Call) -> Answer | None:
        if call.region not in regions:
            return None
        if not code:
            raise LoseAnswer("nobody answers")
        return refusal_answer(call, Refusal(code, "not authorized, by a service control policy", 403))

    box.aws.hooks.before.append(lose)


def test_clusters_of_two_regions_and_one_call_where_there_is_none(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.up(**DEV, NUM_NODES=1))
    with counted(sandbox) as calls:
        result = listed(sandbox)
    assert rows(result.out) == [
        ["dev", "eu-west-1b", "1.37.2", "1 of 1", "… min", "running"],
        [ID, f"{REGION}a", "1.37.2", "2 of 2", "… min", "running"],
    ]
    assert f"2 clusters in account 123456789012, {REGIONS} regions" in result.out
    assert result.err == ""
    with_nothing = [region for region in calls if region not in (REGION, FAR)]
    assert len(with_nothing) == REGIONS - 2
    assert {calls[region] for region in with_nothing} == {1}
    assert calls[FAR] == 5
    assert calls[REGION] == 5 + 3  # who we are, which regions, which buckets


def test_an_empty_account_has_none(sandbox: Box) -> None:
    result = listed(sandbox)
    nowhere = ", ".join(NOT_LOOKED_FOR)
    told = f"not looked for: {nowhere}; kube_down.py --dry-run looks for a cluster's\n"
    assert result.out == f"no clusters in account 123456789012, {REGIONS} regions\n{told}"
    assert len(result.calls) == REGIONS + 3


def test_what_has_ended_is_none_though_its_tags_are_listed_for_a_while(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.down())
    tags = sandbox.client("ec2").describe_tags(Filters=[{"Name": "key", "Values": ["KubernetesCluster"]}])["Tags"]
    assert {tag["ResourceType"] for tag in tags} == {"instance"}
    with counted(sandbox) as calls:
        out = listed(sandbox).out
    assert out.startswith("no clusters in ")
    assert ID not in out
    assert calls[REGION] == 3 + 3  # tags, instances, groups


@pytest.mark.parametrize("kind", ["interface", "snapshot", "security group"])
def test_a_rest_that_no_cluster_is_of_any_more_is_named(sandbox: Box, kind: str) -> None:
    ec2, tags = sandbox.client("ec2"), [{"Key": "kubernetes.io/cluster/dev", "Value": "owned"}]
    if kind == "interface":
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        resource = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    elif kind == "snapshot":
        volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, VolumeType="gp3")["VolumeId"]
        resource = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    else:  # of a load balancer
        resource = ec2.create_security_group(GroupName="k8s-elb-a", Description="of a Service")["GroupId"]
    ec2.create_tags(Resources=[resource], Tags=tags)
    assert f": dev in {REGION}\n" in listed(sandbox).out


def test_what_a_kept_disk_costs_is_listed_though_no_master_is_there(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.down("--keep-disk"))
    out = listed(sandbox).out
    assert rows(out)[0] == [ID, f"{REGION}a", "1.37.2", "0 of 0", "… min", "no master"]
    disk, bucket = named(sandbox, "volumes", f"{ID}-master-pd"), bucket_of(sandbox)
    address = only(part(sandbox, "addresses").values())["address"]
    assert f"    left: disk {disk} 20 GiB, elastic IP {address}, bucket {bucket}\n" in out


def lone_bucket(box: Box, name: str = name_for("123456789012", FAR, "dev")) -> str:
    """All that is left of cluster dev after a long while: its bucket."""
    s3 = box.client("s3", FAR)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": FAR})
    tags = [{"Key": "KubernetesCluster", "Value": "dev"}, {"Key": "kubernetes.io/cluster/dev", "Value": "owned"}]
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    return name


def test_a_bucket_alone_names_its_cluster(sandbox: Box) -> None:
    name = lone_bucket(sandbox)
    with counted(sandbox) as calls:
        out = listed(sandbox).out
    assert rows(out)[0] == ["dev", FAR, "?", "0 of 0", "… min", "no master"]
    assert f"    left: bucket {name}\n" in out
    assert calls[FAR] == 2  # tags, and the bucket's


def test_a_dead_masters_minions_are_counted(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=2)
    kill_master(sandbox)
    settle(sandbox)
    out = listed(sandbox).out
    assert rows(out)[0][-1] == "no master"
    assert "left: 2 minions, disk vol-" in out


def test_the_originals_cluster_and_other_tools_are_told_apart(sandbox: Box) -> None:
    build(sandbox)
    ec2 = sandbox.client("ec2")
    theirs = [{"Key": "kubernetes.io/cluster/eks-prod", "Value": "owned"}, {"Key": "eks:cluster-name", "Value": "prod"}]
    both = [{"Key": "KubernetesCluster", "Value": "one"}, {"Key": "kubernetes.io/cluster/two", "Value": "owned"}]
    for tags in (theirs, both):
        made = {"ResourceType": "volume", "Tags": tags}
        ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=8, TagSpecifications=[made])
    out = listed(sandbox).out
    assert [row[0] for row in rows(out)] == [ID]
    assert rows(out)[0][1:3] == [f"{REGION}a", "?"]
    assert rows(out)[0][-1] == "running"
    assert "1 cluster in account" in out
    others = next(line for line in out.splitlines() if line.startswith("tagged as clusters too"))
    assert others.endswith(f": eks-prod in {REGION}")  # what two claim is neither's


def test_it_needs_the_rights_that_the_document_says(sandbox: Box) -> None:
    sandbox.cluster()
    lone_bucket(sandbox)
    asked = {actions(call.service, call.operation) for call in listed(sandbox).calls}
    names = {name.partition(":")[2] for each in asked for name in each}
    text = permissions.TEXT.read_text(encoding="utf-8")
    said = text[text.index("`kube_up.py --list` needs") :].partition("`--status`")[0]
    assert names == set(re.findall(r"`([DGL][a-z]\w+[a-z])`", said)) - {"Look", "LookAhead"}


def test_what_is_shared_with_a_cluster_is_none_of_its(sandbox: Box) -> None:
    tags = [{"Key": "kubernetes.io/cluster/eks-prod", "Value": "shared"}]
    sandbox.client("ec2").create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])
    with counted(sandbox) as calls:
        assert listed(sandbox).out.startswith("no clusters in ")
    assert calls[REGION] == 4


def test_regions_that_refuse_or_do_not_answer_are_named_and_end_nothing(sandbox: Box) -> None:
    sandbox.cluster()
    lose_regions(sandbox, "eu-west-3", "sa-east-1", code="UnauthorizedOperation")
    lose_regions(sandbox, "us-east-2")
    with counted(sandbox) as calls:
        result = listed(sandbox)
    assert rows(result.out)[0][0] == ID
    assert f"{REGIONS - 3} regions\n" in result.out
    assert "not looked at (UnauthorizedOperation): eu-west-3, sa-east-1\n" in result.out
    assert "not looked at (no answer): us-east-2\n" in result.out
    assert (calls["eu-west-3"], calls["us-east-2"]) == (1, 2)  # a refusal is one; an answer may be lost once
    shown = json.loads(listed(sandbox, "--output", "json").out)
    assert {"place": "us-east-2", "why": "no answer"} in shown["not_looked_at"]


def test_where_no_region_may_be_looked_at_the_refusal_is_said(sandbox: Box) -> None:
    put(sandbox.aws, Deny("ec2:DescribeTags"))
    refused(listed(sandbox, code=1), 1, "DescribeTags was refused: UnauthorizedOperation")


def test_each_kind_is_seen_or_said_not_to_be_looked_for(sandbox: Box) -> None:
    assert set(SEEN) == set(kinds())
    sandbox.cluster()
    tagged = {tag["ResourceType"] for tag in sandbox.client("ec2").describe_tags()["Tags"]}
    shown = json.loads(listed(sandbox, "--output", "json").out)["not_looked_for"]
    assert shown == NOT_LOOKED_FOR
    assert set(SEEN.values()) == tagged | {*shown, "its own call", "the original's"}


def test_an_issuers_bucket_alone_names_its_cluster(sandbox: Box) -> None:
    sandbox.cluster(KUBE_ENABLE_POD_IDENTITY="true")
    issuers = names_for("123456789012", REGION, ID)[1]
    staging = name_for("123456789012", REGION, ID)
    assert issuers not in listed(sandbox).out  # there is a master
    kill_master(sandbox)
    settle(sandbox)
    assert f", bucket {staging}, bucket {issuers}\n" in listed(sandbox).out
    sandbox.aws.reset()
    name = lone_bucket(sandbox, names_for("123456789012", FAR, "dev")[1])
    out = listed(sandbox).out
    assert rows(out)[0] == ["dev", FAR, "?", "0 of 0", "… min", "no master"]
    assert f"    left: bucket {name}\n" in out


def test_who_may_not_list_regions_or_buckets_is_told_so(sandbox: Box) -> None:
    sandbox.cluster()
    put(sandbox.aws, Deny("ec2:DescribeRegions", "s3:ListAllMyBuckets"))
    result = listed(sandbox)
    assert rows(result.out)[0][0] == ID
    assert ", 1 region\n" in result.out
    assert "not looked at (UnauthorizedOperation): other regions\n" in result.out
    assert "not looked at (AccessDenied): buckets\n" in result.out


def test_every_kind_that_tags_have_is_one_of_ec2s(sandbox: Box) -> None:
    """What --list asks next depends on it, and moto has names of its own."""
    sandbox.cluster()
    ec2 = sandbox.client("ec2")
    known = set(ec2.meta.service_model.shape_for("ResourceType").enum)
    kinds = {tag["ResourceType"] for tag in ec2.describe_tags()["Tags"]}
    assert kinds <= known
    assert kinds >= {"instance", "volume", "elastic-ip", "network-interface", "vpc"}


@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_terminal_it_is_a_table_or_below_each_other(sandbox: Box, columns: int) -> None:
    long = "team-blue-second-fl"
    must(sandbox.up(KUBE_AWS_INSTANCE_PREFIX=long))
    kill_master(sandbox, long)
    settle(sandbox)
    settings = {"TERM": "xterm-256color", "COLUMNS": ""}
    shown = plain(on_terminal(lambda: sandbox.up("--list", **settings), columns=columns))
    assert [line for line in shown.splitlines() if len(line) > columns and "kubernetes-staging-" not in line] == []
    if columns == 80:
        assert shown.splitlines()[0].split() == ["cluster", "zone", "version", "nodes", "age", "master"]
        assert re.match(rf"{long}  {REGION}a  1\.37\.2   2 of 2  \d+ min +no master", shown.splitlines()[1])
    else:
        assert shown.startswith(f"{long}\n    zone {REGION}a, version 1.37.2, nodes 2 of 2, age ")
    assert "left: 2 minions," in " ".join(shown.split())


def test_a_program_reads_it_over_a_pipe(sandbox: Box) -> None:
    sandbox.cluster()
    ran = subprocess.run(
        [sys.executable, "kube_up.py", "--list", "--output", "json"],
        env=sandbox.environ,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert (shown["format"], shown["account"], len(shown["regions"])) == (1, "123456789012", REGIONS)
    cluster = only(shown["clusters"])
    assert cluster["created"].endswith("+00:00")
    assert {key: cluster[key] for key in ("id", "region", "zone", "version", "nodes", "left")} == {
        "id": ID,
        "region": REGION,
        "zone": f"{REGION}a",
        "version": "1.37.2",
        "nodes": {"wanted": 2, "running": 2},
        "left": [],
    }
    assert cluster["master"]["state"] == "running"


def test_a_reader_that_goes_is_no_trouble(sandbox: Box) -> None:
    command = f"{sys.executable} kube_up.py --list --output json | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], env=sandbox.environ, capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) in ((0, b""), (1, b""))  # where the reader goes before it is written: 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--list", "--status"), "--list and --status are asked for at once; give one of them"),
        (("--status", "--dry-run"), "--status and --dry-run are asked for at once"),
        (("--output", "json"), "--output json; it goes with --list, --status and --dry-run"),
        (("--show-settings", "--output", "json"), "it goes with"),
        (("--list", "--output", "yaml"), "invalid choice: 'yaml'"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(sandbox: Box, argv: tuple[str, ...], words: str) -> None:
    result = sandbox.up(*argv)
    refused(result, 2, words)
    assert (result.calls, result.out) == ([], "")


def test_down_has_none_of_it(sandbox: Box) -> None:
    refused(sandbox.down("--list"), 2, "unrecognized arguments: --list")
    refused(sandbox.down("--output", "json"), 2, "it goes with --dry-run")
