"""What a person sees on a terminal of 80 columns, without colours, on a dumb one, and in a pipe."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Box, Result
from helpers import ALL_IDS, answer_with, bucket_of, must

from lib import logs
from sandbox.pictures import open_terminal, read_terminal

COLUMNS = 80
INDENT = 16  # of what a step finds and makes
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": ""}
DUMB = {"TERM": "dumb", "COLUMNS": ""}
# The terminal's own colour, bold, dim, and four colours that can be read on black and on white: not yellow.
READABLE = {"0", "1", "2", "31", "32", "35", "36", "1;31"}
COLOURS = re.compile(r"\x1b\[([0-9;]*)m")
MOVES = re.compile(r"\x1b\[(?:\d*[AK]|\?25[lh])")


@contextlib.contextmanager
def pseudo_terminal(columns: int = COLUMNS) -> Iterator[list[bytes]]:
    """A real terminal in the place of the three standard streams; yields what is written onto it, whole at the end."""
    ours, theirs = open_terminal(rows=24, columns=columns)
    written: list[bytes] = []
    reader = threading.Thread(target=lambda: written.extend(read_terminal(ours)))
    reader.start()
    before = [os.dup(number) for number in range(3)]
    try:
        for number in range(3):
            os.dup2(theirs, number)
        with (
            open(theirs, "w", encoding="utf-8") as screen,
            contextlib.redirect_stdout(screen),
            contextlib.redirect_stderr(screen),
        ):
            yield written
    finally:
        for number, was in enumerate(before):
            os.dup2(was, number)
            os.close(was)
        reader.join()
        os.close(ours)


def on_terminal(run: Callable[[], Result], *, code: int = 0, columns: int = COLUMNS) -> str:
    """What a run writes onto a terminal of 80 columns, or of others."""
    with pseudo_terminal(columns) as written:
        result = run()
    shown = b"".join(written).decode()
    assert result.code == code, shown
    assert result.out + result.err == ""
    return shown


def plain(shown: str) -> str:
    """The text without colours and movements; there is nothing else that a terminal acts on."""
    text = MOVES.sub("", COLOURS.sub("", shown))
    assert "\x1b" not in text
    return text.replace("\r\n", "\n")


def too_long(text: str) -> list[str]:
    """The lines that are wider than the terminal, though they could be broken: between words, but not in a command."""
    copied = r"  API |  try |           ssh |all calls of this run: |\d+ machines? and \d+ runs?: |[A-Z_]+=.*\)$"
    lines = [line for line in re.split("[\n\r]", text) if len(line) > COLUMNS and not re.match(copied, line)]
    return [line for line in lines if " " in line[INDENT:].removesuffix(" …").strip()]


def readable(shown: str) -> None:
    """Only colours that can be read on any background, and in lines that fit."""
    assert set(COLOURS.findall(shown)) <= READABLE
    assert too_long(plain(shown)) == []


def test_up_rerun_and_down_on_80_columns(sandbox: Box) -> None:
    shown = on_terminal(lambda: sandbox.up(**TERMINAL))
    readable(shown)
    text = plain(shown)
    assert "to run: pending, 0:00 of 10:00\n" in text
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") > 0  # the cursor is given back
    assert {"1", "32", "35", "36"} <= set(COLOURS.findall(shown))
    for word in (
        bucket_of(sandbox),
        "found   node ",
        " … done",
        "… vpc-",
        "remove   KUBE_AWS_ZONE=us-west-2a python kube",
    ):
        assert word in text
    # Nothing is cut short, save the CA's digest in its own words.
    assert re.findall(r"\S+…", text.replace("sha256:", "")) == re.findall(r"[0-9a-f]{16}…", text)
    named = set(ALL_IDS.findall(text))
    assert len(named) > 10

    rerun = on_terminal(lambda: sandbox.up(**TERMINAL))
    readable(rerun)
    assert set(ALL_IDS.findall(plain(rerun))) <= named

    down = on_terminal(lambda: sandbox.down(**TERMINAL))
    readable(down)
    assert "is down after" in plain(down)


@pytest.mark.parametrize(("argument", "code"), [("--dry-run", 3), ("--help", 0), ("--show-settings", 0)])
def test_what_only_looks_on_80_columns(sandbox: Box, argument: str, code: int) -> None:
    shown = on_terminal(lambda: sandbox.up(argument, **TERMINAL), code=code)
    readable(shown)
    assert MOVES.findall(shown) == []


@pytest.mark.parametrize("script", ["up", "down"])
def test_a_failure_on_80_columns(sandbox: Box, script: str) -> None:
    sandbox.cluster()
    answer_with(sandbox, "ec2:DescribeVpcs", "UnauthorizedOperation", "You may not. " * 20)
    shown = on_terminal(lambda: getattr(sandbox, script)(**TERMINAL), code=1)
    readable(shown)
    assert "\x1b[1;31merror:\x1b[0m " in shown
    assert "DescribeVpcs" in plain(shown)


def test_logs_on_80_columns(sandbox: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.cluster()
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        "#!/bin/sh\necho Connection timed out, as it is said at some length of one that is not there >&2\nexit 255\n"
    )
    ssh.chmod(0o755)
    environ = sandbox.environ | TERMINAL | {"PATH": f"{ssh.parent}:{sandbox.environ['PATH']}"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def collect() -> Result:
        return Result(logs.main([str(tmp_path / "logs")], environ, clock=sandbox.clock), "", "")

    readable(on_terminal(collect))


def test_no_colours_where_none_are_wanted(sandbox: Box) -> None:
    shown = on_terminal(lambda: sandbox.up("--dry-run", **TERMINAL, NO_COLOR="1"), code=3)
    assert set(COLOURS.findall(shown)) <= {"0", "1", "2"}
    assert too_long(plain(shown)) == []


def test_a_dumb_terminal_gets_text_and_is_told_what_is_awaited(sandbox: Box) -> None:
    shown = on_terminal(lambda: sandbox.up(**DUMB))
    assert "\x1b" not in shown
    assert "waiting for master i-" in shown
    assert too_long(plain(shown)) == []


def test_a_pipe_gets_plain_lines_however_long(sandbox: Box) -> None:
    result = must(sandbox.up(**TERMINAL))
    assert "\x1b" not in result.out + result.err
    assert "\r" not in result.out + result.err
    assert f"set     {bucket_of(sandbox)} to keep 28 snapshots of etcd beside the newest … done\n" in result.out


def test_a_name_between_colons_is_no_picture(sandbox: Box) -> None:
    tags = "a:key:b=c:key:d"
    shown = on_terminal(lambda: sandbox.up("--show-settings", KUBE_EXTRA_TAGS=tags, **TERMINAL))
    piped = must(sandbox.up("--show-settings", KUBE_EXTRA_TAGS=tags)).out
    for text in (plain(shown), piped):
        assert f"\nKUBE_EXTRA_TAGS={tags}  (environment)\n" in text


def test_a_pipe_may_be_coloured_and_the_cursor_stays(sandbox: Box) -> None:
    result = must(sandbox.up(**TERMINAL, FORCE_COLOR="1"))
    assert "\x1b[32mfound\x1b[0m" in result.out
    assert MOVES.findall(result.out + result.err) == []
    assert set(COLOURS.findall(result.out + result.err)) <= READABLE


def test_a_terminal_that_is_too_narrow_wraps_by_itself(sandbox: Box) -> None:
    environ = TERMINAL | {"COLUMNS": "20"}
    shown = plain(on_terminal(lambda: sandbox.up("--dry-run", **environ), code=3))
    assert "would create bucket kubernetes-staging-" in shown
