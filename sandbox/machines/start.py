"""From `--hosts machines` to machines: what is needed is looked for and made before the command starts."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.machines import image, official, places, requirements, sites
from sandbox.machines.authority import Authority
from sandbox.machines.container import Containers
from sandbox.machines.disks import Disks
from sandbox.machines.image import Image
from sandbox.machines.machine import Kind
from sandbox.machines.official import Official
from sandbox.machines.places import CannotStart
from sandbox.machines.requirements import Choice
from sandbox.machines.servers import Server, listen
from sandbox.machines.uml import MOST_MEMORY, Kernels

if TYPE_CHECKING:
    from sandbox.app import Sandbox
    from sandbox.machines.manager import Machines

NOT_HERE = (
    "the images of aws-ebs-csi-driver and cluster-autoscaler cannot be built here: their manifests are applied, "
    "their pods wait for images; everything else of the cluster is real"
)
V1 = (
    "this computer has control groups of version 1, so machines use the cgroupfs driver: "
    "what EC2's images have is version 2 and the systemd driver"
)
OWN_KERNEL = (
    f"machines have a kernel of their own, and of their type's memory at most {MOST_MEMORY} MiB each: "
    "what they have once used of it stays with them until they end"
)
MIRROR = "127.80.255.1"  # beside the elastic IPs
Say = Callable[[str], None]


class Prepared:
    """Everything that can be had before there is a simulated account. Raises CannotStart.

    With `pull` machines have no image of a container's beforehand; `images` are archives of more than the release's.
    With `kernel` machines have one of their own.
    """

    def __init__(self, *, pull: bool, images: tuple[Path, ...], kernel: bool, say: Say) -> None:
        cache, self._say, self._more = places.cache(), say, images
        wanted = official.wanted(cache, os.environ)
        choice = requirements.check(cache, wanted, kernel=kernel)
        try:
            with cache.locked():
                self._cache = pick(cache, wanted, choice, say)
                self._authority = Authority(cache.machine)
                authority = self._authority.certificate_file
                built = cache.kernel if kernel else None
                made = image.ensure(self._cache, preload=not pull, authority=authority, say=say, kernel=built)
                self._programs = programs(self._cache, wanted.version)
        except KeyboardInterrupt:
            raise CannotStart("stopped while it got ready; the next start goes on from here") from None
        if self._cache.upstream is None:
            say(NOT_HERE)
        self._listener: socket.socket = listen((MIRROR, 0))
        self._mirror = Server(self._listener, sites.handler(self._cache.mirror, aws=("", 0), who=str))
        self._kind = self._kernels(cache.kernel, made) if kernel else self._containers(made)

    def _containers(self, made: Image) -> Kind:
        if few := requirements.inotify_words(requirements.free_inotify()):
            self._say(few)
        if image.is_v1():
            self._say(V1)
        return Containers(made, self._say)

    def _kernels(self, kernel: Path, made: Image) -> Kind:
        self._say(OWN_KERNEL)
        disks = Disks(self._cache, made, self._say)
        with self._cache.locked():
            disks.drop_others()
        return Kernels(kernel, disks, self._address)

    def additions(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What the command gets: the release's mirror, unless it has its own, and the release's kubectl."""
        added = {"PATH": f"{environ.get('PATH', os.defpath)}:{self._programs}"}
        if not environ.get("KUBE_DOWNLOAD_MIRROR"):
            added["KUBE_DOWNLOAD_MIRROR"] = "http://{}:{}".format(*self._address)
        return added

    @property
    def _address(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()
        return str(host), int(port)

    def start(self, box: Sandbox, aws: tuple[str, int]) -> Machines:
        """Let the account's instances be machines. `aws` is where the simulated AWS listens."""
        from sandbox.machines.manager import Machines  # loads moto, while the command starts

        return Machines(
            box.world,
            box.lock,
            aws=aws,
            cache=self._cache,
            kind=self._kind,
            authority=self._authority,
            mirror=self._address,
            more=self._more,
            say=self._say,
        )

    def close(self) -> None:
        """Stop the mirror."""
        self._mirror.close()


def pick(cache: places.Cache, wanted: Official, choice: Choice, say: Say) -> places.Cache:
    """The cache with the release that this run uses, downloaded where it has to be. With the cache locked.

    A site that fails on the way leaves what was built, where there is that; what did come is kept for the next start.
    """
    use, why = choice.use, choice.why
    if use == "download" and not official.is_complete(wanted):  # another sandbox may have done it meanwhile
        try:
            official.fetch(wanted, say)
        except official.Unreachable as error:
            if not requirements.is_built(cache):
                raise
            use, why = "built", (str(error),)
    if use != "built":
        return dataclasses.replace(cache, upstream=wanted.folder)
    say(f"the release that was built is used, {cache.built}: {'; '.join(why)}")
    return cache


def programs(cache: places.Cache, version: str) -> str:
    """A folder for the PATH, with the kubectl of that version, where the release has it."""
    folder = cache.programs(version)
    folder.mkdir(parents=True, exist_ok=True)
    for kubectl in (cache.mirror / "dl.k8s.io").glob(f"release/v{version}/bin/linux/*/kubectl"):
        shutil.copy2(kubectl, folder / "kubectl.new")
        (folder / "kubectl.new").chmod(0o755)
        (folder / "kubectl.new").rename(folder / "kubectl")
    return str(folder)
