"""The words of a run: on terminals that lack characters or columns, as this one was started, and by options' names."""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import time

import pytest
from conftest import PYTHON, Box
from helpers import kill_master, must
from test_terminal import DUMB, MOVES, plain, pseudo_terminal

from lib.aws.changes import became
from lib.node import userdata
from lib.run.console import Console, as_started
from lib.settings.config import OPTIONS
from sandbox.pictures import open_terminal, read_terminal


def test_what_a_terminal_lacks_is_put_in_characters_that_it_has() -> None:
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="ascii") as screen:
        console = Console(time, out=screen)
        console.doing("set", "group a: DesiredCapacity 2 → 3")
        console.done("")
        console.line("Häuser")
        screen.flush()
        said = written.getvalue().decode()
    assert said == "        set     group a: DesiredCapacity 2 -> 3 ... done\nH?user\n"


def test_what_waits_on_a_terminal_without_unicode_turns_in_characters_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = open_terminal(rows=24, columns=80)
    with (
        open(theirs, "w", encoding="ascii") as screen,
        Console(time, out=screen).waiting("the API", seconds=60) as tell,
    ):
        tell("nothing yet")
    shown = b"".join(read_terminal(ours)).decode("ascii")
    os.close(ours)
    assert "the API: nothing yet, 0:00 of 1:00" in shown
    assert "?" not in MOVES.sub("", shown)


def test_a_dumb_terminal_has_its_own_width(sandbox: Box) -> None:
    with pseudo_terminal(columns=60) as written:
        result = sandbox.up("--dry-run", **DUMB)
    assert result.code == 3
    lines = plain(b"".join(written).decode()).splitlines()
    wide = [line.strip().removeprefix("would set ").removeprefix("would create ") for line in lines if len(line) > 60]
    assert [words for words in wide if " " in words] == []  # but for a word that is as long
    assert max(len(line) for line in lines if len(line) <= 60) > 50


@pytest.mark.parametrize(
    ("interpreter", "script", "typed"),
    [
        ("python3", "kube_up.py", "python3 kube_down.py"),
        (".venv/bin/python", "kube_up.py", ".venv/bin/python kube_down.py"),
        ("/opt/my python/bin/python3.12", "kube_down.py", "'/opt/my python/bin/python3.12' kube_down.py"),
        ("python3", "../kube up/kube_up.py", "python3 '../kube up/kube_down.py'"),
        ("python3", "/usr/bin/pytest", "python kube_down.py"),
    ],
)
def test_a_command_is_printed_as_this_one_was_typed(
    monkeypatch: pytest.MonkeyPatch, interpreter: str, script: str, typed: str
) -> None:
    monkeypatch.setattr(sys, "orig_argv", [interpreter, script])
    monkeypatch.setattr(sys, "argv", [script])
    assert as_started("  remove   KUBE_AWS_ZONE=a python kube_down.py") == f"  remove   KUBE_AWS_ZONE=a {typed}"


def test_what_aws_describes_is_not_put_as_python_puts_it() -> None:
    for value in ([{"Name": "InstanceId", "Value": "i-1"}], {"a": None, "b": True}, [], [True, None], "x", 3, False):
        assert PYTHON.findall(became("Dimensions", None, value)) == []
    assert became("Dimensions", [{"Name": "InstanceId", "Value": "i-1"}], []) == "Dimensions InstanceId i-1 → none"


def test_an_alarm_of_a_new_master_is_put_in_words(sandbox: Box) -> None:
    sandbox.cluster()
    old = kill_master(sandbox)
    assert re.search(
        rf"alarm kubernetes-master-recover of i-\w+: Dimensions InstanceId {old} → ", must(sandbox.up()).out
    )


# --- why a minion is replaced

MINIONS = [name for name, declared in OPTIONS.items() if declared.read_by in ("minion", "both")]


def user_data(**settings: str) -> bytes:
    """A minion's, with these settings alone."""
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    return gzip.compress(userdata.bootstrap("minion").replace("#@settings\n", lines).encode())


@pytest.mark.parametrize("name", MINIONS)
def test_the_reason_of_a_replacement_is_the_options_name(name: str) -> None:
    old, new = user_data(**{name: "'a b'", "URL_X": "1"}), user_data(**{name: "c", "URL_X": "2"})
    assert userdata.differences(old, new) == [f"{name} a b → c"]


def test_what_no_option_says_has_a_name_too() -> None:
    old, new = user_data(KUBE_JOIN_TOKEN="abcdef.0123456789abcdef"), user_data(KUBE_JOIN_TOKEN="x")
    assert userdata.differences(old, new) == ["the join token"]
    assert userdata.differences(user_data(URL_X="1"), user_data(URL_X="2")) == ["downloads"]
    assert userdata.differences(gzip.compress(gzip.decompress(old) + b"# more"), old) == ["the bootstrap itself"]


def test_an_upgrade_says_so_of_each_minion(sandbox: Box) -> None:
    sandbox.cluster(KUBERNETES_VERSION="1.36.5")
    said = sandbox.up("--dry-run", KUBERNETES_VERSION="1.37.2").out
    assert len(re.findall(r"would replace minion i-\w+ \(.*: KUBERNETES_VERSION 1\.36\.5 → 1\.37\.2\)", said)) == 2


def test_while_minions_are_replaced_it_is_said_which_of_how_many(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=3)
    said = must(sandbox.up(NUM_NODES=3, NODE_LABELS="a=b")).out
    assert re.findall(r"replacing (\d of \d)", said) == ["1 of 3", "2 of 3", "3 of 3"]
    assert "NODE_LABELS none → a=b" in said
