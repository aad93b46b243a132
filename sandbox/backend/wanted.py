"""What the account wants of machines (sandbox/machines), read from moto's own state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.backend import cloud, launching, nodes, patches
from sandbox.machines.wanted import Disk, Group, Instance, Interface, Route, Rule, Subnet, Vpc, Wanted
from sandbox.world import World

ALIVE = ("pending", "running")
ENDING = ("stopping", "shutting-down")
SPOT_NOTICE = "sandbox:spot-notice"  # a tag by which somebody has a machine told that AWS takes it


def look(world: World) -> Wanted:
    """What is wanted now."""
    wanted = Wanted()
    for region in cloud.regions_in_use():
        for instance in cloud.instances(region):
            if instance.state in ALIVE + ENDING:
                wanted.instances[instance.id] = _instance(world, region, instance)
            elif instance.state == "stopped":
                wanted.stopped.add(instance.id)
        for vpc_id in {i.vpc_id for i in wanted.instances.values() if i.region == region}:
            wanted.vpcs[vpc_id] = _vpc(region, vpc_id)
        for volume in cloud.ec2(region).volumes.values():
            wanted.volumes[volume.id] = int(volume.size)
    return wanted


def _instance(world: World, region: str, instance: Any) -> Instance:
    backend = cloud.ec2(region)
    key = backend.key_pairs.get(instance.key_name)
    return Instance(
        id=instance.id,
        region=region,
        zone=str(instance.placement.zone),
        vpc_id=str(instance.vpc_id),
        alive=instance.state in ALIVE,
        ends=instance.state == "shutting-down",
        reboots=world.state.reboots.get(instance.id, 0),
        interface=_interface(instance),
        root=next(iter(_attached(backend, instance, root=True)), None),
        disks=tuple(_attached(backend, instance, root=False)),
        kind=str(instance.instance_type),
        mebibytes=launching.mebibytes(instance.instance_type),
        image=str(instance.image_id),
        user=_user(backend, str(instance.image_id)),
        role=_role(backend, instance),
        key_name=str(instance.key_name or ""),
        key=key.public_key.strip() if key else "",
        hop_limit=int(instance.metadata_options.http_put_response_hop_limit),
        spot=instance.lifecycle == "spot",
        notice=_tag(instance, SPOT_NOTICE),
        user_data=launching.user_data(instance),
    )


def _tag(instance: Any, key: str) -> str:
    return next((str(tag["value"]) for tag in instance.get_tags() if tag["key"] == key), "")


def _interface(instance: Any) -> Interface | None:
    nic = instance.nics.get(0)
    if nic is None:
        return None
    return Interface(
        id=nic.id,
        mac=nic.mac_address,
        address=str(nic.private_ip_address),
        name=patches.private_name(str(nic.private_ip_address), nic.ec2_backend.region_name),
        subnet_id=nic.subnet.id,
        groups=tuple(sorted(group.id for group in nic.group_set)),
        check=_true(nic.source_dest_check) and _true(instance.source_dest_check),
        public=str(nic.public_ip or ""),
    )


def _true(value: Any) -> bool:
    """moto keeps this as a boolean or as the words of the request."""
    return str(value).lower() != "false"


def _attached(backend: Any, instance: Any, *, root: bool) -> Iterator[Disk]:
    image = cloud.ec2(backend.region_name).amis.get(instance.image_id)
    root_device = getattr(image, "root_device_name", "/dev/xvda")
    for volume in backend.volumes.values():
        if (
            volume.attachment
            and volume.attachment.instance.id == instance.id
            and (volume.attachment.device == root_device) == root
            and volume.attachment.status in ("attached", "attaching", "busy")
        ):
            yield Disk(volume.id, int(volume.size))


def _user(backend: Any, image_id: str) -> str:
    """The machine boots Debian whatever its image; its user is the image's, since that is whom one logs in as."""
    image = backend.amis.get(image_id)
    return "ubuntu" if image is not None and str(image.name).startswith("ubuntu") else "admin"


def _role(backend: Any, instance: Any) -> str:
    association = backend.iam_instance_profile_associations.get(instance.id)
    profile = association.iam_instance_profile if association else None
    return str(profile.roles[0].name) if profile and profile.roles else ""


def _vpc(region: str, vpc_id: str) -> Vpc:
    backend = cloud.ec2(region)
    vpc = backend.vpcs[vpc_id]
    subnets = [subnet for found in backend.subnets.values() for subnet in found.values() if subnet.vpc_id == vpc_id]
    options = dict(vpc.dhcp_options._options) if vpc.dhcp_options else {}
    servers = tuple(value for value in options.get("domain-name-servers") or () if value != "AmazonProvidedDNS")
    default = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return Vpc(
        id=vpc_id,
        region=region,
        cidr=str(vpc.cidr_block),
        subnets=tuple(_subnet(region, subnet) for subnet in subnets),
        groups=tuple(_group(group) for group in backend.groups.get(vpc_id, {}).values()),
        domain=" ".join(options.get("domain-name") or [default]),
        servers=servers,
    )


def _subnet(region: str, subnet: Any) -> Subnet:
    table = nodes.route_table(region, subnet)
    routes = [
        Route(str(route.destination_cidr_block), target)
        for route in (table.routes if table is not None else [])
        if route.destination_cidr_block and (target := _target(route))
    ]
    return Subnet(subnet.id, str(subnet.cidr_block), tuple(sorted(routes, key=str)), nodes.has_way_out(region, subnet))


def _target(route: Any) -> str:
    if route.interface is not None:
        return str(route.interface.id)
    if route.instance is not None and route.instance.nics.get(0):
        return str(route.instance.nics[0].id)
    return ""


def _group(group: Any) -> Group:
    return Group(str(group.id), _rules(group.ingress_rules), _rules(group.egress_rules))


def _rules(rules: Any) -> tuple[Rule, ...]:
    found = []
    for rule in rules:
        first, last = (None if port is None else int(port) for port in (rule.from_port, rule.to_port))
        group = str(rule.source_group.get("GroupId", ""))
        found.append(Rule(str(rule.ip_protocol), first, last, str(rule.cidr_ipv4 or ""), group))
    return tuple(sorted(set(found), key=str))
