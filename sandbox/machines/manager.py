"""Instances as machines: what the account says, made so, again and again, in one thread of its own."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from sandbox.backend import cloud, lifecycle, wanted
from sandbox.machines import imds, places, sites
from sandbox.machines.authority import Authority
from sandbox.machines.ecr import Ecr
from sandbox.machines.image import archives
from sandbox.machines.keeper import Failed, Keeper, drop_groups
from sandbox.machines.machine import REBOOTED, Kind, Machine
from sandbox.machines.network import METADATA, OUTSIDE, SITES, Network
from sandbox.machines.places import Cache
from sandbox.machines.public import Doors
from sandbox.machines.registry import Repositories
from sandbox.machines.servers import Server, listen
from sandbox.machines.volumes import Volumes
from sandbox.machines.wanted import Instance, Wanted
from sandbox.world import World

SOON = 0.1  # seconds between looks
POWER_BUTTON = 20.0  # seconds that a stopping machine has for its end; a terminated one has less
LAST_WORDS = 4.0


class Machines:
    """All machines of the account. `lock` is the account's; looks and changes are made while holding it.

    `more` are docker-archives of images that registry.k8s.io has beside the release's.
    """

    def __init__(
        self,
        world: World,
        lock: threading.RLock,
        *,
        aws: tuple[str, int],
        cache: Cache,
        kind: Kind,
        authority: Authority,
        mirror: tuple[str, int],
        more: tuple[Path, ...],
        say: Callable[[str], None],
    ) -> None:
        self._world, self._lock, self._aws, self._cache, self._kind = world, lock, aws, cache, kind
        self._tls, self._mirror_address, self._say = authority.context(), mirror, say
        self._run = _Run(cache)
        self._keeper = Keeper()
        self._repositories = Repositories([*archives(cache), *more])
        self._ecr = Ecr(archives(cache), world.ecr_password)
        self._volumes = Volumes(self._run.folder / "volumes")
        self._doors = Doors(self._keeper)
        self._machines: dict[str, Machine] = {}
        self._networks: dict[str, Network] = {}
        self._servers: dict[str, list[Server]] = {}
        self._reboots: dict[str, int] = {}
        self._said: set[str] = set()
        self.wanted = Wanted()
        world.busy = lambda instance: instance in self._machines
        world.console = self._console
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all machines at once, and everything that they were made of."""
        self._closed.set()
        self._thread.join()
        self._doors.close()
        for server in [server for servers in self._servers.values() for server in servers]:
            server.close()
        self._keeper.close()
        self._volumes.close()
        self._run.close()

    def _console(self, instance: str) -> str | None:
        machine = self._machines.get(instance)
        return machine.console() if machine else self._run.last_console(instance)

    # --- the thread ---

    def _work(self) -> None:
        while not self._closed.wait(SOON):
            with self._lock:
                self.wanted = wanted.look(self._world)
            self._reconcile(self.wanted)

    def _tried(self, action: Callable[[], None]) -> None:
        """One thing's trouble is said once, holds up nothing else, and is tried again at the next look."""
        try:
            action()
        except (Failed, OSError, subprocess.SubprocessError, LookupError, StopIteration) as error:
            if str(error) not in self._said:
                self._said.add(str(error))
                self._say(f"machines: {error}")

    def _reconcile(self, now: Wanted) -> None:
        for instance in now.instances.values():
            if instance.alive and instance.interface and instance.id not in self._machines:
                self._tried(functools.partial(self._make, now, instance))
        for machine in list(self._machines.values()):
            self._tried(functools.partial(self._attend, now, machine))
            self._tried(machine.tend)
        running = {name for name, machine in self._machines.items() if machine.runs}
        self._tried(functools.partial(self._update_networks, now))
        self._tried(functools.partial(self._doors.update, now, running))
        self._tried(functools.partial(self._volumes.drop_deleted, now))
        self._tried(functools.partial(self._drop_disks, now))

    def _drop_disks(self, now: Wanted) -> None:
        """The root disks of instances that were stopped and then terminated."""
        for folder in (self._run.folder / "machines").glob("*"):
            if folder.name not in {*now.stopped, *now.instances, *self._machines}:
                shutil.rmtree(folder, ignore_errors=True)

    def _make(self, now: Wanted, instance: Instance) -> None:
        """A machine's first boot, or the boot of one that was stopped."""
        if instance.root is None:
            raise Failed(f"{instance.id} has no root volume")
        network = self._network(now, instance.vpc_id)
        network.connect(instance)
        self._update_networks(now)
        machine = self._kind.machine(
            self._keeper,
            self._run.folder / "machines" / instance.id,
            self._run.group(instance.id),
            instance,
            self._volumes.loop(instance.root.volume_id, instance.root.gibibytes),
        )
        self._reboots[instance.id] = instance.reboots
        self._machines[instance.id] = machine
        machine.boot()

    def _attend(self, now: Wanted, machine: Machine) -> None:
        """One machine: its end when its instance ends, its volumes while it runs."""
        instance = now.instances.get(machine.instance.id)
        machine.kill_when_due()
        if instance is None or not instance.alive:
            machine.shut_down(LAST_WORDS if instance is None or instance.ends else POWER_BUTTON)
            if not machine.runs:
                self._ended(machine, stays=instance is not None and not instance.ends)
        elif instance.reboots != self._reboots[instance.id]:
            self._reboot(machine, instance)
        elif not machine.runs:
            self._ended_itself(machine, instance)
        else:
            machine.show_volumes({d.volume_id: self._volumes.loop(d.volume_id, d.gibibytes) for d in instance.disks})

    def _reboot(self, machine: Machine, instance: Instance) -> None:
        machine.shut_down(POWER_BUTTON)
        if not machine.runs:
            self._boot_again(machine, instance)
            self._reboots[instance.id] = instance.reboots

    def _boot_again(self, machine: Machine, instance: Instance) -> None:
        """With a new network namespace: what the machine had set up in the old one would not survive a real reboot."""
        network = self._networks[instance.vpc_id]
        network.disconnect(instance.id)
        network.connect(instance)
        self._update_networks(self.wanted)
        machine.boot()

    def _ended_itself(self, machine: Machine, instance: Instance) -> None:
        """It has rebooted itself, or shut itself down: then the instance stops."""
        if machine.status == REBOOTED:
            self._boot_again(machine, instance)
            return
        if not machine.booted:
            raise Failed(f"{instance.id} does not start: {machine.console().strip()[-400:]}")
        with self._lock:
            found = cloud.find_instance(machine.instance.region, machine.instance.id)
            if found is not None:
                lifecycle.stop(self._world, found)

    def _ended(self, machine: Machine, *, stays: bool) -> None:
        name = machine.instance.id
        self._run.keep_console(name, machine.console())
        self._networks[machine.instance.vpc_id].disconnect(name)
        machine.remove(disk=not stays)
        del self._machines[name]

    # --- networks ---

    def _network(self, now: Wanted, vpc_id: str) -> Network:
        if vpc_id not in self._networks:
            folder = self._run.folder / "networks" / vpc_id
            network = Network(self._keeper, folder, now.vpcs[vpc_id], mirror=self._mirror_address)
            self._networks[vpc_id] = network
            self._serve(network)
        return self._networks[vpc_id]

    def _serve(self, network: Network) -> None:
        """AWS's own addresses in a VPC, and the internet's."""

        def find(address: str) -> Instance | None:
            return self.wanted.instance_at(network.name, address)

        def name(address: str) -> str:
            found = find(address)
            return found.id if found else ""

        def public(address: str) -> str:
            found = find(address)
            return (found.interface.public if found and found.interface else "") or address

        def at(address: str, port: int) -> socket.socket:
            return self._keeper.in_network(network.name, functools.partial(listen, (address, port)))

        site = sites.handler(
            self._cache.mirror, aws=self._aws, who=name, repositories=self._repositories, ecr=self._ecr
        )
        self._servers[network.name] = [
            Server(at(METADATA, 80), imds.handler(find)),
            Server(at(SITES, 80), site),
            Server(at(SITES, 443), site, self._tls),
            Server(at(OUTSIDE, 80), sites.stranger(public)),
        ]

    def _update_networks(self, now: Wanted) -> None:
        for name, network in list(self._networks.items()):
            if name in now.vpcs:
                network.update(now.vpcs[name], list(now.instances.values()))
            elif not network.instances:
                for server in self._servers.pop(name):
                    server.close()
                network.close()
                del self._networks[name]


class _Run:
    """The folder of one run, locked while it lives, and the control groups of its machines."""

    def __init__(self, cache: Cache) -> None:
        with cache.locked():  # another start must not take a folder without a lock yet for one that a dead run left
            clean_up(cache)
            self.name = f"{os.getpid()}-{time.time_ns() % 10**9:09d}"
            self.folder = cache.runs / self.name
            self.folder.mkdir(parents=True)
            self.folder.chmod(0o700)
            self._lock = _locked(self.folder)

    def group(self, instance: str) -> str:
        """The name of a machine's control groups."""
        return f"{places.PREFIX}{self.name}-{instance}"

    def keep_console(self, instance: str, words: str) -> None:
        """A machine's last words outlive it."""
        folder = self.folder / "consoles"
        folder.mkdir(exist_ok=True)
        (folder / instance).write_text(words)

    def last_console(self, instance: str) -> str | None:
        """The console of a machine that has ended; None for one that never was."""
        with contextlib.suppress(OSError):
            return (self.folder / "consoles" / instance).read_text()
        return None

    def close(self) -> None:
        """Remove what is left."""
        _remove(self.folder)
        if self._lock is not None:
            self._lock.close()


def clean_up(cache: Cache) -> None:
    """Remove what runs that were killed have left: files and control groups, by their own names."""
    for folder in cache.runs.glob("*-*"):
        lock = _locked(folder)
        if lock is not None:
            _let_go(folder)
            _remove(folder)
            lock.close()


def _let_go(folder: Path) -> None:
    """Free the loop devices that a run was killed in the middle of making; those made free themselves."""
    listed = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output=NAME,BACK-FILE"], capture_output=True, text=True, check=False
    )
    for line in listed.stdout.splitlines():
        device, _, file = line.strip().partition(" ")
        if Path(file.strip()).is_relative_to(folder):
            subprocess.run(["losetup", "--detach", device], check=False, capture_output=True)


def _locked(folder: Path) -> IO[str] | None:
    """The run's lock, held; None while another process holds it. The kernel lets go of a dead one's."""
    try:
        lock = open(folder / "lock", "w")  # noqa: SIM115  (held for as long as the run)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None
    return lock


def _remove(folder: Path) -> None:
    drop_groups(f"{places.PREFIX}{folder.name}-")
    shutil.rmtree(folder, ignore_errors=True)
