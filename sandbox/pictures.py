"""python -m sandbox.pictures: docs/up.svg and docs/failure.svg, from what the scripts print in the sandbox.

Each run has a terminal of its own, so the colours and the breaks of lines are those that a person sees. What is called
chance or time (ids, seconds) differs from picture to picture.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
COLUMNS = 100
LEFT_OUT = f"{' ' * 8}\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class Picture:
    """A run to be shown: its name, the sandbox's options, the status it ends with, the lines kept of both ends."""

    name: str
    options: Sequence[str]
    status: int
    first: int
    last: int


PICTURES = (
    Picture("up", (), 0, first=15, last=25),
    Picture("failure", ("--deny", "ec2:CreateVpc"), 1, first=7, last=13),
)


class Unexpected(Exception):
    """A run did not end as its picture says."""


def main() -> int:
    """Make the pictures; 1 when a run ended otherwise than its picture should show."""
    for picture in PICTURES:
        try:
            written = run(picture)
        except Unexpected as error:
            print(f"pictures: {error}", file=sys.stderr)
            return 1
        path = ROOT / "docs" / f"{picture.name}.svg"
        path.write_text(svg(picture, shortened(picture, written)), encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


def run(picture: Picture) -> str:
    """What kube_up.py writes onto a terminal in the sandbox. Raises Unexpected for another status."""
    with tempfile.TemporaryDirectory(prefix="kube-") as home:
        command = [sys.executable, "-m", "sandbox", *picture.options, "--", "python3", "kube_up.py"]
        status, written = on_terminal(command, environ(home))
        if status != picture.status:
            raise Unexpected(f"{picture.name}: status {status}, not {picture.status}:\n{written}")
        return written.replace(home, "~")


def environ(home: str) -> dict[str, str]:
    """A person's, with a home that is empty; nothing in it that would make the picture another on another computer.

    `python3` is the interpreter that makes it.
    """
    return {
        "HOME": home,
        "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "KUBECONFIG": f"{home}/.kube/config",
        "AWS_SSH_KEY": f"{home}/.ssh/kube_aws_rsa",
        "TERM": "xterm-256color",
        "TTY_INTERACTIVE": "0",  # rich's: no spinner, which a picture cannot show
        "NUM_NODES": "2",
        "LANG": "C.UTF-8",
    }


def open_terminal(*, rows: int, columns: int) -> tuple[int, int]:
    """A new terminal: its end that we read, and the one that a program has."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return ours, theirs


def read_terminal(ours: int) -> Iterator[bytes]:
    """What is written onto a terminal, until nobody has its other end open any more."""
    with contextlib.suppress(OSError):  # EIO, by which that is said
        while data := os.read(ours, 65536):
            yield data


def on_terminal(command: Sequence[str], env: Mapping[str, str]) -> tuple[int, str]:
    """The status of a command, and what it writes onto a terminal of COLUMNS columns."""
    ours, theirs = open_terminal(rows=50, columns=COLUMNS)
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    written = b"".join(read_terminal(ours))
    os.close(ours)
    return process.wait(), written.decode().replace("\r\n", "\n")


def shortened(picture: Picture, written: str) -> str:
    """The first and the last lines, and a mark for those between them."""
    lines = written.rstrip("\n").split("\n")
    if len(lines) <= picture.first + picture.last:
        return "\n".join(lines)
    return "\n".join([*lines[: picture.first], LEFT_OUT, *lines[-picture.last :]])


def svg(picture: Picture, written: str) -> str:
    """A terminal's text, with its colours, as a picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(
        Text.from_ansi(f"{written}\n"), soft_wrap=False
    )  # rich ends a picture above its last line's descenders
    return console.export_svg(title="python3 kube_up.py", unique_id=f"kube-{picture.name}")


if __name__ == "__main__":
    sys.exit(main())
