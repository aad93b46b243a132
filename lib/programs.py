"""Programs of this computer, run with the sh package and in no other way."""

from __future__ import annotations

from typing import Any

from lib.errors import KubeError, MissingProgram

PACKAGES = {"ssh-keygen": "openssh-client", "ssh": "openssh-client", "kubectl": "kubernetes-client"}


def find_program(name: str) -> Any | None:
    """The program as a function, None when it is not on the PATH."""
    import sh  # here, since it takes an eighth of a second to load and most runs need no program

    try:
        return sh.Command(name)
    except sh.CommandNotFound:
        return None


def run(name: str, *arguments: str) -> str:
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
