"""An object of the cluster's in its bucket that is lost, cut off or something else: up names it, down needs none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import REGION, Box
from helpers import GROUP, ID, bucket_of, drop_tags, kubeconfig, must, named, only, part, read_object, refused_untouched
from spread import spread

from lib import pki
from lib.aws import tags
from lib.kube import certificates

OTHERS = b"KUBE_AWS_INSTANCE_PREFIX='other'\nKUBERNETES_VERSION='1.37.2'\nNUM_NODES='9'\n"
HARMS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "garbage": lambda content: bytes(255 - byte for byte in content),
    "not UTF-8": lambda content: b"\xff\xfe" + content,
    "words": lambda _: b"an error page that somebody saved here\n",
}
OBJECTS = {"settings.env": "what is remembered", "pki.tar": "the cluster's CA", "join-token": "join token"}
CASES = [(name, harm) for name in OBJECTS for harm in HARMS]


def harm(box: Box, name: str, change: Callable[[bytes], bytes]) -> None:
    key = f"{REGION}/{ID}/{name}"
    box.client("s3").put_object(Bucket=bucket_of(box), Key=key, Body=change(read_object(box, key)))


@pytest.mark.parametrize(("name", "how"), spread(CASES, 5))
def test_up_names_the_damaged_object_and_changes_nothing(sandbox: Box, name: str, how: str) -> None:
    sandbox.cluster()
    harm(sandbox, name, HARMS[how])
    refused_untouched(sandbox, sandbox.up(), 1, f"{REGION}/{ID}/{name}", OBJECTS[name], "is damaged")


def tagged_with_ca(box: Box) -> list[str]:
    """What says which CA it was made with, as kube_up.py is to look at it."""
    return [named(box, "volumes", f"{ID}-master-pd"), named(box, "interfaces", f"{ID}-master")]


@pytest.mark.parametrize("number", spread([0, 1], 1, ids=["the disk", "the interface"]))
def test_a_whole_ca_of_another_cluster_is_refused_by_what_was_made_with_ours(sandbox: Box, number: int) -> None:
    """It would replace kubeconfig and every minion's settings with what the master does not believe."""
    sandbox.cluster()
    entries = kubeconfig(sandbox).read_text()
    things = tagged_with_ca(sandbox)
    drop_tags(sandbox, things[1 - number], tags.CA_TAG)
    own = read_object(sandbox, f"{REGION}/{ID}/pki.tar")
    harm(sandbox, "pki.tar", lambda _: pki._pack(certificates.make_files()))
    refused_untouched(sandbox, sandbox.up(), 1, "pki.tar is not this cluster's CA", things[number], "docs/recovery.md")
    assert kubeconfig(sandbox).read_text() == entries
    harm(sandbox, "pki.tar", lambda _: own)
    must(sandbox.up())
    assert must(sandbox.up()).changing == []
    harm(sandbox, "pki.tar", lambda _: pki._pack(certificates.make_files()))
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_what_a_run_for_one_more_group_sees_of_the_ca_is_the_interfaces(sandbox: Box) -> None:
    sandbox.cluster()
    harm(sandbox, "pki.tar", lambda _: pki._pack(certificates.make_files()))
    more = {"KUBE_USE_EXISTING_MASTER": "true", "NODE_SIZE": "t3.large"}
    refused_untouched(sandbox, sandbox.up(**more), 1, "is not this cluster's CA", tagged_with_ca(sandbox)[1])


def test_settings_of_another_cluster_are_not_taken_for_ours(sandbox: Box) -> None:
    sandbox.cluster()
    harm(sandbox, "settings.env", lambda _: OTHERS)
    refused_untouched(sandbox, sandbox.up(), 1, "settings.env", "of cluster other")
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_settings_that_are_gone_are_missed(sandbox: Box) -> None:
    sandbox.cluster()
    sandbox.client("s3").delete_object(Bucket=bucket_of(sandbox), Key=f"{REGION}/{ID}/settings.env")
    assert "settings.env, what is remembered of the cluster, is gone" in sandbox.up("--dry-run").err


@pytest.mark.parametrize("how", spread(["lost", *HARMS], 2))
def test_down_needs_none_of_them(sandbox: Box, how: str) -> None:
    sandbox.cluster()
    for name in OBJECTS:
        if how == "lost":
            sandbox.client("s3").delete_object(Bucket=bucket_of(sandbox), Key=f"{REGION}/{ID}/{name}")
        else:
            harm(sandbox, name, HARMS[how])
    must(sandbox.down())
    assert sandbox.inventory() == {}


def settings_of(box: Box) -> list[str]:
    return read_object(box, f"{REGION}/{ID}/settings.env").decode().splitlines(keepends=True)


def put_settings(box: Box, lines: list[str]) -> None:
    harm(box, "settings.env", lambda _: "".join(lines).encode())


def test_settings_cut_off_at_any_lines_end_are_never_taken_for_whole(sandbox: Box) -> None:
    """What is set last would be given its default: a group of t3.large became one of t3.small."""
    sandbox.cluster(NODE_SIZE="t3.large", VPC_NAME="mine")
    lines = settings_of(sandbox)
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    for kept in range(first + 1, len(lines)):
        put_settings(sandbox, lines[:kept])
        refused_untouched(sandbox, sandbox.up("--dry-run"), 1, "settings.env", "is damaged")
    put_settings(sandbox, lines)
    assert must(sandbox.up()).changing == []


def test_settings_with_one_taken_out_of_their_middle_are_damaged(sandbox: Box) -> None:
    sandbox.cluster(NODE_SIZE="t3.large")
    lines = [line for line in settings_of(sandbox) if not line.startswith("NODE_SIZE=")]
    put_settings(sandbox, lines)
    refused_untouched(sandbox, sandbox.up("--dry-run"), 1, "settings.env", f"of {len(lines) - 3} settings")


def uncounted(lines: list[str]) -> list[str]:
    """As they were written before their last line counted them."""
    return [line for line in lines if not line.startswith(("# end", "# The last line"))]


def test_settings_of_a_time_before_the_count_are_read_unless_they_lack_what_all_have(sandbox: Box) -> None:
    sandbox.cluster()
    lines = uncounted(settings_of(sandbox))
    put_settings(sandbox, lines)
    assert must(sandbox.up()).changing == []
    cut = [line for line in lines if not line.startswith("SERVICE_CLUSTER_IP_RANGE=")]
    for left in (cut, ["NODE_SIZE='t3.large'\n"]):
        put_settings(sandbox, left)
        refused_untouched(sandbox, sandbox.up("--dry-run"), 1, "settings.env", "it lacks ", "SERVICE_CLUSTER_IP_RANGE")


GARBAGE = [bytes(50), b"\xff\xfe\x00", b"an error page\n", b"0123  https://example.com/x\n"]


@pytest.mark.parametrize("garbage", spread(GARBAGE, 2))
def test_sums_that_are_none_are_read_anew_and_do_not_stay(sandbox: Box, garbage: bytes) -> None:
    sandbox.cluster()
    whole = read_object(sandbox, f"{REGION}/{ID}/downloads.sha256")
    harm(sandbox, "downloads.sha256", lambda _: garbage)
    must(sandbox.up())
    assert read_object(sandbox, f"{REGION}/{ID}/downloads.sha256") == whole


def test_a_remembered_value_that_is_wrong_is_not_said_as_if_it_had_been_typed(sandbox: Box) -> None:
    sandbox.cluster(NODE_SIZE="t3.large")
    harm(sandbox, "settings.env", lambda content: content.replace(b"'t3.large'", b"'x'"))
    place = f"remembered in s3://{bucket_of(sandbox)}/{REGION}/{ID}/settings.env"
    refused_untouched(sandbox, sandbox.up(), 2, "NODE_SIZE: 'x'", place, "NODE_SIZE= python kube_up.py")
    assert "would replace minion" in sandbox.up("--dry-run", NODE_SIZE="").out  # with the default
    said = refused_untouched(sandbox, sandbox.up(NODE_SIZE="y"), 2, "NODE_SIZE: 'y'")
    assert "remembered" not in said


# --- lost while the master has it


def lose(box: Box, *names: str) -> None:
    for name in names:
        box.client("s3").delete_object(Bucket=bucket_of(box), Key=f"{REGION}/{ID}/{name}")


def test_defaults_are_not_written_over_settings_that_are_lost(sandbox: Box) -> None:
    sandbox.cluster(NODE_SIZE="t3.large")
    lose(sandbox, "settings.env")
    del sandbox.environ["NUM_NODES"]
    for argv in ((), ("--dry-run",)):
        refused_untouched(sandbox, sandbox.up(*argv), 2, "NUM_NODES: is not set", "is gone", "docs/recovery.md")
    refused_untouched(sandbox, sandbox.up(VPC_NAME="kubernetes-vpc"), 2, "NUM_NODES: is not set")
    assert "is gone" in must(sandbox.up(NUM_NODES=2, NODE_SIZE="t3.large")).err
    assert must(sandbox.up()).changing == []


def test_settings_that_are_lost_with_the_ca_are_not_written_before_it_is_put_back(sandbox: Box) -> None:
    sandbox.cluster(NODE_SIZE="t3.large")
    ca, written = read_object(sandbox, f"{REGION}/{ID}/pki.tar"), read_object(sandbox, f"{REGION}/{ID}/settings.env")
    lose(sandbox, *OBJECTS)
    refused_untouched(sandbox, sandbox.up(NUM_NODES=3), 1, "pki.tar, the cluster's CA, is gone")
    for name, content in (("pki.tar", ca), ("settings.env", written)):
        sandbox.client("s3").put_object(Bucket=bucket_of(sandbox), Key=f"{REGION}/{ID}/{name}", Body=content)
    must(sandbox.up())
    assert must(sandbox.up()).changing == []


def test_a_join_token_that_is_lost_is_had_back_from_what_minions_are_launched_with(sandbox: Box) -> None:
    """Another one would be unknown to a master that runs, and in other user-data, so that all minions were replaced."""
    sandbox.cluster()
    token, minions = read_object(sandbox, f"{REGION}/{ID}/join-token"), part(sandbox, "instances")
    lose(sandbox, "join-token")
    assert must(sandbox.up()).changing == ["s3:PutObject"]
    assert read_object(sandbox, f"{REGION}/{ID}/join-token") == token
    assert part(sandbox, "instances") == minions


def test_a_new_join_token_of_a_cluster_that_is_there_is_said(sandbox: Box) -> None:
    sandbox.cluster()
    lose(sandbox, "join-token")
    template = only(part(sandbox, "launch templates"))
    sandbox.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
    sandbox.client("ec2").delete_launch_template(LaunchTemplateId=template)
    assert "no minion joins before the master is rebooted" in sandbox.up("--dry-run").err
