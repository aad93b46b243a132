"""The internet as a VPC of the sandbox sees it: release sites, registry, AWS's endpoints, and a stranger."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from sandbox.machines import ecr, registry
from sandbox.machines.servers import Handler

# Hosts of S3 with the bucket's name in front.
VIRTUAL = re.compile(r"^(?P<bucket>.+)\.(?P<host>s3[.-][a-z0-9.-]*amazonaws\.com(\.cn)?)$")
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")
DEBIAN = "deb.debian.org"
DEBIAN_IN_AWS = "cdn-aws.deb.debian.org"  # where apt asks once cloud-init has run (debian/files: 01_debian_cloud.cfg)
APT_HELPER = ("/usr/lib/apt/apt-helper",)
FROM = "X-Sandbox-Instance"  # tells calls of machines from the command's


class Sites(Handler):
    """Answers for all of the sites, by the name that it is asked for; `handler` fills in what it knows."""

    mirror: Path
    aws: tuple[str, int]
    who: Callable[[str], str]
    repositories: registry.Repositories | None
    ecr: ecr.Ecr | None

    def answer(self) -> None:
        """Any request."""
        host = self.headers.get("Host", "").partition(":")[0]
        if self.ecr is not None and ecr.HOST.fullmatch(host):
            self._give(*self.ecr.answer_with(host, self.path, self.headers.get("Authorization", "")))
        elif host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")):
            self._forward(*endpoint(host, self.path), self.aws, self.who(self.client_address[0]))
        elif host in (DEBIAN, DEBIAN_IN_AWS):
            self._from_debian()
        elif host == "registry.k8s.io" and self.repositories is not None:
            self._give(*self.repositories.answer(self.path))
        else:
            self._file(f"/{host}{self.path}" if (self.mirror / host).is_dir() else self.path)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def _from_debian(self) -> None:
        """What this computer's own apt gets at that address, by its own settings; nothing is kept."""
        with tempfile.TemporaryDirectory() as folder:
            got = Path(folder) / "got"
            asked = [*APT_HELPER, "-o", "Acquire::Retries=0", "download-file", f"http://{DEBIAN}{self.path}", str(got)]
            done = subprocess.run(asked, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
            if got.is_file():
                self._send(got)
            else:
                words = " ".join((done.stdout + done.stderr).split())
                self.reply(404 if " 404 " in words else 503, f"{words}\n".encode())

    def _file(self, path: str) -> None:
        file = (self.mirror / urllib.parse.unquote(path.partition("?")[0]).lstrip("/")).resolve()
        if not file.is_file() or not file.is_relative_to(self.mirror.resolve()):
            self.reply(404, b"not found\n")
            return
        self._send(file)

    def _send(self, file: Path) -> None:
        whole = registry.Part(file, 0, file.stat().st_size)
        self._give(200, whole, {"Content-Type": "application/octet-stream"})

    def _give(self, status: int, body: bytes | registry.Part, headers: dict[str, str]) -> None:
        if isinstance(body, bytes):
            self.reply(status, body, headers)
            return
        with open(body.file, "rb") as content:
            self._head(status, headers, str(body.size))
            if self.command != "HEAD" and body.size:
                self.wfile.flush()
                self.connection.sendfile(content, body.offset, body.size)

    def _forward(self, host: str, path: str, to: tuple[str, int], instance: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        headers |= {"Host": host, "Connection": "close"} | ({FROM: instance} if instance else {})
        connection = http.client.HTTPConnection(*to, timeout=60)
        with contextlib.closing(connection):
            connection.request(self.command, path, body or None, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            length = answer.getheader("Content-Length")
            if length is None:
                self.reply(answer.status, answer.read(), kept)
            else:
                self._head(answer.status, kept, length)
                shutil.copyfileobj(answer, self.wfile)

    def _head(self, status: int, headers: dict[str, str], length: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()


def handler(
    mirror: Path,
    *,
    aws: tuple[str, int],
    who: Callable[[str], str],
    repositories: registry.Repositories | None = None,
    ecr: ecr.Ecr | None = None,
) -> type[Handler]:
    """A request handler for the sites; `who` names the instance at an address."""
    known = {"mirror": mirror, "aws": aws, "who": staticmethod(who), "repositories": repositories, "ecr": ecr}
    return type("KnowingSites", (Sites,), known)


def endpoint(host: str, path: str) -> tuple[str, str]:
    """Host and path as the simulated AWS wants them: a bucket in the path, not in the name."""
    found = VIRTUAL.match(host)
    return (found["host"], f"/{found['bucket']}{path}") if found else (host, path)


def stranger(who: Callable[[str], str]) -> type[Handler]:
    """Somebody on the internet, who answers with the public address that a request came from."""

    class Stranger(Handler):
        def do_GET(self) -> None:  # noqa: N802
            self.reply(200, f"{who(self.client_address[0])}\n".encode())

    return Stranger
