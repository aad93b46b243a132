"""ECR's registries as machines pull from them: basic auth by GetAuthorizationToken's password, the release's images.

Only what a pull asks is answered (https://distribution.github.io/distribution/spec/api/): manifests and blobs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tarfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

HOST = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"

Reply = tuple[int, bytes, dict[str, str]]


@dataclass
class Repositories:
    """The images of docker-archives, each by its name without the registry; `password` is what ECR has given out."""

    archives: Iterable[Path]
    password: str
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _blobs: dict[str, bytes | tuple[Path, str]] = field(default_factory=dict)  # a blob, or where it is read from
    _manifests: dict[str, bytes] = field(default_factory=dict)

    def answer(self, host: str, path: str, authorization: str) -> Reply:
        """Status, body and headers of an answer to GET; HEAD is the same without its body."""
        right = base64.b64encode(f"AWS:{self.password}".encode()).decode()
        if authorization != f"Basic {right}":
            challenge = f'Basic realm="https://{host}/",service="ecr.amazonaws.com"'
            return 401, b"Not Authorized\n", {"Www-Authenticate": challenge}
        asked = re.fullmatch(r"/v2/(?:(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<what>[^/]+))?", path)
        if asked is None:
            return 404, b"not found\n", {}
        if asked["name"] is None:
            return 200, b"{}", {"Content-Type": "application/json"}
        with self._lock:
            return (
                self._manifest(asked["name"], asked["what"])
                if asked["kind"] == "manifests"
                else self._blob(asked["what"])
            )

    def _manifest(self, name: str, reference: str) -> Reply:
        manifest = self._manifests.get(reference) or self._made(f"{name}:{reference}")
        if manifest is None:
            return 404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', {"Content-Type": "application/json"}
        digest = _digest(manifest)
        self._manifests[digest] = manifest
        return 200, manifest, {"Content-Type": MANIFEST, "Docker-Content-Digest": digest}

    def _blob(self, digest: str) -> Reply:
        if digest not in self._blobs:
            return 404, b'{"errors": [{"code": "BLOB_UNKNOWN"}]}', {"Content-Type": "application/json"}
        blob = self._blobs[digest]
        if not isinstance(blob, bytes):
            archive, member = blob
            with tarfile.open(archive) as files:
                blob = _content(files, member)
        return 200, blob, {"Content-Type": "application/octet-stream"}

    def _made(self, tag: str) -> bytes | None:
        for archive in self.archives:
            with tarfile.open(archive) as files:
                for image in json.loads(_content(files, "manifest.json")):
                    if tag in [each.partition("/")[2] for each in image["RepoTags"]]:
                        config = self._config(_content(files, image["Config"]))
                        layers = [self._layer(archive, files, layer) for layer in image["Layers"]]
                        made = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
                        return json.dumps(made).encode()
        return None

    def _config(self, original: bytes) -> dict[str, object]:
        """Another image than the release's of that name. By the image's id the kubelet minds who has pulled it with
        which rights, and under another name it would ask the registry again.
        """
        content = json.dumps(json.loads(original) | {"author": "ecr"}).encode()
        self._blobs[_digest(content)] = content
        return _described(content, CONFIG)

    def _layer(self, archive: Path, files: tarfile.TarFile, member: str) -> dict[str, object]:
        content = _content(files, member)
        self._blobs[_digest(content)] = (archive, member)
        return _described(content, LAYER)


def _described(content: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": _digest(content)}


def _content(files: tarfile.TarFile, name: str) -> bytes:
    file = files.extractfile(name)
    assert file is not None
    return file.read()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
