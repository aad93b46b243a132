"""A finished cluster for a test to begin with: made once in each process, and put back for every other test that asks.

kube_up.py takes half a second for it, and most tests are about what comes after. What is put back is all that the
simulated AWS keeps, the clock, and the files at home; nothing of it is shared with an earlier test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.backend import saved
from sandbox.backend.saved import Saved
from sandbox.world import Delays

if TYPE_CHECKING:
    from conftest import Box, Result

Key = tuple[tuple[tuple[str, str], ...], int]
LOGS = ".local"  # which nothing that is asked of a run depends on


@dataclass(frozen=True)
class Prepared:
    """One such cluster."""

    account: Saved
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


def _save(box: Box, result: Result) -> Prepared:
    return Prepared(saved.save(box.aws), _files(box, logs=True), box.clock.now, result)


def _files(box: Box, *, logs: bool = False) -> Mapping[str, tuple[int, bytes | None]]:
    """What is at home: mode and content, which a folder has none of."""
    found = {str(path.relative_to(box.home)): path for path in sorted(box.home.rglob("*"))}
    return {
        name: (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for name, path in found.items()
        if logs or not name.startswith(LOGS)
    }


def _put_back(box: Box, prepared: Prepared) -> None:
    with box.aws.lock:
        saved.put_back(box.aws, prepared.account)
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
