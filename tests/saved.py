"""A simulated account put aside, and brought back as it was: for tests that begin with a finished cluster."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict
from moto.ssm.models import SimpleSystemManagerBackend

from sandbox import cloud


class Saved:
    """What a Box's account and kubeconfig held when this was made; to be brought back into its process."""

    def __init__(self, box: Any) -> None:
        self._kubeconfig = Path(box.environ["KUBECONFIG"]).read_text()
        services: Any = BackendDict._instances  # type: ignore[misc]
        self._regions = [(account, dict(account)) for service in services for account in service.values()]
        everything = [backend for _, regions in self._regions for backend in regions.values()]
        # The parameters are the same in every account of the sandbox, and their class cannot be copied.
        self._backends = [each for each in everything if not isinstance(each, SimpleSystemManagerBackend)]
        self._same = {id(backend): backend for backend in everything}
        self._content = self._copy([backend.__dict__ for backend in self._backends])
        self._objects = [key.value for key in _objects()]
        self._state = copy.deepcopy(box.aws.world.state)

    def _copy(self, content: Any) -> Any:
        return copy.deepcopy(content, dict(self._same))

    def restore(self, box: Any) -> None:
        """Let it be as it was."""
        file = Path(box.environ["KUBECONFIG"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(self._kubeconfig)
        for account, regions in self._regions:
            dict.clear(account)
            dict.update(account, regions)
        for backend, content in zip(self._backends, self._copy(self._content), strict=True):
            backend.__dict__.clear()
            backend.__dict__.update(content)
        for key, value in zip(_objects(), self._objects, strict=True):
            key._value_buffer = tempfile.SpooledTemporaryFile(key._max_buffer_size)  # noqa: SIM115 moto closes it
            key.value = value
        box.aws.world.state = copy.deepcopy(self._state)
        box.aws.tick()


def _objects() -> Iterator[Any]:
    """Every object in every bucket, always in the same order."""
    for bucket in cloud.s3().buckets.values():
        for name in bucket.keys:
            yield from bucket.keys.getlist(name)
