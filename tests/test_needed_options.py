"""Options that another one gives their effect: what a run says of one that is set alone, and that there are no more."""

from __future__ import annotations

import re

import pytest
from conftest import Box
from helpers import must, part, refused_untouched, remembered
from spread import spread

from lib.settings.config import OPTIONS

NEEDING = {name: it for name, it in OPTIONS.items() if it.needs}
# A value of each option of this kind, and of what it needs, that is not the default.
ALONE = {
    "NODE_SPOT_SIZES": ("t3a.small", "0.05"),
    "MASTER_RESERVED_IP": ("198.51.100.7", "false"),
    "KUBE_ENABLE_INSECURE_REGISTRY": ("true", "https://registry.example.com"),
    "KUBE_NO_PROXY": (".example.com", "http://198.51.100.9:3128"),
    "KUBE_OIDC_BUCKET": ("company-oidc", "true"),
    "KUBE_ENABLE_VOLUME_SNAPSHOTS": ("true", "false"),
    "KUBE_AUTOSCALER_MIN_NODES": ("2", "true"),
    "KUBE_AUTOSCALER_MAX_NODES": ("6", "true"),
    "CLUSTER_READY_ADDITIONAL_TIME_SECONDS": ("60", "1"),
}


def without(name: str) -> dict[str, object]:
    """The option, set, and what it needs not."""
    needs = OPTIONS[name].needs
    off = "false" if needs.startswith("KUBE_ENABLE_") else ""
    way = {"KUBE_DOWNLOAD_MIRROR": "http://mirror.example.com"} if needs == "KUBE_ENABLE_MASTER_PUBLIC_IP" else {}
    return {name: ALONE[name][0], needs: off, **way}


@pytest.mark.parametrize("name", NEEDING)
def test_an_option_without_the_one_that_it_needs_is_refused_or_said(sandbox: Box, name: str) -> None:
    sandbox.cluster()
    needs, result = OPTIONS[name].needs, sandbox.up("--dry-run", **without(name))
    if OPTIONS[name].idle != "always":
        refused_untouched(sandbox, result, 2, f"{name}: ", needs, "too, or leave this out")
        return
    assert f"{name}={ALONE[name][0]} has no effect without {needs}\n" in result.err
    asked = {name: ALONE[name][0], needs: ALONE[name][1]}
    assert "has no effect" not in sandbox.up("--dry-run", **asked).err


def test_what_is_only_remembered_goes_with_what_it_needs(sandbox: Box) -> None:
    given: dict[str, object] = {"NODE_SIZE": "t3.small", "NODE_SPOT_PRICE": "0.05", "KUBE_HTTP_PROXY": "http://p:3128"}
    must(sandbox.up(**given, NODE_SPOT_SIZES="t3a.small", KUBE_NO_PROXY=".example.com"))
    result = must(sandbox.up(NODE_SPOT_PRICE="", KUBE_HTTP_PROXY=""))
    for name, text, needs in (
        ("NODE_SPOT_SIZES", "t3a.small", "NODE_SPOT_PRICE"),
        ("KUBE_NO_PROXY", ".example.com", "KUBE_HTTP_PROXY"),
    ):
        said = f"{name}={text} has no effect without {needs}; {name}= python kube_up.py forgets it\n"
        assert said in result.err
        assert remembered(sandbox)[name] == text
    assert not any(each["spot"] for each in part(sandbox, "instances").values() if each["state"] == "running")
    again = must(sandbox.up())
    assert again.changing == []
    assert "remembered from the last run: NODE_SPOT_SIZES" not in again.out
    refused_untouched(
        sandbox, sandbox.up(NODE_SPOT_PRICE="0.05"), 2, "give NODE_SPOT_PRICE with NODE_SPOT_SIZES= first"
    )
    must(sandbox.up(NODE_SPOT_SIZES="", KUBE_NO_PROXY=""))
    assert "has no effect" not in must(sandbox.up()).err


def test_a_default_in_other_letters_is_the_default(sandbox: Box) -> None:
    sandbox.cluster()
    assert sandbox.up("--dry-run", KUBE_ENABLE_INSECURE_REGISTRY="FALSE").code == 3  # it would be remembered


def test_the_driver_stays_on_while_snapshots_that_need_it_are_remembered(sandbox: Box) -> None:
    sandbox.cluster(KUBE_ENABLE_VOLUME_SNAPSHOTS="true")
    refused_untouched(
        sandbox, sandbox.up(KUBE_ENABLE_EBS_CSI_DRIVER="false"), 2, "give KUBE_ENABLE_VOLUME_SNAPSHOTS=false beside"
    )
    must(sandbox.up(KUBE_ENABLE_EBS_CSI_DRIVER="false", KUBE_ENABLE_VOLUME_SNAPSHOTS="false"))


def test_one_that_the_file_has_is_said_with_a_way_out_that_a_run_can_go(sandbox: Box) -> None:
    sandbox.cluster()
    file = sandbox.home / "prod.env"
    file.write_text("NODE_SPOT_PRICE=0.05\nNODE_SPOT_SIZES=t3a.small\n")
    result = sandbox.up("--dry-run", KUBE_CONFIG_FILE=str(file), NODE_SPOT_PRICE="")
    refused_untouched(sandbox, result, 2, "it stands in KUBE_CONFIG_FILE: give NODE_SPOT_SIZES= beside NODE_SPOT_PRICE")


def test_a_group_that_was_set_to_on_demand_is_not_bought_as_spot_by_a_run_that_leaves_that_out(sandbox: Box) -> None:
    must(sandbox.up(NUM_NODES=1, NODE_SIZE="t3.small", NODE_SPOT_PRICE="0.05", NODE_SPOT_SIZES="t3a.small"))
    group: dict[str, object] = {
        "KUBE_USE_EXISTING_MASTER": "true",
        "KUBE_AWS_ZONE": "us-west-2b",
        "KUBE_SUBNET_CIDR": "172.20.1.0/24",
    }
    made = must(sandbox.up(**group, NODE_SPOT_PRICE=""))
    assert "of this group alone: KUBE_AWS_ZONE, NUM_NODES, NODE_SPOT_PRICE, KUBE_SUBNET_CIDR;" in made.out
    assert "has no effect" not in made.err
    refused_untouched(sandbox, sandbox.up("--dry-run", **group), 2, "NODE_SPOT_SIZES: minion i-", "is on-demand")


# --- there are no more of them

# A value of each option that no node reads and that needs no other one, as a finished cluster could get it.
VALUES = {
    "KUBE_AWS_ZONE": "us-west-2b",
    "NUM_NODES": "3",
    "MASTER_SIZE": "m6i.large",
    "NODE_SIZE": "t3.medium",
    "NODE_SPOT_PRICE": "0.05",
    "KUBE_OS_DISTRIBUTION": "ubuntu",
    "AWS_IMAGE": "ami-0123456789abcdef0",
    "KUBE_NODE_IMAGE": "ami-0123456789abcdef0",
    "MASTER_DISK_SIZE": "30",
    "MASTER_DISK_TYPE": "io2",
    "MASTER_ROOT_DISK_SIZE": "9",
    "MASTER_ROOT_DISK_TYPE": "gp2",
    "NODE_ROOT_DISK_SIZE": "33",
    "NODE_ROOT_DISK_TYPE": "gp2",
    "VPC_NAME": "another",
    "VPC_ID": "vpc-0123456789abcdef0",
    "SUBNET_ID": "subnet-0123456789abcdef0",
    "DHCP_OPTION_SET_ID": "dopt-0123456789abcdef0",
    "KUBE_VPC_CIDR_BASE": "172.21",
    "KUBE_SUBNET_CIDR": "172.20.1.0/24",
    "SSH_CIDR": "203.0.113.7/32",
    "HTTP_API_CIDR": "203.0.113.7/32",
    "KUBE_LOAD_BALANCER_CIDR": "172.20.0.0/16",
    "KUBE_API_DNS_NAME": "api.dev.example.com",
    "KUBE_ENABLE_MASTER_PUBLIC_IP": "false",
    "KUBE_ENABLE_NODE_PUBLIC_IP": "false",
    "NETWORK_PROVIDER": "cni",
    "KUBE_USE_EXISTING_MASTER": "true",
    "KUBE_REPLACE_MASTER": "i-0123456789abcdef0",
    "KUBE_MASTER_SELF_HEAL": "true",
    "KUBE_EXTRA_TAGS": "team=a",
    "AWS_S3_BUCKET": "company-staging",
    "AWS_S3_REGION": "eu-west-1",
    "KUBE_ETCD_SNAPSHOTS_KEPT": "5",
    "KUBE_RESTORE_SNAPSHOT": "latest",
    "KUBE_DISCARD_DISK": "vol-0123456789abcdef0",
    "KUBE_DOWNLOAD_MIRROR": "https://mirror.example.com",
    "KUBE_NODE_SCRIPT": "/nowhere/script",
    "KUBE_IAM_PERMISSIONS_BOUNDARY": "arn:aws:iam::123456789012:policy/boundary",
    "MASTER_IAM_PROFILE": "company-master",
    "NODE_IAM_PROFILE": "company-node",
    "KUBE_NODE_POLICIES": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    "KUBE_ENABLE_POD_IDENTITY": "true",
    "KUBE_ENABLE_CLUSTER_MONITORING": "false",
    "KUBE_ENABLE_EBS_CSI_DRIVER": "false",
    "KUBE_ENABLE_CLUSTER_AUTOSCALER": "true",
    "KUBE_ENABLE_NVIDIA_DEVICE_PLUGIN": "true",
    "KUBE_CONFIG_CONTEXT": "another",
}
# Which show in nothing that is made: where something is on this computer, and how long and for what is waited.
OF_THE_RUN = {"AWS_SSH_KEY", "KUBECONFIG", "KUBE_CONFIG_FILE", "ALLOWED_NOTREADY_NODES"}
OF_THE_RUN |= {name for name in OPTIONS if name.startswith("KUBE_WAIT_") or name == "KUBE_DRAIN_SECONDS"}
NOT_READ_BY_NODES = [name for name, it in OPTIONS.items() if it.read_by == "no node" and not it.needs]


@pytest.mark.parametrize("name", spread((name for name in NOT_READ_BY_NODES if name not in OF_THE_RUN), 12))
def test_any_other_option_does_something_alone_or_is_said(sandbox: Box, name: str) -> None:
    """One that does not must say which one it needs, in lib/settings/config.py."""
    sandbox.cluster()
    result = sandbox.up("--dry-run", **{name: VALUES[name]})
    said = f"{name}: " in result.err or VALUES[name] in result.err
    assert said or (result.code, "would " in result.out) == (3, True), result.out + result.err


# --- a run about one more group

MORE: dict[str, object] = {"KUBE_USE_EXISTING_MASTER": "true", "NODE_SIZE": "t3.large", "NUM_NODES": 1}
GROUPS = VALUES | {name: text for name, (text, _) in ALONE.items()}
ITS_OWN = re.compile(
    r"would (create|attach) ((launch template|group) kubernetes-minion-group-|subnet |rtb-\w+ to \(new subnet)"
    r"|would write context |would make \d+ changes"
)


@pytest.mark.parametrize("name", spread((name for name in GROUPS if name not in MORE), 14))
def test_an_option_of_a_groups_run_is_refused_or_said_not_to_be_remembered_and_changes_no_other(
    sandbox: Box, name: str
) -> None:
    sandbox.cluster()
    result = sandbox.up("--dry-run", **{**MORE, **with_its_need(name), name: GROUPS[name]})
    if OPTIONS[name].remembered == "never" or result.code in (1, 2):
        assert OPTIONS[name].remembered == "never" or f"{name}: " in result.err or GROUPS[name] in result.err
        return
    told = next(line for line in result.out.splitlines() if line.strip().startswith("not remembered, since"))
    assert name in told.replace(";", ",").replace(":", ",").replace(" ", "").split(",")
    would = [line.strip() for line in result.out.splitlines() if line.strip().startswith("would ")]
    assert [line for line in would if not ITS_OWN.match(line)] == []


def with_its_need(name: str) -> dict[str, object]:
    """What the option needs, set."""
    return {OPTIONS[name].needs: ALONE[name][1]} if name in ALONE else {}


def test_a_script_of_a_groups_run_is_that_groups_alone(sandbox: Box) -> None:
    sandbox.cluster()
    script = sandbox.home / "script"
    script.write_text("#!/bin/sh\ntrue\n")
    result = must(sandbox.up(**MORE, KUBE_NODE_SCRIPT=script))
    assert "not remembered, since they are of this group alone: NUM_NODES, NODE_SIZE, KUBE_NODE_SCRIPT;" in result.out
    assert "KUBE_NODE_SCRIPT" not in remembered(sandbox)
    assert must(sandbox.up()).changing == []


# --- what each option costs a rerun

# Calls of a rerun of a finished cluster beyond the 42 of any, and what they ask; the other options ask nothing more.
MORE_CALLS = {
    "KUBE_ENABLE_POD_IDENTITY": (8, "true"),  # bucket, its tags, blocks, policy and documents; account; provider
    "KUBE_NODE_SCRIPT": (1, "SCRIPT"),  # the script that is remembered
    "KUBE_HTTP_PROXY": (1, "http://198.51.100.9:3128"),  # the VPC's endpoints
    "KUBE_MASTER_SELF_HEAL": (4, "true"),  # role, its policy, schedule and group, the template's data
    "KUBE_NODE_POLICIES": (2, VALUES["KUBE_NODE_POLICIES"]),  # each policy, and what is attached
}


@pytest.mark.parametrize("name", spread(MORE_CALLS, 3))
def test_what_an_option_asks_more_at_a_rerun_is_bounded(sandbox: Box, name: str) -> None:
    more, value = MORE_CALLS[name]
    script = sandbox.home / "script"
    script.write_text("#!/bin/sh\ntrue\n")
    must(sandbox.up(**{name: script if value == "SCRIPT" else value}))
    again = must(sandbox.up())
    assert (again.changing, len(again.calls) <= 42 + more) == ([], True), len(again.calls)
