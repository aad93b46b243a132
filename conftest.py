"""Fixtures: one simulated AWS for the whole run, empty for each test, on a clock that never really waits."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import prepared
import pytest
from botocore.config import Config as BotoConfig
from direct import direct
from quickboto import models_read_once

from sandbox import surroundings
from sandbox.app import Record, Sandbox
from sandbox.backend.holdings import inventory
from sandbox.clock import FakeClock
from sandbox.inventory import masked, shows_in

# The tests and the models of AWS's services are many objects, and looked through for nothing.
gc.set_threshold(100_000, 20, 50)
REGION = "us-west-2"
# A list, a mapping or a value as Python writes it (JSON in a command is for the AWS command), unless it is quoted:
# somebody gave it.
PYTHON = re.compile(
    r"\[\{(?!\")|\{'\w+'|\['\w+'|\b(?:dict|Planned)\(|(?<![\w'])(?:None|True|False)(?![\w'])|<\w+ object at"
)

# What is ignored stays so in all that a test starts, what has a handler does not (execve(2)): a run under nohup ignores
# the one, a run in a shell's background the other.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs no simulated AWS, which is cheap: `make test-product` runs all of it."""
    for item in items:
        if "_server" not in getattr(item, "fixturenames", ()):
            item.add_marker("alone")


@dataclass(frozen=True)
class Result:
    """What a run of one of the two scripts gave: exit code, both outputs, and the API calls it made."""

    code: int
    out: str
    err: str
    calls: list[Record] = field(repr=False, default_factory=list)

    @property
    def changing(self) -> list[str]:
        """The changing calls that AWS accepted, as "service:Operation"."""
        return [f"{call.service}:{call.operation}" for call in self.calls if call.changes and call.status < 300]

    @property
    def operations(self) -> list[str]:
        """All calls, as "service:Operation"."""
        return [f"{call.service}:{call.operation}" for call in self.calls]


@dataclass
class _Server:
    """What all tests share."""

    aws: Sandbox
    clock: FakeClock
    endpoint: str
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    ready: dict[prepared.Key, prepared.Prepared] = field(default_factory=dict)


class Box:
    """The sandbox as a test sees it."""

    def __init__(self, server: _Server, home: Path, capture: Any) -> None:
        self.aws, self.clock, self.endpoint = server.aws, server.clock, server.endpoint
        self.home, self._capture, self._clients, self._ready = home, capture, server.clients, server.ready
        self.environ: dict[str, str] = _environ(server.endpoint, home)

    def client(self, name: str, region: str = REGION) -> Any:
        """A boto3 client that does not retry."""
        key = (name, region)
        if key not in self._clients:
            self._clients[key] = _client(name, region, self.endpoint)
        return self._clients[key]

    @property
    def calls(self) -> list[Record]:
        """Every call since the last run began (or since the test did)."""
        return self.aws.calls

    @property
    def changing_calls(self) -> list[Record]:
        """The changing ones of `calls`."""
        return [call for call in self.aws.calls if call.changes]

    def inventory(self, *, mask: bool = False) -> dict[str, Any]:
        """All that the account holds; masked: ids, times and random material by their order only."""
        self.aws.tick()
        found = inventory()
        return masked(found) if mask else found

    def up(self, *argv: str, **settings: object) -> Result:
        """Run kube_up.py in this process; settings are environment variables."""
        import kube_up

        return self._run(kube_up.main, argv, settings)

    def cluster(self, before: Callable[[Box], object] | None = None, /, **settings: object) -> Result:
        """A finished cluster to begin with, as `up` makes it with these settings; `before` does what comes before it.

        `before` is a function of a module's, which does the same each time.
        """

        def make() -> Result:
            if before is not None:
                before(self)
            result = self.up(**settings)
            assert result.code == 0, result.err
            return result

        first = "" if before is None else f"{before.__module__}.{before.__qualname__}"
        return prepared.cluster(self, self._ready, make, {"": first, **settings})

    def down(self, *argv: str, **settings: object) -> Result:
        """Run kube_down.py in this process."""
        import kube_down

        return self._run(kube_down.main, argv, settings)

    def _run(self, main: Callable[..., int], argv: tuple[str, ...], settings: Mapping[str, object]) -> Result:
        environ = self.environ | {name: str(value) for name, value in settings.items()}
        self._capture.readouterr()
        self.aws.calls.clear()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():  # boto3 takes its own variables from the process
                patch.setenv(name, value)
            code = main(list(argv), environ, clock=self.clock)
        shown = self._capture.readouterr()
        seen = PYTHON.findall(shown.out + shown.err) if code in (0, 3) else []  # errors repeat what was given
        assert not seen, f"Python's own way to write things is shown: {seen}"
        for service, operation in {(each.service, each.operation) for each in self.changing_calls}:
            assert shows_in(service, operation), f"{service} {operation} shows in no inventory (sandbox/inventory.py)"
        return Result(code, shown.out, shown.err, list(self.aws.calls))


def _client(name: str, region: str, endpoint: str) -> Any:
    session = boto3.session.Session(
        aws_access_key_id="sandbox", aws_secret_access_key="sandbox", region_name=region, profile_name=None
    )
    config = BotoConfig(retries={"max_attempts": 0}, proxies={})
    return session.client(name, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]


def _environ(endpoint: str, home: Path) -> dict[str, str]:
    port = surroundings.api_port({})
    environ = surroundings.additions({}, endpoint, home) | {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "TERM": "dumb",
        "COLUMNS": "200",
        "KUBECONFIG": str(home / ".kube" / "config"),
        "AWS_SSH_KEY": str(home / ".ssh" / "kube_aws_rsa"),
        "KUBE_AWS_ZONE": f"{REGION}a",
        "NUM_NODES": "2",
    }
    return environ | ({"KUBE_API_PORT": str(port)} if port else {})


@pytest.fixture(scope="session", autouse=True)
def _models_read_once() -> Iterator[None]:
    with models_read_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test counts on what is at home or in the system's temporary folder, or leaves anything there.

    The end-to-end tests, which have a session of their own, boot machines from what is at home.
    """
    if any("e2e" in item.path.parts for item in request.session.items):
        yield
        return
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        Path(temporary).chmod(0o755)  # pytest's own is closed to others
        folders = {"HOME": tmp_path_factory.mktemp("home"), "TMPDIR": Path(temporary)}
        for name, folder in folders.items():
            patch.setenv(name, str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield
        left = {name: [each.name for each in folder.iterdir()] for name, folder in folders.items()}
    assert left == {"HOME": [], "TMPDIR": []}, "the tests leave this behind"


@contextmanager
def clean_environment() -> Iterator[None]:
    """No credentials, profile, endpoint or proxy of whoever runs the tests reaches a client."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if surroundings.is_hostile(name)]:
            patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def _clean_environment() -> Iterator[None]:
    with clean_environment():
        yield


@contextmanager
def simulated_aws() -> Iterator[_Server]:
    """The one simulated AWS of a process."""
    clock = FakeClock()
    aws = Sandbox(clock)
    clock.listeners.append(aws.tick)
    aws.serve_hosts()
    endpoint = aws.serve()
    with direct(aws, endpoint):
        yield _Server(aws, clock, endpoint)
    aws.close()


@pytest.fixture(scope="session")
def _server(_clean_environment: None) -> Iterator[_Server]:
    with simulated_aws() as server:
        yield server


@pytest.fixture(scope="session")
def ssh_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair made once; the private half's path, with .pub beside it."""
    return make_ssh_key(tmp_path_factory.mktemp("ssh"))


def make_ssh_key(folder: Path) -> Path:
    """A key pair in a folder; the private half's path."""
    path = folder / "kube_aws_rsa"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


@pytest.fixture
def sandbox(_server: _Server, tmp_path: Path, ssh_key: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Box]:
    """An empty simulated AWS."""
    _server.aws.reset()
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    for name in ("kube_aws_rsa", "kube_aws_rsa.pub"):
        shutil.copy(ssh_key.with_name(name), home / ".ssh" / name)
    yield Box(_server, home, capsys)
    _server.aws.reset()
