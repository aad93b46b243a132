"""A sandbox with machines in a process of its own, and short words for what a person does to a cluster in it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).parents[2]
REGION = "us-west-2"
ID = "kubernetes"
PATIENCE = 180.0  # seconds for anything that has no time of its own
SAY = 'env -0 >"$1.new"; mv "$1.new" "$1"; exec cat'
READY = "{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=='Ready')].status} {end}"


@dataclass(frozen=True)
class Result:
    """What one of the two scripts gave."""

    code: int
    out: str
    seconds: float


@dataclass
class Stage:
    """The sandbox, the environment for commands in it, and what has been measured and counted."""

    process: subprocess.Popen[str]
    environ: dict[str, str]
    times: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, *options: str) -> Iterator[Stage]:
        """The sandbox, whose command does nothing but say its environment and wait."""
        with tempfile.TemporaryDirectory(prefix="kube-e2e-") as folder:
            file = Path(folder) / "environ"
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "sandbox",
                    "--hosts",
                    "machines",
                    *options,
                    "--",
                    "sh",
                    "-c",
                    SAY,
                    "sh",
                    str(file),
                ],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            said: list[str] = []
            reader = threading.Thread(target=lambda: said.extend(process.stderr or []), daemon=True)
            reader.start()
            try:
                while not file.exists() and process.poll() is None:
                    time.sleep(0.1)
                if process.poll() is not None:
                    reader.join()
                    raise AssertionError("the sandbox does not start: " + "".join(said))
                yield cls(process, _environ(file))
            finally:
                assert process.stdin is not None
                process.stdin.close()
                process.wait(timeout=60)
                reader.join()
                sys.stdout.write("".join(said))  # pytest shows it with a failure

    # --- the scripts ---

    def run(self, script: str, **settings: str) -> Result:
        """Run kube_up.py or kube_down.py to its end, with these settings."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, script],
            cwd=ROOT,
            env=self.environ | {"KUBE_AWS_ZONE": f"{REGION}a", "NUM_NODES": "2"} | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Result(done.returncode, done.stdout, time.monotonic() - started)

    def up(self, **settings: str) -> Result:
        """kube_up.py, which has to succeed."""
        result = self.run("kube_up.py", **settings)
        assert result.code == 0, result.out
        return result

    @contextlib.contextmanager
    def removing(self, **settings: str) -> Iterator[dict[str, str]]:
        """These settings, for one cluster more; whatever is made of it goes in the end, also after a failure.

        All tests share an account, which may have five VPCs, and a computer. AssertionError where it does not go and
        nothing else has failed before.
        """
        try:
            yield settings
        finally:
            down = self.run("kube_down.py", **settings)
        assert down.code == 0, down.out

    def inventory(self) -> dict[str, Any]:
        """All that the account holds."""
        return dict(json.loads(self._python("-m", "sandbox.inventory")))

    def logs(self, folder: Path) -> None:
        """What python -m lib.logs collects."""
        self._python("-m", "lib.logs", str(folder))

    def _python(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self.environ, capture_output=True, text=True, check=True
        ).stdout

    # --- Kubernetes ---

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints; AssertionError with its words when it fails."""
        done = self.try_kubectl(*arguments)
        assert done.returncode == 0, f"kubectl {shlex.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def try_kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", "--request-timeout=10s", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def get(self, *arguments: str) -> Any:
        """An object or a list, as kubectl gives it in JSON."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def nodes(self) -> dict[str, bool]:
        """Whether each node is Ready; nothing at all while the API does not answer."""
        found = self.try_kubectl("get", "nodes", f"--output=jsonpath={READY}").stdout.split()
        return {name: ready == "True" for name, _, ready in (word.partition("=") for word in found)}

    def web(self) -> list[tuple[str, str, str]]:
        """The web server's running pods: name, address, node."""
        pods = self.get("pods", "--selector=app=web")["items"]
        return [
            (pod["metadata"]["name"], pod["status"].get("podIP", ""), pod["spec"].get("nodeName", ""))
            for pod in pods
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    def fetch(self, pod: str, url: str, *arguments: str) -> str:
        """What a pod gets from a URL, asked of curl in it; the answer of the web server is the caller's address."""
        curl = ("/usr/bin/curl", "--silent", "--show-error", "--fail", "--max-time", "5", "--retry", "5")
        return self.kubectl("exec", pod, "--", *curl, "--retry-all-errors", *arguments, url)

    def on_master(self, command: str) -> str:
        """What a command prints that root runs on the master, by ssh as kube_up.py says. AssertionError if it fails."""
        server = self.kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
        address = server.removeprefix("https://").partition(":")[0]
        options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
        done = subprocess.run(
            ["ssh", "-i", self.environ["AWS_SSH_KEY"], *options, f"admin@{address}", f"sudo {command}"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    # --- AWS ---

    def client(self, service: str) -> Any:
        """A client of boto3's."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=REGION,
            endpoint_url=self.environ["AWS_ENDPOINT_URL"],
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
        )

    def instances(self, cluster: str = ID, *, role: str = "") -> dict[str, str]:
        """The cluster's living instances, or those of a role: id -> private address."""
        filters = [
            {"Name": "tag:KubernetesCluster", "Values": [cluster]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        pages = self.client("ec2").describe_instances(Filters=filters)["Reservations"]
        found = [instance for page in pages for instance in page["Instances"]]
        name = {"master": f"{cluster}-master", "minion": f"{cluster}-minion"}.get(role)
        return {
            instance["InstanceId"]: instance["PrivateIpAddress"]
            for instance in found
            if name is None or {"Key": "Name", "Value": name} in instance["Tags"]
        }

    def console(self, instance: str) -> str:
        """What the instance has said on its console."""
        return str(self.client("ec2").get_console_output(InstanceId=instance).get("Output", ""))

    def pod_routes(self) -> dict[str, str]:
        """The routes to instances: range -> instance."""
        tables = self.client("ec2").describe_route_tables()["RouteTables"]
        routes = [route for table in tables for route in table["Routes"]]
        return {route["DestinationCidrBlock"]: route["InstanceId"] for route in routes if route.get("InstanceId")}

    # --- the computer ---

    def folder(self) -> Path:
        """The sandbox's files of this run."""
        return next((Path.home() / ".cache" / "kube-up" / "runs").glob(f"{self.process.pid}-*"))

    def networks(self) -> list[str]:
        """The network namespaces below the sandbox's, where its keeper mounts them."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [file.name for pid in children for file in Path(f"/proc/{pid}/root/run/netns").glob("*-*")]

    def pull_plug(self, instance: str) -> None:
        """End all processes of a machine at once."""
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                text = status.read_text()
                parent = _line(text, "PPid")
                if _line(text, "NSpid").split()[-1:] == ["1"] and _line(text, "Name") == "systemd":
                    command = Path(f"/proc/{parent}/cmdline").read_text().split("\0")
                    if f"--machine={instance}" in command:
                        os.kill(int(status.parent.name), 9)


def _environ(file: Path) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in file.read_text().split("\0") if entry)
    return {name: value for name, _, value in pairs}


def _line(status: str, name: str) -> str:
    return next((line.partition(":")[2].strip() for line in status.splitlines() if line.startswith(f"{name}:")), "")


def wait(what: str, true: Callable[[], Any], *, seconds: float = PATIENCE) -> float:
    """Wait until it is true; returns the seconds that took. AssertionError after `seconds`."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.5)
    return time.monotonic() - started
