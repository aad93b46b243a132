"""Before kube_down.py removes anything it shows on a terminal what will be gone, and has the cluster's id typed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import REGION, Box, Result
from helpers import ID, bucket_of, must, named, part, tagged
from spread import spread
from test_terminal import TERMINAL, plain, readable

from lib.aws.objects import SNAPSHOT
from sandbox.pictures import open_terminal, read_terminal

ROOT = Path(__file__).parent.parent
QUESTION = "Type the cluster's id to remove it: "
ASKED = QUESTION.encode()
CTRL_C, CTRL_D = b"\x03", b"\x04"


def type_when_asked(ours: int, typed: bytes, written: list[bytes]) -> None:
    """What a person does: read, type once the question is there, read on."""
    answered = False
    for data in read_terminal(ours):
        written.append(data)
        if not answered and ASKED in b"".join(written):
            answered = True
            os.write(ours, typed)


@contextlib.contextmanager
def person(typed: bytes, monkeypatch: pytest.MonkeyPatch, *, early: bytes, at: Sequence[str]) -> Iterator[list[bytes]]:
    """A terminal in the place of these streams, and somebody there who types that when asked, and something before.

    Yields what is written onto it, whole at the end.
    """
    ours, theirs = open_terminal(rows=24, columns=80)
    os.write(ours, early)
    written: list[bytes] = []
    reader = threading.Thread(target=type_when_asked, args=(ours, typed, written))
    reader.start()
    try:
        with (
            open(os.dup(theirs), encoding="utf-8") as keyboard,
            open(theirs, "w", encoding="utf-8") as screen,
            monkeypatch.context() as patch,
        ):
            for name in at:
                patch.setattr(sys, name, keyboard if name == "stdin" else screen)
            yield written
    finally:
        reader.join()
        os.close(ours)


Typing = Callable[..., tuple[Result, str]]
ALL = ("stdin", "stdout", "stderr")


@pytest.fixture
def typing(sandbox: Box, monkeypatch: pytest.MonkeyPatch) -> Typing:
    """kube_down.py in this process, at a terminal; the run, and what is shown."""

    def run(typed: bytes, *argv: str, early: bytes = b"", at: Sequence[str] = ALL) -> tuple[Result, str]:
        with person(typed, monkeypatch, early=early, at=at) as written:
            result = sandbox.down(*argv, **TERMINAL)
        return result, b"".join(written).decode(errors="replace")

    return run


def about(shown: str) -> dict[str, str]:
    """What stands above the question, by its name."""
    block = plain(shown).partition("This cannot be taken back:\n")[2].partition(QUESTION)[0]
    joined = block.replace("\n           ", " ")
    return {line[:11].strip(): line[11:] for line in joined.splitlines()}


def claimed(box: Box) -> str:
    """A volume that a claim made."""
    claim = {"kubernetes.io/created-for/pvc/name": "db", "kubernetes.io/created-for/pvc/namespace": "shop"}
    tags = tagged("volume", **claim)
    return str(
        box.client("ec2").create_volume(Size=8, AvailabilityZone=f"{REGION}a", TagSpecifications=tags)["VolumeId"]
    )


def test_what_will_be_gone_is_shown_and_the_typed_id_removes_it(sandbox: Box, typing: Typing) -> None:
    before = sandbox.inventory()
    sandbox.cluster()
    volume, disk = claimed(sandbox), named(sandbox, "volumes", f"{ID}-master-pd")
    s3, key = sandbox.client("s3"), f"{REGION}/{ID}/{SNAPSHOT}"
    for body in (b"one", b"two"):
        s3.put_object(Bucket=bucket_of(sandbox), Key=key, Body=body)
    result, shown = typing(b" kubernetes \n")
    assert about(shown) == {
        "cluster": f"{ID} in account 123456789012, {REGION}",
        "nodes": "1 master, 2 minions",
        "volumes": f"volume {volume} 8 GiB of claim shop/db",
        "etcd": f"disk {disk} 20 GiB, 2 snapshots",
    }
    readable(shown)
    must(result)
    assert sandbox.inventory() == before


def test_with_keep_disk_it_says_what_is_kept(sandbox: Box, typing: Typing) -> None:
    sandbox.cluster()
    disk = named(sandbox, "volumes", f"{ID}-master-pd")
    result, shown = typing(b"kubernetes\n", "--keep-disk")
    said = about(shown)
    assert set(said) == {"cluster", "nodes", "kept"}
    for words in (f"disk {disk} 20 GiB", "elastic IP ", f"bucket {bucket_of(sandbox)}"):
        assert words in said["kept"]
    must(result)
    assert disk in part(sandbox, "volumes")


def test_what_is_a_persons_own_is_said_to_stay(sandbox: Box, typing: Typing) -> None:
    sandbox.cluster()
    snapshot = sandbox.client("ec2").create_snapshot(
        VolumeId=named(sandbox, "volumes", f"{ID}-master-pd"), TagSpecifications=tagged("snapshot")
    )["SnapshotId"]
    _, shown = typing(b"no\n")
    assert about(shown)["stays"].startswith(f"what is yours: snapshot {snapshot} of vol-")


ANSWERS = [
    (b"kubernets\n", "'kubernets' was typed, and the cluster is kubernetes: nothing was removed"),
    (b"yes\n", "'yes' was typed, and the cluster is kubernetes: nothing was removed"),
    (b"Kubernetes\n", "'Kubernetes' was typed, and the cluster is kubernetes: nothing was removed"),
    (b"k\xff\n", "was typed, and the cluster is kubernetes: nothing was removed"),
    (b"\n", "no id was typed: nothing was removed"),
    (CTRL_D, "the question was not answered, and nothing was removed"),
]


@pytest.mark.parametrize(("typed", "words"), spread(ANSWERS, 3))
def test_another_answer_removes_nothing(sandbox: Box, typing: Typing, typed: bytes, words: str) -> None:
    sandbox.cluster()
    before = sandbox.inventory()
    result, shown = typing(typed)
    said = plain(shown).rpartition(QUESTION)[2]
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert result.code == 2
    assert len(lines) == 1
    assert words in " ".join(said.split())
    assert said.splitlines()[-1] == lines[0] or said.splitlines()[-2] == lines[0]  # nothing after it, but its own rest
    assert [call.operation for call in result.calls if call.changes] == []
    assert sandbox.inventory() == before


def test_what_was_typed_before_the_question_is_no_answer(sandbox: Box, typing: Typing) -> None:
    sandbox.cluster()
    result, _ = typing(b"kubernetes\n", early=b"no\n")
    must(result)


def test_it_is_asked_on_stderr_where_the_output_goes_elsewhere(sandbox: Box, typing: Typing) -> None:
    sandbox.cluster()
    result, shown = typing(b"no\n", at=("stdin", "stderr"))
    assert (result.code, QUESTION in result.out) == (2, False)
    assert set(about(shown)) == {"cluster", "nodes", "etcd"}


@pytest.mark.parametrize("at", [("stdin", "stdout"), ("stdout", "stderr")], ids="-".join)
def test_where_nobody_reads_or_types_nothing_is_asked(sandbox: Box, typing: Typing, at: Sequence[str]) -> None:
    sandbox.cluster()
    result, shown = typing(b"", at=at)
    assert QUESTION not in shown + result.out + result.err
    must(result)


@pytest.mark.parametrize("flag", ["--yes", "--dry-run"])
def test_nothing_is_asked(sandbox: Box, typing: Typing, flag: str) -> None:
    sandbox.cluster()
    result, shown = typing(b"", flag)
    assert QUESTION not in shown
    assert result.code == (3 if flag == "--dry-run" else 0)


def test_ctrl_c_at_the_question_removes_nothing(sandbox: Box) -> None:
    """In a process of its own at its own terminal, which makes a signal of it."""
    sandbox.cluster()
    before = sandbox.inventory()
    ours, theirs = open_terminal(rows=24, columns=80)

    def as_a_shell_does() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    streams: dict[str, Any] = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    run = subprocess.Popen(
        [sys.executable, "kube_down.py"],
        cwd=ROOT,
        env=sandbox.environ | TERMINAL,
        preexec_fn=as_a_shell_does,
        **streams,
    )
    os.close(theirs)
    written: list[bytes] = []
    type_when_asked(ours, CTRL_C, written)
    os.close(ours)
    assert run.wait() == 130
    said = plain(b"".join(written).decode()).rpartition(QUESTION)[2]
    # The terminal sends the signal and only then writes ^C (n_tty.c), among what the run says by then, or after it.
    assert said.replace("^C", "").splitlines() == ["", "error: stopped by Ctrl-C. Nothing was removed"]
    assert sandbox.inventory() == before
