"""`python -m sandbox.machines.debian ROOT` writes `programs` anew, from an image that was made of the list."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from sandbox.machines import debian

HEADER = """\
# Each program on the PATH of Debian's image for EC2, and the package that brings it: dpkg's lists of the files of the
# packages in `packages` and of what those depend on, alternatives followed. Debian {version}, amd64, {date}.
# list {digest}
# A change of the list fails a test until this file is made anew: start the machines once, which makes their image, then
#     .venv/bin/python -m sandbox.machines.debian ~/.cache/kube-up/machine/debian-*
# What is on the PATH and of no package is not written here: what the sandbox puts there fails a test of machines.

"""


def main(root: Path) -> None:
    """Write the file."""
    owners = debian.owners(root)
    found = {name: owners.get(file) for name, file in debian.on_path(root).items()}
    version = (root / "etc/debian_version").read_text().strip()
    lines = [f"{name} {package}\n" for name, package in sorted(found.items()) if package]
    (debian.HERE / "programs").write_text(
        HEADER.format(version=version, digest=debian.digest(), date=f"{datetime.date.today():%-d %B %Y}")
        + "".join(lines),
        encoding="utf-8",
    )


main(Path(sys.argv[1]))
