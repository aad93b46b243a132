"""An option stands in config-default.env and in Config, and all else follows; nothing of docs/ is read at run time.

Both are tried in a copy of the tree, of which this process then runs the two scripts.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Box
from helpers import master_settings, minion_settings, must, refused_untouched, remembered

from lib.settings.defaults import DEFAULTS

ROOT = DEFAULTS.parent
NEEDED = ("kube_up.py", "kube_down.py", "config-default.env", "lib", "templates")
HELP = "# What somebody tries on every minion, such as green. Empty: nothing."


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A copy of what a run needs: no docs, no tests, no sandbox. The scripts that a Box runs are the copy's."""
    copy = tmp_path / "tree"
    copy.mkdir()
    for name in NEEDED:
        copied = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copied(ROOT / name, copy / name)
    with imported_from(copy):
        yield copy


@contextmanager
def imported_from(folder: Path) -> Iterator[None]:
    """Import kube_up, kube_down and lib from a folder, and afterwards those again that were imported before."""

    def ours() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] in ("kube_up", "kube_down", "lib")]

    before = {name: sys.modules.pop(name) for name in ours()}
    sys.path.insert(0, str(folder))
    try:
        yield
        assert all(str(sys.modules[name].__file__).startswith(str(folder)) for name in ours())
    finally:
        sys.path.remove(str(folder))
        for name in ours():
            del sys.modules[name]
        sys.modules.update(before)


def test_without_docs_everything_works(tree: Path, sandbox: Box) -> None:
    assert not (tree / "docs").exists()
    must(sandbox.up("--help"))
    must(sandbox.down("--help"))
    assert sandbox.up("--dry-run").code == 3
    result = must(sandbox.up(KUBE_PASSWORD="x"))
    assert "KUBE_PASSWORD: has no effect: Kubernetes dropped basic auth" in result.err
    assert must(sandbox.up()).changing == []
    must(sandbox.down("--show-settings"))
    must(sandbox.down())
    assert sandbox.inventory() == {}


# --- an option more


def in_defaults(tree: Path) -> None:
    insert(tree / "config-default.env", after="KUBE_EXTRA_PACKAGES=\n", lines=f"\n{HELP}\nKUBE_TRY_ME=\n")


def in_config(tree: Path, read_by: str = "minion") -> None:
    line = f'    kube_try_me: str = option(rules.optional(rules.domain), read_by="{read_by}")\n'
    insert(tree / "lib/settings/config.py", after='option(rules.packages, read_by="both")\n', lines=line)


def in_template(tree: Path) -> None:
    line = 'tried() { echo "$KUBE_TRY_ME" | put /etc/kube-try-me; }\n\n'
    insert(tree / "templates/bootstrap-minion.sh", after='rm -f "$config" "$RUN/token"\n}\n\n', lines=line)


def insert(file: Path, *, after: str, lines: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(after) == 1
    file.write_text(text.replace(after, after + lines), encoding="utf-8")


PLACES: dict[str, Callable[[Path], None]] = {
    "config-default.env": in_defaults,
    "lib/settings/config.py": in_config,
    "templates/bootstrap-minion.sh": in_template,
}


def test_an_option_is_added_in_two_places_and_in_the_template_that_reads_it(tree: Path, sandbox: Box) -> None:
    for place in PLACES.values():
        place(tree)
    must(sandbox.up(KUBE_TRY_ME="green"))
    assert minion_settings(sandbox)["KUBE_TRY_ME"] == "green"
    assert "KUBE_TRY_ME" not in master_settings(sandbox)
    assert remembered(sandbox)["KUBE_TRY_ME"] == "green"
    again = must(sandbox.up())
    assert again.changing == []
    assert "KUBE_TRY_ME=green" in again.out
    assert "KUBE_TRY_ME=green  (remembered)" in must(sandbox.up("--show-settings")).out
    refused_untouched(sandbox, sandbox.up(KUBE_TRY_ME="a b"), 2, "KUBE_TRY_ME: 'a b' is not a DNS domain")
    refused_untouched(sandbox, sandbox.up(KUBE_TRY_MEE="x"), 2, "KUBE_TRY_MEE", "did you mean KUBE_TRY_ME?")
    assert HELP.removeprefix("# ") in " ".join(must(sandbox.up("--help", "kube_try_me")).out.split())
    docs = subprocess.run(
        [sys.executable, "-m", "lib.settings.options"], cwd=tree, capture_output=True, text=True, check=True
    ).stdout
    assert f"| `KUBE_TRY_ME` | *empty* | {HELP.removeprefix('# ')} | Can change |" in docs
    assert docs.replace(next(line for line in docs.splitlines(True) if "KUBE_TRY_ME" in line), "") == (
        ROOT / "docs" / "options.md"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("forgotten", PLACES)
def test_a_place_that_was_forgotten_is_named(tree: Path, sandbox: Box, forgotten: str) -> None:
    for name, place in PLACES.items():
        if name != forgotten:
            place(tree)
    result = sandbox.up(KUBE_TRY_ME="green")
    refused_untouched(sandbox, result, 1 if "templates" in forgotten else 2, "KUBE_TRY_ME: ", forgotten)


def test_an_option_that_a_template_reads_and_its_declaration_gives_no_node_is_an_error(
    tree: Path, sandbox: Box
) -> None:
    in_defaults(tree)
    in_template(tree)
    in_config(tree, read_by="no node")
    said = refused_untouched(sandbox, sandbox.up(), 1, "KUBE_TRY_ME: ", "templates/bootstrap-minion.sh")
    assert 'read_by="minion" or "both" in lib/settings/config.py' in said
