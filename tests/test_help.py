"""--help: one screen, all options, or one; what kube_down.py reads; and without any package."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import Box
from helpers import must, refused_untouched
from test_options import Brought

from lib.run.errors import SettingError
from lib.settings.config import OPTIONS, Config
from lib.settings.defaults import DEFAULTS, Option, options
from lib.settings.helptext import DOWN, FLAGS, LOGS, UP, help_text
from lib.settings.layers import read_env

ROOT = DEFAULTS.parent
SCRIPTS = [UP, DOWN]


def read_by(script: str) -> list[Option]:
    return [option for option in options() if script == UP or OPTIONS[option.name].down]


def test_the_file_of_defaults_is_read_alike_with_and_without_packages() -> None:
    assert {each.name: each.default for each in options()} == read_env(DEFAULTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_first_screen_is_one(script: str) -> None:
    lines = help_text(script, 80).splitlines()
    assert len(lines) <= 30
    assert all(len(line) <= 80 for line in lines)
    assert sum(f"python3 {script}" in line for line in lines) == 4  # the usage and three examples
    for flag in FLAGS[script]:
        assert any(line.startswith(f"  {flag.written} ") for line in lines)
    first = [
        line.split("=")[0].strip() for line in lines if line.strip().split("=")[0] in OPTIONS and "python" not in line
    ]
    assert {"KUBE_AWS_ZONE", "KUBE_AWS_INSTANCE_PREFIX", "KUBE_CONFIG_FILE"} < set(first)
    assert len(first) == (10 if script == UP else 6)
    assert set(first) <= {option.name for option in read_by(script)}
    assert not any(line.endswith(" true") for line in lines)  # of an option of true or false the first word says little


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("width", [20, 80, 200])
def test_all_has_every_option_that_the_script_reads_whole_at_any_width(script: str, width: int) -> None:
    lines = help_text(script, width, topic="all").splitlines()
    named = [line for line in lines if line[2:].partition("=")[0] in OPTIONS and "python" not in line]
    assert named == [f"  {option.name}={option.default}" for option in read_by(script)]
    unbroken = {word for option in options() for word in (f"{option.name}={option.default}", *option.comment.split())}
    assert all(
        len(line) <= width or line.split()[-1] in unbroken or len(line.split()) <= 2 or "python3" in line
        for line in lines
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_all_is_grouped_as_the_file_is_and_names_flags_and_exit_codes(script: str) -> None:
    text = help_text(script, 80, topic="all")
    groups = list(dict.fromkeys(option.group for option in read_by(script)))
    assert [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")] == groups
    for word in ("--help", "--show-settings", "--dry-run", "Usage:", "Exit status:", "130"):
        assert word in text
    assert ("--keep-disk" in text) is (script == DOWN)


@pytest.mark.parametrize("name", OPTIONS)
def test_one_option_is_told_whole(name: str) -> None:
    text = help_text(UP, 80, topic=name.lower())
    (option,) = (option for option in options() if option.name == name)
    assert text.startswith(f"  {name}={option.default}\n")
    assert option.comment in " ".join(text.split())
    assert ("Cannot change" in text) is (OPTIONS[name].fixed is not None)
    assert ("kube_down.py does not read it" in " ".join(help_text(DOWN, 80, topic=name).split())) is not OPTIONS[
        name
    ].down


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("num_node", "num_node is no option; did you mean NUM_NODES?"),
        ("NUM_MINIONS", "is called NUM_NODES today"),
        ("KUBE_PASSWORD", "basic auth"),
        ("cidr", " have it in their names: KUBE_VPC_CIDR_BASE, KUBE_SUBNET_CIDR, "),
        ("nothing", "nothing is no option; --help all lists all options"),
    ],
)
def test_a_name_that_is_no_option_is_answered(sandbox: Box, asked: str, words: str) -> None:
    refused_untouched(sandbox, sandbox.up("--help", asked), 2, "--help: ", words)


def test_the_logs_help_is_short(sandbox: Box) -> None:
    assert "python3 kube_up.py --help lists them" in help_text(LOGS, 80)
    with pytest.raises(SettingError):
        help_text(LOGS, 80, topic="nothing")


def test_what_down_reads_is_what_its_help_has(sandbox: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option that a run of kube_down.py looks at, of clusters that differ; KUBE_CONFIG_FILE the layers read."""
    seen = set[str]()

    def looked_at(config: Config, name: str) -> object:
        caller = sys._getframe(1).f_code.co_name
        if name.upper() in OPTIONS and caller != "replace":  # dataclasses.replace copies them all
            seen.add(name.upper())
        return object.__getattribute__(config, name)

    own = {"KUBE_MASTER_SELF_HEAL": "true", "KUBE_ENABLE_POD_IDENTITY": "true"}
    for settings in (own, {"SUBNET_ID": Brought(sandbox).subnet}):
        must(sandbox.up(**settings))
        with monkeypatch.context() as patch:
            patch.setattr(Config, "__getattribute__", looked_at, raising=False)
            must(sandbox.down())
    assert seen | {"KUBE_CONFIG_FILE"} == {option.name for option in read_by(DOWN)}


# --- without a package


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("topic", ["", "all", "NUM_NODES"])
def test_help_needs_no_package_and_says_how_to_get_them(script: str, topic: str) -> None:
    ran = without_packages(script, "--help", *([topic] if topic else []))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(help_text(script, 80, topic=topic))
    assert "python3 -m venv .venv && .venv/bin/python3 -m pip install -r requirements.txt" in ran.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_run_without_packages_says_which_and_how_to_get_them(script: str) -> None:
    ran = without_packages(script)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("the Python package ")
    assert len(ran.stderr.splitlines()) == 1
    assert "python3 -m venv .venv" in ran.stderr
    assert without_packages(script, "--help", "num_node").stderr.endswith("did you mean NUM_NODES?\n")


def test_a_reader_that_has_enough_is_no_failure() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    asked = [sys.executable, "-S", "kube_up.py", "--help", "all"]
    ran = subprocess.run(asked, cwd=ROOT, env={}, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (ran.returncode, ran.stderr) == (0, b"")


def without_packages(script: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """The script in a Python that has nothing but its own library."""
    return subprocess.run(
        [sys.executable, "-S", script, *argv], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )
