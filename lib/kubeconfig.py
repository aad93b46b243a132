"""The entry in kubeconfig: cluster, user and context of one name, merged in (the original's create-kubeconfig).

What is not ours stays as it stands, byte for byte: the file's text is edited where our entries are, not written anew.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lib.errors import SettingError

if TYPE_CHECKING:
    from lib.aws import Aws
    from lib.config import Config
    from lib.pki import Pki

# YAML's C reader and writer where libyaml is there; both come with PyYAML.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
RENEW_DAYS = 90
SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}


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
    if not os.access(parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise SettingError("KUBECONFIG", f"{path} cannot be written", "give a file that you may write")


def _load(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text and what it says; ('', {}) for one that is not there."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        data = yaml.load(text, Loader=_Loader) or {}  # noqa: S506 a safe loader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise SettingError(
            "KUBECONFIG", f"{path} cannot be read ({problem})", "mend it, or name another file"
        ) from error
    sections = [data.get(section) or [] for section in SECTIONS] if isinstance(data, dict) else [None]
    if not all(isinstance(s, list) and all(isinstance(e, dict) for e in s) for s in sections):
        raise SettingError("KUBECONFIG", f"{path} is not a kubeconfig", "mend it, or name another file")
    return text, data


def entry(data: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    """What the section says of `name`, {} for nothing."""
    for item in data.get(section) or []:
        if item.get("name") == name:
            found: dict[str, Any] = item.get(SECTIONS[section]) or {}
            return found
    return {}


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
    """A function that takes a context's entries out, if they point at one of the cluster's addresses.

    An address inside a VPC may be another cluster's too; where the CA is known (`ca_cert`), it must be the entry's.
    """

    def remove(aws: Aws, name: str) -> None:
        path = chosen_file(config)
        text, data = _load(path)
        cluster = entry(data, "clusters", name)
        same_ca = not ca_cert or cluster.get("certificate-authority-data") == _b64(ca_cert)
        if cluster.get("server") in servers and same_ca:
            left = without(text, data, name)
            aws.remove("remove", f"context {name} from {path}", lambda: write_private(path, left))

    return remove


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; it is nobody else's to read from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


# --- the text


def merge(text: str, data: Mapping[str, Any], name: str, wanted: Mapping[str, dict[str, Any]]) -> str:
    """The text with `name`'s entry in each section as wanted, and current. The same text if it is so already."""
    target = _merged(data, name, wanted)
    if target == data:
        return text
    if not data:
        return text + _dump({"apiVersion": "v1", "kind": "Config", "preferences": {}, **target})
    return _edited(text, data, target, name)


def without(text: str, data: Mapping[str, Any], name: str) -> str:
    """The text without `name`'s entries, and no current context if that was it."""
    target = {
        key: [item for item in value if item.get("name") != name] if key in SECTIONS and value else value
        for key, value in data.items()
    }
    if target.get("current-context") == name:
        target["current-context"] = ""
    return _edited(text, data, target, name)


def _merged(data: Mapping[str, Any], name: str, wanted: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    target = dict(data)
    for section, body in wanted.items():
        items = list(data.get(section) or [])
        index = next((i for i, item in enumerate(items) if item.get("name") == name), len(items))
        kept = _ours_kept(section, entry(data, section, name))
        items[index : index + 1] = [{"name": name, SECTIONS[section]: {**kept, **body}}]
        target[section] = items
    target["current-context"] = name
    return target


def _ours_kept(section: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What a person may have added to our entry and keeps: a proxy, a namespace."""
    kept = {"clusters": ("proxy-url", "tls-server-name"), "contexts": ("namespace",)}.get(section, ())
    return {key: body[key] for key in kept if key in body}


def _edited(text: str, data: Mapping[str, Any], target: dict[str, Any], name: str) -> str:
    """`text`, which says `data`, edited to say `target`; written anew only where its form cannot be edited (JSON)."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    new = _Edit(text, root, name).apply(data, target)
    if new is not None and yaml.load(new, Loader=_Loader) == target:  # noqa: S506 a safe loader
        return new
    return json.dumps(target, indent=2) + "\n" if text.lstrip().startswith("{") else _dump(target)


def _dump(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, width=1 << 20)


class _Edit:
    """Edits to a block-style document at the places where the YAML reader found its nodes."""

    def __init__(self, text: str, root: yaml.Node | None, name: str) -> None:
        self._text, self._root, self._name = text, root, name
        self._edits: list[tuple[int, int, str]] = []
        self._tail = ""

    def apply(self, data: Mapping[str, Any], target: Mapping[str, Any]) -> str | None:
        """The edited text, None where the document is not in block style."""
        if not isinstance(self._root, yaml.MappingNode) or self._root.flow_style:
            return None
        values = {key.value: value for key, value in self._root.value}
        for key, wanted in target.items():
            if data.get(key) != wanted and not self._set(values.get(key), key, wanted):
                return None
        new = self._text
        for start, end, replacement in sorted(self._edits, reverse=True):
            new = new[:start] + replacement + new[end:]
        return new + ("\n" if self._tail and not new.endswith("\n") else "") + self._tail

    def _set(self, node: yaml.Node | None, key: str, wanted: Any) -> bool:
        if node is None:
            self._tail += _dump({key: wanted})
            return True
        if key not in SECTIONS or not isinstance(node, yaml.SequenceNode) or not node.value or not wanted:
            return self._replace_value(node, key, wanted)
        return not node.flow_style and self._set_item(node, wanted)

    def _replace_value(self, node: yaml.Node, key: str, wanted: Any) -> bool:
        """The whole value of a top-level key: a scalar, an empty list, nothing, or a list that becomes empty."""
        start, end = node.start_mark.index, self._end(node)
        text = _dump({key: wanted}).rstrip("\n")[len(key) + 1 :]
        if self._text[start - 1 : start] in (" ", "\n") and not text.startswith("\n"):
            text = text.lstrip(" ")
        if text.startswith("\n") or isinstance(node, yaml.SequenceNode):
            start = self._text.rindex(":", 0, start + 1) + 1  # from behind the key on
            text = text if text.startswith("\n") else " " + text
        self._edits.append((start, max(start, end), text))
        return True

    def _set_item(self, node: yaml.SequenceNode, wanted: list[dict[str, Any]]) -> bool:
        """Our one item of a list: replaced, added behind the last, or taken out."""
        mine = next((item for item in wanted if item.get("name") == self._name), None)
        there = next((item for item in node.value if self._is_mine(item)), None)
        column = node.value[0].start_mark.column
        text = "" if mine is None else _dump(mine).rstrip("\n").replace("\n", "\n" + " " * column)
        if there is None:
            last, dash = self._end(node.value[-1]), node.start_mark.column
            self._edits.append((last, last, "\n" + " " * dash + "-" + " " * (column - dash - 1) + text))
        elif mine is None:
            start = self._text.rindex("\n", 0, there.start_mark.index) + 1
            end = self._end(there)
            self._edits.append((start, min(end + 1, len(self._text)), ""))
        else:
            self._edits.append((there.start_mark.index, self._end(there), text))
        return True

    def _is_mine(self, item: yaml.Node) -> bool:
        return isinstance(item, yaml.MappingNode) and any(
            key.value == "name" and value.value == self._name for key, value in item.value
        )

    def _end(self, node: yaml.Node) -> int:
        """Where the node's own text ends; its end mark stands behind the comments and blank lines that follow."""
        start, end = node.start_mark.index, node.end_mark.index
        lines = self._text[start:end].split("\n")
        while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            lines.pop()
        return int(start + len("\n".join(lines)))
