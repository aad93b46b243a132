"""What a person is told who has not installed the packages. It needs none, nor may lib/__init__.py or lib/run/'s."""

from __future__ import annotations


def how_to_install(missing: ModuleNotFoundError) -> str:
    """What to type for a package that is not there. Raises `missing` where it is a module of our own."""
    if (missing.name or "").split(".")[0] == "lib":
        raise missing
    return (
        f"the Python package {missing.name} is not installed: python3 -m venv .venv && "
        ".venv/bin/python3 -m pip install -r requirements.txt, then . .venv/bin/activate"
    )
