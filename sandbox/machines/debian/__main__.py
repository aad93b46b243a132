"""Writes this folder's data anew.

`python -m sandbox.machines.debian ROOT`: `programs`, from an image that was made of the list.
`python -m sandbox.machines.debian DEB...`: `kernels`, from the packages that have the kernels' modules.
"""

from __future__ import annotations

import datetime
import io
import re
import subprocess
import sys
import tarfile
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

KERNELS = """\
# What Debian's kernels for the cloud have of network and file systems, as far as a node may use it: each module by its
# place and one letter for each kernel in the order of the lines `kernel`: m a module, y built in, - neither.
# They are what linux-image-cloud-amd64 and -arm64 of Debian 12, 13 and 14 (testing) depend on. {date}.
# To renew: for each suite and architecture, from an apt configuration of that suite, apt-get download the package that
# linux-image-cloud-ARCH depends on (since Debian 14 its linux-modules-* and linux-base-*), then
#     .venv/bin/python -m sandbox.machines.debian *.deb

"""
# Where what a node needs may stand.
PLACES = re.compile(
    r"(net/(802|bridge|ipv4|ipv6|llc|netfilter)|fs/(ext4|nfs|nfs_common|overlayfs|xfs))/|drivers/net/veth"
)
MODULE = re.compile(r"\./(?:usr/)?lib/modules/[^/]+/kernel/(?P<place>\S+)\.ko(?:\.\w+)?")


def modules(package: Path) -> dict[str, str]:
    """The modules of a kernel's package: place -> m or y, for built in."""
    content = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True).stdout
    found: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            if member.name.endswith("/modules.builtin"):
                lines = (tar.extractfile(member) or io.BytesIO()).read().decode().splitlines()
                found |= {line.removeprefix("kernel/").removesuffix(".ko"): "y" for line in lines}
            elif module := MODULE.fullmatch(member.name):
                found[module["place"]] = "m"
    return {place: how for place, how in found.items() if PLACES.match(place)}


def write_kernels(packages: list[Path]) -> None:
    """Write `kernels`."""
    found: dict[str, dict[str, str]] = {}
    for package in packages:
        found.setdefault(re.sub(r"^linux-(image|modules|base)-", "", package.stem), {}).update(modules(package))
    places = sorted({place for have in found.values() for place in have})
    lines = [f"kernel {name}\n" for name in found]
    lines += [f"{place} {''.join(have.get(place, '-') for have in found.values())}\n" for place in places]
    head = KERNELS.format(date=f"{datetime.date.today():%-d %B %Y}")
    (debian.HERE / "kernels").write_text(head + "".join(lines), encoding="utf-8")


def write_programs(root: Path) -> None:
    """Write `programs`."""
    owners = debian.owners(root)
    found = {name: owners.get(file) for name, file in debian.on_path(root).items()}
    version = (root / "etc/debian_version").read_text().strip()
    lines = [f"{name} {package}\n" for name, package in sorted(found.items()) if package]
    (debian.HERE / "programs").write_text(
        HEADER.format(version=version, digest=debian.digest(), date=f"{datetime.date.today():%-d %B %Y}")
        + "".join(lines),
        encoding="utf-8",
    )


if sys.argv[1].endswith(".deb"):
    write_kernels([Path(name) for name in sys.argv[1:]])
else:
    write_programs(Path(sys.argv[1]))
