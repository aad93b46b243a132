"""python -m sandbox.show_nodes: the nodes of the cluster in KUBECONFIG, for who has no kubectl."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import yaml

from lib.kube.api import Api, Client


def read_client(path: Path) -> Client:
    """With what the API of kubeconfig's current context is asked. Raises OSError, KeyError."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    context = _entry(data["contexts"], data["current-context"])["context"]
    cluster = _entry(data["clusters"], context["cluster"])["cluster"]
    user = _entry(data["users"], context["user"])["user"]
    return Client(
        server=cluster["server"],
        ca_cert=base64.b64decode(cluster["certificate-authority-data"]),
        cert=base64.b64decode(user["client-certificate-data"]),
        key=base64.b64decode(user["client-key-data"]),
    )


def _entry(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def main() -> None:
    """Print them as `kubectl get nodes` does."""
    nodes = Api(read_client(Path(os.environ["KUBECONFIG"]))).nodes()
    width = max((len(node.name) for node in nodes), default=0)
    print(f"{'NAME':<{width}}   {'STATUS':<8}   VERSION")
    for node in nodes:
        print(f"{node.name:<{width}}   {'Ready' if node.ready else 'NotReady':<8}   {node.version}")


if __name__ == "__main__":
    main()
