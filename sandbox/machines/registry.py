"""registry.k8s.io for machines that pull: Debian's docker-registry, filled with the release's images."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.machines.image import archives, release_mark
from sandbox.machines.keeper import Keeper
from sandbox.machines.places import Cache, CannotStart

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"
CONFIGURATION = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {storage}}}, maintenance: {{uploadpurging: {{enabled: false}}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
PATIENCE = 10.0  # seconds until it answers


def start(cache: Cache, keeper: Keeper, folder: Path, say: Callable[[str], None]) -> tuple[str, int]:
    """Where it listens, on loopback, until the keeper ends. It is filled the first time, which takes some seconds.

    `folder` is for this run's configuration and log.
    """
    storage = cache.machine / f"registry-{release_mark(cache)}"
    address = ("127.0.0.1", _free_port())
    configuration = folder / "registry.yml"
    configuration.write_text(CONFIGURATION.format(storage=storage, port=address[1]))
    with open(folder / "registry.log", "wb") as log:
        keeper.start(["docker-registry", "serve", str(configuration)], log)
    _wait_for(address)
    with cache.locked():
        if not (storage / "complete").exists():
            _drop_others(cache, storage)
            for archive in archives(cache):
                say(f"putting {archive.name} into the registry")
                _push(address, archive)
            (storage / "complete").touch()
    return address


def _drop_others(cache: Cache, storage: Path) -> None:
    """What was filled from an earlier release."""
    for old in cache.machine.glob("registry-*"):
        if old != storage:
            shutil.rmtree(old, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(address: tuple[str, int]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise CannotStart("docker-registry does not start")


def _push(address: tuple[str, int], archive: Path) -> None:
    """Put the images of a docker-archive into the registry: https://distribution.github.io/distribution/spec/api/."""
    with tarfile.open(archive) as files:

        def content(name: str) -> bytes:
            file = files.extractfile(name)
            assert file is not None
            return file.read()

        for image in json.loads(content("manifest.json")):
            for tag in image["RepoTags"]:
                name, _, version = tag.removeprefix("registry.k8s.io/").rpartition(":")
                config = _blob(address, name, CONFIG, content(image["Config"]))
                layers = [_blob(address, name, LAYER, content(layer)) for layer in image["Layers"]]
                manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
                _ask(address, "PUT", f"/v2/{name}/manifests/{version}", json.dumps(manifest).encode(), MANIFEST)


def _blob(address: tuple[str, int], name: str, kind: str, data: bytes) -> dict[str, object]:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    place = _ask(address, "POST", f"/v2/{name}/blobs/uploads/", b"", "application/octet-stream")
    path = place.partition(f":{address[1]}")[2] or place
    _ask(address, "PUT", f"{path}&digest={digest}", data, "application/octet-stream")
    return {"mediaType": kind, "size": len(data), "digest": digest}


def _ask(address: tuple[str, int], method: str, path: str, body: bytes, kind: str) -> str:
    """One request; returns the answer's Location."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        words = answer.read()
        if answer.status >= 300:
            raise CannotStart(f"docker-registry: {method} {path}: {answer.status} {words[:200]!r}")
        return answer.getheader("Location", "")
    finally:
        connection.close()
