"""Where moto's own classes are bent: instances take time, and a private address is given out once.

moto changes an instance's state at once and in many places (its own calls, a group's scaling, a group's end), so the
places are changed in moto's classes, not around its calls.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

from sandbox.backend import cloud, lifecycle
from sandbox.calls import Refusal
from sandbox.world import World


def install(world: World) -> None:
    """Bend moto to this world. A later world's call replaces an earlier one's."""
    _instances(world)
    _addresses(world)
    _disks()
    _groups()
    _routes()
    _repeated_ids()
    _filters()
    _templates()
    _offers()


def _templates() -> None:
    """moto describes a launch template with the tags that it was made with, whatever has become of them."""
    from moto.ec2.models.launch_templates import LaunchTemplate

    LaunchTemplate.tags = property(lambda self: self.get_tags(), lambda _self, _made_with: None)  # type: ignore[assignment]


def _offers() -> None:
    """In the regions that moto has no list of types for (China, GovCloud) there are those of us-west-2.

    Whether a region really has a type is not known here: it is what lets a cluster's life be tried in its partition.
    """
    from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    zones: Any = RegionsAndZonesBackend.zones
    for region in [name for name in zones if name not in INSTANCE_TYPE_OFFERINGS["region"]]:
        for kind, places in (
            ("region", [region]),
            ("availability-zone", [zone.name for zone in zones[region]]),
            ("availability-zone-id", [zone.zone_id for zone in zones[region]]),
        ):
            INSTANCE_TYPE_OFFERINGS[kind][region] = _Offers(kind, places, INSTANCE_TYPE_OFFERINGS["region"])


class _Offers(list[dict[str, str]]):
    """The types of us-west-2 in other places, made when somebody iterates over them: no start waits for them."""

    def __init__(self, kind: str, places: list[str], by_region: Mapping[str, list[dict[str, str]]]) -> None:
        super().__init__()
        self._kind, self._places, self._by_region = kind, places, by_region

    def __iter__(self) -> Iterator[dict[str, str]]:
        if not len(self):
            names = [offer["InstanceType"] for offer in self._by_region["us-west-2"]]
            self.extend(
                {"InstanceType": name, "Location": place, "LocationType": self._kind}
                for place in self._places
                for name in names
            )
        return super().__iter__()


def _original(owner: type, name: str) -> Any:
    """moto's own function, also when it has been replaced already."""
    current = owner.__dict__[name]
    return getattr(current, "moto_original", current)


def _replace(owner: type, name: str, function: Any) -> None:
    if not isinstance(function, property):
        function.moto_original = _original(owner, name)
    setattr(owner, name, function)


def _instances(world: World) -> None:
    from moto.ec2.models.instances import Instance

    prep_nics = _original(Instance, "prep_nics")

    def prepare(self: Any, nic_spec: list[dict[str, Any]], *args: Any, **kwargs: Any) -> None:
        for nic in nic_spec:  # EC2 deletes the interfaces that it made for an instance, unless told otherwise
            if "NetworkInterfaceId" not in nic:
                nic.setdefault("DeleteOnTermination", True)
        prep_nics(self, nic_spec, *args, **kwargs)
        for nic in self.nics.values():
            if not nic_spec:
                nic.delete_on_termination = True
        lifecycle.born(world, self)

    _replace(Instance, "prep_nics", prepare)
    _replace(Instance, "terminate", lambda self: lifecycle.terminate(world, self))
    _replace(Instance, "start", lambda self: lifecycle.start(world, self))
    _replace(Instance, "stop", lambda self: lifecycle.stop(world, self))
    _replace(Instance, "reboot", lambda self: lifecycle.reboot(world, self))
    _replace(Instance, "__del__", lambda *_: None)
    _replace(Instance, "private_ip", property(lambda self: _first(self, "private_ip_address")))
    _replace(Instance, "private_ip_address", property(lambda self: _first(self, "private_ip_address")))
    _replace(Instance, "public_ip", property(lambda self: _first(self, "public_ip")))
    _replace(Instance, "public_ip_address", property(lambda self: _first(self, "public_ip")))
    _replace(Instance, "private_dns_name", property(_private_dns_name))


def _repeated_ids() -> None:
    """EC2 does not mind an id that is asked for twice; the cloud controller manager does so."""
    from moto.ec2.models.instances import InstanceBackend

    get = _original(InstanceBackend, "get_reservations_by_instance_ids")

    def get_once(self: Any, instance_ids: list[str], filters: Any = None) -> Any:
        return get(self, list(dict.fromkeys(instance_ids)), filters)

    _replace(InstanceBackend, "get_reservations_by_instance_ids", get_once)


def _filters() -> None:
    """A filter's values are alternatives, also where a resource has several of what is asked for: tags' keys, say.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
    """
    from moto.ec2 import utils

    owner: Any = utils
    matching = getattr(utils.is_filter_matching, "moto_original", utils.is_filter_matching)

    def is_any(resource: Any, name: str, values: Any) -> bool:
        if name == "tag-key" and isinstance(values, list):
            return any(matching(resource, name, [value]) for value in values)
        return bool(matching(resource, name, values))

    is_any.moto_original = matching  # type: ignore[attr-defined]
    owner.is_filter_matching = is_any


def _first(instance: Any, attribute: str) -> str | None:
    """A field of the instance's first interface; a terminated instance has none."""
    nic = getattr(instance, "nics", {}).get(0)
    return getattr(nic, attribute) if nic else None


def _private_dns_name(instance: Any) -> str:
    address = _first(instance, "private_ip_address")
    return private_name(address, instance.ec2_backend.region_name) if address else ""


def private_name(address: str, region: str) -> str:
    """The private DNS name that a VPC gives an address."""
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{address.replace('.', '-')}.{domain}"


def _addresses(world: World) -> None:
    from moto.ec2.models import elastic_network_interfaces
    from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
    from moto.ec2.models.elastic_network_interfaces import NetworkInterface, NetworkInterfaceBackend
    from moto.ec2.models.subnets import Subnet
    from moto.ec2.models.vpcs import VPCBackend

    create = _original(NetworkInterfaceBackend, "create_network_interface")
    allocate = _original(ElasticAddressBackend, "allocate_address")
    delete = _original(NetworkInterfaceBackend, "delete_network_interface")

    def create_interface(self: Any, subnet: Any, private_ip_address: Any, *args: Any, **kwargs: Any) -> Any:
        subnet = self.get_subnet(subnet) if isinstance(subnet, str) else subnet
        if not private_ip_address and not (args[:1] and args[0]) and not kwargs.get("private_ip_addresses"):
            private_ip_address = free_address(subnet)
        eni = create(self, subnet, private_ip_address, *args, **kwargs)
        eni.private_dns_name = private_name(eni.private_ip_address, self.region_name)
        taken_addresses(subnet).add(eni.private_ip_address)
        return eni

    def delete_interface(self: Any, eni_id: str) -> None:
        eni = self.enis.get(eni_id)
        delete(self, eni_id)
        if eni:
            taken_addresses(eni.subnet).discard(eni.private_ip_address)

    def allocate_address(self: Any, domain: str, address: str | None = None, tags: Any = None) -> Any:
        return allocate(self, domain, address=address or elastic_address(world), tags=tags)

    setattr(elastic_network_interfaces, "random_public_ip", lambda: public_address(world))  # noqa: B010
    # moto says of every interface that is attached that it is in its instance's groups too.
    _replace(NetworkInterface, "group_set", property(_groups_of_interface))
    _replace(NetworkInterfaceBackend, "create_network_interface", create_interface)
    _replace(NetworkInterfaceBackend, "delete_network_interface", delete_interface)
    _replace(ElasticAddressBackend, "allocate_address", allocate_address)
    _replace(Subnet, "get_available_subnet_ip", lambda self, **_: free_address(self))
    _replace(Subnet, "request_ip", lambda *_, **__: None)
    _replace(Subnet, "del_subnet_ip", lambda *_, **__: None)
    _replace(Subnet, "available_ip_address_count", property(_free_count))
    _replace(VPCBackend, "delete_vpc", _delete_vpc(_original(VPCBackend, "delete_vpc")))


def _groups_of_interface(interface: Any) -> Any:
    """The security groups of an interface: its own. An instance's first one has those that the instance was given."""
    given = interface.instance.security_groups if interface.instance and not interface.device_index else []
    own: list[Any] = interface._group_set
    return set(own) | set(given) if given else own


def _delete_vpc(original: Any) -> Any:
    """moto deletes a VPC's DHCP options with it; EC2 keeps them."""

    def delete_vpc(self: Any, vpc_id: str) -> Any:
        vpc = self.get_vpc(vpc_id)
        self.disassociate_dhcp_options(vpc)
        for acl in [acl for acl in self.network_acls.values() if acl.vpc_id == vpc_id]:
            self.network_acls.pop(acl.id)
        return original(self, vpc_id)

    return delete_vpc


def elastic_address(world: World) -> str:
    """The next elastic IP: an address of loopback, in a part of it that another process's sandbox does not use."""
    if world.state.next_address == 0:
        world.state.next_address = os.getpid() % 2**14 << 8
    world.state.next_address += 1
    return str(ipaddress.IPv4Address("127.80.0.0") + world.state.next_address)


def public_address(world: World) -> str:
    """The next address that EC2 gives an instance of its own accord: one that documents and test networks have.

    RFC 5737's 203.0.113.0/24 first, then RFC 2544's 198.18.0.0/15, which is larger; never one that is somebody's.
    """
    number = world.state.next_public
    world.state.next_public = number + 1
    few, many = ipaddress.ip_network("203.0.113.0/24"), ipaddress.ip_network("198.18.0.0/15")
    if number < few.num_addresses - 2:
        return str(few[number + 1])
    return str(many[1 + (number - few.num_addresses + 2) % (many.num_addresses - 2)])


def taken_addresses(subnet: Any) -> set[str]:
    """The addresses in use in a subnet, kept beside moto's subnet."""
    if not hasattr(subnet, "sandbox_taken"):
        interfaces = cloud.interfaces_of_subnet(subnet.ec2_backend.region_name, subnet.id)
        subnet.sandbox_taken = {eni.private_ip_address for eni in interfaces}
    return cast(set[str], subnet.sandbox_taken)


def free_address(subnet: Any) -> str:
    """The lowest free address: EC2 takes any, so a caller that needs a certain one has to reserve it."""
    taken = taken_addresses(subnet)
    first = subnet.cidr.network_address + 4
    for offset in range(subnet.cidr.num_addresses - 5):
        if str(first + offset) not in taken:
            return str(first + offset)
    raise Refusal(
        "InsufficientFreeAddressesInSubnet",
        f"The specified subnet does not have enough free addresses to satisfy the request. ({subnet.id})",
    )


def _free_count(subnet: Any) -> int:
    return int(subnet.cidr.num_addresses) - 5 - len(taken_addresses(subnet))


def _disks() -> None:
    from moto.ec2.models.elastic_block_store import EBSBackend

    attach = _original(EBSBackend, "attach_volume")

    def attach_volume(
        self: Any, volume_id: str, instance_id: str, device_path: str, delete_on_termination: bool = False
    ) -> Any:
        attachment = attach(self, volume_id, instance_id, device_path, delete_on_termination)
        if attachment is not None:  # moto shows it for the instance, not for the volume
            attachment.delete_on_termination = delete_on_termination
        return attachment

    _replace(EBSBackend, "attach_volume", attach_volume)
    _launched_disks()


def _launched_disks() -> None:
    """moto drops a launched disk's Iops on the way and then misses them; launching.py has seen that they are there."""
    from moto.ec2.models.elastic_block_store import IOPS_REQUIRED_VOLUME_TYPES
    from moto.ec2.models.instances import Instance

    def add_block_device(
        self: Any,
        size: int,
        device_path: str,
        snapshot_id: str | None,
        encrypted: bool,
        delete_on_termination: bool,
        kms_key_id: str | None,
        volume_type: str | None,
    ) -> None:
        volume = self.ec2_backend.create_volume(
            size=size,
            zone_name=self._placement.zone,
            snapshot_id=snapshot_id,
            encrypted=encrypted,
            kms_key_id=kms_key_id,
            volume_type=volume_type,
            iops=100 if volume_type in IOPS_REQUIRED_VOLUME_TYPES else None,
        )
        self.ec2_backend.attach_volume(volume.id, self.id, device_path, delete_on_termination)

    _replace(Instance, "add_block_device", add_block_device)


def _routes() -> None:
    from moto.ec2.models.route_tables import Route

    Route.state = property(_route_state)  # type: ignore[assignment,method-assign]


def _route_state(route: Any) -> str:
    """Active, or a black hole, as a route to an instance that is gone: the cloud controller manager goes by it."""
    instance = route.instance or (route.interface.instance if route.interface else None)
    if route.instance is None and route.interface is None:
        return "active"
    return "active" if instance is not None and instance.state in ("pending", "running") else "blackhole"


def _groups() -> None:
    from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState

    # moto tells what the group launches from now, not what the instance was launched from
    _replace(
        InstanceState, "launch_template", property(lambda state: getattr(state.instance, "sandbox_template", None))
    )
    _replace(FakeAutoScalingGroup, "set_desired_capacity", _set_desired)
    _replace(FakeAutoScalingGroup, "update", _updater(_original(FakeAutoScalingGroup, "update")))
    _replace(FakeAutoScalingGroup, "launch_template", property(_own_template))
    _replace(AutoScalingBackend, "notify_terminate_instances", lambda *_, **__: None)


def _updater(update: Any) -> Any:
    """What an update says nothing of stays, the policy too, which moto drops; a template takes its place.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
    """

    def updated(group: Any, **asked: Any) -> None:
        kept = group.mixed_instances_policy
        update(group, **asked)
        if not (asked.get("mixed_instances_policy") or asked.get("launch_template") or asked.get("launch_config_name")):
            group.mixed_instances_policy = kept

    return updated


def _own_template(group: Any) -> dict[str, Any] | None:
    """A group has a template or a policy around one, and is described with what it has; moto fails with a policy."""
    template = group.ec2_launch_template
    if template is None or group.mixed_instances_policy:
        return None
    version = group.provided_launch_template_version
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": version}


def _set_desired(group: Any, capacity: int | None) -> None:
    """Only note the wish: the group acts on it later, as the real one does (sandbox/backend/groups.py)."""
    group.desired_capacity = group.min_size if capacity is None else capacity
