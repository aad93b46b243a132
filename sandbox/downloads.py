"""The release sites as far as kube_up.py asks them: the sum files of what nodes download.

Simulated hosts download nothing, so the sums are those of the addresses; the files themselves are not there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any

PREFIX = "/_downloads/"  # what KUBE_DOWNLOAD_MIRROR points to
# Kubernetes versions that count as published here; any version of the rest does.
KUBERNETES = re.compile(r"dl\.k8s\.io/release/v1\.(36|37)\.\d/")

STABLE = re.compile(r"dl\.k8s\.io/release/stable-(1\.3[67])\.txt")


def answer(path: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The sum file at that path below the mirror, or the newest of a minor release; 404 for anything else."""
    url = path.removeprefix(PREFIX)
    if stable := STABLE.fullmatch(url):
        return _text(f"v{stable[1]}.9\n", start_response)
    known = "dl.k8s.io" not in url or KUBERNETES.match(url)
    if not known or not re.search(r"\.sha256(sum)?$", url):
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]
    return _text("".join(_lines(url)), start_response)


def _text(text: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = text.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _lines(url: str) -> Iterable[str]:
    file = re.sub(r"\.sha256(sum)?$", "", url.rsplit("/", 1)[-1])
    names = ["runc.amd64", "runc.arm64"] if file == "runc" else [file]
    for name in names:
        yield f"{hashlib.sha256(f'{url} {name}'.encode()).hexdigest()}  {name}\n"
