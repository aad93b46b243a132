"""What an instance boots from: one gzipped shell script, the settings baked in, composed of the files in templates/.

A line `#@include NAME` in a template stands for the file templates/NAME, a line `#@settings` for the settings as
NAME=value, quoted for the shell. Nothing else is replaced, so every template is what it looks like. Lines that are only
a comment stay in the templates, where people read them: they would take a quarter of the room.
"""

from __future__ import annotations

import gzip
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from lib.run.errors import KubeError

TEMPLATES = Path(__file__).parents[2] / "templates"
LIMIT_BYTES = 16384  # EC2's for user-data, before base64: docs.aws.amazon.com, "Run commands at launch using user data"

# Every setting that the templates read, in the order of kube_env. One that is not given is empty there, since the shell
# stops at a name that it does not know.
DOWNLOADS = ("KUBEADM", "KUBELET", "KUBECTL", "CONTAINERD", "RUNC", "CNI", "ECR_CREDENTIAL_PROVIDER")
COMPONENTS = ("APISERVER", "CONTROLLER_MANAGER", "SCHEDULER", "KUBELET", "KUBEPROXY")
SETTINGS = (
    *(
        "MASTER_INTERNAL_IP",
        "KUBE_ROLE",
        "KUBE_AWS_INSTANCE_PREFIX",
        "AWS_REGION",
        "KUBE_API_PORT",
        "KUBERNETES_VERSION",
    ),
    *("CLUSTER_IP_RANGE", "NON_MASQUERADE_CIDR", "DNS_SERVER_IP", "CA_CERT_HASH", "NODE_LABELS", "EVICTION_HARD"),
    *("FEATURE_GATES", "DOCKER_REGISTRY_MIRROR_URL", "KUBE_ENABLE_INSECURE_REGISTRY", "KUBE_EXTRA_PACKAGES"),
    *("KUBELET_TEST_ARGS", "KUBELET_TEST_LOG_LEVEL"),
    *(f"{what}_{name}" for name in DOWNLOADS for what in ("URL", "SHA256")),
)
MASTER_SETTINGS = (
    *(
        "AWS_DNS_SUFFIX",
        "AWS_ACCOUNT_ID",
        "MASTER_PUBLIC_IP",
        "MASTER_NAME",
        "MASTER_DISK_ID",
        "SERVICE_CLUSTER_IP_RANGE",
    ),
    *("KUBERNETES_SERVICE_IP", "DNS_DOMAIN", "KUBE_BUCKET", "KUBE_BUCKET_REGION", "KUBE_BUCKET_PREFIX"),
    *("KUBE_ENABLE_CLUSTER_DNS", "KUBE_RUNTIME_CONFIG", "ADDONS"),
    *("KUBE_SNAPSHOT", "KUBE_ETCD_SNAPSHOT_HOURS", "KUBE_RESTORE_VERSION", "MASTER_ALARMS"),
    *(f"{name}_TEST_{what}" for name in COMPONENTS if name != "KUBELET" for what in ("ARGS", "LOG_LEVEL")),
)
MINION_SETTINGS = ("KUBE_JOIN_TOKEN",)

_COMMENT = re.compile(r"^[ \t]*#(?![!@]).*\n", re.MULTILINE)
_INDENTATION = re.compile(r"^\t+", re.MULTILINE)  # for people too; what is put into files is indented by spaces
_INCLUDE = re.compile(r"^#@include (?P<file>\S+)\n", re.MULTILINE)
_SETTINGS = re.compile(r"^#@settings\n", re.MULTILINE)


class UserDataTooLarge(KubeError):
    """The settings make user-data that EC2 refuses; nothing was changed."""

    exit_code = 2

    def __init__(self, role: str, size: int, longest: list[str]) -> None:
        super().__init__(
            f"the {role}'s user-data is {size} bytes compressed, and EC2 takes {LIMIT_BYTES}: "
            f"shorten {', '.join(longest)} (the longest settings), by {size - LIMIT_BYTES} bytes together"
        )
        self.size = size


def render(role: Literal["master", "minion"], settings: Mapping[str, str]) -> bytes:
    """The user-data of a `role`, gzipped once and the same bytes for the same settings.

    Raises UserDataTooLarge over EC2's 16,384 bytes.
    """
    packed = gzip.compress(_INDENTATION.sub("", script(role, settings)).encode(), compresslevel=9, mtime=0)
    if len(packed) > LIMIT_BYTES:
        raise UserDataTooLarge(role, len(packed), _longest(settings))
    return packed


def script(role: Literal["master", "minion"], settings: Mapping[str, str], *, comments: bool = False) -> str:
    """The user-data of a `role` as a person reads it: the shell script before it is compressed.

    With `comments` it is what shellcheck wants to see, since some of them are for it.
    """
    return _SETTINGS.sub(lambda _: kube_env(role, settings), _composed(f"bootstrap-{role}.sh", comments))


def kube_env(role: Literal["master", "minion"], settings: Mapping[str, str]) -> str:
    """The settings that a `role`'s bootstrap reads as lines of NAME=value for a shell: those and no others.

    So the join token never gets into a master's user-data, and what no node reads takes no room in it.
    """
    names = SETTINGS + (MASTER_SETTINGS if role == "master" else MINION_SETTINGS)
    return "".join(f"{name}={_quoted(name, settings.get(name, ''))}\n" for name in names)


def _composed(name: str, comments: bool) -> str:
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    text = text if comments else _COMMENT.sub("", text)
    return _INCLUDE.sub(lambda found: _composed(found["file"], comments), text)


def _quoted(name: str, value: str) -> str:
    # A line break could end the here-document that kube_env travels in; no setting has use for one.
    if "\n" in value or "\0" in value:
        raise KubeError(f"{name}: a line break or a zero byte cannot be passed to a node")
    return shlex.quote(value) if value else ""


def _longest(settings: Mapping[str, str]) -> list[str]:
    """The three longest settings that a person chose; addresses and sums of downloads cannot be shortened."""
    chosen = {name: value for name, value in settings.items() if not name.startswith(("URL_", "SHA256_"))}
    return sorted(chosen, key=lambda name: len(chosen[name]), reverse=True)[:3]
