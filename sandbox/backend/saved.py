"""All that the simulated AWS keeps, set aside and put back: a prepared account for a test to begin with."""

from __future__ import annotations

import io
import pickle
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.core.base_backend import BackendDict
from moto.moto_api._internal import mock_random

if TYPE_CHECKING:
    from sandbox.app import Sandbox


@dataclass(frozen=True)
class Saved:
    """`account` is pickled, but for what cannot be, which never changes and stays where it is."""

    account: bytes
    kept: list[Any]


def save(box: Sandbox) -> Saved:
    """Moto's state and the sandbox's own, with the dice that ids are drawn with."""
    kept: list[Any] = []
    file = io.BytesIO()
    with box.lock:
        accounts = [{account: dict(regions) for account, regions in service.items()} for service in _services()]
        buckets = [getattr(service, "bucket_accounts", {}) for service in _services()]
        dice = [each.getstate() for each in _dice()]
        _Pickler(file, kept).dump((accounts, buckets, box.world.state, box.count, dice))
    return Saved(file.getvalue(), kept)


def put_back(box: Sandbox, saved: Saved) -> None:
    """Into an empty account. The clock is the caller's."""
    with box.lock:
        accounts, buckets, box.world.state, box.count, dice = _Unpickler(io.BytesIO(saved.account), saved.kept).load()
        for service, content, owners in zip(_services(), accounts, buckets, strict=False):
            for account, regions in content.items():
                dict.update(service[account], regions)
            if owners:  # S3's, whose buckets' names are everybody's
                service.bucket_accounts.update(owners)
        for each, state in zip(_dice(), dice, strict=True):
            each.setstate(state)


def seed(number: int) -> None:
    """Have the ids from now on be the same after each such call."""
    for each in _dice():
        each.seed(number)


def _services() -> list[Any]:
    return list(BackendDict._instances)  # type: ignore[misc]


def _dice() -> tuple[Any, Any]:
    return random._inst, mock_random


class _Pickler(pickle.Pickler):
    """Leaves in `kept` what has no name to be found by, and what is of a library that does not pickle."""

    def __init__(self, file: io.BytesIO, kept: list[Any]) -> None:
        super().__init__(file, protocol=5)
        self._kept = kept

    def persistent_id(self, obj: Any) -> int | None:
        nameless = "<locals>" in getattr(obj, "__qualname__", "")
        if nameless or type(obj).__module__.startswith("cryptography."):
            self._kept.append(obj)
            return len(self._kept) - 1
        return None

    def reducer_override(self, obj: Any) -> Any:
        if type(obj).__name__ == "ParameterDict":  # moto's, which wants arguments when it is made
            return type(obj), (obj.account_id, obj.region_name), obj.__dict__, None, iter(obj.items())
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, kept: list[Any]) -> None:
        super().__init__(file)
        self._kept = kept

    def persistent_load(self, pid: int) -> Any:
        return self._kept[pid]
