"""An API server of the built release with its etcd, on loopback: for what is decided before a node has part in it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.stage import wait
from sandbox.machines import places
from sandbox.surroundings import free_port

RELEASES = {"1.36": ("k8s-1.36", "etcd-3.6"), "1.37": ("k8s", "etcd")}  # as sandbox/release/build names their folders
PROGRAMS = places.cache().built / "bin"


@dataclass(frozen=True)
class ApiServer:
    """One that runs, and kubectl with every right in it."""

    url: str
    release: str

    def try_kubectl(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        known = ("--kubeconfig=/dev/null", f"--server={self.url}", "--insecure-skip-tls-verify", "--token=token")
        program = PROGRAMS / RELEASES[self.release][0] / "kubectl"
        return subprocess.run([program, *known, *arguments], input=given, capture_output=True, text=True, check=False)

    def apply(self, *documents: Any) -> None:
        """As a master applies addons."""
        given = "\n---\n".join(json.dumps(each) for each in documents)
        done = self.try_kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", given=given)
        assert done.returncode == 0, done.stderr

    def would_make(self, document: Any) -> Any:
        """The object as the API would store it. AssertionError where it is refused."""
        given = json.dumps(document)
        done = self.try_kubectl("create", "--dry-run=server", "--output=json", "--filename=-", given=given)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextlib.contextmanager
def _running(command: Sequence[str | Path], log: Path) -> Iterator[None]:
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def started(release: str, folder: Path) -> Iterator[ApiServer]:
    """One of that minor release, which answers, with its files in the folder; it ends with the block."""
    kubernetes, etcd = (PROGRAMS / name for name in RELEASES[release])
    store, peers, api = (f"127.0.0.1:{free_port('127.0.0.1')}" for _ in range(3))
    key, tokens = folder / "sa.key", folder / "tokens.csv"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    tokens.write_text("token,admin,1,system:masters\n")
    as_etcd = [
        f"--data-dir={folder / 'etcd'}",
        *(f"--{name}-client-urls=http://{store}" for name in ("listen", "advertise")),
        *(f"--{name}=http://{peers}" for name in ("listen-peer-urls", "initial-advertise-peer-urls")),
        f"--initial-cluster=default=http://{peers}",
    ]
    as_api = [
        f"--etcd-servers=http://{store}",
        "--bind-address=127.0.0.1",
        f"--secure-port={api.rpartition(':')[2]}",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://example.com",
        f"--service-account-signing-key-file={key}",
        f"--service-account-key-file={key}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
    ]
    server = ApiServer(f"https://{api}", release)
    with (
        _running([etcd / "etcd", *as_etcd], folder / "etcd.log"),
        _running([kubernetes / "kube-apiserver", *as_api], folder / "api.log"),
    ):
        wait("the API server", lambda: server.try_kubectl("get", "--raw=/readyz").returncode == 0)
        yield server
