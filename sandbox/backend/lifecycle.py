"""Instances that take their time: pending before running, shutting-down before terminated, listed for an hour after."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from sandbox.backend import cloud
from sandbox.world import World

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
BUSY = 0.1  # seconds until a host that is still ending is looked at again
ENDED = ("shutting-down", "terminated")


def born(world: World, instance: Any) -> None:
    """A new instance: pending, in its interface's zone, running after a while."""
    if instance.nics:
        instance._placement.zone = instance.nics[0].subnet.availability_zone
        instance._subnet_id = instance.nics[0].subnet.id
        instance.security_groups = instance.security_groups or list(instance.nics[0]._group_set)
    _set(instance, "pending")
    world.at(world.delays.pending, "running", _region(instance), instance.id)


def terminate(world: World, instance: Any) -> Any:
    """Begin to end the instance; returns the state it was in."""
    before = copy.copy(instance._state)
    if before.name not in ENDED:
        _set(instance, "shutting-down")
        instance._reason = "User initiated"
        world.at(world.delays.shutting_down, "terminated", _region(instance), instance.id)
    return before


def stop(world: World, instance: Any) -> Any:
    """Begin to stop the instance; returns the state it was in."""
    before = copy.copy(instance._state)
    if before.name in ("pending", "running"):
        _set(instance, "stopping")
        world.at(world.delays.stopping, "stopped", _region(instance), instance.id)
    return before


def start(world: World, instance: Any) -> Any:
    """Begin to start a stopped instance; returns the state it was in."""
    before = copy.copy(instance._state)
    if before.name == "stopped":
        _set(instance, "pending")
        world.at(world.delays.pending, "running", _region(instance), instance.id)
    return before


def reboot(world: World, instance: Any) -> None:
    """Reboot: the instance stays running, its host starts anew."""
    world.state.hosts[instance.id] = world.now + world.delays.host
    world.state.reboots[instance.id] = world.state.reboots.get(instance.id, 0) + 1


def tick(world: World) -> None:
    """Do what has become due."""
    while timer := world.next_due():
        instance = cloud.find_instance(timer.region, timer.subject)
        if instance is not None:
            ACTIONS[timer.kind](world, instance)


def types_in_use(region: str) -> list[str]:
    """The type of each instance that counts against the account's quotas."""
    return [str(instance.instance_type) for instance in cloud.instances(region) if instance.state not in ENDED]


def _region(instance: Any) -> str:
    return str(instance.ec2_backend.region_name)


def _set(instance: Any, state: str) -> None:
    instance._state.name = state
    instance._state.code = CODES[state]


def _run(world: World, instance: Any) -> None:
    if instance.state != "pending":
        return
    for fault in world.starts:
        if failure := fault(instance):
            _fail(world, instance, *failure)
            return
    _set(instance, "running")
    for nic in instance.nics.values():
        nic.start()
    world.state.hosts[instance.id] = world.now + world.delays.host


def _fail(world: World, instance: Any, code: str, words: str) -> None:
    """End an instance that could not start, for a reason of AWS's own."""
    terminate(world, instance)
    instance._reason = ""
    instance.state_reason.code, instance.state_reason.message = code, words


def _stopped(world: World, instance: Any) -> None:
    if instance.state != "stopping" or _still_busy(world, instance, "stopped"):
        return
    _set(instance, "stopped")
    for nic in instance.nics.values():
        if nic.public_ip_auto_assign:
            nic.public_ip = None
    world.state.hosts.pop(instance.id, None)


def _still_busy(world: World, instance: Any, kind: str) -> bool:
    """Whether the instance's host has not ended yet; it is looked at again soon."""
    if not world.busy(instance.id):
        return False
    world.at(BUSY, kind, _region(instance), instance.id)
    return True


def _terminated(world: World, instance: Any) -> None:
    if instance.state != "shutting-down" or _still_busy(world, instance, "terminated"):
        return
    backend = instance.ec2_backend
    for nic in list(instance.nics.values()):
        _let_go(backend, instance, nic)
    instance.teardown_defaults()
    backend.iam_instance_profile_associations.pop(instance.id, None)
    instance.nics, instance._subnet_id = {}, None
    instance.security_groups = []
    _set(instance, "terminated")
    world.state.hosts.pop(instance.id, None)
    world.at(world.delays.forgotten, "forget", _region(instance), instance.id)


def _let_go(backend: Any, instance: Any, nic: Any) -> None:
    """The instance's end of an interface: deleted with it, or free again."""
    instance.detach_eni(nic)
    if not nic.delete_on_termination:
        return
    for address in backend.addresses:
        if address.eni is nic:
            backend.disassociate_address(association_id=address.association_id)
    backend.delete_network_interface(nic.id)


def _forget(_world: World, instance: Any) -> None:
    for reservation_id, reservation in list(instance.ec2_backend.reservations.items()):
        if instance in reservation.instances:
            reservation.instances.remove(instance)
        if not reservation.instances:
            del instance.ec2_backend.reservations[reservation_id]


ACTIONS: dict[str, Callable[[World, Any], None]] = {
    "running": _run,
    "stopped": _stopped,
    "terminated": _terminated,
    "forget": _forget,
}
