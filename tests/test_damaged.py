"""An object of the cluster's in its bucket that is lost, cut off or something else: up names it, down needs none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import REGION, Box
from helpers import ID, bucket_of, must, read_object, refused_untouched

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


@pytest.mark.parametrize(("name", "how"), CASES)
def test_up_names_the_damaged_object_and_changes_nothing(sandbox: Box, name: str, how: str) -> None:
    sandbox.cluster()
    harm(sandbox, name, HARMS[how])
    refused_untouched(sandbox, sandbox.up(), 1, f"{REGION}/{ID}/{name}", OBJECTS[name], "is damaged")


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


@pytest.mark.parametrize("how", [*HARMS, "lost"])
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
