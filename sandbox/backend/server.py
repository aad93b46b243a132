"""moto's server, and how it is listened on."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

from moto.moto_server import werkzeug_app
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

from sandbox.calls import LoseAnswer


def application() -> Callable[..., Any]:
    """moto's server as a WSGI application.

    Without what costs time and AWS has not: Flask's help for whoever writes the application (a class for each request),
    and headers for browsers.
    """
    werkzeug_app.DISABLE_GLOBAL_CORS = True  # type: ignore[attr-defined]
    return cast("Callable[..., Any]", DomainDispatcherApplication(_create_app))


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
