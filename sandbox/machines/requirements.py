"""What a computer must have for machines, said all at once and with the packages that bring it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from sandbox.machines.places import Cache, CannotStart

PROGRAMS = {  # -> Debian's package
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "dnsmasq": "dnsmasq-base",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "losetup": "mount",
    "sysctl": "procps",
}
KERNEL = {"overlay": "/sys/module/overlay", "br_netfilter": "/proc/sys/net/bridge", "loop": "/dev/loop-control"}


def check(cache: Cache, *, pull: bool) -> None:
    """Raises CannotStart with everything that is missing."""
    if sys.platform != "linux":
        raise CannotStart("machines need Linux; --hosts simulated works everywhere")
    if os.geteuid() != 0:
        raise CannotStart("machines need root: sudo python -m sandbox --hosts machines ... (or --hosts simulated)")
    missing = [*_programs(pull), *_kernel(), *_release(cache)]
    if missing:
        raise CannotStart("machines need more than this computer has:\n  " + "\n  ".join(missing))


def _programs(pull: bool) -> list[str]:
    wanted = PROGRAMS | ({"docker-registry": "docker-registry"} if pull else {})
    packages = sorted({package for program, package in wanted.items() if shutil.which(program) is None})
    return [f"apt-get install {' '.join(packages)}"] if packages else []


def _kernel() -> list[str]:
    """The kernel's modules are not loaded from here: nothing of the computer's own settings is touched."""
    missing = [name for name, place in KERNEL.items() if not Path(place).exists()]
    return [f"modprobe {' '.join(['-a', *missing])}"] if missing else []


def _release(cache: Cache) -> list[str]:
    there = any((cache.mirror).glob("*")) and any((cache.release / "images").glob("*.tar"))
    return [] if there else [f"make release (builds Kubernetes into {cache.release})"]
