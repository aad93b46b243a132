"""What this computer does to a run: full disks, closed pipes, signals. No traceback, and no half-made file."""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Box
from helpers import kubeconfig, must, part, refused, stop_after
from spread import spread

from sandbox.calls import Answer, Call

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable
FULL = Path("/dev/full")


def start(box: Box, *argv: str, **how: Any) -> subprocess.Popen[str]:
    """kube_up.py in a process of its own."""
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([PYTHON, "kube_up.py", *argv], cwd=ROOT, env=box.environ, text=True, **{**streams, **how})


def shell(box: Box, line: str) -> subprocess.CompletedProcess[str]:
    """A line of shell in which $up is kube_up.py."""
    return subprocess.run(
        ["sh", "-c", line.replace("$up", f"{PYTHON} kube_up.py")],
        cwd=ROOT,
        env=box.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def one_line(said: str, *words: str) -> None:
    """At most an error and a hint, with these words, and nothing that Python said."""
    aside = ("warning: ", "all calls of this run: ")
    lines = [line for line in said.splitlines() if not line.startswith(aside)]
    assert 1 <= len(lines) <= 2, said
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def left_behind(folder: Path) -> list[str]:
    """Temporary files of ours, anywhere below."""
    return [str(path) for path in folder.rglob(".kube-up.*")]


def at(box: Box, operation: str, do: Callable[[], None]) -> None:
    """Do something once, as soon as AWS has done an operation."""
    done: list[int] = []

    def look(call: Call, answer: Answer) -> Answer:
        if f"{call.service}:{call.operation}" == operation and not done:
            done.append(1)
            do()
        return answer

    box.aws.hooks.after.append(look)


# --- standard streams


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("argument", ["--help", "--show-settings", "--dry-run"])
def test_output_onto_a_full_disk(sandbox: Box, argument: str) -> None:
    ran = shell(sandbox, f"$up {argument} >/dev/full")
    assert ran.returncode == 1
    one_line(ran.stderr, "standard output: No space left on device")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_errors_onto_a_full_disk_leave_the_status(sandbox: Box) -> None:
    assert shell(sandbox, "$up --no-such-flag 2>/dev/full").returncode == 2
    assert shell(sandbox, "$up --help 2>/dev/full").returncode == 0


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("$up --help >&-", 0),
        ("$up --show-settings <&-", 0),
        ("$up --show-settings <&- >&- 2>&-", 0),
        ("NUM_NODES=four $up <&- >&-", 2),
        ("NUM_NODES=four $up 2>&-", 2),
    ],
)
def test_closed_streams(sandbox: Box, line: str, status: int) -> None:
    ran = shell(sandbox, line)
    assert ran.returncode == status
    assert "Traceback" not in ran.stdout + ran.stderr


def test_a_key_is_made_though_all_streams_are_closed(sandbox: Box) -> None:
    key = sandbox.home / "new"
    reading, writing = os.pipe()
    at(sandbox, "ec2:ImportKeyPair", lambda: os.kill(run.pid, signal.SIGTERM))
    sandbox.environ["AWS_SSH_KEY"] = str(key)
    run = subprocess.Popen(
        ["sh", "-c", f"exec {PYTHON} kube_up.py <&- >&- 2>&-"], cwd=ROOT, env=sandbox.environ, pass_fds=[writing]
    )
    assert run.wait() == 143
    os.close(reading)
    os.close(writing)
    assert key.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert key.read_text().endswith("-----END OPENSSH PRIVATE KEY-----\n")
    assert key.with_name("new.pub").read_text().startswith("ssh-ed25519 ")


@pytest.mark.parametrize("argument", ["--help", "--show-settings", "--dry-run"])
def test_a_pipe_whose_reader_went_is_no_trouble_while_nothing_is_made(sandbox: Box, argument: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    run = start(sandbox, argument, stdout=writing)
    os.close(writing)
    said = [line for line in run.communicate()[1].splitlines() if not line.startswith("warning: ")]
    assert (run.returncode, said) == (1, [])


def test_a_pipe_whose_reader_goes_later_ends_the_run_and_says_what_was_made(sandbox: Box) -> None:
    reading, writing = os.pipe()
    at(sandbox, "ec2:CreateVpc", lambda: os.close(reading))
    run = start(sandbox, stdout=writing)
    os.close(writing)
    said = run.communicate()[1]
    assert run.returncode == 1
    one_line(said, "standard output: Broken pipe", "Made in this run: ", "kubernetes-staging-")
    sandbox.aws.hooks.after.clear()
    must(sandbox.up())
    assert len(part(sandbox, "vpcs")) == 1


def test_a_locale_without_our_characters(sandbox: Box) -> None:
    ran = shell(sandbox, "PYTHONIOENCODING=ascii $up --dry-run")
    assert ran.returncode == 3
    assert "This would make" in ran.stdout


def test_names_that_would_act_on_a_terminal_are_spelt_out(sandbox: Box) -> None:
    sandbox.environ |= {"KUBE_\x1b[31m": "1", "KUBE_A\nerror: B": "1", "KUBE_\udcff": "1"}
    run = start(sandbox, "--show-settings")
    said = run.communicate()[1]
    assert run.returncode == 2
    warned = [line for line in said.splitlines() if "nothing reads it" in line]
    assert {line.split(": nothing")[0] for line in warned} == {
        r"error: KUBE_\x1b[31m",
        r"error: KUBE_A\nerror: B",
        r"error: KUBE_\udcff",
    }
    assert len(warned) == len(said.splitlines())


# --- full disk


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """A function that lets no file become larger than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_kubeconfig_that_does_not_fit_on_the_disk_stays_as_it_was(
    sandbox: Box, full_disk: Callable[[int], None]
) -> None:
    text = "# mine\napiVersion: v1\nkind: Config\n"
    kubeconfig(sandbox).parent.mkdir(parents=True)
    kubeconfig(sandbox).write_text(text)
    full_disk(1000)
    refused(sandbox.up(), 1, f"{kubeconfig(sandbox)} cannot be written", "same command again")
    assert kubeconfig(sandbox).read_text() == text
    assert left_behind(sandbox.home) == []
    full_disk(resource.RLIM_INFINITY)
    must(sandbox.up())
    assert kubeconfig(sandbox).read_text().startswith("# mine\n")


def test_a_key_that_does_not_fit_on_the_disk_is_not_there(sandbox: Box, full_disk: Callable[[int], None]) -> None:
    key = sandbox.home / "new"
    full_disk(50)
    said = refused(sandbox.up(AWS_SSH_KEY=key), 1, "ssh-keygen failed")
    assert len(said.splitlines()) == 1
    assert list(sandbox.home.glob("new*")) == []
    assert left_behind(sandbox.home) == []
    full_disk(resource.RLIM_INFINITY)
    must(sandbox.up(AWS_SSH_KEY=key))
    assert key.stat().st_mode & 0o777 == 0o600


# --- signals

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}

# Sends the process a signal when the Nth module is about to be imported, counted from the script's own first.
WHILE_IMPORTING = """
import os, runpy, sys
number, left = int(sys.argv[1]), [int(sys.argv[2])]
def hook(event, arguments):
    if event == "import" and armed:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), number)
armed = False
sys.addaudithook(hook)
sys.argv = ["kube_up.py", "--help"]
sys.path.insert(0, "")
code = compile(open("kube_up.py").read(), "kube_up.py", "exec")
armed = True
exec(code, {"__name__": "__main__", "__file__": "kube_up.py"})
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("nth", [4, 9, 30, 120, 250, 400])
def test_a_signal_while_modules_load(number: signal.Signals, nth: int, sandbox: Box) -> None:
    ran = subprocess.run(
        [PYTHON, "-c", WHILE_IMPORTING, str(int(number)), str(nth)],
        cwd=ROOT,
        env=sandbox.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (-number, STATUS[number])  # a shell shows both as the second
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


AT = ("sts:GetCallerIdentity", "ec2:DescribeImages", "s3:CreateBucket", "iam:CreateRole", "ec2:CreateVpc")


@pytest.mark.parametrize(("operation", "number"), spread(itertools.product(AT, STATUS), 4))
def test_a_signal_at_a_call(sandbox: Box, operation: str, number: signal.Signals) -> None:
    at(sandbox, operation, lambda: os.kill(run.pid, number))
    run = start(sandbox, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    said = run.communicate()[1]
    assert run.returncode == STATUS[number], said
    one_line(said, "stopped by ", "Made in this run: ")
    assert left_behind(sandbox.home) == []


def test_a_signal_that_comes_twice_counts_once(sandbox: Box) -> None:
    def twice() -> None:
        os.kill(run.pid, signal.SIGTERM)
        os.kill(run.pid, signal.SIGINT)

    at(sandbox, "ec2:CreateVpc", twice)
    run = start(sandbox)
    said = run.communicate()[1]
    assert run.returncode in (STATUS[signal.SIGINT], STATUS[signal.SIGTERM])
    one_line(said, "stopped by ")


@pytest.mark.parametrize(("seam", "number"), spread(itertools.product(["fsync", "replace"], STATUS), 3))
def test_a_signal_while_kubeconfig_is_written(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, seam: str
) -> None:
    text = "# mine\napiVersion: v1\nkind: Config\n"
    kubeconfig(sandbox).parent.mkdir(parents=True)
    kubeconfig(sandbox).write_text(text)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    real = getattr(os, seam)

    def stop(*arguments: Any) -> Any:
        os.kill(os.getpid(), number)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, seam, stop)
        refused(sandbox.up(), STATUS[number], "stopped by ", "goes on")
    signal.signal(signal.SIGINT, before)
    assert kubeconfig(sandbox).read_text() == text
    assert left_behind(sandbox.home) == []
    must(sandbox.up())


def test_nohup_keeps_a_run_going(sandbox: Box) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop_after(sandbox, "ec2:CreateVpc", signal.SIGHUP)
        must(sandbox.up())
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_terminal_goes(sandbox: Box) -> None:
    ours, theirs = pty.openpty()

    def become_its_session() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    at(sandbox, "ec2:CreateVpc", lambda: os.close(ours))
    run = start(sandbox, stdin=theirs, stdout=theirs, preexec_fn=become_its_session)
    os.close(theirs)
    said = run.communicate()[1]
    assert run.returncode in (1, STATUS[signal.SIGHUP])
    one_line(said, "Made in this run: ")
    sandbox.aws.hooks.after.clear()
    must(sandbox.up())
    assert len(part(sandbox, "vpcs")) == 1
