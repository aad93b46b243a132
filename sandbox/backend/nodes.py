"""What a simulated cluster does to its surroundings, and its nodes as Kubernetes describes them."""

from __future__ import annotations

import datetime
import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.backend import cloud
from sandbox.world import Kube

# The kubelet's, until the cloud controller manager takes it off. (pkg/kubelet/kubelet_node_status.go)
UNINITIALIZED = {"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"}
ROUTED = {"type": "NetworkUnavailable", "status": "False", "reason": "RouteCreated"}
KERNEL, RUNTIME = "6.12.48+deb13-cloud", "containerd://2.1.4"


@dataclass(frozen=True, slots=True)
class Member:
    """One instance that is a node, and its settings."""

    instance: Any
    region: str
    settings: dict[str, str]

    @property
    def id(self) -> str:
        """The instance's id."""
        return str(self.instance.id)

    @property
    def name(self) -> str:
        """The node's name: the instance's private DNS name."""
        return str(self.instance.private_dns_name)

    @property
    def is_master(self) -> bool:
        """Whether it runs the control plane."""
        return self.settings.get("KUBE_ROLE") == "master"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes, the master first, and the master's settings."""

    members: list[Member]
    settings: dict[str, str]
    kube: Kube = field(default_factory=Kube)

    @property
    def version(self) -> str:
        """The version as Kubernetes writes it: v1.37.2."""
        return _version(self.settings)


def _version(settings: dict[str, str]) -> str:
    return "v" + (settings.get("KUBERNETES_VERSION") or "0.0.0").removeprefix("v")


class HasInstance(Protocol):
    """Whatever has an instance of moto's."""

    @property
    def instance(self) -> Any:
        """The instance."""


def running(region: str) -> dict[str, Any]:
    """The running instances of a region by their ids."""
    return {instance.id: instance for instance in cloud.instances(region) if is_running(instance)}


def is_running(instance: Any) -> bool:
    """Whether the instance runs."""
    return bool(instance.state == "running")


def address(instance: Any) -> str:
    """The instance's private address, '' where it has none any more."""
    return str(instance.private_ip or "")


def in_one_vpc(one: Any, other: Any) -> bool:
    """Whether two instances are in the same VPC."""
    return bool(one.vpc_id == other.vpc_id)


def reachable_at(region: str, instance: Any, port: int) -> tuple[str, int] | None:
    """Where the outside reaches the instance's port: elastic IP, security group and route to the gateway permitting."""
    nic = instance.nics.get(0)
    if nic is None or not nic.public_ip or not nic.public_ip.startswith("127."):
        return None
    if not any(_admits(group, port) for group in nic.group_set) or not has_way_out(region, nic.subnet):
        return None
    return str(nic.public_ip), port


def _admits(group: Any, port: int) -> bool:
    """Whether a rule lets some address range in on this TCP port."""
    return any(
        rule.cidr_ipv4
        and (rule.ip_protocol == "-1" or (rule.ip_protocol == "tcp" and rule.from_port <= port <= rule.to_port))
        for rule in group.ingress_rules
    )


def route_table(region: str, subnet: Any) -> Any | None:
    """The subnet's own route table, or its VPC's main one."""
    tables = [table for table in cloud.ec2(region).route_tables.values() if table.vpc_id == subnet.vpc_id]
    own = [table for table in tables if subnet.id in table._associations.values()]
    return next(iter(own or [table for table in tables if table.main_association_id]), None)


def has_way_out(region: str, subnet: Any) -> bool:
    """Whether the subnet's route table leads to the VPC's internet gateway."""
    table = route_table(region, subnet)
    gateways = cloud.ec2(region).internet_gateways.values()
    attached = {gateway.id for gateway in gateways if gateway.vpc and gateway.vpc.id == subnet.vpc_id}
    return table is not None and any(
        route.destination_cidr_block == "0.0.0.0/0" and route.gateway is not None and route.gateway.id in attached
        for route in table.routes
    )


def attach_disk(region: str, instance: Any, volume_id: str) -> bool:
    """The master attaches its own disk, as its bootstrap does; whether it has it then."""
    backend = cloud.ec2(region)
    volume = backend.volumes.get(volume_id)
    if volume is None:
        return False
    if not volume.attachment and volume.zone.name == instance.placement.zone:
        backend.attach_volume(volume_id, instance.id, "/dev/sdb")
    return bool(volume.attachment and volume.attachment.instance.id == instance.id)


def make_routes(region: str, master: Any, minions: Sequence[HasInstance], settings: dict[str, str]) -> None:
    """What the cloud controller manager does: a route to each node's pods, and none to nodes that are gone."""
    table = route_table(region, master.nics[0].subnet)
    pods = settings.get("CLUSTER_IP_RANGE")
    if table is None or not pods:
        return
    members = {host.instance.nics[0].id: host.instance for host in minions if host.instance.nics}
    members[master.nics[0].id] = master
    network = _network(pods)
    taken = _drop_stale_routes(table, members, network)
    missing = [nic_id for nic_id in members if nic_id not in taken]
    if missing:
        _add_routes(region, table, network, {nic_id: members[nic_id] for nic_id in missing})


@functools.cache
def _network(cidr: str) -> Any:
    return ipaddress.ip_network(cidr)


def _drop_stale_routes(table: Any, members: dict[str, Any], network: Any) -> set[str]:
    """Take out routes inside the pods' range that lead to no member; returns the interfaces that have one."""
    having = set()
    for route_id, route in list(table._routes.items()):
        if not route.destination_cidr_block or route.gateway or route.local:
            continue
        if not _network(route.destination_cidr_block).subnet_of(network):
            continue
        target = route.interface
        if target is not None and target.id in members:
            having.add(target.id)
        else:
            del table._routes[route_id]
    return having


def _add_routes(region: str, table: Any, network: Any, members: dict[str, Any]) -> None:
    used = {route.destination_cidr_block for route in table.routes}
    free = (str(subnet) for subnet in network.subnets(new_prefix=24) if str(subnet) not in used)
    for nic_id, instance in members.items():
        cidr = next(free, None)
        if cidr is None:
            return
        cloud.ec2(region).create_route(route_table_id=table.id, destination_cidr_block=cidr, interface_id=nic_id)
        instance.nics[0].source_dest_check = False
        instance.source_dest_check = False


# --- Kubernetes' view ------------------------------------------------------------------------------------------------


def node_object(cluster: Cluster, member: Member) -> dict[str, Any]:
    """A Node as the API gives it."""
    instance = member.instance
    created = _time(instance.launch_time)
    changed = cluster.kube.nodes.get(instance.id, {})
    cordoned = {"unschedulable": True} if changed.get("unschedulable") else {}
    seen = instance.id in cluster.kube.initialized
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": instance.private_dns_name,
            "uid": f"00000000-0000-4000-8000-{instance.id[-12:]}",
            "resourceVersion": "1",
            "creationTimestamp": created,
            "labels": _labels(member, seen),
            "annotations": dict(changed.get("annotations", {})),
        },
        "spec": {"providerID": f"aws:///{instance.placement.zone}/{instance.id}", **_taints(member, seen), **cordoned},
        "status": {
            "capacity": _capacity(instance),
            "allocatable": _capacity(instance),
            "conditions": [_ready(created), *([ROUTED] if seen else [])],
            "addresses": _addresses(instance, seen),
            "nodeInfo": _info(member),
        },
    }


def _time(moment: Any) -> str:
    utc = moment if moment.tzinfo is None else moment.astimezone(datetime.UTC)
    return str(utc.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _labels(member: Member, seen: bool) -> dict[str, str]:
    instance = member.instance
    labels = {
        "kubernetes.io/hostname": instance.private_dns_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": _arch(instance),
    }
    if seen:
        labels["node.kubernetes.io/instance-type"] = instance.instance_type
        labels["topology.kubernetes.io/region"] = member.region
        labels["topology.kubernetes.io/zone"] = instance.placement.zone
    if member.is_master:
        labels["node-role.kubernetes.io/control-plane"] = ""
    for pair in filter(None, member.settings.get("NODE_LABELS", "").split(",")):
        name, _, value = pair.partition("=")
        labels[name.strip()] = value.strip()
    return labels


def _taints(member: Member, seen: bool) -> dict[str, Any]:
    own = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}] if member.is_master else []
    taints = [*own, *([] if seen else [UNINITIALIZED])]
    return {"taints": taints} if taints else {}


def _arch(instance: Any) -> str:
    return "arm64" if instance.architecture == "arm64" else "amd64"


def _capacity(instance: Any) -> dict[str, str]:
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    kind = INSTANCE_TYPES.get(instance.instance_type, {})
    cpus = kind.get("VCpuInfo", {}).get("DefaultVCpus", 2)
    memory = kind.get("MemoryInfo", {}).get("SizeInMiB", 2048)
    return {"cpu": str(cpus), "memory": f"{memory}Mi", "pods": "110"}


def _ready(since: str) -> dict[str, str]:
    return {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": since,
        "lastTransitionTime": since,
    }


def _addresses(instance: Any, seen: bool) -> list[dict[str, str]]:
    found = [
        {"type": "InternalIP", "address": instance.private_ip},
        {"type": "ExternalIP", "address": instance.public_ip if seen else ""},
        {"type": "InternalDNS", "address": instance.private_dns_name if seen else ""},
        {"type": "Hostname", "address": instance.private_dns_name},
    ]
    return [address for address in found if address["address"]]


def _info(member: Member) -> dict[str, str]:
    instance = member.instance
    image = cloud.ec2(instance.ec2_backend.region_name).amis.get(instance.image_id)
    return {
        "kubeletVersion": _version(member.settings),
        "kubeProxyVersion": _version(member.settings),
        "containerRuntimeVersion": RUNTIME,
        "kernelVersion": f"{KERNEL}-{_arch(instance)}",
        "osImage": getattr(image, "description", "") or "Linux",
        "operatingSystem": "linux",
        "architecture": _arch(instance),
        "machineID": instance.id,
        "systemUUID": instance.id,
        "bootID": instance.id,
    }
