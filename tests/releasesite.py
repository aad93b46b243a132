"""The release sites on loopback, with small files of the default version."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lib.node import releases
from sandbox.machines.official import REGISTRY

KUBEADM = b"#!/bin/sh\necho registry.k8s.io/kube-apiserver:v1.37.2\necho registry.k8s.io/coredns/coredns:v1.14.6\n"


class Site:
    """Stands in for all of the release sites: what it has, what was asked of it, what breaks off after some bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {f"/{REGISTRY}/v2/": b"{}"}
        self.asked: list[str] = []
        self.cut: dict[str, int] = {}  # path -> how many more times
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = site.files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                if self.command == "HEAD":
                    return
                site.asked.append(self.path)
                if site.cut.get(self.path):
                    site.cut[self.path] -= 1
                    body = (body or b"")[:5]
                self.wfile.write(body or b"")

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:{}".format(*self._server.server_address[1:])
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, version: str, architecture: str = "amd64") -> None:
        """All files of that version, and their sums."""
        for each in releases.published(version, architecture, mirror=self.url):
            name = each.url.rsplit("/", 1)[-1]
            content = KUBEADM if each.name == "KUBEADM" else f"{each.name} {version} {architecture}".encode()
            sha256 = hashlib.sha256(content).hexdigest()
            self.files[self.path(each.url)] = content
            if each.name == "RUNC":  # one sum file for all architectures
                known = self.files.get(self.path(each.sums), b"").decode()
                self.files[self.path(each.sums)] = f"{known}{sha256} *{name}\n".encode()
            else:
                self.files[self.path(each.sums)] = sha256.encode()

    def path(self, url: str) -> str:
        return url.removeprefix(self.url)

    def fetched(self) -> set[str]:
        """The names of what was asked for since this was last called, sum files apart."""
        names = {path.rsplit("/", 1)[-1] for path in self.asked if "sha256" not in path}
        self.asked.clear()
        return names
