"""A finished cluster for a test to begin with: made once in each process, and put back for every other test that asks.

kube_up.py takes half a second for it, and most tests are about what comes after. What is put back is all that the
simulated AWS keeps, the clock, and the files at home; nothing of it is shared with an earlier test.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.world import Delays

if TYPE_CHECKING:
    from conftest import Box, Result

Key = tuple[tuple[tuple[str, str], ...], int]
LOGS = ".local"  # which nothing that is asked of a run depends on


@dataclass(frozen=True)
class Prepared:
    """One such cluster: `account` is pickled, but for what cannot be, which never changes and stays where it is."""

    account: bytes
    kept: list[Any]
    files: Mapping[str, tuple[int, bytes | None]]
    now: float
    result: Result


def cluster(box: Box, ready: dict[Key, Prepared], make: Callable[[], Result], settings: Mapping[str, object]) -> Result:
    """What `make` gives, a run of kube_up.py with these settings in an account where nothing has happened yet."""
    assert (box.aws.count, box.aws.hooks.before, box.aws.hooks.after) == (0, [], []), "begin with it"
    assert box.aws.world.delays == Delays(), "begin with it"
    told = box.environ | {name: str(value) for name, value in settings.items()}
    at_home = {name: content for name, (_, content) in _files(box).items() if content is not None}
    key = (
        tuple(sorted((name, value.replace(str(box.home), "~")) for name, value in told.items())),
        hash(tuple(sorted(at_home.items()))),
    )
    if key not in ready:
        result = make()
        ready[key] = _save(box, result)
        return result
    _put_back(box, ready[key])
    result = ready[key].result
    return dataclasses.replace(result, calls=list(result.calls))


def _services() -> list[Any]:
    from moto.core.base_backend import BackendDict

    return list(BackendDict._instances)  # type: ignore[misc]


def _save(box: Box, result: Result) -> Prepared:
    kept: list[Any] = []
    file = io.BytesIO()
    with box.aws.lock:
        accounts = [{account: dict(regions) for account, regions in service.items()} for service in _services()]
        buckets = [getattr(service, "bucket_accounts", {}) for service in _services()]
        dice = [each.getstate() for each in _dice()]
        _Pickler(file, kept).dump((accounts, buckets, box.aws.world.state, box.aws.count, dice))
    return Prepared(file.getvalue(), kept, _files(box, logs=True), box.clock.now, result)


def _files(box: Box, *, logs: bool = False) -> Mapping[str, tuple[int, bytes | None]]:
    """What is at home: mode and content, which a folder has none of."""
    found = {str(path.relative_to(box.home)): path for path in sorted(box.home.rglob("*"))}
    return {
        name: (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for name, path in found.items()
        if logs or not name.startswith(LOGS)
    }


def _dice() -> tuple[Any, Any]:
    """What ids are drawn with."""
    from moto.moto_api._internal import mock_random

    return random._inst, mock_random


def _put_back(box: Box, prepared: Prepared) -> None:
    with box.aws.lock:
        saved = _Unpickler(io.BytesIO(prepared.account), prepared.kept).load()
        accounts, buckets, box.aws.world.state, box.aws.count, dice = saved
        for service, content, owners in zip(_services(), accounts, buckets, strict=False):
            for account, regions in content.items():
                dict.update(service[account], regions)
            if owners:  # S3's, whose buckets' names are everybody's
                service.bucket_accounts.update(owners)
        for each, state in zip(_dice(), dice, strict=True):
            each.setstate(state)
        box.clock.now = prepared.now
        box.aws.calls.extend(prepared.result.calls)
        box.aws.tick()
    for name, (mode, content) in prepared.files.items():
        path = box.home / name
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)
        path.chmod(mode & 0o777)


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
