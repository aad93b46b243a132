"""A registry as machines pull from it: the images of docker-archives, by their names and tags.

Only what a pull asks is answered (https://distribution.github.io/distribution/spec/api/): manifests and blobs. Nothing
is unpacked or kept: a layer is read where it lies in its archive.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """So many bytes of a file."""

    file: Path
    offset: int
    size: int


Reply = tuple[int, "bytes | Part", dict[str, str]]


@dataclass
class Repositories:
    """The images of docker-archives, each by its name without the registry."""

    archives: Iterable[Path]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _blobs: dict[str, bytes | Part] = field(default_factory=dict)
    _manifests: dict[str, bytes] = field(default_factory=dict)

    def answer(self, path: str) -> Reply:
        """Status, body and headers of an answer to GET; HEAD is the same without its body."""
        asked = re.fullmatch(r"/v2/(?:(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<what>[^/?]+))?(?:\?.*)?", path)
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
        """A tag's manifest is made when it is first asked for: the digests of its layers are reckoned for it."""
        manifest = self._manifests.get(f"{name}:{reference}") or self._manifests.get(reference)
        manifest = manifest or self._made(f"{name}:{reference}")
        if manifest is None:
            return 404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', {"Content-Type": "application/json"}
        digest = _digest(manifest)
        self._manifests[f"{name}:{reference}"] = self._manifests[digest] = manifest
        return 200, manifest, {"Content-Type": MANIFEST, "Docker-Content-Digest": digest}

    def _blob(self, digest: str) -> Reply:
        if digest not in self._blobs:
            return 404, b'{"errors": [{"code": "BLOB_UNKNOWN"}]}', {"Content-Type": "application/json"}
        return 200, self._blobs[digest], {"Content-Type": "application/octet-stream"}

    def _made(self, tag: str) -> bytes | None:
        for archive in self.archives:
            with tarfile.open(archive) as files:
                for image in json.loads(_content(files, "manifest.json")):
                    if tag in [each.partition("/")[2] for each in image["RepoTags"]]:
                        config = self._kept(self.config(_content(files, image["Config"])))
                        layers = [self._layer(archive, files.getmember(layer)) for layer in image["Layers"]]
                        described = {"config": {"mediaType": CONFIG, **config}, "layers": layers}
                        return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **described}).encode()
        return None

    def config(self, original: bytes) -> bytes:
        """The configuration under which an image is given out: its own."""
        return original

    def _kept(self, content: bytes) -> dict[str, object]:
        digest = _digest(content)
        self._blobs[digest] = content
        return {"size": len(content), "digest": digest}

    def _layer(self, archive: Path, member: tarfile.TarInfo) -> dict[str, object]:
        part = Part(archive, member.offset_data, member.size)
        digest = _digest_of(part)
        self._blobs[digest] = part
        return {"mediaType": LAYER, "size": part.size, "digest": digest}


def _content(files: tarfile.TarFile, name: str) -> bytes:
    file = files.extractfile(name)
    assert file is not None
    return file.read()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _digest_of(part: Part) -> str:
    reckoned, left = hashlib.sha256(), part.size
    with open(part.file, "rb") as file:
        file.seek(part.offset)
        while left and (chunk := file.read(min(left, CHUNK))):
            reckoned.update(chunk)
            left -= len(chunk)
    return "sha256:" + reckoned.hexdigest()
