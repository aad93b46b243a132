"""The pictures of README: made from what a terminal was sent, with its colours, and there."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from sandbox import pictures, transcripts
from sandbox.transcripts import TRANSCRIPTS, Transcript, shape, shown

ROOT = Path(__file__).parents[2]


def words(svg: str) -> str:
    """What a picture says, in one line."""
    text = re.sub(r"<[^>]+>", " ", svg.partition("</defs>")[2]).replace("&#160;", " ")
    return " ".join(text.split())


def test_a_terminal_is_a_real_one_and_its_colours_are_in_the_picture() -> None:
    program = "import sys; from lib.run.console import Console; import time; Console(time).error('no ' * 60)"
    status, written = pictures.on_terminal([sys.executable, "-c", program], pictures.environ("/nowhere"))
    assert status == 0
    assert "\x1b[1;31merror:\x1b[0m" in written
    assert max(len(line) for line in re.sub(r"\x1b\[[\d;]*m", "", written).splitlines()) <= pictures.COLUMNS
    svg = pictures.svg(pictures.PICTURES[1], written)
    red = re.search(r"\.(kube-failure-r\d+) \{ fill: #cc555a;font-weight: bold \}", svg)
    assert red
    assert re.search(rf'class="{red[1]}"[^>]*>error:<', svg)


def test_the_middle_of_a_long_run_is_left_out_and_marked() -> None:
    picture = replace(pictures.PICTURES[0], first=2, last=1)
    assert pictures.shortened(picture, "a\nb\nc\nd\n") == f"a\nb\n{pictures.LEFT_OUT}\nd"
    assert pictures.shortened(picture, "a\nb\nc\n") == "a\nb\nc"


def test_readme_shows_each_and_they_say_what_they_should() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = {}
    for picture in pictures.PICTURES:
        assert f"](docs/{picture.name}.svg)" in readme
        said[picture.name] = words((ROOT / "docs" / f"{picture.name}.svg").read_text(encoding="utf-8"))
    assert "Cluster kubernetes is up after" in said["up"]
    assert "ask for the permission to call ec2:CreateVpc (docs/permissions.md has the whole policy)" in said["failure"]


def lines(svg: str) -> str:
    """What a picture says, line by line."""
    rows: dict[float, str] = {}
    for y, text in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*clip-path[^>]*>([^<]*)<', svg):
        rows[float(y)] = f"{rows.get(float(y), '')}{unescape(text)} "
    return "\n".join(rows[y] for y in sorted(rows)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(("picture", "transcript"), [*zip(pictures.PICTURES, TRANSCRIPTS, strict=False)])
def test_a_picture_says_what_the_transcript_says(picture: pictures.Picture, transcript: Transcript) -> None:
    """That is held against a run (test_transcripts.py). A picture has two minions, and a person's own files."""
    said = lines((ROOT / "docs" / f"{picture.name}.svg").read_text(encoding="utf-8")).replace("python3 ", "python ")
    if picture.name == "up":  # make try has none of a person's files
        said = said.replace("~/.ssh/", "FOLDER/").replace("~/.kube/config", "FOLDER/kubeconfig")
    page = " ".join(shape(shown(transcripts.PAGE.read_text(encoding="utf-8"), transcript)))
    other = [line for line in shape(said) if line not in page and not re.match("set for this run: |KUBECONFIG=", line)]
    assert other == [], "run: make pictures"


def test_the_last_line_has_room_for_what_hangs_below_it() -> None:
    """A browser cuts off what is outside of the picture's clip: the underscores of kube_down.py."""
    for picture in pictures.PICTURES:
        drawn = (ROOT / "docs" / f"{picture.name}.svg").read_text(encoding="utf-8")
        (height,) = re.findall(r'clip-terminal">\s*<rect x="0" y="0" width="[\d.]+" height="([\d.]+)"', drawn)
        texts = re.findall(r'<text[^>]* y="([\d.]+)"[^>]*clip-path[^>]*>([^<]*)<', drawn)
        lowest = max(float(y) for y, text in texts if text.replace("&#160;", "").strip())
        assert lowest + 20 * 0.3 <= float(height)  # of 20 px letters, descenders are less


def test_make_lists_its_commands() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [line for line in listed.splitlines() if len(line) >= 80] == []
    assert {f"make {target}" for target in targets} - {"make help"} <= set(
        re.findall(r"^make [a-z0-9-]+", listed, re.M)
    )
