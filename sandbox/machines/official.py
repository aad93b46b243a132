"""Upstream's own release, downloaded once where the release sites can be reached, and kept.

For each version of Kubernetes mirror/ (files by host and path) and images/ (docker-archives), laid out as by
`make release`.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import platform
import re
import string
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lib import addons
from lib.aws.changes import backoff
from lib.node import releases
from lib.run.errors import KubeError
from sandbox.machines.places import Cache, CannotStart

REGISTRY = "registry.k8s.io"
PATIENCE = 4.0  # seconds in which all of the sites must answer
TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 4
IMAGE_TIMEOUT = "15m"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CHUNK = 1 << 20
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Linux calls them -> as releases do

Say = Callable[[str], None]
Sleep = Callable[[float], None]


class Unreachable(CannotStart):
    """A site does not answer, or has not what is wanted: what was built may do instead."""


@dataclass(frozen=True, slots=True)
class Official:
    """One version's release, in a folder of its own."""

    folder: Path
    version: str  # of Kubernetes
    architecture: str
    sites: str = ""  # what stands in for the sites, as KUBE_DOWNLOAD_MIRROR does; empty for the sites themselves

    @property
    def mirror(self) -> Path:
        """The release sites' files, by host and path."""
        return self.folder / "mirror"

    @property
    def images(self) -> Path:
        """The containers' images."""
        return self.folder / "images"

    @property
    def marker(self) -> Path:
        """What was wanted, and the files that came, once everything is there."""
        return self.folder / "complete"

    def downloads(self) -> list[releases.Download]:
        """The files, as lib knows them."""
        return releases.published(self.version, self.architecture, mirror=self.sites)

    def place(self, url: str) -> Path:
        """Where the file of that URL is kept."""
        return self.mirror / url.removeprefix(f"{self.sites}/" if self.sites else "https://")


def wanted(cache: Cache, environ: Mapping[str, str]) -> Official:
    """The release for the version that is asked for, or the default one.

    A version that is none is left to kube_up.py, which refuses it.
    """
    asked = environ.get("KUBERNETES_VERSION", "").removeprefix("v")
    version = asked if re.fullmatch(r"\d+\.\d+\.\d+", asked) else releases.default_kubernetes()
    machine = platform.machine()
    return Official(cache.official / f"v{version}", version, ARCHITECTURES.get(machine, machine))


def is_complete(official: Official) -> bool:
    """Whether everything that is wanted now was downloaded, and is still there."""
    marked = _marked(official)
    if marked is None or marked["wanted"] != _wanted_names(official):
        return False
    return all(_has_size(official.folder / path, size) for path, size in marked["files"].items())


def unreachable(official: Official, *, patience: float = PATIENCE) -> list[str]:
    """What is wrong with the sites, a line for each; empty when all of them have this version."""
    sums = {each.name: each.sums for each in official.downloads()}
    registry = releases.mirrored(f"https://{REGISTRY}/v2/", mirror=official.sites)
    probes = dict.fromkeys(
        (*(sums[name] for name in ("KUBEADM", "RUNC", "ECR_CREDENTIAL_PROVIDER")), registry), "no answer"
    )

    def probe(url: str) -> None:
        probes[url] = _problem(url, patience)

    # In threads, since looking a name up has no time-out of its own.
    threads = [threading.Thread(target=probe, args=(url,), daemon=True) for url in probes]
    for thread in threads:
        thread.start()
    end = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return [f"{url}: {problem}" for url, problem in list(probes.items()) if problem]


def fetch(official: Official, say: Say, *, sleep: Sleep = time.sleep) -> None:
    """Download what is not there yet, and say so at the end by the marker. To be called with the cache locked.

    Raises Unreachable when a site fails; CannotStart when a file is not what its site says, or cannot be kept.
    """
    started = time.monotonic()
    say(f"downloading Kubernetes {official.version} and what goes with it once into {official.folder}")
    try:
        _drop_damaged(official)
        official.marker.unlink(missing_ok=True)
        kept = [file for each in official.downloads() for file in _fetch_file(official, each, say, sleep)]
        kept += _pull_all(official, say)
        _drop_others(official, kept)
        _mark(official, kept)
    except KubeError as error:
        raise Unreachable(str(error)) from None
    except OSError as error:
        raise CannotStart(f"{official.folder}: {error.strerror or error}") from None
    say(f"upstream's release is in {official.folder} ({time.monotonic() - started:.0f} s)")


def _wanted_names(official: Official) -> list[str]:
    """What the marker is right for. kubeadm's own images need no name: they go with its version."""
    urls = [each.url for each in official.downloads()]
    return [official.architecture, *urls, *addon_images(official.version)]


def _marked(official: Official) -> dict[str, Any] | None:
    """The marker's content: `wanted`, and the size of each of the `files`."""
    try:
        found = json.loads(official.marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"wanted", "files"} <= found.keys() else None


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _drop_damaged(official: Official) -> None:
    """What came whole and is no longer: an image has no published sum that would show it."""
    for path, size in (_marked(official) or {"files": {}})["files"].items():
        if not _has_size(official.folder / path, size):
            (official.folder / path).unlink(missing_ok=True)


def _drop_others(official: Official, kept: list[Path]) -> None:
    """Files of what was wanted before."""
    for folder in (official.mirror, official.images):
        for file in folder.rglob("*"):
            if file.is_file() and file not in kept:
                file.unlink()


def _mark(official: Official, kept: list[Path]) -> None:
    files = {str(file.relative_to(official.folder)): file.stat().st_size for file in kept}
    _write(official.marker, json.dumps({"wanted": _wanted_names(official), "files": files}, indent=1))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.part")
    new.write_text(text, encoding="utf-8")
    new.rename(path)


def _problem(url: str, timeout: float) -> str:
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            return ""
    except urllib.error.HTTPError as error:
        # A registry may want a token first; it has answered.
        return "" if error.code == http.HTTPStatus.UNAUTHORIZED else f"HTTP {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return _words(error)


def _words(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__


# --- files -----------------------------------------------------------------------------------------------------------


def _fetch_file(official: Official, download: releases.Download, say: Say, sleep: Sleep) -> tuple[Path, Path]:
    """One file and its sum file; the file is asked for only when it is not there as its sum has it."""
    text = releases.read_text(sleep, download.sums)
    sha256 = releases.sum_in(text, download)
    if download.pinned and download.pinned != sha256:
        raise CannotStart(f"{download.sums} says {sha256}, and templates/releases.env says {download.pinned}")
    file, sums = official.place(download.url), official.place(download.sums)
    if not (file.exists() and _sha256(file) == sha256):
        file.parent.mkdir(parents=True, exist_ok=True)
        _download(download.url, file, sha256, say, sleep)
    _write(sums, text)
    return file, sums


def _download(url: str, file: Path, sha256: str, say: Say, sleep: Sleep) -> None:
    """The file appears under its name only when it is whole and right."""
    part = file.with_name(f"{file.name}.part")
    try:
        _fill(url, part, say, sleep)
        found = _sha256(part)
        if found != sha256:
            raise CannotStart(f"the sha256 of {url} is {found}, and must be {sha256}")
        part.chmod(0o755)
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)


def _fill(url: str, part: Path, say: Say, sleep: Sleep) -> None:
    """All that the URL has, asked for a few times."""
    with open(part, "wb") as output:
        for attempt in range(1, ATTEMPTS + 1):
            output.seek(0)
            output.truncate()
            words = _try(url, output, say)
            if not words:
                return
            if attempt < ATTEMPTS:
                sleep(backoff(attempt))
    raise Unreachable(f"{url} cannot be downloaded: {words}")


def _try(url: str, output: BinaryIO, say: Say) -> str:
    """Download once; returns what went wrong on the way here."""
    try:
        with _open(url) as answer:
            return _copy(url, answer, output, say)
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in NO_ROOM:
            raise
        return _words(error)


def _open(url: str) -> http.client.HTTPResponse:
    answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=TIMEOUT)
    return answer


def _copy(url: str, answer: http.client.HTTPResponse, output: BinaryIO, say: Say) -> str:
    """Copy to the end; returns what is wrong when it came too early, which http.client does not say."""
    length = answer.headers.get("Content-Length")
    say(f"  {url} ({int(length) / CHUNK:.0f} MiB)" if length else f"  {url}")
    while data := answer.read(CHUNK):
        output.write(data)
    missing = int(length) - output.tell() if length else 0
    return f"it ended {missing} bytes too early" if missing else ""


def _sha256(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


# --- images ----------------------------------------------------------------------------------------------------------


def addon_images(kubernetes_version: str) -> list[str]:
    """The images that templates/addons name, in the versions of templates/releases.env; no machine here has a GPU."""
    files = sorted(file for file in addons.TEMPLATES.glob("*.yaml") if file.stem != "nvidia-device-plugin")
    texts = [file.read_text(encoding="utf-8") for file in files]
    found = {name for text in texts for name in re.findall(r"^[\s-]*image:\s*(\S+)", text, re.MULTILINE)}
    return sorted(string.Template(name).substitute(releases.versions(kubernetes_version)) for name in found)


def _pull_all(official: Official, say: Say) -> list[Path]:
    names = [*_kubeadm_images(official), *addon_images(official.version)]
    official.images.mkdir(parents=True, exist_ok=True)
    files = []
    for number, name in enumerate(names, start=1):
        file = official.images / f"{re.sub('[/:]', '_', name.partition('/')[2])}.tar"
        if not file.exists():
            say(f"  image {number}/{len(names)} {name}")
            _pull(name, file, official.architecture)
        files.append(file)
    return files


def _kubeadm_images(official: Official) -> list[str]:
    """What this version's kubeadm asks for."""
    kubeadm = next(official.place(each.url) for each in official.downloads() if each.name == "KUBEADM")
    command = [str(kubeadm), "config", "images", "list", "--kubernetes-version", f"v{official.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise CannotStart(f"{' '.join(command)}: {_last_line(done.stderr)}")
    return done.stdout.split()


def _pull(name: str, file: Path, architecture: str) -> None:
    """One image as a docker-archive by Debian's skopeo, which checks the digests and follows the proxy variables."""
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)  # skopeo does not write into an archive that is there
    # Whether this computer has a policy for images, and which, is no matter of ours: Debian's accepts any.
    command = ["skopeo", "--insecure-policy", f"--command-timeout={IMAGE_TIMEOUT}"]
    command += ["--override-os=linux", f"--override-arch={architecture}"]
    command += ["copy", "--retry-times=3", f"docker://{name}", f"docker-archive:{part.name}:{name}"]
    try:
        # In its folder, since a colon in the archive's path would end it.
        done = subprocess.run(
            command, cwd=file.parent, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise Unreachable(f"skopeo cannot pull {name}: {_last_line(done.stderr)}")
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no word why"])[-1]
