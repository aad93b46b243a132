"""Small HTTP servers on sockets that were made elsewhere, and copying between two connections."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """A request handler that keeps silent and keeps connections."""

    protocol_version = "HTTP/1.1"
    timeout = 300

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the standard library)
        """Nothing is logged."""

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Answer with a body."""
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "text/plain"}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Answers on a listening socket, in threads, until it is closed."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, handler: type[Handler], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        # The handshake is left to the connection's own thread, so that nobody can hold up the others.
        self.socket = tls.wrap_socket(listener, server_side=True, do_handshake_on_connect=False) if tls else listener
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error of ours."""

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection, in whatever state it is."""
        with contextlib.suppress(OSError):
            super().shutdown_request(request)

    def close(self) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()


def listen(address: tuple[str, int]) -> socket.socket:
    """A listening TCP socket."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def join(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until both have ended; closes both."""
    with one, other:
        back = threading.Thread(target=_copy, args=(other, one), daemon=True)
        back.start()
        _copy(one, other)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
