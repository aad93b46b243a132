"""python -m sandbox [options] [-- COMMAND...]: an AWS on this machine for as long as a command runs."""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from sandbox import surroundings
from sandbox.faults import options as faults

if TYPE_CHECKING:
    from sandbox.app import Sandbox
    from sandbox.machines.start import Prepared

OWN_ERROR = 125
FOLDER = "kube-sandbox-"  # begins a temporary folder's name; the sandbox's process id follows
PR_SET_PDEATHSIG = 1  # prctl(2)
TICK = 0.1  # seconds between looks at what is due


class OwnError(Exception):
    """The sandbox itself cannot: one line for the person, exit 125."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OwnError(f"{message} (python -m sandbox --help lists the options)")


def main(argv: Sequence[str]) -> int:
    """Run a command in a simulated AWS; returns the command's exit status, 125 for the sandbox's own errors."""
    try:
        options, command = _arguments(argv)
        with _temporary_folder() as folder, _calls_file(options.calls) as calls:
            return _run(options, command, folder, calls)
    except OwnError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return OWN_ERROR


def _arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    own, separator, command = _split(argv)
    parser = _Parser(
        prog="python -m sandbox",
        usage="python -m sandbox [options] [-- COMMAND...]",
        description="Start an AWS on this machine and run COMMAND against it. Without COMMAND, print the environment "
        "for a shell and stay until Ctrl-C.",
    )
    parser.add_argument("--calls", metavar="FILE", help="append one JSON object for each of COMMAND's API calls")
    parser.add_argument(
        "--latency", metavar="MS", type=float, default=0.0, help="delay every answer by MS milliseconds"
    )
    parser.add_argument(
        "--hosts",
        choices=["simulated", "machines"],
        default="simulated",
        help="what instances are: stand-ins that answer, or machines that boot their user-data (root, Linux)",
    )
    parser.add_argument(
        "--pull", action="store_true", help="let machines pull the containers' images instead of having them already"
    )
    parser.add_argument(
        "--images",
        metavar="FOLDER",
        type=Path,
        help="let machines pull the images of this folder's docker-archives (*.tar) from registry.k8s.io, too",
    )
    parser.add_argument(
        "--kernel", action="store_true", help="let machines have a kernel of their own, as a process (User Mode Linux)"
    )
    faults.add(parser)
    options = parser.parse_args(own)
    options.images = _archives(parser, options.images)
    if options.latency < 0:
        parser.error("--latency is a number of milliseconds, 0 or more")
    for name in ("pull", "images", "kernel"):
        if getattr(options, name) and options.hosts != "machines":
            parser.error(f"--{name} is for --hosts machines")
    if why := faults.problem(options):
        raise OwnError(why)
    if separator and not command:
        parser.error("there is no command after --")
    return options, command


def _archives(parser: _Parser, folder: Path | None) -> tuple[Path, ...]:
    found = tuple(sorted(folder.resolve().glob("*.tar"))) if folder else ()
    if folder and not found:
        parser.error(f"--images is a folder with docker-archives, *.tar; there are none in {folder}")
    return found


def _split(argv: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in argv:
        return list(argv), False, []
    at = list(argv).index("--")
    return list(argv[:at]), True, list(argv[at + 1 :])


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        _drop_left(Path(tempfile.gettempdir()))
        folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
    except OSError as error:
        raise OwnError(f"no temporary folder can be made: {error}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _drop_left(place: Path) -> None:
    """Remove the folders of sandboxes that were killed: an ssh key and a kubeconfig are in them."""
    for folder in place.glob(f"{FOLDER}*-*"):
        pid = folder.name.removeprefix(FOLDER).partition("-")[0]
        if pid.isdecimal() and folder.stat().st_uid == os.getuid() and not _alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def _calls_file(name: str | None) -> Iterator[TextIO | None]:
    if name is None:
        yield None
        return
    try:
        file = open(name, "a", encoding="utf-8")  # noqa: SIM115  (closed below, whatever happens)
    except OSError as error:
        raise OwnError(f"--calls {name}: {error.strerror}") from None
    with file:
        yield file


def _run(options: argparse.Namespace, command: list[str], folder: Path, calls: TextIO | None) -> int:
    if importlib.util.find_spec("moto") is None:
        raise OwnError("moto is not installed: pip install -r sandbox/requirements.txt")
    environ = dict(os.environ)
    with _listen() as listener, _machines(options) as machines:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        added = surroundings.additions(environ, endpoint, folder) | _api_port(environ)
        if machines is not None:
            added |= machines.additions(environ)
        if not command:
            return _stay(options, environ, added, listener, calls, machines)
        inside = surroundings.inside(environ, endpoint, folder) | added
        with _Child(command, inside) as child:
            # The command starts while moto loads: its first call waits in the listener's queue.
            box = _start(options, listener, calls, machines)
            try:
                return child.wait()
            finally:
                box.close()


@contextmanager
def _machines(options: argparse.Namespace) -> Iterator[Prepared | None]:
    """What machines need, made before the command starts: the first time it takes a minute or two."""
    if options.hosts != "machines":
        yield None
        return
    from sandbox.machines.places import CannotStart
    from sandbox.machines.start import Prepared

    try:
        prepared = Prepared(
            pull=options.pull,
            images=options.images,
            kernel=options.kernel,
            say=lambda words: print(f"sandbox: {words}", file=sys.stderr, flush=True),
        )
    except CannotStart as error:
        raise OwnError(str(error)) from None
    try:
        yield prepared
    finally:
        prepared.close()


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def _api_port(environ: Mapping[str, str]) -> dict[str, str]:
    port = surroundings.api_port(environ)
    if port is None:
        return {}
    print(f"sandbox: port 443 cannot be used here, so KUBE_API_PORT={port}", file=sys.stderr)
    return {"KUBE_API_PORT": str(port)}


def _stay(
    options: argparse.Namespace,
    environ: Mapping[str, str],
    added: Mapping[str, str],
    listener: socket.socket,
    calls: TextIO | None,
    machines: Prepared | None,
) -> int:
    """No command: be there until a signal comes."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    box = _start(options, listener, calls, machines)
    try:
        print(surroundings.exports(environ, added), flush=True)
        print("sandbox: Ctrl-C ends it", file=sys.stderr)
        stop.wait()
    finally:
        box.close()
    return 0


def _start(
    options: argparse.Namespace, listener: socket.socket, calls: TextIO | None, machines: Prepared | None
) -> Sandbox:
    """Load moto and serve on the listener."""
    for name in [name for name in os.environ if surroundings.is_hostile(name)]:
        del os.environ[name]  # moto itself uses botocore, which a profile that does not exist would stop
    from sandbox.app import Sandbox, record_line

    box = Sandbox(latency=options.latency / 1000)
    faults.put(box, options)
    if calls is not None:

        def write(record: object) -> None:
            calls.write(record_line(record))  # type: ignore[arg-type]
            calls.flush()

        box.on_record = write
    if machines is not None:
        box.serve_machines(machines, listener.getsockname())
    else:
        box.serve_hosts()
    box.serve(listener=listener)
    box.tick_every(TICK)
    return box


def _die_with_sandbox() -> None:
    """Have the kernel end the command when the sandbox is killed: it would go on against an AWS that is not there."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _has_terminal() -> bool:
    """Whether the standard input is a terminal, and this the process group that it listens to."""
    if not sys.stdin or sys.stdin.closed or not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False


def _take_terminal() -> None:
    """Have the terminal listen to this process's group."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with suppress(OSError):
        os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
    signal.signal(signal.SIGTTOU, before)


class _Child:
    """The command, in a process group of its own, which also gets the terminal where there is one."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self._command, self._environ = command, environ
        self._group = 0  # the child's process group, once there is one
        self._signals: list[int] = []
        self._terminal = _has_terminal()

    def _begin(self) -> None:
        """What the child does before it is the command: take the terminal, while nothing of the command runs.

        A shell that begins without it stops itself (SIGTTIN), and is not told when it gets it.
        """
        _die_with_sandbox()
        if self._terminal:
            _take_terminal()

    def __enter__(self) -> _Child:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # first, so that none comes in between
            signal.signal(number, self._forward)
        try:
            self._process = subprocess.Popen(
                self._command, env=dict(self._environ), process_group=0, preexec_fn=self._begin
            )
        except OSError as error:
            self._take_back()
            raise OwnError(f"{self._command[0]}: {error.strerror}") from None
        self._group = self._process.pid
        for early in self._signals:
            self._signal_group(signal.Signals(early))
        return self

    def __exit__(self, *_: object) -> None:
        self._signal_group(signal.SIGTERM if self._process.poll() is not None else signal.SIGKILL)
        self._process.wait()
        self._take_back()

    def _take_back(self) -> None:
        if self._terminal:
            _take_terminal()

    def wait(self) -> int:
        """The command's exit status, as a shell shows it."""
        status = self._process.wait()
        return 128 - status if status < 0 else status

    def _forward(self, number: int, _frame: object) -> None:
        """Pass a signal on; the third one of somebody who waits in vain kills."""
        self._signals.append(number)
        self._signal_group(signal.SIGKILL if len(self._signals) > 2 else signal.Signals(number))

    def _signal_group(self, number: signal.Signals) -> None:
        if self._group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, number)
