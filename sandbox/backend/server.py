"""moto's server, and how it is listened on."""

from __future__ import annotations

import functools
import os
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any, cast

from botocore.exceptions import ClientError
from moto.moto_server import werkzeug_app
from moto.moto_server.werkzeug_app import (
    BackendRequest,
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from sandbox.calls import LoseAnswer

REQUEST = "sandbox.request"  # where the environment has the request as it was read to see which call it is: of forms


def application() -> Callable[..., Any]:
    """moto's server as a WSGI application.

    Without what costs time and AWS has not: Flask's help for whoever writes the application (a class for each request),
    and headers for browsers.
    """
    werkzeug_app.DISABLE_GLOBAL_CORS = True  # type: ignore[attr-defined]
    return _Moto(_create_app)


class _Moto(DomainDispatcherApplication):
    """Asks moto's own functions, as Flask would, but without Flask, whose part of each request is as long as moto's."""

    def __init__(self, create_app: Callable[..., Any]) -> None:
        super().__init__(create_app)
        self._paths: dict[str, Any] = {}
        self._apps: dict[str, Any] = {}
        self._asked: dict[tuple[str, str], Any] = {}
        self.get_backend_for_host = functools.cache(super().get_backend_for_host)  # type: ignore[method-assign]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        form = environ.get(REQUEST)
        app: Any = self._of_form(environ) if form else self.get_application(environ)
        request = form or BackendRequest(environ)
        try:
            asked = self._function(app, request.path, request.method, is_form=form is not None)
        except (HTTPException, AttributeError):  # Flask has the answer where no path leads to a function of moto's
            return cast("Iterable[bytes]", app(environ, start_response))
        try:
            answer = asked(request, request.raw_url, {} if form else dict(request.headers))
        except ClientError as error:
            answer = 400, {}, error.response["Error"]["Message"]
        except HTTPException as error:
            return error(environ, start_response)
        status, headers, content = answer if len(answer) == 3 else (200, {}, answer)
        sent = Headers(headers)
        sent.setdefault("Content-Type", "text/html; charset=utf-8")
        body = content.encode() if isinstance(content, str) else content
        sent.setdefault("Content-Length", str(len(body)))
        start_response(str(status), sent.to_wsgi_list())
        return [] if request.method == "HEAD" else [body]

    def _function(self, app: Any, path: str, method: str, *, is_form: bool) -> Any:
        """moto's function that a path leads to. A form's leads to the same one whatever is in it."""
        if is_form and (app.service, path) in self._asked:
            return self._asked[app.service, path]
        paths = self._paths.get(app.service) or self._paths.setdefault(app.service, app.url_map.bind(""))
        endpoint, _ = paths.match(path, method)
        asked = app.view_functions[endpoint].callback
        if is_form:
            self._asked[app.service, path] = asked
        return asked

    def _of_form(self, environ: dict[str, Any]) -> Any:
        """Of a form the signature's scope alone says which part of moto is asked."""
        scope = "/".join(environ.get("HTTP_AUTHORIZATION", "").partition(",")[0].split("/")[2:])
        if scope not in self._apps:
            self._apps[scope] = self.get_application(environ)
        return self._apps[scope] if scope else self.get_application(environ)


def _create_app(service: Any) -> Any:
    app = create_backend_app(service)
    app.debug = False
    app.config["PROPAGATE_EXCEPTIONS"] = True  # as debug has it
    return app


class Handler(MotoRequestHandler):
    """Keep-alive, unbuffered, silent; resets the connection where an answer is to be lost."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, *args: Any) -> None:
        """Nothing."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:  # noqa: ARG002
        """The client went away, or is to believe that we did."""
        self.close_connection = True
        if isinstance(error, LoseAnswer):
            _reset(self.connection)


def _reset(connection: socket.socket) -> None:
    """Reset the connection at once, without a byte. The descriptor stays good, of a socket that leads nowhere."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with socket.socket() as nowhere:
        os.dup2(nowhere.fileno(), connection.fileno())
