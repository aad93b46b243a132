"""The entry in kubeconfig: cluster, user and context of one name, merged in (the original's create-kubeconfig).

What is not ours stays as it stands, byte for byte: the file's text is edited where our entries are, not written anew.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lib.errors import SettingError
from lib.kubetext import LOADER, SECTIONS, entry, merge, without

if TYPE_CHECKING:
    from lib.aws import Aws
    from lib.config import Config
    from lib.pki import Pki

RENEW_DAYS = 90


@dataclass(frozen=True)
class Client:
    """With what the API is asked: its address and the certificates, PEM."""

    server: str
    ca_cert: bytes
    cert: bytes
    key: bytes

    def __repr__(self) -> str:  # a key must not get into a traceback or a log
        return f"Client({self.server})"


def chosen_file(config: Config) -> Path:
    """The file to write, of those that KUBECONFIG names: as kubectl, the first that is there, else the last."""
    paths = [Path(part) for part in config.kubeconfig.split(os.pathsep) if part]
    if not paths:
        raise SettingError("KUBECONFIG", f"{config.kubeconfig!r} names no file", "give one such as ~/.kube/config")
    return next((path for path in paths if path.exists()), paths[-1]).resolve()


def check_kubeconfig(config: Config) -> None:
    """Raises SettingError when the file is not a kubeconfig or cannot be written. Changes nothing."""
    path = chosen_file(config)
    _load(path)
    parent = next(parent for parent in path.parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise SettingError("KUBECONFIG", f"{path} cannot be written", "give a file that you may write")


def _load(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text and what it says; ('', {}) for one that is not there."""
    try:
        text = path.read_bytes().decode() if path.exists() else ""
        data = yaml.load(text, Loader=LOADER) or {}  # noqa: S506 a safe loader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise SettingError(
            "KUBECONFIG", f"{path} cannot be read ({problem})", "mend it, or name another file"
        ) from error
    sections = [data.get(section) or [] for section in SECTIONS] if isinstance(data, dict) else [None]
    if not all(isinstance(s, list) and all(isinstance(e, dict) for e in s) for s in sections):
        raise SettingError("KUBECONFIG", f"{path} is not a kubeconfig", "mend it, or name another file")
    return text, data


def ensure_kubeconfig(aws: Aws, config: Config, *, pki: Pki, server: str) -> Client:
    """The cluster's entries in KUBECONFIG, made current; returns what to ask the API with.

    A client certificate of this CA with more than 90 days left is kept, so that a rerun changes nothing.
    """
    from lib import certificates

    path = chosen_file(config)
    text, data = _load(path)
    name = config.context
    kept = _kept_certificate(entry(data, "users", name), pki)
    cert, key = kept or certificates.make_client_certificate(pki.ca_cert, pki.ca_key, user=name)
    wanted: dict[str, dict[str, Any]] = {
        "clusters": {"server": server, "certificate-authority-data": _b64(pki.ca_cert)},
        "users": {"client-certificate-data": _b64(cert), "client-key-data": _b64(key)},
        "contexts": {"cluster": name, "user": name},
    }
    merged = merge(text, data, name, wanted)
    if merged == text:
        aws.console.found(f"context {name} in {path}")
    else:
        aws.change("write", f"context {name} into {path}", lambda: write_private(path, merged))
    return Client(server=server, ca_cert=pki.ca_cert, cert=cert, key=key)


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _kept_certificate(user: Mapping[str, Any], pki: Pki) -> tuple[bytes, bytes] | None:
    from lib import certificates

    try:
        cert = base64.b64decode(user["client-certificate-data"])
        key = base64.b64decode(user["client-key-data"])
    except (KeyError, ValueError, TypeError):
        return None
    if not certificates.is_issued_by(cert, pki.ca_cert) or not certificates.is_pair(cert, key):
        return None
    left = certificates.ends(cert) - datetime.datetime.now(datetime.UTC)
    return (cert, key) if left > datetime.timedelta(days=RENEW_DAYS) else None


def remove_entries(config: Config, *, servers: Sequence[str], ca_cert: bytes) -> Callable[[Aws, str], None]:
    """A function that takes a context's entries out, if they are the cluster's: by its CA where that is known.

    Else by its addresses, as far as they are still there; one inside a VPC may be another cluster's too.
    """

    def remove(aws: Aws, name: str) -> None:
        path = chosen_file(config)
        text, data = _load(path)
        cluster = entry(data, "clusters", name)
        authority = cluster.get("certificate-authority-data")
        if authority == _b64(ca_cert) if ca_cert else cluster.get("server") in servers:
            left = without(text, data, name)
            aws.remove("remove", f"context {name} from {path}", lambda: write_private(path, left))

    return remove


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; it is nobody else's to read from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
