"""Settings of a cluster for the tests of the bootstrap, and a shell that has its functions loaded."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lib.node import releases, userdata
from lib.settings.declare import Role as Role
from lib.settings.layers import read_layers
from lib.settings.resolve import resolve

COMPONENTS = ("APISERVER", "CONTROLLER_MANAGER", "SCHEDULER", "KUBELET", "KUBEPROXY")

_DOWNLOADS = {
    **{
        f"URL_{name}": f"https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/{name.lower()}"
        for name in ("KUBEADM", "KUBELET", "KUBECTL")
    },
    "URL_CONTAINERD": "https://github.com/containerd/containerd/releases/download/v2.3.7/"
    "containerd-static-2.3.7-linux-amd64.tar.gz",
    "URL_RUNC": "https://github.com/opencontainers/runc/releases/download/v1.5.2/runc.amd64",
    "URL_CNI": "https://github.com/containernetworking/plugins/releases/download/v1.9.1/"
    "cni-plugins-linux-amd64-v1.9.1.tgz",
    "URL_ECR_CREDENTIAL_PROVIDER": "https://artifacts.k8s.io/binaries/cloud-provider-aws/v1.31.7/linux/amd64/"
    "ecr-credential-provider-linux-amd64",
    **{f"SHA256_{name}": f"{index:x}" * 64 for index, name in enumerate(releases.NAMES, start=9)},
}
_OPTIONS = resolve(read_layers({"HOME": "/home/somebody"}))
_COMMON = {"AWS_REGION": "us-west-2", "CA_CERT_HASH": f"sha256:{'c' * 64}", "NODE_SCRIPT": "", **_DOWNLOADS}
MASTER = {
    "KUBE_ROLE": "master",
    **_OPTIONS.read_by("master"),
    **_COMMON,
    "AWS_DNS_SUFFIX": "amazonaws.com",
    "AWS_ACCOUNT_ID": "123456789012",
    "MASTER_PUBLIC_IP": "203.0.113.9",
    "MASTER_NAME": "kubernetes-master",
    "MASTER_DISK_ID": "vol-0123456789abcdef0",
    "MASTER_ALARMS": "",
    "KUBERNETES_SERVICE_IP": "10.0.0.1",
    "KUBE_BUCKET": "kubernetes-staging-0123456789abcdef0123456789abcdef",
    "KUBE_BUCKET_REGION": "us-west-2",
    "KUBE_BUCKET_PREFIX": "us-west-2/kubernetes/",
    "KUBE_SNAPSHOT": "etcd-snapshot.db.gz",
    "KUBE_RESTORE_VERSION": "",
    "ADDONS": " ".join(
        f"{name}:{letter * 64}" for name, letter in [("cloud-controller-manager", "a"), ("metrics-server", "b")]
    ),
}
MINION = {
    "KUBE_ROLE": "minion",
    **_OPTIONS.read_by("minion"),
    **_COMMON,
    "KUBE_JOIN_TOKEN": "abcdef.0123456789abcdef",
    "NODE_SPOT": "",
}


@dataclass(frozen=True)
class Ran:
    """What a piece of shell did: its status, all that it printed, and its lines for the console."""

    status: int
    output: str
    said: list[str]


@dataclass(frozen=True)
class Shell:
    """A role's bootstrap without its last line, so that nothing runs; its state is in a folder of the test.

    `replaced` are further texts of the script to replace, paths of the host above all.
    """

    role: Role
    settings: Mapping[str, str]
    folder: Path
    replaced: Mapping[str, str] = field(default_factory=dict)

    def run(self, functions: str, commands: str) -> Ran:
        """Define the functions (stubs come after the bootstrap's own), then run the commands."""
        console = self.folder / "console"
        console.unlink(missing_ok=True)
        for name in ("run", "state"):
            (self.folder / name).mkdir(exist_ok=True)
        own = 'say() { printf "%s\\n" "$*" >>"$CONSOLE"; }; eval_settings() { eval "$(kube_env)"; }'
        ran = subprocess.run(
            ["bash", "-c", f"{self._loaded()}\n{own}\n{functions}\n{commands}", "/usr/local/sbin/kube-bootstrap"],
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "CONSOLE": str(console)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, console.read_text().splitlines() if console.exists() else [])

    def _loaded(self) -> str:
        text = userdata.script(self.role, self.settings).rpartition("\nmain ")[0]
        paths = {"/run/kube-bootstrap": self.folder / "run", "/var/lib/kube-bootstrap": self.folder / "state"}
        for old, new in {**paths, **self.replaced}.items():
            text = text.replace(old, str(new))
        return text
