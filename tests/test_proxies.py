"""Behind a proxy: the cluster's API is asked through it, as kubectl asks, and what NO_PROXY names is not."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml
from conftest import Box
from helpers import must

from lib.aws import proxies

SERVER = "https://203.0.113.7:6443"


class Connect:
    """A proxy on this computer that knows CONNECT only; `asked` are the requests' heads."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: list[str] = []

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _pass(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(4096)
            if not part:
                return
            head += part
        self.asked.append(head.decode())
        host, _, port = head.split()[1].decode().rpartition(":")
        if not host.startswith("127."):  # nothing of a test leaves this computer
            client.sendall(b"HTTP/1.1 502 Bad gateway\r\n\r\n")
            client.close()
            return
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join(timeout=5)


def _copy(one: socket.socket, other: socket.socket) -> None:
    try:
        while part := one.recv(65536):
            other.sendall(part)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def proxy() -> Iterator[Connect]:
    it = Connect()
    thread = threading.Thread(target=it.serve, daemon=True)
    thread.start()
    yield it
    it.close()


def set_proxy_url(box: Box, url: str) -> str:
    path = box.home / ".kube" / "config"
    config = yaml.safe_load(path.read_text())
    config["clusters"][0]["cluster"]["proxy-url"] = url
    path.write_text(yaml.safe_dump(config))
    return str(config["clusters"][0]["cluster"]["server"]).removeprefix("https://")


def test_kubeconfigs_proxy_is_asked_and_its_password_is_shown_nowhere(sandbox: Box) -> None:
    sandbox.cluster()
    with proxy() as it:
        server = set_proxy_url(sandbox, f"http://me:hunter2%21@{it.address}")
        result = must(sandbox.up())
        assert result.changing == []
        host, _, port = server.partition(":")
        assert it.asked
        assert all(head.startswith(f"CONNECT {host}:{port or 443} ") for head in it.asked)
        pair = base64.b64encode(b"me:hunter2!").decode()
        assert all(f"Proxy-Authorization: Basic {pair}\r\n" in head for head in it.asked)
    logs = "".join(path.read_text() for path in sandbox.home.rglob("*.log"))
    assert not [word for word in ("hunter2", pair) if word in result.out + result.err + logs]


def test_the_environments_proxy_is_asked_for_an_api_inside_the_vpc(sandbox: Box) -> None:
    with proxy() as it:
        through = {"HTTPS_PROXY": f"http://me:hunter2@{it.address}", "NO_PROXY": "169.254.169.254", "no_proxy": ""}
        result = must(sandbox.up(KUBE_ENABLE_MASTER_PUBLIC_IP="false", **through))
        assert it.asked
        assert {head.split()[1] for head in it.asked} == {"172.20.0.9:" + sandbox.environ.get("KUBE_API_PORT", "443")}
    assert "hunter2" not in result.out + result.err


def test_a_proxy_that_does_not_answer_is_named(sandbox: Box) -> None:
    sandbox.cluster()
    set_proxy_url(sandbox, "http://me:hunter2@127.0.0.1:9")
    result = sandbox.up(KUBE_WAIT_API_SECONDS=5)
    assert result.code == 1
    assert "Connection refused, through the proxy 127.0.0.1:9" in result.err
    assert "hunter2" not in result.out + result.err


def test_a_proxy_of_another_kind_is_said_not_to_serve(sandbox: Box) -> None:
    sandbox.cluster()
    set_proxy_url(sandbox, "socks5://127.0.0.1:1080")
    assert "a proxy of kind socks5 is not for the API, which is asked directly" in must(sandbox.up()).err


@pytest.mark.parametrize(
    ("environ", "through"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "proxy:3128"),
        ({"HTTPS_PROXY": "one:1", "https_proxy": "two:2"}, "one:1"),  # as in Go
        ({"HTTPS_PROXY": "http://me:secret@proxy"}, "proxy:80"),
        ({"HTTP_PROXY": "http://proxy:3128", "ALL_PROXY": "http://proxy:3128"}, None),
    ],
)
def test_which_proxy(environ: dict[str, str], through: str | None) -> None:
    found = proxies.find(SERVER, environ)
    assert (str(found) if found else None) == through
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("server", "no_proxy", "direct"),
    [
        (SERVER, "", False),
        (SERVER, "*", True),
        (SERVER, "203.0.113.7", True),
        (SERVER, "203.0.113.7:6443", True),
        (SERVER, "203.0.113.7:443", False),
        (SERVER, "10.0.0.0/8, 203.0.113.0/24", True),
        (SERVER, "10.0.0.0/8", False),
        (SERVER, "203.0.113", False),
        ("https://api.example.com", "example.com", True),
        ("https://API.example.com", "Example.com", True),
        ("https://example.com", "example.com", True),
        ("https://example.com", ".example.com", False),
        ("https://api.example.com", ".example.com", True),
        ("https://api.example.com", "*.example.com", True),
        ("https://notexample.com", "example.com", False),
        ("https://api.example.com", "example.com:443", True),
        ("https://api.example.com", "example.com:6443", False),
        ("https://127.5.0.1", "", True),
        ("https://localhost:6443", "", True),
        ("https://[2001:db8::1]:6443", "2001:db8::/32", True),
        ("https://[2001:db8::1]:6443", "[2001:db8::1]:6443", True),
        ("https://[2001:db8::1]:6443", "2001:db8::2", False),
    ],
)
def test_what_no_proxy_names_is_asked_directly_by_gos_rules(server: str, no_proxy: str, direct: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        found = proxies.find(server, {"HTTPS_PROXY": "http://proxy:3128", name: no_proxy})
        assert (found is None) == direct
    assert proxies.find(server, {name: no_proxy}, proxy_url="http://proxy:1")  # kubeconfig's counts always
