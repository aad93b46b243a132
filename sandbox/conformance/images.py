"""The suite's images, by upstream's names, made of Go modules and Debian's packages.

What upstream's are made of stands in test/images of the module k8s.io/kubernetes: Dockerfile, BASEIMAGE. What is said
of them here is so in 1.37.2 and in 1.36.3.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

REGISTRY = "registry.k8s.io/e2e-test-images/"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEBIAN = "trixie"
# What agnhost's Dockerfile adds to Alpine, by Debian's names, and nginx. One Debian is below all images that need one.
PACKAGES = (
    *("bash", "bind9-dnsutils", "ca-certificates", "curl", "hostname", "iperf", "iproute2", "netcat-openbsd"),
    *("nginx-light", "socat", "util-linux"),
)
# Without a worker's own user, as a container runs it; the test of a pod's logs reads its notices.
NGINX = """daemon off;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 256; }
http {
    access_log /dev/stdout;
    include /etc/nginx/mime.types;
    server { listen 80; listen [::]:80; root /usr/share/nginx/html; index index.html; }
}
"""
# A test of image volumes looks for the name of upstream's system in here.
OS_RELEASE = b'NAME="Debian"\nPRETTY_NAME="Debian 13, where upstream has Alpine Linux"\nID=debian\n'
USER = "user-defined-in-image"  # of agnhost's Dockerfile, as the group is
GROUP = "group-defined-in-image"


@dataclass(frozen=True)
class Sources:
    """What images are made of: compiled programs, a Debian's root as a tar, and test/images of Kubernetes' module."""

    programs: Path
    root: Path
    tree: Path
    coredns: Path


@dataclass(frozen=True)
class Image:
    """Layers, uncompressed, and the configuration beside PATH, as the image specification of Docker 1.2 has it."""

    layers: list[bytes]
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How an image is made, and in what it is not upstream's."""

    make: Callable[[Sources], Image]
    stand_in: str


class Layer:
    """A tar that is the same for the same content."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115  (closed by done)

    def folder(self, name: str, mode: int = 0o755) -> None:
        """An empty folder."""
        self._add(name, tarfile.DIRTYPE, mode)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """A file."""
        self._add(name, tarfile.REGTYPE, mode, content=content)

    def symlink(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._add(name, tarfile.SYMTYPE, 0o777, target=target)

    def link(self, name: str, target: str) -> None:
        """Another name of a file of this layer."""
        self._add(name, tarfile.LNKTYPE, 0o755, target=target)

    def done(self) -> bytes:
        """The whole of it."""
        self._tar.close()
        return self._buffer.getvalue()

    def _add(self, name: str, kind: bytes, mode: int, *, content: bytes = b"", target: str = "") -> None:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.linkname = kind, mode, len(content), target
        self._tar.addfile(info, io.BytesIO(content))


def write(file: Path, tags: list[str], image: Image, architecture: str) -> None:
    """The image as a docker-archive, under these tags."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in image.layers]
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Env": [PATH], **image.config},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created_by": "files"} for _ in digests],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    layers = {f"{digest}/layer.tar": layer for digest, layer in zip(digests, image.layers, strict=True)}
    manifest = json.dumps([{"Config": name, "RepoTags": tags, "Layers": list(layers)}]).encode()
    with tarfile.open(file, "w") as archive:
        for path, data in {name: config, **layers, "manifest.json": manifest}.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


# --- the images ------------------------------------------------------------------------------------------------------


def _agnhost(sources: Sources) -> Image:
    layer = Layer()
    layer.file("agnhost", (sources.programs / "agnhost").read_bytes(), 0o755)
    layer.symlink("agnhost-2", "agnhost")
    layer.file("coredns", sources.coredns.read_bytes(), 0o755)
    for name in ("localhost.crt", "localhost.key"):
        layer.file(name, (sources.tree / "agnhost/porter" / name).read_bytes())
    layer.folder("uploads")
    with tarfile.open(sources.root) as root:
        users, groups = (_content(root, f"./etc/{name}") for name in ("passwd", "group"))
    layer.file("etc/passwd", users + f"{USER}:x:1000:1000::/home/{USER}:/bin/sh\n".encode())
    layer.file("etc/group", groups + f"{USER}:x:1000:\n{GROUP}:x:50000:{USER}\n".encode())
    return Image([sources.root.read_bytes(), layer.done()], {"Entrypoint": ["/agnhost"], "Cmd": ["pause"]})


def _pet(name: str) -> Callable[[Sources], Image]:
    def make(sources: Sources) -> Image:
        layer, below = Layer(), _agnhost(sources)
        for file in sorted((sources.tree / name / "html").iterdir()):
            layer.file(file.name, file.read_bytes())
        layer.file("etc/os-release", OS_RELEASE)
        return Image([*below.layers, layer.done()], {**below.config, "Cmd": ["test-webserver"]})

    return make


def _busybox(sources: Sources) -> Image:
    program = sources.programs / "busybox"
    layer = Layer()
    for name in ("bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "home", "root", "var", "var/spool", "var/www"):
        layer.folder(name)
    layer.folder("tmp", 0o1777)
    layer.file("bin/busybox", program.read_bytes(), 0o755)
    for name in subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            layer.link(f"bin/{name}", "bin/busybox")
    layer.symlink("usr/bin/env", "../../bin/env")
    layer.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n")
    layer.file("etc/group", b"root:x:0:\nusers:x:100:\nnobody:x:65534:\n")
    layer.file("etc/nsswitch.conf", b"hosts: files dns\n")
    return Image([layer.done()], {"Cmd": ["sh"]})


def _nginx(sources: Sources) -> Image:
    layer = Layer()
    layer.file("etc/nginx/nginx.conf", NGINX.encode())
    layer.file("usr/share/nginx/html/index.html", b"<html><h1>Welcome to nginx!</h1></html>\n")
    layer.file("usr/share/nginx/html/50x.html", b"<html><h1>An error occurred.</h1></html>\n")
    config = {"Cmd": ["nginx"], "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGQUIT"}
    return Image([sources.root.read_bytes(), layer.done()], config)


def _dns(sources: Sources) -> Image:
    return Image([sources.root.read_bytes(), _one("coredns", sources.coredns)], {"Cmd": ["bash"]})


def _nonroot(sources: Sources) -> Image:
    return Image([sources.root.read_bytes()], {"Cmd": ["bash"], "User": "1234"})


def _nonewprivs(sources: Sources) -> Image:
    return Image([_one("usr/local/bin/nnp", sources.programs / "nnp", 0o6755)], {"Cmd": ["nnp"]})


def _sample_apiserver(sources: Sources) -> Image:
    program = _one("sample-apiserver", sources.programs / "sample-apiserver")
    return Image([program], {"Entrypoint": ["/sample-apiserver"]})


def _one(name: str, program: Path, mode: int = 0o755) -> bytes:
    layer = Layer()
    layer.folder("tmp", 0o1777)
    layer.file(name, program.read_bytes(), mode)
    return layer.done()


def _content(files: tarfile.TarFile, name: str) -> bytes:
    file = files.extractfile(name)
    assert file is not None
    return file.read()


_AGNHOST = (
    "Debian 13 below it, not Alpine 3.21; the release's CoreDNS, not 1.6.2; without /var/registry, which no "
    "conformance test asks for"
)
RECIPES = {
    "agnhost": Recipe(_agnhost, _AGNHOST),
    "busybox": Recipe(_busybox, "1.37.0 from its source, linked with Debian's C library, not Docker's build of it"),
    "glibc-dns-testing": Recipe(_dns, "Debian 13, not 12; the release's CoreDNS, not 1.5.0"),
    "kitten": Recipe(_pet("kitten"), "agnhost's, with upstream's files"),
    "nautilus": Recipe(_pet("nautilus"), "agnhost's, with upstream's files"),
    "nginx": Recipe(_nginx, "Debian 13's nginx under both tags, not those of their versions"),
    "nonewprivs": Recipe(_nonewprivs, "upstream's program alone, without Alpine 3.22 below it"),
    "nonroot": Recipe(_nonroot, "Debian 13, not 12"),
    "sample-apiserver": Recipe(_sample_apiserver, "the module of its tag's version alone, without Alpine below it"),
}
