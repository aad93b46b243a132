"""How a step is added ("To change it" in README.md), walked in a copy of the tree, with an SNS topic.

Each of its files is forgotten once, and what is said then names it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import house
import pytest
from test_permissions import unallowed

MODULE = '''\
"""A topic that other software of the account may tell the cluster's owner things by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.aws.errors import ErrorKind, classify
from lib.aws.tags import Disputed, cluster_tags, refuse_others, sorted_out, tag_list, tags_of

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.cluster import Cluster
    from lib.settings.config import Config


def _arn(aws: Aws, config: Config) -> str:
    return f"arn:{aws.partition}:sns:{aws.region}:{aws.account}:{config.cluster_id}-events"


def find_topic(aws: Aws, config: Config) -> dict[str, str] | None:
    """The tags of the cluster's topic, None where there is none."""
    try:
        return tags_of(aws.service("sns").list_tags_for_resource(ResourceArn=_arn(aws, config)))
    except aws.service("sns").exceptions.ClientError as error:
        if classify(error) is not ErrorKind.NOT_FOUND:
            raise
        return None


def ensure_topic(aws: Aws, cluster: Cluster) -> None:
    """Have the topic, with the cluster's tags."""
    config, arn = cluster.config, _arn(aws, cluster.config)
    found = find_topic(aws, config)
    if found is not None:
        refuse_others(config.cluster_id, f"topic {arn}", found)
        aws.console.found(f"topic {arn}")
        return
    named = {"Name": arn.rpartition(":")[2], "Tags": tag_list(cluster_tags(config))}
    aws.make(f"topic {arn}", lambda: aws.service("sns").create_topic(**named)["TopicArn"])


def tagged_topics(aws: Aws, config: Config) -> list[str | Disputed]:
    """The topic's ARN, in a list."""
    arn = _arn(aws, config)
    return sorted_out(config.cluster_id, arn, f"topic {arn}", find_topic(aws, config) or {})


def delete_topic(aws: Aws, arn: str) -> None:
    """Remove the topic."""
    aws.remove("delete", f"topic {arn}", lambda: aws.service("sns").delete_topic(TopicArn=arn))
'''

TEST = '''\
"""The cluster's topic comes and goes with it."""

from conftest import Box
from helpers import must


def test_the_topic_comes_and_goes_with_the_cluster(sandbox: Box) -> None:
    must(sandbox.up())
    assert len(sandbox.client("sns").list_topics()["Topics"]) == 1
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.client("sns").list_topics()["Topics"] == []
'''

STATEMENT = {
    "Sid": "Topic",
    "Effect": "Allow",
    "Action": ["sns:CreateTopic", "sns:DeleteTopic", "sns:ListTagsForResource"],
    "Resource": ["arn:aws:sns:*:*:*-events"],
}


def after(anchor: str, new: str) -> Callable[[str], str]:
    """A change of a file: `new` lines after the line `anchor`."""

    def change(text: str) -> str:
        assert text.count(anchor) == 1, anchor
        return text.replace(anchor, anchor + new)

    return change


def both(*changes: Callable[[str], str]) -> Callable[[str], str]:
    def change(text: str) -> str:
        for each in changes:
            text = each(text)
        return text

    return change


def with_statement(text: str) -> str:
    policy = json.loads(text)
    policy["Statement"].append(STATEMENT)
    return json.dumps(policy)


KIND = """\
    topics: Sequence[str] = _kind("topic {}", lambda aws, config, _: topic.tagged_topics(aws, config))
"""
IMPORT = after("        subnet,\n", "        topic,\n")
# What a step is, file by file.
PARTS: dict[str, Callable[[str], str]] = {
    "lib/topic.py": lambda _: MODULE,
    "kube_up.py": both(
        IMPORT, after("    alarms.ensure_alarms(aws, cluster)\n", "    topic.ensure_topic(aws, cluster)\n")
    ),
    "kube_down.py": both(
        IMPORT,
        after(
            "    this.each(alarms.delete_alarm, doomed.alarms)\n", "    this.each(topic.delete_topic, doomed.topics)\n"
        ),
    ),
    "lib/teardown.py": both(
        after("    subnet,\n", "    topic,\n"),
        lambda text: text.replace("\n    def words(self", f"{KIND}\n    def words(self", 1),
    ),
    "tests/test_topic.py": lambda _: TEST,
}
# And what tests ask for then, since it makes calls of a service that no step has made.
ASKED: dict[str, Callable[[str], str]] = {
    "templates/iam/caller-policy.json": with_statement,
    "sandbox/inventory.py": after("_SHOWS = (\n", '    ("topics", "sns: CreateTopic DeleteTopic"),\n'),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the tree."""
    left_out = shutil.ignore_patterns("golden", "e2e", "torture", "release")
    for name in ("lib", "tests", "templates", "docs", "sandbox"):
        shutil.copytree(house.ROOT / name, tmp_path / name, ignore=left_out)
    for name in ("kube_up.py", "kube_down.py", "config-default.env", "conftest.py", "pyproject.toml"):
        shutil.copy(house.ROOT / name, tmp_path / name)
    return tmp_path


def add(tree: Path, *, forgotten: str = "") -> None:
    """Add the step to the copy, but for one file of it."""
    for name, change in {**PARTS, **ASKED}.items():
        if name != forgotten:
            path = tree / name
            path.write_text(change(path.read_text(encoding="utf-8") if path.exists() else ""), encoding="utf-8")


def complaints(tree: Path) -> list[str]:
    """What the tests of the house and of the permissions say of the copy."""
    return [*house.missing_parts(tree), *unallowed(tree)]


def test_a_step_in_its_five_files_is_whole(tree: Path) -> None:
    add(tree)
    assert complaints(tree) == []
    assert house.circles(house.modules(tree)) == []
    options = ("-q", "-p", "no:cacheprovider", f"--basetemp={tree / 'temp'}")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/test_topic.py"],
        cwd=tree,
        env={name: text for name, text in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("forgotten", [*PARTS, "templates/iam/caller-policy.json"])
def test_a_file_that_was_forgotten_is_named(forgotten: str, tree: Path) -> None:
    add(tree, forgotten=forgotten)
    said = complaints(tree)
    assert said
    assert all(each.startswith(f"{forgotten} ") for each in said)
