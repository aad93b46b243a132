"""What a computer must have for machines, said all at once and with the packages that bring it."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.machines import official, packets
from sandbox.machines.official import Official
from sandbox.machines.places import Cache, CannotStart

PROGRAMS = {  # -> Debian's package
    "mmdebstrap": "mmdebstrap",
    "dnsmasq": "dnsmasq-base",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "losetup": "mount",
    "sysctl": "procps",
}
FOR_KERNELS = {"mke2fs": "e2fsprogs", "bash": "bash", "mountpoint": "util-linux"}
FOR_CONTAINERS = {"systemd-nspawn": "systemd-container", "mkfs.ext4": "e2fsprogs"}
PULLS = "skopeo"  # needed only when upstream's images are to be downloaded
# What a machine's systemd, containerd, kubelet and pods take of the inotify instances that all of root's have together.
INOTIFY_A_MACHINE = 20
_FEWEST, _USUAL = 2, 5  # machines: a master with one minion, and what a cluster has by default
MODULES = {"overlay": "/sys/module/overlay", "loop": "/dev/loop-control"}
MODULES_FOR_CONTAINERS = {"br_netfilter": "/proc/sys/net/bridge"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The release that is used, and why not upstream's."""

    use: Literal["kept", "download", "built", "nothing"]
    why: tuple[str, ...] = ()


def check(cache: Cache, wanted: Official, *, kernel: bool = False) -> Choice:
    """Which release there is or will be. Raises CannotStart with everything that is missing.

    With `kernel` machines have one of their own, and with it their own inotify instances and modules.
    """
    if sys.platform != "linux":
        raise CannotStart("machines need Linux; --hosts simulated works everywhere")
    if os.geteuid() != 0:
        raise CannotStart("machines need root: sudo python -m sandbox --hosts machines ... (or --hosts simulated)")
    choice = choose(cache, wanted)
    free = free_inotify()
    inotify = [inotify_words(free)] if free < INOTIFY_A_MACHINE * _FEWEST and not kernel else []
    programs = PROGRAMS | (FOR_KERNELS if kernel else FOR_CONTAINERS)
    modules = MODULES | ({} if kernel else MODULES_FOR_CONTAINERS)
    missing = [*_programs(programs, choice), *_kernel(modules), *inotify, *_release(cache, choice)]
    if kernel and not (cache.kernel / "inputs").exists():
        missing.append(f"make release (builds machines' own kernel into {cache.kernel}), or without --kernel")
    if kernel and not packets.is_possible():
        missing.append("Linux 5.6, with pidfd_getfd(2) allowed, or without --kernel")
    if missing:
        raise CannotStart("machines need more than this computer has:\n  " + "\n  ".join(missing))
    return choice


def free_inotify(most: int = INOTIFY_A_MACHINE * _USUAL) -> int:
    """How many inotify instances root can still have, at most so many: they are asked for and given back."""
    libc = ctypes.CDLL(None)
    taken: list[int] = []
    try:
        while len(taken) < most and (made := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
            taken.append(made)
        return len(taken)
    finally:
        for each in taken:
            os.close(each)


def inotify_words(free: int) -> str:
    """For how many machines so many are enough, and what to type; '' where they are for a usual cluster."""
    enough = free // INOTIFY_A_MACHINE
    if enough >= _USUAL:
        return ""
    return (
        f"sysctl fs.inotify.max_user_instances=1024 (root has {free} inotify instances left, enough for {enough} "
        "machines: more of them would not boot)"
    )


def too_few(machine: str) -> str:
    """What to type before one machine more has the inotify instances that it takes; '' where there are enough."""
    free = free_inotify(INOTIFY_A_MACHINE)
    return "" if free == INOTIFY_A_MACHINE else f"{machine} may not come up: {inotify_words(free)}"


def choose(cache: Cache, wanted: Official) -> Choice:
    """Upstream's release, kept or to be downloaded; else the one that was built; else nothing, and why."""
    if official.is_complete(wanted):
        return Choice("kept")
    built = is_built(cache)
    problems = official.unreachable(wanted)
    if problems:
        return Choice("built" if built else "nothing", tuple(problems))
    if built and shutil.which(PULLS) is None:
        return Choice("built", (f"apt-get install {PULLS}, and upstream's own is downloaded",))
    return Choice("download")


def is_built(cache: Cache) -> bool:
    """Whether `make release` was here, and came to its end."""
    return (cache.built / "inputs").exists()


def _programs(programs: dict[str, str], choice: Choice) -> list[str]:
    wanted = programs | ({PULLS: PULLS} if choice.use == "download" else {})
    packages = sorted({package for program, package in wanted.items() if shutil.which(program) is None})
    return [f"apt-get install {' '.join(packages)}"] if packages else []


def _kernel(modules: dict[str, str]) -> list[str]:
    """The kernel's modules are not loaded from here: nothing of the computer's own settings is touched."""
    missing = [name for name, place in modules.items() if not Path(place).exists()]
    return [f"modprobe {' '.join(['-a', *missing])}"] if missing else []


def _release(cache: Cache, choice: Choice) -> list[str]:
    if choice.use != "nothing":
        return []
    build = f"make release (builds Kubernetes into {cache.built}), or a way to the release sites:"
    return [build, *(f"  {problem}" for problem in choice.why)]
