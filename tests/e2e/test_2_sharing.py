"""docs/recipes.md, Sharing with a colleague: the service account and its kubeconfig, typed as they stand there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import documents

from e2e.stage import Stage, wait

PAGE = documents.ROOT / "docs" / "recipes.md"


def test_who_gets_a_service_account_has_the_rights_of_one_namespace(stage: Stage, tmp_path: Path) -> None:
    recipe = documents.section(PAGE.read_text(encoding="utf-8"), "Sharing with a colleague")
    block = next(each for each in documents.blocks(recipe) if "serviceaccount" in each)
    done = subprocess.run(
        ["sh", "-e", "-c", block], cwd=tmp_path, env=stage.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    theirs = f"--kubeconfig={tmp_path / 'alice.conf'}"
    try:
        may = ("auth", "can-i", "create", "deployments.apps")
        wait("the API server to know of the rights", lambda: stage.try_kubectl(theirs, *may).stdout.strip() == "yes")
        for refused in (("get", "nodes"), ("get", "secrets", "--namespace=kube-system"), ("create", "namespaces")):
            assert stage.try_kubectl(theirs, "auth", "can-i", *refused).stdout.strip() == "no"
        stage.kubectl("delete", "serviceaccount", "alice", "--namespace=team")
        # The API server keeps for ten seconds that a token was good.
        wait("the token to be refused", lambda: stage.try_kubectl(theirs, "get", "pods").returncode != 0)
    finally:
        stage.kubectl("delete", "namespace", "team")
