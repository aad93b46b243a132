"""A proxy for machines: `python proxy.py ADDRESS PORT TARGET LOG`; whatever host is asked for is TARGET's, by its port.

CONNECT and plain requests; a line of LOG for each, by method and what was asked for.
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path


def serve(address: str, port: int, target: str, log: Path) -> None:
    """Never returns."""
    listening = socket.create_server((address, port), backlog=128)
    while True:
        client, _ = listening.accept()
        threading.Thread(target=_answer, args=(client, target, log), daemon=True).start()


def _answer(client: socket.socket, target: str, log: Path) -> None:
    with client:
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(65536)
            if not part:
                return
            head += part
        method, asked, _ = head.split(b"\r\n")[0].decode().split(" ")
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{method} {asked}\n")
        if method == "CONNECT":
            first, port = b"", int(asked.rpartition(":")[2])
        else:
            path = asked.removeprefix("http://").partition("/")[2]
            rest = head.partition(b"\r\n")[2].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
            first, port = f"{method} /{path} HTTP/1.1\r\n".encode() + rest, 80
        with socket.create_connection((target, port), timeout=10) as server:
            server.settimeout(None)
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            server.sendall(first)
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(one: socket.socket, other: socket.socket) -> None:
    try:
        while part := one.recv(65536):
            other.sendall(part)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        return


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
