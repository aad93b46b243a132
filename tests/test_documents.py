"""README and docs/: what they name is there: links, files, options, flags, modules, make's targets, aws's commands."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import documents
import pytest
from documents import PAGES, ROOT

from lib.settings.config import OPTIONS

# What is set in a command and is no option: other programs' variables, and those of the Makefile.
OTHERS = {
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "HTTPS_PROXY", "NO_PROXY", "KOPS_STATE_STORE"),
    *("PATH", "PYTHON", "BENCH", "TORTURE", "KUBE_ROLE"),  # the last is a node's
}
FORMER = {"porting.md"}  # it names what is no option any more
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def without_fences(page: Path) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", text(page))


def typed(page: Path) -> list[str]:
    """The lines of the code blocks, joined where they go on, and what stands in the text as code."""
    lines = [line for block in documents.blocks(text(page)) for line in block.replace("\\\n", " ").splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", without_fences(page))


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def wrong_links(page: Path) -> list[str]:
    """The links of a page within this tree that lead nowhere."""
    wrong = []
    for link in LINK.findall(without_fences(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, place = link.partition("#")
        to = (page.parent / path).resolve() if path else page
        there = to.exists() and to.is_relative_to(ROOT)
        if not there or (place and place not in map(anchor, re.findall(r"(?m)^#+ (.+)$", text(to)))):
            wrong.append(link)
    return wrong


def not_there(text: str) -> list[str]:
    """The files that a text names by their folder and that are not there, and the names that it says are in one."""
    folders = "lib|templates|tests|sandbox|benchmarks|docs"
    paths = re.findall(rf"`((?:{folders})/[\w./-]*)`", text)
    missing = [path for path in paths if not (ROOT / path).exists()]
    placed = re.findall(rf"`([A-Za-z_]\w+)`\s+(?:in|of)\s+`((?:{folders})/[\w./-]+\.\w+)`", text)
    named = [(name, ROOT / path) for name, path in placed if path not in missing]
    lacking = [(name, path) for name, path in named if not re.search(rf"\b{name}\b", path.read_text(encoding="utf-8"))]
    return missing + [f"{name} in {path.relative_to(ROOT)}" for name, path in lacking]


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def unknown(line: str, *, flags: dict[str, set[str]], targets: set[str]) -> list[str]:
    """What a line to be typed names and is not there."""
    wrong = [
        f"python {file}"
        for file in re.findall(r"python3? (?:-\S+ )?([\w/]+\.py)\b", line)
        if not (ROOT / file).exists()
    ]
    for script, given in re.findall(r"(kube_(?:up|down)\.py)((?: --[a-z-]+)*)", line):
        wrong += [f"{script} {flag}" for flag in given.split() if flag not in flags[script]]
    wrong += [f"-m {name}" for name in re.findall(r"python3? -m ([\w.]+)", line) if not is_module(name)]
    wrong += [f"make {name}" for name in re.findall(r"(?:^|&& |sudo )make ([a-z0-9-]+)", line) if name not in targets]
    if re.search(r"kube_(up|down)\.py|^export |^KUBE_", line):
        given = re.findall(r"(?:^|[\s;'])([A-Z][A-Z0-9_]{3,})=", line)
        wrong += [name for name in given if name not in {each.upper() for each in OPTIONS} | OTHERS]
    return wrong + _unknown_of_aws(line)


def _unknown_of_aws(line: str) -> list[str]:
    if not re.match(r"aws [a-z0-9-]+ [a-z-]+", line) or line.startswith(("aws s3 ", "aws sso ", "aws configure")):
        return []  # commands of the CLI's own
    _, service, operation, *rest = shlex.split(line.partition(" | ")[0], comments=True)
    if operation == "wait":
        return []
    try:
        model = documents.aws_operation(service, operation)
        for word in rest:
            if word.startswith("--"):
                documents.aws_parameter(model, word)
    except AssertionError as wrong:
        return [str(wrong).splitlines()[0]]
    return []


@pytest.fixture(scope="module")
def targets() -> set[str]:
    return set(re.findall(r"(?m)^([a-z0-9-]+):", text(ROOT / "Makefile")))


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """The flags that each script's own help names."""

    def said(script: str) -> str:
        command = [sys.executable, script, "--help"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    return {script: set(re.findall(r"--[a-z-]+", said(script))) for script in documents.SCRIPTS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert wrong_links(page) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in FORMER], ids=lambda page: page.name)
def test_what_is_to_be_typed_names_what_is_there(page: Path, flags: dict[str, set[str]], targets: set[str]) -> None:
    wrong = {line: found for line in typed(page) if (found := unknown(line, flags=flags, targets=targets))}
    assert wrong == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_said_to_be_in_a_file_is_there(page: Path) -> None:
    assert not_there(without_fences(page)) == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("`lib/upgrade.py` and `tests/golden/` and `lib/plan.py`", ["lib/upgrade.py"]),
        ("`_FOR_AN_OPTION` in\n   `lib/checks/rights.py`", ["_FOR_AN_OPTION in lib/checks/rights.py"]),
        ("`FOR_AN_OPTION` in `lib/checks/rights.py`", []),
    ],
)
def test_what_is_in_no_file_is_found(line: str, wrong: list[str]) -> None:
    assert not_there(line) == wrong


def test_every_page_is_linked_from_readme() -> None:
    linked = {link.partition("#")[0] for link in LINK.findall(text(ROOT / "README.md"))}
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= linked


def test_readme_stays_short() -> None:
    """What is long goes into docs/."""
    assert len(text(ROOT / "README.md").splitlines()) <= 165


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("python kube_upp.py", ["python kube_upp.py"]),
        ("python kube_up.py --dryrun", ["kube_up.py --dryrun"]),
        ("python -m lib.options", ["-m lib.options"]),
        ("make trry", ["make trry"]),
        ("NUM_MINIONS=3 python kube_up.py", ["NUM_MINIONS"]),
        ("aws ec2 delete-volumes --volume-id vol-1", ["aws ec2 has no delete-volumes"]),
        ("aws ec2 delete-volume --volume vol-1", ["DeleteVolume has no --volume"]),
        ("NUM_NODES=3 python kube_up.py --dry-run", []),
    ],
)
def test_what_is_not_there_is_found(line: str, wrong: list[str], flags: dict[str, set[str]], targets: set[str]) -> None:
    assert unknown(line, flags=flags, targets=targets) == wrong
