"""What Debian publishes of its image for EC2: the packages, and the programs on the PATH that these bring.

`packages`, `programs` and `kernels` beside this file are that data, `ubuntu` and `ubuntu-kernel` what is known of
Ubuntu's image, `called` and `modules` the programs and the kernel's modules that what runs on a node needs: each with
its source, its date and how to renew it. `files/` are the settings that Debian's recipe adds, each at its own place.
"""

from __future__ import annotations

import configparser
import fnmatch
import hashlib
import os
from pathlib import Path

SUITE = "trixie"
HERE = Path(__file__).parent
FILES = HERE / "files"
PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")  # /sbin and /bin are links to the last two


def packages() -> tuple[str, ...]:
    """The packages of Debian's list, each once, in its order."""
    return _listed(HERE / "packages")


def digest() -> str:
    """Changes whenever the list of packages does."""
    return hashlib.sha256("\n".join((SUITE, *packages())).encode()).hexdigest()[:12]


def programs() -> dict[str, str]:
    """Each program that is on the PATH of Debian's image, and the package that brings it."""
    return dict(line.split() for line in _lines(HERE / "programs"))


def ubuntu() -> frozenset[str]:
    """The packages of Ubuntu 24.04's image, as far as they are known. Their names are Debian's."""
    return frozenset(_listed(HERE / "ubuntu"))


def needed() -> dict[str, str]:
    """The programs that a node needs, beside those that the bootstrap calls: name -> who calls it, and where."""
    return _must("called")


def modules() -> dict[str, str]:
    """The kernel's modules that a node needs: name -> who needs it, and where that stands."""
    return _must("modules")


def kernels() -> dict[str, dict[str, str]]:
    """What Debian's kernels for the cloud have of network and file systems: release -> module -> its place."""
    names: list[str] = []
    found: dict[str, dict[str, str]] = {}
    for line in _lines(HERE / "kernels"):
        first, has = line.split()
        if first == "kernel":
            names.append(has)
            found[has] = {}
            continue
        for name, one in zip(names, has, strict=True):
            if one != "-":
                found[name][first.rpartition("/")[2]] = first
    return found


def in_ubuntus_kernel(place: str) -> bool:
    """Whether Ubuntu's image has a module that stands at this place, and not only its package of extra modules."""
    return any(fnmatch.fnmatch(place, pattern) for pattern in _lines(HERE / "ubuntu-kernel"))


def _must(file: str) -> dict[str, str]:
    words = (line.split(maxsplit=2) for line in _lines(HERE / file))
    return {name: who for name, how, who in words if how == "must"}


def _listed(file: Path) -> tuple[str, ...]:
    sections = configparser.ConfigParser(allow_no_value=True, delimiters=("=",))
    sections.read_string(file.read_text())
    return tuple(dict.fromkeys(name for section in sections.sections() for name in sections[section]))


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def on_path(root: Path) -> dict[str, Path]:
    """The programs on the PATH of an image: name -> the file in the image that it is in the end, without the root."""
    return {
        entry: _end(root, Path(folder) / entry)
        for folder in reversed(PATH)
        if (root / folder[1:]).is_dir()
        for entry in os.listdir(root / folder[1:])
    }


def _end(root: Path, file: Path) -> Path:
    """Where a file's links lead inside an image; alternatives are links to /etc and from there to the program."""
    for _ in range(40):
        link = root / file.relative_to("/")
        if not link.is_symlink():
            break
        file = Path(os.path.normpath(file.parent / os.readlink(link)))
    return _merged(file)


def owners(root: Path) -> dict[Path, str]:
    """The package of each file of an image, from dpkg's own lists."""
    found = {}
    for listed in (root / "var/lib/dpkg/info").glob("*.list"):
        for line in listed.read_text().splitlines():
            found[_merged(Path(line))] = listed.stem.partition(":")[0]
    return found


def _merged(file: Path) -> Path:
    """As it is since /bin, /sbin and /lib are links into /usr."""
    return Path("/usr") / file.relative_to("/") if file.parts[1:2] in (("bin",), ("sbin",), ("lib",)) else file
