"""KUBE_NODE_SCRIPT: a script of one's own on each node, from the file to the shell that runs it."""

from __future__ import annotations

import base64
import gzip
import os
import re
from pathlib import Path

import pytest
from bootstrap import MASTER, MINION, Role, Shell
from conftest import REGION, Box
from helpers import (
    ID,
    bucket_of,
    master_of,
    master_settings,
    minion_settings,
    must,
    read_object,
    refused_untouched,
    remembered,
    template_data,
    unpack,
    user_data,
)

from lib.bucket import SHORT_LIVED
from lib.node import ownscript
from lib.node.ownscript import OwnScript

SCRIPT = b"#!/bin/sh\n\techo caf\xc3\xa9 'x' >/etc/mine\n"
OBJECT = f"{REGION}/{ID}/settings.env.script"


def written(box: Box, text: bytes = SCRIPT, name: str = "my script.sh") -> str:
    (box.home / name).write_bytes(text)
    return f"~/{name}"


def carried(found: dict[str, str]) -> bytes:
    return gzip.decompress(base64.b64decode(found["NODE_SCRIPT"])) if found["NODE_SCRIPT"] else b""


def test_every_node_is_given_the_script_and_a_rerun_without_it_or_its_file_changes_nothing(sandbox: Box) -> None:
    must(sandbox.up(KUBE_NODE_SCRIPT=written(sandbox)))
    assert carried(master_settings(sandbox)) == carried(minion_settings(sandbox)) == SCRIPT
    for script in (user_data(sandbox, master_of(sandbox)), unpack(template_data(sandbox)["UserData"])):
        steps = script.replace("\\\n", "").rpartition("settings host")[2].split()
        assert steps.index("units") < steps.index("node_script") < steps.index("containerd")
    assert read_object(sandbox, OBJECT) == SCRIPT
    assert must(sandbox.up(KUBE_NODE_SCRIPT="~/my script.sh")).changing == []
    (sandbox.home / "my script.sh").unlink()  # as on another computer
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_script_that_has_changed_replaces_minions_and_is_remembered_and_none_is_none_again(sandbox: Box) -> None:
    must(sandbox.up(NUM_NODES=1))
    assert "NODE_SCRIPT" not in unpack(template_data(sandbox)["UserData"])
    before = sandbox.inventory()
    dry = sandbox.up("--dry-run", KUBE_NODE_SCRIPT=written(sandbox))
    assert dry.code == 3
    assert sandbox.inventory() == before
    assert "the script of KUBE_NODE_SCRIPT" in must(sandbox.up(KUBE_NODE_SCRIPT="~/my script.sh")).out
    changed = must(sandbox.up(KUBE_NODE_SCRIPT=written(sandbox, SCRIPT + b"reboot\n")))
    assert "the script of KUBE_NODE_SCRIPT" in changed.out
    assert "autoscaling:TerminateInstanceInAutoScalingGroup" in changed.changing
    assert carried(minion_settings(sandbox)) == read_object(sandbox, OBJECT) == SCRIPT + b"reboot\n"
    must(sandbox.up(KUBE_NODE_SCRIPT=""))
    assert carried(minion_settings(sandbox)) == b""
    assert "KUBE_NODE_SCRIPT" not in remembered(sandbox)


def test_a_remembered_script_that_is_gone_is_said_and_never_left_out(sandbox: Box) -> None:
    must(sandbox.up(KUBE_NODE_SCRIPT=written(sandbox)))
    sandbox.client("s3").delete_object(Bucket=bucket_of(sandbox), Key=OBJECT)
    refused_untouched(sandbox, sandbox.up(), 2, "KUBE_NODE_SCRIPT: ", OBJECT, "name its file again")
    sandbox.client("s3").put_object(Bucket=bucket_of(sandbox), Key=OBJECT, Body=b"<html>")
    refused_untouched(sandbox, sandbox.up(), 2, "KUBE_NODE_SCRIPT: ", OBJECT, "or damaged")
    must(sandbox.up(KUBE_NODE_SCRIPT="~/my script.sh"))
    assert read_object(sandbox, OBJECT) == SCRIPT


def test_the_bucket_keeps_old_scripts_no_longer_than_old_settings() -> None:
    assert any(ownscript.OBJECT.startswith(name) for name in SHORT_LIVED)


def test_a_script_that_does_not_fit_is_refused_with_the_arithmetic(sandbox: Box) -> None:
    long = written(sandbox, b"#!/bin/sh\n# " + base64.b64encode(os.urandom(9000)))
    said = refused_untouched(
        sandbox, sandbox.up(KUBE_NODE_SCRIPT=long), 2, "KUBE_NODE_SCRIPT: the master's user-data is"
    )
    words = re.sub("[,;:]", "", said).split()
    size, takes, rest, script, over = (int(word) for word in words if word.isdecimal())
    assert (takes, over, rest + script) == (16384, size - 16384, size)
    assert 9000 < script < 10500  # of 9000 bytes that nothing compresses


@pytest.mark.parametrize(("role", "settings"), [("master", MASTER), ("minion", MINION)], ids=["master", "minion"])
def test_the_script_runs_as_it_was_written_and_its_failure_is_the_steps_with_its_last_words(
    role: Role, settings: dict[str, str], tmp_path: Path
) -> None:
    good = b'#!/bin/bash\n\tprintf "%s|" "$KUBE_ROLE" \'a\tb\' "$(cat)" >"${0%/*}/done"\n'
    ran = Shell(role, {**settings, "NODE_SCRIPT": OwnScript(good).packed}, tmp_path).run(
        "", "main eval_settings node_script"
    )
    assert ran.said[-2:-1] == ["step 2/2 node script: ok"], ran.output
    assert (tmp_path / "state" / "done").read_text() == f"{role}|a\tb||"
    bad = OwnScript(b"#!/bin/sh\necho begun\necho no such mirror >&2\nexit 7\n").packed
    ran = Shell(role, {**settings, "NODE_SCRIPT": bad}, tmp_path).run(":", "main eval_settings node_script")
    assert ran.status == 1
    assert ran.said[-1].startswith("step 2/2 node script: failed: node-script: no such mirror")
