"""What is refused, when, in which words and with which status; and how a run ends that somebody stops."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REGION, Box
from helpers import (
    ID,
    answer_with,
    bucket_of,
    minion_settings,
    must,
    only,
    part,
    refused,
    refused_untouched,
    stop_after,
)

from sandbox.backend import images

pytestmark = pytest.mark.story

ROOT = Path(__file__).parent.parent


# --- before anything is made


def test_many_minions_fit_with_the_raised_quota(sandbox: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(images.QUOTAS, ("vpc", "L-93826ACB"), ("Routes per route table", 1000.0))
    monkeypatch.setitem(images.QUOTAS, ("ec2", "L-1216C47A"), ("Running On-Demand Standard instances", 4096.0))
    given: dict[str, object] = {"KUBE_SUBNET_CIDR": "172.20.0.0/20", "CLUSTER_IP_RANGE": "10.240.0.0/13"}
    asked: list[str] = []
    sandbox.aws.hooks.before.append(lambda call: asked.append(call.operation) if call.changes else None)
    answer_with(sandbox, "s3:CreateBucket", "AccessDenied", "no", status=403)
    refused(sandbox.up(NUM_NODES=990, **given), 1, "CreateBucket")
    assert asked == ["CreateBucket"]


def test_a_quota_that_cannot_be_asked_counts_as_the_default(sandbox: Box) -> None:
    answer_with(sandbox, "service-quotas:GetServiceQuota", "AccessDeniedException", "no")
    given: dict[str, object] = {"KUBE_SUBNET_CIDR": "172.20.0.0/20", "CLUSTER_IP_RANGE": "10.240.0.0/13"}
    refused_untouched(sandbox, sandbox.up(NUM_NODES=498, **given), 2, "501 routes", "500")


# --- what to do, by AWS's refusal


@pytest.mark.parametrize(
    ("code", "status", "hint"),
    [
        ("RequestLimitExceeded", 503, "AWS is busy or in trouble: run the same command again in a while"),
        ("InternalError", 500, "AWS is busy or in trouble: run the same command again in a while"),
        ("VpcLimitExceeded", 400, "raise this quota in Service Quotas"),
        ("InsufficientInstanceCapacity", 500, "AWS has no such machine free in this zone now"),
        ("InvalidVpcID.NotFound", 400, "is gone, by a kube_down.py that runs perhaps: run the same command again"),
    ],
)
def test_a_refusal_ends_with_what_fits_it(sandbox: Box, code: str, status: int, hint: str) -> None:
    answer_with(sandbox, "ec2:CreateVpc", code, "no", status=status)
    refused(sandbox.up(), 1, "CreateVpc (VPC kubernetes-vpc 172.20.0.0/16) was refused", code, hint)


# --- local files


def test_a_missing_program_names_its_package(sandbox: Box) -> None:
    key = Path(sandbox.environ["AWS_SSH_KEY"])
    key.unlink()
    key.with_name(key.name + ".pub").unlink()
    sandbox.environ["PATH"] = str(sandbox.home)
    refused(sandbox.up(), 1, "ssh-keygen", "apt install openssh-client")


def test_without_kubectl_a_run_is_as_good(sandbox: Box) -> None:
    sandbox.environ["PATH"] = str(sandbox.home)
    result = must(sandbox.up())
    assert "kubectl (to be installed" in result.out


# --- others' things


def test_a_key_pair_of_our_name_with_another_key(sandbox: Box) -> None:
    sandbox.cluster()
    name = only(part(sandbox, "key pairs"))
    must(sandbox.down())
    key = sandbox.home / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    material = key.with_name("other.pub").read_bytes()
    sandbox.client("ec2").import_key_pair(KeyName=name, PublicKeyMaterial=material)
    said = refused(sandbox.up(), 1, name, "another key")
    assert "delete-key-pair" in said
    assert part(sandbox, "instances") == {}


def test_a_security_group_of_our_name_that_is_not_ours(sandbox: Box) -> None:
    ec2 = sandbox.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName=f"kubernetes-master-{ID}", Description="theirs", VpcId=vpc)["GroupId"]
    refused(sandbox.up(VPC_ID=vpc), 1, "CreateSecurityGroup", "InvalidGroup.Duplicate")
    assert part(sandbox, "security groups")[group]["tags"] == {}


# --- AWS says no


@pytest.mark.parametrize(
    ("operation", "code", "words", "hint"),
    [
        ("ec2:CreateVpc", "UnauthorizedOperation", "You are not authorized to perform this operation.", "permission"),
        ("iam:CreateRole", "AccessDenied", "User: x is not authorized to perform: iam:CreateRole", "permission"),
        ("s3:CreateBucket", "AccessDenied", "Access Denied", "permission"),
        ("ec2:CreateVpc", "VpcLimitExceeded", "The maximum number of VPCs has been reached.", "quota"),
        ("ec2:AllocateAddress", "AddressLimitExceeded", "The maximum number of addresses has been reached.", "quota"),
        ("ec2:RunInstances", "InsufficientInstanceCapacity", "We currently do not have sufficient capacity", "later"),
        ("sts:GetCallerIdentity", "ExpiredToken", "The security token included in the request is expired", "anew"),
        ("sts:GetCallerIdentity", "InvalidClientTokenId", "The security token is invalid.", "anew"),
        ("ec2:DescribeNetworkInterfaces", "OptInRequired", "You are not subscribed to this service.", "enable"),
        ("ec2:DescribeInstanceTypes", "UnauthorizedOperation", "You are not authorized.", "permission"),
    ],
)
def test_a_refusal_is_one_line_with_awss_words_and_what_to_do(
    sandbox: Box, operation: str, code: str, words: str, hint: str
) -> None:
    answer_with(sandbox, operation, code, words, status=403)
    said = refused(sandbox.up(), 1, operation.split(":")[1], code, words).splitlines()
    assert len(said) == 2
    assert said[0].startswith("error: ")
    assert hint in said[1]


@pytest.mark.parametrize("operation", ["ec2:DescribeVpcs", "ec2:CreateSubnet", "iam:CreateInstanceProfile"])
def test_a_region_that_the_account_may_not_use(sandbox: Box, operation: str) -> None:
    answer_with(sandbox, operation, "OptInRequired", "You are not subscribed to this service.", status=401)
    said = refused(sandbox.up(), 1, "OptInRequired", "aws account enable-region --region-name us-west-2")
    assert len(said.splitlines()) == 2


def test_credentials_that_expire_on_the_way_down_end_it_in_one_line(sandbox: Box) -> None:
    sandbox.cluster()
    answer_with(sandbox, "ec2:DeleteVpc", "ExpiredToken", "The security token included in the request is expired")
    said = refused(sandbox.down(), 1, "DeleteVpc", "expired")
    assert len(said.splitlines()) == 2
    sandbox.aws.hooks.before.clear()
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_what_may_also_be_said_of_one_thing_ends_not_the_whole_way_down(sandbox: Box) -> None:
    """EC2 says AuthFailure of wrong keys, and of a thing that is another account's."""
    sandbox.cluster()
    answer_with(sandbox, "ec2:DeleteVolume", "AuthFailure", "Not authorized for volume", status=401)
    result = sandbox.down()
    refused(result, 1, "left of cluster kubernetes: disk vol-")
    assert result.err.count("AuthFailure") == 1
    assert not set(sandbox.inventory()[REGION]) - {"volumes"}
    sandbox.aws.hooks.before.clear()
    must(sandbox.down())
    assert sandbox.inventory() == {}


@pytest.mark.parametrize("script", ["up", "down"])
def test_no_credentials_at_all(sandbox: Box, script: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del sandbox.environ[name]
    result = getattr(sandbox, script)()
    said = refused_untouched(sandbox, result, 1, "credentials")
    assert len(said.splitlines()) == 2
    assert "aws configure" in said


@pytest.mark.parametrize("script", ["up", "down"])
def test_a_profile_that_is_not_there(sandbox: Box, script: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del sandbox.environ[name]
    said = refused_untouched(sandbox, getattr(sandbox, script)(AWS_PROFILE="nobody"), 1, "nobody")
    assert len(said.splitlines()) == 2


def test_an_endpoint_that_does_not_answer(sandbox: Box) -> None:
    said = refused(sandbox.up(AWS_ENDPOINT_URL="http://127.0.0.1:9"), 1, "Could not connect")
    assert len(said.splitlines()) == 2


# --- stopped


@pytest.mark.parametrize(("number", "code", "word"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_a_stopped_run_says_what_it_made_and_that_a_rerun_goes_on(
    sandbox: Box, number: signal.Signals, code: int, word: str
) -> None:
    stop_after(sandbox, "ec2:CreateSubnet", number)
    said = refused(sandbox.up(), code, word, "goes on")
    assert bucket_of(sandbox) in said
    assert only(part(sandbox, "vpcs")) in said
    sandbox.aws.hooks.after.clear()
    must(sandbox.up())
    assert len(part(sandbox, "vpcs")) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_down_is_finished_by_the_next(sandbox: Box, number: signal.Signals, code: int) -> None:
    sandbox.cluster()
    stop_after(sandbox, "ec2:DeleteSubnet", number)
    refused(sandbox.down(), code, "the same command again")
    sandbox.aws.hooks.after.clear()
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_run_stopped_while_it_waits(sandbox: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(sandbox.clock), "sleep", _interrupt)
    refused(sandbox.up(), 130, "Ctrl-C")


def _interrupt(clock: object, seconds: float) -> None:
    raise KeyboardInterrupt


# --- without the requirements


@pytest.mark.parametrize("script", ["kube_up.py", "kube_down.py"])
def test_without_the_requirements_the_one_command_is_said(script: str, tmp_path: Path) -> None:
    bare = subprocess.run(
        [sys.executable, "-S", "-E", "-B", str(ROOT / script)],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
        check=False,
    )
    assert bare.returncode == 1
    assert bare.stdout == ""
    assert len(bare.stderr.splitlines()) == 1
    assert "python3 -m venv .venv && .venv/bin/" in bare.stderr  # Debian's own Python refuses pip
    command = re.search(r"python3? -m pip install -r ([^\s,]+)", bare.stderr)
    assert command
    assert (ROOT / command[1]).resolve().name == "requirements.txt"


@pytest.mark.parametrize("packages", [("moto", "sandbox"), ("cryptography",)], ids=["tests'", "slow to load"])
def test_neither_script_loads_at_its_start_what_it_may_not_need(packages: tuple[str, ...]) -> None:
    code = f"import sys, kube_up, kube_down; print([m for m in sys.modules if m.split('.')[0] in {packages}])"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert ran.stdout.strip() == "[]"


def test_settings_with_a_shells_characters_never_reach_a_node(sandbox: Box) -> None:
    for value in ("$(reboot)", "a=b;reboot", "a='b", 'a="b'):
        refused_untouched(sandbox, sandbox.up(NODE_LABELS=value), 2, "NODE_LABELS")
    must(sandbox.up(NODE_LABELS="a=b"))
    assert minion_settings(sandbox)["NODE_LABELS"] == "a=b"
