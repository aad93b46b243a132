"""Programs of this computer, run with the sh package and in no other way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lib.run.errors import KubeError, MissingProgram

PACKAGES = {"ssh-keygen": "openssh-client", "ssh": "openssh-client", "kubectl": "kubernetes-client"}


def find_program(name: str) -> Any | None:
    """The program as a function, None when it is not on the PATH."""
    import sh  # here, since it takes an eighth of a second to load and most runs need no program

    try:
        return sh.Command(name)
    except sh.CommandNotFound:
        return None


def run_program(name: str, *arguments: str) -> str:
    """What the program writes. Raises MissingProgram, or KubeError with the program's own last words."""
    import sh

    program = find_program(name)
    if program is None:
        raise MissingProgram(name, package=PACKAGES.get(name, name))
    try:
        return str(program(*arguments, _tty_out=False, _in=""))
    except sh.ErrorReturnCode as failed:
        words = failed.stderr.decode(errors="replace").strip().splitlines() or [f"status {failed.exit_code}"]
        raise KubeError(f"{name} failed: {words[-1]}") from failed


def stream(name: str, *arguments: str, given: str, into: Path) -> None:
    """Have the program read `given` and write into a file. The file has what came until it fails, as `run_program`."""
    import sh

    program = find_program(name)
    if program is None:
        raise MissingProgram(name, package=PACKAGES.get(name, name))
    try:
        with into.open("wb") as file:
            program(*arguments, _in=given, _out=file, _tty_out=False)
    except sh.ErrorReturnCode as failed:
        words = failed.stderr.decode(errors="replace").strip().splitlines() or [f"status {failed.exit_code}"]
        raise KubeError(f"{name} failed: {words[-1]}") from failed
