"""Real processes, killed by SIGKILL at a call of theirs: every tenth, of up and of down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from sandbox.inventory import masked
from torture.stage import OTHERS, SETTINGS, Stage, object_names, same

TOP = Path(__file__).parents[2]
EVERY = 10
LIMIT = 600.0  # real seconds, of a process that hangs: one of a busy computer takes minutes


def killed(stage: Stage, number: int) -> None:
    """Killed at call `number` of up and what follows (every second time just after it): the rerun ends well."""
    option = "--stop-after" if number // EVERY % 2 else "--stop-at"
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        out = Path(name)
        kubeconfig = out / "kubeconfig"
        kubeconfig.write_text(OTHERS)
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "sandbox",
                option,
                str(number),
                "--",
                "sh",
                str(Path(__file__).with_name("killed.sh")),
                name,
            ],
            cwd=TOP,
            env=os.environ
            | SETTINGS
            | {
                "PYTHON": sys.executable,
                "KUBECONFIG": str(kubeconfig),
                "KUBE_AWS_ZONE": "us-west-2a",
                "AWS_SSH_KEY": stage.box.environ["AWS_SSH_KEY"],
                "HOME": name,
            },
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert (out / "killed").read_text() == "killed\n", "nobody was killed, or more than one"
        whole = masked(json.loads((out / "whole").read_text()))
        for bucket in whole["s3"].values():
            bucket["objects"] = object_names(bucket["objects"])
        same(whole, stage.whole["account"], "up, killed and again")
        same(json.loads((out / "gone").read_text()), {}, "down, killed and again")
        left = yaml.safe_load(kubeconfig.read_text())
        assert [entry["name"] for entry in left["contexts"]] == ["theirs"], left
