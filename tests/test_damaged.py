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
