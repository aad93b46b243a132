"""python -m sandbox.transcripts [NAME...]: the runs that docs/transcripts.md shows, run again and put in their places.

Without a name it is those that need nothing; `machines` needs root (docs/machines.md).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import pictures

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "transcripts.md"
BIN = Path(sys.executable).parent
LEFT_OUT = "  \N{HORIZONTAL ELLIPSIS}\n"

# What differs from run to run though the same is done: how long things take, and what each computer has.
_PASSING = re.compile(r" *(waiting|waited)  ? *.*|sandbox: .*|Waiting for deployment .*")
_CHANCE = (
    (re.compile(r"\S*/kube-sandbox-[^/\s]+"), "FOLDER"),
    (re.compile(r"http://127\.0\.0\.1:\d+/"), "MIRROR/"),
    (re.compile(r", KUBE_API_PORT=\d+"), ""),  # set where nobody may listen on 443
    (re.compile(r"(tcp/|https://[\d.]+)(:?)(443|6443|\d{5})\b"), r"\1"),
    (re.compile(r"SHA256[A-Za-z0-9+/]+"), "SHA256"),
    (re.compile(r"kube_up-\w+\.log"), "kube_up.log"),
    (re.compile(r"\b[0-9a-f]{16,}\b"), "HEX"),
    (re.compile(r"(\d+m)?\d+s\b"), "0s"),
    (re.compile(r"\d+"), "0"),
    (re.compile(r", 0 calls? repeated|, nothing repeated"), ""),
)


@dataclass(frozen=True)
class Transcript:
    """A run that the page shows: its heading there, what is typed, and the status it ends with."""

    name: str
    heading: str
    command: Sequence[str]
    status: int = 0
    needs_root: bool = False


_ON_MACHINES = (
    "python kube_up.py && "
    "kubectl rollout status deployment/coredns --namespace kube-system && "
    "kubectl get nodes,pods -A -o wide && "
    "python kube_down.py --yes"
)
TRANSCRIPTS = (
    Transcript("try", "make try", ("sh", "sandbox/try.sh", str(BIN))),
    Transcript(
        "failure",
        "A right that is missing",
        (sys.executable, "-m", "sandbox", "--deny", "ec2:CreateVpc", "--", "python", "kube_up.py"),
        status=1,
    ),
    Transcript(
        "machines",
        "On machines that boot",
        (sys.executable, "-m", "sandbox", "--hosts", "machines", "--", "env", "NUM_NODES=2", "sh", "-c", _ON_MACHINES),
        needs_root=True,
    ),
)


class Unexpected(Exception):
    """A run did not end as its transcript says."""


def main(argv: Sequence[str]) -> int:
    """Run the named ones again; 1 when one ended otherwise than the page says, 2 for a name that is none."""
    wanted = [each for each in TRANSCRIPTS if (each.name in argv if argv else not each.needs_root)]
    if unknown := set(argv) - {each.name for each in wanted}:
        names = ", ".join(each.name for each in TRANSCRIPTS)
        print(f"transcripts: no {', '.join(sorted(unknown))}; there are {names}", file=sys.stderr)
        return 2
    for transcript in wanted:
        try:
            said = run(transcript)
        except Unexpected as error:
            print(f"transcripts: {error}", file=sys.stderr)
            return 1
        PAGE.write_text(with_run(PAGE.read_text(encoding="utf-8"), transcript, shortened(said)), encoding="utf-8")
        print(f"{PAGE.relative_to(ROOT)}: {transcript.heading}")
    return 0


def run(transcript: Transcript) -> str:
    """What the command prints into a pipe, with the person's home as ~. Raises Unexpected for another status."""
    with tempfile.TemporaryDirectory(prefix="kube-") as home:
        environ = pictures.environ(home)
        del environ["NUM_NODES"]  # the pictures' own
        environ["PATH"] = f"{BIN}:{environ['PATH']}"
        if transcript.needs_root:
            environ["HOME"] = str(Path.home())  # what machines boot is kept there
        done = subprocess.run(
            transcript.command,
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != transcript.status:
            raise Unexpected(f"{transcript.name}: status {done.returncode}, not {transcript.status}:\n{done.stdout}")
        return done.stdout.replace(home, "~").lstrip("\n")


def shortened(said: str) -> str:
    """A run on machines without the steps that are as in the sandbox: those before the wait, and kube_down.py's."""
    if "sandbox: " not in said or "kubectl" not in said:
        return said
    said = re.sub(r"(?ms)^  0:0\d  Settings\n.*?(?=^ +\d+:\d\d  Waiting for the cluster\n)", LEFT_OUT, said)
    return re.sub(r"(?ms)^  0:0\d  Looking\n.*?(?=^Cluster \S+ is down)", LEFT_OUT, said)


def _place(page: str, transcript: Transcript) -> tuple[int, int]:
    found = re.search(rf"(?ms)^## {re.escape(transcript.heading)}\n.*?^```text\n(.*?)^```$", page)
    if found is None:
        raise Unexpected(f"{PAGE.name} has no place for {transcript.heading}")
    return found.span(1)


def with_run(page: str, transcript: Transcript, said: str) -> str:
    """The page with another run in the transcript's place."""
    begin, end = _place(page, transcript)
    return page[:begin] + said + page[end:]


def shown(page: str, transcript: Transcript) -> str:
    """The run that the page shows."""
    begin, end = _place(page, transcript)
    return page[begin:end]


def shape(said: str) -> list[str]:
    """What a run says, line by line, without what differs from run to run: ids, times, addresses, waits."""
    lines = [line.rstrip() for line in said.splitlines()]
    return [_blank(line) for line in lines if line and not _PASSING.fullmatch(line)]


def _blank(line: str) -> str:
    for chance, word in _CHANCE:
        line = chance.sub(word, line)
    return " ".join(line.split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
