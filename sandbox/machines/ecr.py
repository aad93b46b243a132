"""ECR's registries as machines pull from them: basic auth by GetAuthorizationToken's password, the release's images."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path

from sandbox.machines.registry import Reply, Repositories

HOST = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")


class Ecr(Repositories):
    """The images of docker-archives for those who have `password`, which ECR has given out."""

    def __init__(self, archives: Iterable[Path], password: str) -> None:
        super().__init__(archives)
        self._right = base64.b64encode(f"AWS:{password}".encode()).decode()

    def answer_with(self, host: str, path: str, authorization: str) -> Reply:
        """Status, body and headers of an answer to GET at one of ECR's hosts."""
        if authorization != f"Basic {self._right}":
            challenge = f'Basic realm="https://{host}/",service="ecr.amazonaws.com"'
            return 401, b"Not Authorized\n", {"Www-Authenticate": challenge}
        return self.answer(path)

    def config(self, original: bytes) -> bytes:
        """Another image than the release's of that name. By the image's id the kubelet minds who has pulled it with
        which rights, and under another name it would ask the registry again.
        """
        return json.dumps(json.loads(original) | {"author": "ecr"}).encode()
