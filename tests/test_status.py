"""kube_up.py --status: one cluster on one screen; and the documents that --output json gives of it and of a dry run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from conftest import REGION, Box, Result
from helpers import GROUP, ID, answer_with, drop_tags, kill_master, master_of, must, named, only, part, refused, settle
from spread import spread
from test_dry_run import would
from test_roll import kube
from test_snapshots import take_snapshot
from test_terminal import on_terminal, plain

from sandbox.faults import put
from sandbox.faults.denials import Deny

LINES, COLUMNS = 24, 80
MOST_CALLS = 64


def status(box: Box, *argv: str, code: int = 0, **settings: object) -> Result:
    """A run of --status, which must change nothing: not a call of it can."""
    before, there = box.inventory(), kubeconfig(box)
    result = box.up("--status", *argv, **settings)
    assert result.code == code, result.out + result.err
    assert [call.operation for call in result.calls if call.changes] == []
    assert (box.inventory(), kubeconfig(box)) == (before, there)
    return result


def kubeconfig(box: Box) -> str:
    """All of it, '' where there is none."""
    path = box.home / ".kube" / "config"
    return path.read_text() if path.exists() else ""


def page(out: str) -> dict[str, str]:
    """The words beside each label, lines joined."""
    found: dict[str, str] = {}
    label = ""
    for line in out.splitlines()[2:]:
        label = line[2:15].strip() or label
        found[label] = f"{found.get(label, '')} {line[15:].strip()}".strip()
    return found


def document(result: Result) -> dict[str, Any]:
    """The one document that a run gives."""
    loaded: dict[str, Any] = json.loads(result.out)
    assert loaded["format"] == 1
    return loaded


def revoke_ssh(box: Box) -> None:
    """Take the rule of ssh out of the master's group, which up puts back."""
    ec2 = box.client("ec2")
    group = only(key for key, it in part(box, "security groups").items() if it["name"] == f"kubernetes-master-{ID}")
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])


def test_a_cluster_that_is_well(sandbox: Box) -> None:
    sandbox.cluster()
    pod = {"name": "kube-apiserver-x", "namespace": "kube-system", "labels": {"component": "kube-apiserver"}}
    ran = {"containerStatuses": [{"state": {"running": {"startedAt": "2026-11-20T08:00:00Z"}}}]}
    kube(sandbox).pods.append({"metadata": pod, "status": ran})
    result = status(sandbox)
    assert result.err == ""
    assert result.out.startswith(f"Cluster {ID} in {REGION}, account 123456789012\n\n")
    said = page(result.out)
    assert re.fullmatch(r"ok, https://127\.\S+, Kubernetes 1\.37\.2, since 2026-11-20T08:00:00Z", said["API"])
    assert said["nodes"] == "3 of 3 Ready"
    assert said["minions"] == f"2 of 2 in {GROUP}"
    assert re.fullmatch(
        rf"{master_of(sandbox)} t3\.medium, running, launched \S+ \S+ UTC; AWS's checks: system ok, instance ok",
        said["master"],
    )
    assert said["disk"] == f"{named(sandbox, 'volumes', f'{ID}-master-pd')} 20 GiB gp3, in-use"
    assert said["snapshots"] == "none of etcd"
    assert re.fullmatch(r"end: CA \S+, kubeconfig \S+, API \S+", said["certificates"])
    assert said["drift"] == "none: kube_up.py would change nothing"
    assert re.fullmatch(r"\d+\.\d\d USD a month by its settings, traffic not counted", said["cost"])
    assert len(result.calls) <= MOST_CALLS


def test_snapshots_by_the_names_that_a_restore_takes(sandbox: Box) -> None:
    sandbox.cluster()
    taken = [take_snapshot(sandbox, b"x" * number) for number in range(5)]
    said = page(status(sandbox).out)["snapshots"]
    assert re.match(r"5 of etcd, oldest \S+ \S+; for KUBE_RESTORE_SNAPSHOT: ", said)
    assert [version for version in taken if version in said] == taken[2:]
    told = document(status(sandbox, "--output", "json"))["snapshots"]
    assert [each["id"] for each in told] == taken[::-1]
    assert [each["bytes"] for each in told] == [4, 3, 2, 1, 0]


def test_an_etcd_that_is_full_or_soon_is_told_with_the_quota_that_the_cluster_remembers(sandbox: Box) -> None:
    sandbox.cluster()
    assert page(status(sandbox).out)["etcd"] == "20 of 2048 MiB"
    must(sandbox.up(KUBE_ETCD_QUOTA_GIB=1))
    kube(sandbox).etcd_bytes = 1000 * 2**20
    assert page(status(sandbox).out)["etcd"] == "full, or soon: 1000 of 1024 MiB; docs/recovery.md, etcd is full"
    told = document(status(sandbox, "--output", "json"))["etcd"]
    assert told == {"bytes": 1000 * 2**20, "quota": 2**30, "full": True}


def test_what_is_not_well_is_named_and_how_much_would_change(sandbox: Box) -> None:
    sandbox.cluster()
    ghost = {"metadata": {"name": "ip-172-20-0-77"}, "spec": {}}
    silent = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}
    kube(sandbox).ghosts.append(ghost | {"status": {"conditions": [silent]}})
    ec2 = sandbox.client("ec2")
    template = only(part(sandbox, "launch templates"))
    made = ec2.create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.large"}
    )
    ec2.modify_launch_template(
        LaunchTemplateId=template, DefaultVersion=str(made["LaunchTemplateVersion"]["VersionNumber"])
    )
    revoke_ssh(sandbox)
    said = page(status(sandbox).out)
    assert said["nodes"] == "3 of 3 Ready not Ready: ip-172-20-0-77: Kubelet stopped posting node status."
    assert said["minions"] == f"2 of 2 in {GROUP}, 2 outdated"
    changes = len(would(sandbox.up("--dry-run").out))
    assert changes > 1
    assert said["drift"] == f"kube_up.py would change {changes} things: --dry-run names them"


def test_one_change_is_told_whole_and_what_is_left_is_counted(sandbox: Box) -> None:
    sandbox.cluster()
    revoke_ssh(sandbox)
    assert page(status(sandbox).out)["drift"].startswith("kube_up.py would allow tcp/22 from 0.0.0.0/0 to sg-")
    must(sandbox.up())
    sandbox.client("autoscaling").suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Launch"])
    drift = page(status(sandbox).out)["drift"]
    assert drift == "nothing to change, 1 more left as they are: --dry-run names them"


def test_a_setting_that_a_run_would_refuse_is_drift_that_is_not_known(sandbox: Box) -> None:
    sandbox.cluster()
    said = page(status(sandbox, VPC_NAME="other").out)
    assert said["drift"].startswith("not known, a dry run ends so: VPC_NAME: ")
    assert said["nodes"] == "3 of 3 Ready"


def test_a_dead_master_is_told_and_its_status_is_1(sandbox: Box) -> None:
    sandbox.cluster()
    kill_master(sandbox)
    settle(sandbox)
    said = page(status(sandbox, code=1).out)
    assert said["API"] == "does not answer: there is no master"
    assert said["nodes"] == "not known: the API does not answer; there should be 3"
    assert said["minions"] == f"2 of 2 in {GROUP}"
    assert said["master"] == "none: kube_up.py makes it again"
    assert re.match(r"kube_up\.py would change \d+ things", said["drift"])
    assert said["certificates"].startswith("end: CA ")


@pytest.mark.parametrize("broken", spread(["master", "group", "network"], 1))
def test_nothing_is_waited_for(sandbox: Box, broken: str) -> None:
    """A run waits for a master on its way out, and for a group that is being deleted; a dry one too for the first."""
    sandbox.cluster()
    if broken == "master":
        kill_master(sandbox)
    elif broken == "group":
        sandbox.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
    else:
        table = only(k for k, it in part(sandbox, "route tables").items() if it["tags"].get("KubernetesCluster") == ID)
        sandbox.client("ec2").delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    began = sandbox.clock.monotonic()
    said = page(sandbox.up("--status").out)
    assert sandbox.clock.monotonic() - began < 2
    assert re.match(r"kube_up\.py would ", said["drift"])
    assert said["API"].startswith("does not answer: " if broken == "network" else "ok, ")


def test_what_a_kept_disk_has_is_told_without_a_master(sandbox: Box) -> None:
    sandbox.cluster()
    version = take_snapshot(sandbox, b"etcd")
    must(sandbox.down("--keep-disk"))
    said = page(status(sandbox, code=1).out)
    assert said["API"] == "does not answer: there is no master"
    assert (said["minions"], said["master"]) == ("no group", "none: kube_up.py makes it again")
    assert said["disk"].endswith(" 20 GiB gp3, available")
    assert said["cost"] == "5.25 USD a month without a master, traffic not counted"  # 20 GiB x 0.08 + 730 x 0.005
    assert version in said["snapshots"]


def test_no_cluster_is_said_and_where_to_look(sandbox: Box) -> None:
    words = f"nothing of cluster {ID} in account 123456789012, {REGION}"
    refused(status(sandbox, code=1), 1, words, "--list names the clusters")
    result = status(sandbox, "--output", "json", code=1)
    told = document(result)
    assert told["errors"] == [{"message": words, "hint": "kube_up.py --list names the clusters that are there"}]
    assert words in result.err


def test_what_may_not_be_looked_at_is_not_known_and_the_rest_is(sandbox: Box) -> None:
    sandbox.cluster()
    put(sandbox.aws, Deny("s3:ListBucketVersions", "ec2:DescribeInstanceStatus", "ec2:DescribeLaunchTemplates"))
    said = page(status(sandbox).out)
    assert said["snapshots"].startswith("not known: ListObjectVersions was refused: AccessDenied")
    assert said["minions"].startswith("not known: DescribeLaunchTemplates was refused: UnauthorizedOperation")
    assert "AWS's checks: not known (UnauthorizedOperation)" in said["master"]
    assert said["nodes"] == "3 of 3 Ready"
    put(sandbox.aws, Deny("s3:GetObject"))
    refused(status(sandbox, code=1), 1, "settings.env")


def test_a_lost_ca_leaves_the_api_unasked(sandbox: Box) -> None:
    sandbox.cluster()
    s3, bucket = sandbox.client("s3"), only(sandbox.inventory()["s3"])
    s3.delete_object(Bucket=bucket, Key=f"{REGION}/{ID}/pki.tar")
    said = page(status(sandbox, code=1).out)
    assert said["API"] == "does not answer: there are no certificates to ask it with"
    assert said["certificates"] == "not known: the cluster's CA is not in its bucket"
    assert said["drift"].startswith("not known, a dry run ends so: s3://")


def test_another_computer_sees_the_same_and_makes_nothing_there(sandbox: Box) -> None:
    sandbox.cluster()
    (sandbox.home / ".kube" / "config").unlink()
    said = page(status(sandbox).out)
    assert said["nodes"] == "3 of 3 Ready"
    assert "kubeconfig" not in said["certificates"]
    assert said["drift"].startswith("kube_up.py would write context ")
    assert not (sandbox.home / ".kube" / "config").exists()


def test_a_price_that_is_not_known_is_not_made_up(sandbox: Box) -> None:
    sandbox.cluster()
    answer_with(sandbox, "pricing:GetProducts", "AccessDeniedException", "no")
    assert page(status(sandbox, XDG_CACHE_HOME=sandbox.home / "empty").out)["cost"].startswith(
        "price not known (Access"
    )


@pytest.mark.parametrize("columns", [60, COLUMNS])
def test_it_is_one_screen(sandbox: Box, columns: int) -> None:
    sandbox.cluster()
    for _ in range(4):
        take_snapshot(sandbox, b"x")
    silent = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}
    for number in range(5):
        node = {"metadata": {"name": f"ip-172-20-0-{70 + number}.{REGION}.compute.internal"}, "spec": {}}
        kube(sandbox).ghosts.append(node | {"status": {"conditions": [silent]}})
    terminal = {"TERM": "xterm-256color", "COLUMNS": ""}
    shown = plain(on_terminal(lambda: sandbox.up("--status", **terminal), columns=columns)).splitlines()
    assert [line for line in shown if len(line) > columns and " " in line[15:].strip()] == []
    if columns == COLUMNS:
        assert len(shown) <= LINES, "\n".join(shown)


def test_the_document_over_a_pipe(sandbox: Box) -> None:
    sandbox.cluster()
    command = [sys.executable, "kube_up.py", "--status", "--output", "json"]
    ran = subprocess.run(command, env=sandbox.environ, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["cluster"] == {"id": ID, "region": REGION, "account": "123456789012"}
    assert told["api"]["answers"] is True
    assert (told["nodes"]["wanted"], told["nodes"]["ready"], len(told["nodes"]["all"])) == (3, 3, 3)
    assert told["minions"] == [{"name": GROUP, "wanted": 2, "there": 2, "outdated": 0}]
    assert (told["master"]["id"], told["master"]["state"]) == (master_of(sandbox), "running")
    assert told["disk"]["gib"] == 20
    assert told["drift"] == {"changes": [], "left": 0, "refused": ""}
    assert told["cost"]["month"] == pytest.approx(told["cost"]["hour"] * 730, rel=0.01)
    assert told["not_known"] == []


def test_a_dry_runs_document_has_what_its_words_have(sandbox: Box) -> None:
    sandbox.cluster()
    revoke_ssh(sandbox)
    drop_tags(sandbox, only(part(sandbox, "subnets")), "Name")
    words = sandbox.up("--dry-run")
    result = sandbox.up("--dry-run", "--output", "json")
    told = document(result)
    assert (result.code, words.code) == (3, 3)
    assert [each["verb"] for each in told["changes"]] == would(words.out)
    for each in told["changes"]:
        assert each["what"] in words.out
    assert told["counts"] == {"make": 0, "change": 2, "replace": 0, "remove": 0}
    assert "  changes  2 to change\n" in words.out
    assert (told["api_away"], told["cost"]["month"]) == ("", pytest.approx(79.05, abs=0.01))
    assert f"about {told['cost']['words']}\n" in words.out
    assert told["warnings"] == re.findall(r"^warning: (.*)", words.err, re.MULTILINE)
    assert would(result.err) == would(words.out)  # a person sees them too


def test_a_dry_run_of_down_and_one_with_nothing_to_do(sandbox: Box) -> None:
    sandbox.cluster()
    assert document(sandbox.up("--dry-run", "--output", "json"))["changes"] == []
    result = sandbox.down("--dry-run", "--output", "json")
    assert result.code == 3
    told = document(result)
    assert {each["verb"] for each in told["changes"]} >= {"delete", "remove", "release"}
    assert (told["counts"]["remove"], told["cost"]) == (len(told["changes"]), None)


def test_a_refused_setting_is_a_document_too(sandbox: Box) -> None:
    result = sandbox.up("--dry-run", "--output", "json", NUM_NODES="four")
    assert result.code == 2
    assert "NUM_NODES" in only(document(result)["errors"])["message"]
    assert result.calls == []
