"""kubeconfig: our entry goes in and out, and everything else stays as somebody wrote it."""

from __future__ import annotations

import itertools
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Box
from helpers import ID, kubeconfig, must, refused

from lib.kube.kubetext import LOADER, merge, without

NAME = "aws_kubernetes"
WANTED: dict[str, dict[str, Any]] = {
    "clusters": {"server": "https://203.0.113.7", "certificate-authority-data": "Q0E="},
    "users": {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"},
    "contexts": {"cluster": NAME, "user": NAME},
}
BODIES = {"clusters": "cluster", "users": "user", "contexts": "context"}


def load(text: str) -> Any:
    return yaml.load(text, Loader=LOADER) or {}


def merged(text: str) -> str:
    return merge(text, load(text), NAME, WANTED)


def removed(text: str) -> str:
    return without(text, load(text), NAME)


def target(data: dict[str, Any]) -> dict[str, Any]:
    """What the file should say afterwards, made without the code under test."""
    made: dict[str, Any] = dict(data) or {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    for section, body in BODIES.items():
        items = [dict(item) for item in made.get(section) or []]
        ours = {"name": NAME, body: WANTED[section]}
        index = next((i for i, item in enumerate(items) if item["name"] == NAME), len(items))
        items[index : index + 1] = [ours]
        made[section] = items
    return made | {"current-context": NAME}


def check(text: str, *, foreign: list[str]) -> None:
    """Merging says what it should, twice as once, and taking out leaves what was there."""
    into = merged(text)
    assert load(into) == target(load(text))
    assert merged(into) == into
    out = removed(into)
    was = load(text)
    emptied: dict[str, Any] = {key: [] for key in BODIES}
    left = {key: value or [] if key in BODIES else value for key, value in (emptied | load(out)).items()}
    then = {key: value or [] if key in BODIES else value for key, value in (emptied | was).items()}
    for section in BODIES:
        then[section] = [item for item in then[section] if item["name"] != NAME]
    assert left.pop("current-context", "") == ""
    then.pop("current-context", None)
    assert left.items() >= then.items()
    for result in (into, out):
        lines = iter(result.splitlines())
        for line in foreign:
            assert line in lines, f"{line!r} is not where it was in:\n{result}"


# --- handwritten forms


def block(indent: int, comment: bool, order: tuple[str, ...], end: str, current: str) -> tuple[str, list[str]]:
    """A file in block style as somebody may write it, and the lines that are theirs."""
    pad, foreign = " " * indent, ["apiVersion: v1", "kind: Config"]
    text = "apiVersion: v1\nkind: Config\n"
    bodies = {
        "clusters": "{p}- name: häuschen\n{p}  cluster:\n{p}    server: https://10.0.0.1  # the cellar\n",
        "users": "{p}- user:\n{p}    exec: {{apiVersion: v1, command: tök, args: [a, b]}}\n{p}  name: me\n",
        "contexts": "{p}-   name: home\n{p}    context: {{cluster: häuschen, user: me}}\n",
    }
    for section in order:
        part = f"{section}:\n"
        part += f"{pad}# my {section}\n" if comment else ""
        part += bodies[section].format(p=pad)
        part += f"\n# after {section}\n" if comment else ""
        foreign += [line for line in part.splitlines() if line.strip()]
        text += part
    text += {"none": "", "theirs": "current-context: home\n", "empty": 'current-context: ""\n'}[current]
    return text.removesuffix("\n") + end, foreign


FORMS = list(
    itertools.product(
        (0, 2, 4),
        (False, True),
        (("clusters", "contexts", "users"), ("users", "clusters", "contexts"), ("contexts",), ("users", "clusters")),
        ("\n", "", "\n\n\n", "\n# the end\n"),
        ("none", "theirs", "empty"),
    )
)


@pytest.mark.parametrize("order", sorted({form[2] for form in FORMS}), ids="-".join)
def test_block_style_in_many_hands(order: tuple[str, ...]) -> None:
    for form in FORMS:
        if form[2] == order:
            text, foreign = block(*form)
            check(text, foreign=foreign)


EMPTY = ["clusters: []", "clusters: null", "clusters:", "clusters: ~", "clusters: []  # none yet", ""]


@pytest.mark.parametrize("clusters", EMPTY)
@pytest.mark.parametrize("users", ["users: []", "users: null", "users:", ""])
def test_empty_sections(clusters: str, users: str) -> None:
    for contexts in ("contexts: []", "contexts: null", "contexts:"):
        for start in ("apiVersion: v1\n", "---\napiVersion: v1\n", "# mine\n\napiVersion: v1\n"):
            text = start + "".join(f"{line}\n" for line in (clusters, contexts, users) if line) + "preferences: {}\n"
            check(text, foreign=["apiVersion: v1", "preferences: {}"])


@pytest.mark.parametrize(
    "text",
    ["", "\n", "# only a comment\n", "# no newline", "---\n", "{}", "{}\n", "null\n", "--- {}\n", "# c\n{}\n", "~"],
)
def test_files_that_say_nothing(text: str) -> None:
    check(text, foreign=[line for line in text.splitlines() if line.startswith("#")])


THEIRS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "a", "cluster": {"server": "https://a"}}, {"name": "b", "cluster": {"server": "https://b"}}],
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "u"}}],
    "current-context": "a",
    "preferences": {},
    "users": [{"name": "u", "user": {"token": "t"}}],
}


@pytest.mark.parametrize("indent", [None, 1, 2, 4])
@pytest.mark.parametrize("end", ["", "\n"])
def test_json_keeps_every_character_of_the_others(indent: int | None, end: str) -> None:
    text = json.dumps(THEIRS, indent=indent) + end
    check(text, foreign=[])
    into = merged(text)
    json.loads(into)  # still JSON
    for section in BODIES:
        for item in THEIRS[section]:
            assert _in_form(item, indent) in into
    json.loads(removed(into))


def _in_form(item: Any, indent: int | None) -> str:
    """An item as it stood in the file."""
    text = json.dumps({"x": [item]}, indent=indent)
    return text[text.index("[") + 1 : text.rindex("]")].strip()


@pytest.mark.parametrize("indent", [None, 2])
def test_json_with_empty_or_missing_sections(indent: int | None) -> None:
    empty: list[Any] = [[], None]
    for value in empty:
        check(json.dumps({"kind": "Config", "clusters": value, "users": value}, indent=indent), foreign=[])


def test_flow_lists_in_a_block_file() -> None:
    text = (
        "kind: Config  # mine\n"
        "clusters: [{name: a, cluster: {server: https://a}}]  # one line\n"
        "contexts:\n- {name: a, context: {cluster: a, user: u}}\n"
        "users: [\n  {name: u, user: {token: t}},  # me\n]\n"
        "current-context: a\n"
    )
    check(text, foreign=["kind: Config  # mine", "- {name: a, context: {cluster: a, user: u}}"])
    for kept in ("{name: a, cluster: {server: https://a}}", "{name: u, user: {token: t}}"):
        assert kept in merged(text)


def test_anchors_and_merges_of_the_others_mean_what_they_meant() -> None:
    text = (
        "base: &base\n  insecure-skip-tls-verify: true\n"
        "clusters:\n- name: a\n  cluster:\n    <<: *base\n    server: https://a\n"
        "- name: b\n  cluster: &b\n    server: https://b\n- name: c\n  cluster: *b\n"
        "contexts: []\nusers: []\n"
    )
    check(text, foreign=[line for line in text.splitlines() if line not in ("contexts: []", "users: []")])


def test_scalars_of_every_style_of_the_others_stay() -> None:
    text = (
        "clusters:\n- cluster:\n    certificate-authority-data: |\n      QUJD\n      REVG\n"
        "    server: 'https://a'\n  name: \"a\"\n"
        "users:\n- name: u\n  user:\n    token: >-\n      folded\n      text\n"
        "contexts:\n- name: a\n  context:\n    cluster: a\n    user: u\n\n\n\nkind: Config\n"
    )
    check(text, foreign=[line for line in text.splitlines() if line])


def test_line_ends_of_windows_stay() -> None:
    text, _ = block(0, True, ("clusters", "contexts", "users"), "\n", "theirs")
    text = text.replace("\n", "\r\n")
    check(text, foreign=[])
    into = merged(text)
    assert "\n" not in into.replace("\r\n", "")
    assert "# my users\r\n" in into


def test_our_entry_is_replaced_where_it_stands_and_keeps_what_a_person_added() -> None:
    text = (
        "clusters:\n- name: a\n  cluster: {server: https://a}\n"
        f"- name: {NAME}\n  cluster:\n    server: https://old\n    proxy-url: http://proxy\n"
        "- name: z\n  cluster: {server: https://z}  # last\n"
        f"contexts:\n- name: {NAME}\n  context: {{cluster: {NAME}, user: old, namespace: shop}}\n"
        "users: []\n"
    )
    data = load(merged(text))
    assert [c["name"] for c in data["clusters"]] == ["a", NAME, "z"]
    assert data["clusters"][1]["cluster"] == {**WANTED["clusters"], "proxy-url": "http://proxy"}
    assert data["contexts"][0]["context"] == {**WANTED["contexts"], "namespace": "shop"}
    for line in ("  cluster: {server: https://a}", "  cluster: {server: https://z}  # last"):
        assert line in merged(text).splitlines()


@pytest.mark.parametrize("position", range(3))
def test_our_entry_is_taken_out_from_between_the_others(position: int) -> None:
    items = ["- name: a\n  cluster: {server: https://a}  # a\n", "- name: b\n  cluster: {server: https://b}  # b\n"]
    ours = f"- name: {NAME}\n  cluster: {{server: https://old}}\n"
    listed = [*items[:position], ours, *items[position:]]
    text = "clusters:\n" + "".join(listed) + "kind: Config\n"
    assert removed(text) == "clusters:\n" + "".join(items) + "kind: Config\n"


def test_text_after_the_end_of_the_document_is_no_trouble() -> None:
    check("kind: Config\nclusters: []\n...\n", foreign=["kind: Config"])


# --- the file


def write(box: Box, text: str) -> Path:
    path = kubeconfig(box)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def test_up_and_down_keep_a_file_with_comments_in_windows_form(sandbox: Box) -> None:
    text = block(2, True, ("clusters", "contexts", "users"), "\n", "none")[0].replace("\n", "\r\n")
    path = write(sandbox, text)
    path.chmod(0o644)
    must(sandbox.up())
    into = path.read_bytes().decode()
    lines = iter(into.split("\r\n"))
    assert all(line in lines for line in text.split("\r\n"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(into)["current-context"] == NAME
    must(sandbox.down())
    assert load(path.read_text())["clusters"] == load(text)["clusters"]


def test_the_first_file_there_is_of_a_list_is_written_and_the_others_are_not(sandbox: Box) -> None:
    first, second, third = (sandbox.home / name for name in ("missing", "there", "other"))
    second.write_text("kind: Config\n")
    third.write_text("kind: Config\n# mine\n")
    listed = os.pathsep.join(map(str, (first, second, third)))
    must(sandbox.up(KUBECONFIG=listed))
    assert not first.exists()
    assert NAME in second.read_text()
    assert third.read_text() == "kind: Config\n# mine\n"
    assert must(sandbox.up(KUBECONFIG=listed)).changing == []
    must(sandbox.down(KUBECONFIG=listed))
    assert NAME not in second.read_text()


def test_a_link_stays_a_link(sandbox: Box) -> None:
    real = sandbox.home / "dotfiles" / "kube"
    real.parent.mkdir()
    real.write_text("kind: Config\n")
    path = kubeconfig(sandbox)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(real)
    must(sandbox.up())
    assert path.is_symlink()
    assert NAME in real.read_text()
    must(sandbox.down())
    assert path.is_symlink()
    assert NAME not in real.read_text()


def test_another_context_name(sandbox: Box) -> None:
    sandbox.cluster(KUBE_CONFIG_CONTEXT="work/prod:1")
    data = load(kubeconfig(sandbox).read_text())
    assert data["current-context"] == data["contexts"][0]["name"] == "work/prod:1"
    must(sandbox.down())
    assert "work/prod" not in kubeconfig(sandbox).read_text()


# --- two that write it at once


def lock_of(box: Box) -> Path:
    """kubectl's own: client-go makes it beside the file before it reads and writes."""
    return kubeconfig(box).with_name("config.lock")


@pytest.mark.parametrize("script", ["up", "down"])
def test_who_writes_at_the_same_time_loses_nothing(sandbox: Box, script: str) -> None:
    sandbox.cluster()
    if script == "up":
        kubeconfig(sandbox).write_text("apiVersion: v1\nkind: Config\n")
    text = kubeconfig(sandbox).read_text()
    theirs = {"name": "theirs", "cluster": {"server": "https://192.0.2.1"}}
    lock_of(sandbox).touch(exist_ok=False)

    def write() -> None:
        """What kubectl does once it has the lock, with what it read then."""
        data = yaml.safe_load(text)
        data["clusters"] = [*data.get("clusters", []), theirs]
        kubeconfig(sandbox).write_text(yaml.safe_dump(data))
        lock_of(sandbox).unlink()
        sandbox.clock.listeners.remove(look)

    def look() -> None:
        if sandbox.clock.slept[-3:] == [0.1] * 3:  # so often somebody looks whether the lock is gone
            write()

    sandbox.clock.listeners.append(look)
    must(getattr(sandbox, script)())
    assert look not in sandbox.clock.listeners, "nobody waited for the lock"
    names = [cluster["name"] for cluster in yaml.safe_load(kubeconfig(sandbox).read_text())["clusters"]]
    assert names == (["theirs", f"aws_{ID}"] if script == "up" else ["theirs"])
    assert not lock_of(sandbox).exists()


def test_a_lock_that_stays_is_named_after_a_while(sandbox: Box) -> None:
    sandbox.cluster()
    kubeconfig(sandbox).write_text("apiVersion: v1\nkind: Config\n")
    lock_of(sandbox).touch()
    start = sandbox.clock.now
    refused(sandbox.up(), 1, str(lock_of(sandbox)), "rm ", "run the same command again")
    assert sandbox.clock.now - start < 30
    assert kubeconfig(sandbox).read_text() == "apiVersion: v1\nkind: Config\n"
    lock_of(sandbox).unlink()
    must(sandbox.up())
    lock_of(sandbox).touch()
    assert must(sandbox.up()).changing == []  # who only reads asks for no lock


def test_a_link_is_locked_by_both_names(sandbox: Box) -> None:
    """kubectl locks the name that it was given."""
    real = sandbox.home / "elsewhere" / "real"
    real.parent.mkdir()
    folder = sandbox.home / "folder"
    folder.symlink_to(real.parent)
    for named, lock in ((real.with_name("link"), "link.lock"), (folder / "real", "real.lock")):
        if named.name == "link":
            named.symlink_to(real)
        real.parent.joinpath(lock).touch()
        refused(sandbox.up(KUBECONFIG=named), 1, lock)
        real.parent.joinpath(lock).unlink()
    must(sandbox.up(KUBECONFIG=folder / "real"))
    assert sorted(path.name for path in real.parent.iterdir()) == ["link", "real"]
