"""botocore's requests to the sandbox of the same process without a socket: the same WSGI call, a quarter less time.

What needs the real thing (a killed client, a program of its own) runs in processes of its own, over HTTP.
"""

from __future__ import annotations

import email.utils
import functools
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from sandbox.app import Sandbox
from sandbox.calls import LoseAnswer


class _Body(io.BytesIO):
    """An answer's body as urllib3 gives it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


def date() -> str:
    """What AWS's clock says, in an answer's header."""
    return _date(int(time.time()))


@functools.lru_cache(maxsize=1)
def _date(now: int) -> str:
    return email.utils.formatdate(now, usegmt=True)


@contextmanager
def direct(aws: Sandbox, endpoint: str) -> Iterator[None]:
    """Have what botocore sends to the endpoint answered by `aws` itself, in the caller's thread."""
    over_http: Callable[..., Any] = URLLib3Session.send

    def send(session: URLLib3Session, request: Any) -> Any:
        if not request.url.startswith(f"{endpoint}/"):
            return over_http(session, request)
        told: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]]) -> None:
            told.update(status=int(status.split()[0]), headers=headers)

        try:
            body = b"".join(aws(_environ(request), start))
        except LoseAnswer as lost:
            raise ConnectionClosedError(endpoint_url=request.url, error=lost) from lost
        headers: Any = {"Date": date()} | dict(told["headers"])
        return AWSResponse(request.url, told["status"], headers, _Body(body))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(URLLib3Session, "send", send)
        # Nobody looks whether a signature is right.
        for part, nothing in (
            ("canonical_request", ""),
            ("string_to_sign", ""),
            ("signature", ""),
            ("headers_to_sign", {}),
        ):
            patch.setattr(SigV4Auth, part, lambda *_, nothing=nothing: nothing)
        yield


@functools.cache
def _variable(header: str) -> str:
    """What WSGI calls a header."""
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def _environ(request: Any) -> dict[str, Any]:
    """The request as a WSGI server passes it on."""
    url, body = urlsplit(request.url), request.body or b""
    content = body.read() if hasattr(body, "read") else body
    content = content.encode() if isinstance(content, str) else bytes(content)
    path = f"{url.path}?{url.query}" if url.query else url.path
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(url.path).encode().decode("latin-1"),
        "QUERY_STRING": url.query,
        "REQUEST_URI": path,
        "RAW_URI": path,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": url.hostname,
        "SERVER_PORT": str(url.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": url.netloc,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": io.StringIO(),
    }
    for key, value in request.headers._dict.items():  # without a search for each name
        environ[_variable(key._key)] = value.decode() if isinstance(value, bytes) else str(value)
    environ["CONTENT_LENGTH"] = str(len(content))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ
