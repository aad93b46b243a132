"""What a run leaves in a file: every line that it said and every call that it made, with ids and without secrets.

The file's name is told only when something failed. Requests and answers are not written down, only the ids in them:
user-data, keys and tokens are in neither.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lib.run.files import make_private_directory

KEPT = 20  # runs whose files are kept
_MOST_IDS = 8  # of one call
# An id is looked for from its end, which is found several times as fast: its beginning is like any word's.
_END_OF_ID = re.compile(r"-(?:[0-9a-f]{17}|[0-9a-f]{8})\b")
_ID = re.compile(r"\b[a-z]{1,8}(?:-[a-z]{1,8}){0,2}-[0-9a-f]+\Z")
_LONGEST_BEGINNING = len("letters8-letters8-letters8")
# Parameters that name what a call is about and are no ids; all others are left out.
_NAMES = (
    *("GroupName", "RoleName", "InstanceProfileName", "KeyName", "LaunchTemplateName", "AutoScalingGroupName"),
    *("Bucket", "Key", "Prefix", "CidrBlock", "PrivateIpAddress", "DestinationCidrBlock", "Name"),
)


def folder(environ: Mapping[str, str]) -> Path:
    """Where the files are: below XDG_STATE_HOME or ~/.local/state; among temporary files where there is no home."""
    state, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
    if not state and Path(home or "/nonexistent").is_dir():  # no run makes a home
        state = str(Path(home, ".local", "state"))
    return Path(state or tempfile.gettempdir()) / "kube-up"


class RunLog:
    """One run's file; nothing at all where none can be made, since that is no reason not to run."""

    def __init__(self, file: IO[str] | None = None, path: Path | None = None) -> None:
        self._file, self.path = file, path

    def line(self, words: str) -> None:
        """A line with the time in front. A disk that is full ends the log, not the run."""
        if self._file is None:
            return
        try:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._file.writelines(f"{stamp} {line}\n" for line in words.splitlines() or [""])
            self._file.flush()
        except (OSError, ValueError):  # a full disk, or a line after the file's end
            self._file = None

    def call(self, operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """An API call: its name, how AWS answered, the ids and names in both."""
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        request = answer.get("ResponseMetadata", {}).get("RequestId", "")
        error = answer.get("Error", {})
        refused = (
            f" {error['Code']}: {' '.join(str(error.get('Message', '')).split())[:200]}" if error.get("Code") else ""
        )
        named = [f"{name}={params[name]}" for name in _NAMES if isinstance(params.get(name), str)]
        told = [*named, *_first_ids(repr(params), repr(answer))]
        self.line(f"call {operation} {status}{refused}{' ' if told else ''}{' '.join(told)} request={request}")


def _first_ids(*texts: str) -> list[str]:
    """The first ids in these, each once, and "…" where there are more."""
    found: dict[str, None] = {}
    for text in texts:
        for end in _END_OF_ID.finditer(text):
            match = _ID.search(text, max(0, end.start() - _LONGEST_BEGINNING), end.end())
            if match:
                found[match[0]] = None
            if len(found) > _MOST_IDS:
                return [*list(found)[:_MOST_IDS], "…"]
    return list(found)


def new_log(script: str, environ: Mapping[str, str]) -> RunLog:
    """A new file for this run, readable by its owner only; files of older runs than the last KEPT go."""
    try:
        where = folder(environ)
        make_private_directory(where)
        _drop_old(where)
        prefix = f"{time.strftime('%Y%m%d-%H%M%S')}-{script.removesuffix('.py')}-"
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=".log", dir=where)  # made with mode 0600
        return RunLog(os.fdopen(handle, "w", encoding="utf-8", errors="replace"), Path(name))
    except OSError:
        return RunLog()


def newest(environ: Mapping[str, str], count: int = KEPT) -> list[Path]:
    """The files of the last runs, newest first."""
    return sorted(folder(environ).glob("*-kube_*.log"), reverse=True)[:count]


def _drop_old(where: Path) -> None:
    for old in sorted(where.glob("*-kube_*.log"), reverse=True)[KEPT - 1 :]:
        old.unlink(missing_ok=True)
