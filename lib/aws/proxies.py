"""Which proxy the cluster's API is asked through: kubectl's own rules, so that both come the same way.

kubeconfig's proxy-url of the cluster counts first, and always; else HTTPS_PROXY, but for what NO_PROXY names. The rules
are those of golang.org/x/net/http/httpproxy: addresses, ranges (CIDR), domains with all below them, each with a port if
one is given; this computer itself is never asked through a proxy. (AWS is asked as botocore does: NO_PROXY's ranges are
not known there.)
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit


@dataclass(frozen=True)
class Proxy:
    """A proxy that is spoken to by HTTP's CONNECT. `headers` may hold a password, so they are never printed."""

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def find(server: str, environ: Mapping[str, str], *, proxy_url: str = "") -> Proxy | None:
    """The proxy for an https server, None where it is asked directly.

    So it is too for a proxy of another kind than http: SOCKS, or one that is spoken to by TLS; `unusable` names it.
    """
    url = _chosen(server, environ, proxy_url)
    return _proxy(url) if url and url.scheme == "http" else None


def unusable(server: str, environ: Mapping[str, str], *, proxy_url: str = "") -> str:
    """The kind of a proxy that is set for the server and cannot be used here, '' where there is none such."""
    url = _chosen(server, environ, proxy_url)
    return url.scheme if url and url.scheme != "http" else ""


def _chosen(server: str, environ: Mapping[str, str], proxy_url: str) -> SplitResult | None:
    if proxy_url:
        return _parsed(proxy_url)
    text = environ.get("HTTPS_PROXY") or environ.get("https_proxy") or ""
    url = urlsplit(server)
    passed_by = _passes_by(
        url.hostname or "", url.port or 443, environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    )
    return None if passed_by else _parsed(text)


def _parsed(text: str) -> SplitResult | None:
    for each in (text, f"http://{text}"):
        with contextlib.suppress(ValueError):
            url = urlsplit(each)
            if text and url.scheme and url.hostname and url.port != 0:  # ValueError for a port that is no number
                return url
    return None


def _proxy(url: SplitResult) -> Proxy:
    headers = {}
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(url.hostname or "", url.port or 80, headers)


def _passes_by(host: str, port: int, no_proxy: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address and address.is_loopback):
        return True
    entries = [entry.strip().lower() for entry in no_proxy.split(",") if entry.strip()]
    return any(entry == "*" or _matches(entry, host.lower(), address, port) for entry in entries)


def _matches(entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int) -> bool:
    if "/" in entry:
        with contextlib.suppress(ValueError):
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
    name, _, its_port = entry.rpartition(":") if entry.count(":") == 1 or "]:" in entry else (entry, "", "")
    if its_port and its_port != str(port):
        return False
    name = name.strip("[]")
    if _address(name):
        return address == _address(name)
    if address or not name:
        return False
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(text)
    return None
