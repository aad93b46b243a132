"""What the simulated account asks of the machines, as plain data. sandbox/backend/wanted.py reads it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Interface:
    """An instance's network interface."""

    id: str
    mac: str
    address: str
    name: str  # in DNS
    subnet_id: str
    groups: tuple[str, ...]
    check: bool  # source and destination
    public: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A volume that is attached."""

    volume_id: str
    gibibytes: int


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that there has to be a machine for; `alive` is false while it stops or shuts down."""

    id: str
    region: str
    zone: str
    vpc_id: str
    alive: bool
    ends: bool
    reboots: int
    interface: Interface | None
    root: Disk | None
    disks: tuple[Disk, ...]  # beside the root disk
    kind: str
    mebibytes: int  # of memory
    image: str
    user: str  # whom ssh lets in
    role: str
    key_name: str
    key: str
    hop_limit: int
    spot: bool
    notice: str  # when AWS takes a spot instance, as instance metadata says it; '' as long as it does not
    user_data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """A route to an interface."""

    destination: str
    interface: str


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet with what its route table says; `outside` is whether a route leads to the VPC's internet gateway."""

    id: str
    cidr: str
    routes: tuple[Route, ...]
    outside: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """A permission of a security group: from or to an address range, or another group's interfaces."""

    protocol: str
    first: int | None
    last: int | None
    cidr: str
    group: str


@dataclass(frozen=True, slots=True)
class Group:
    """A security group."""

    id: str
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC that has instances."""

    id: str
    region: str
    cidr: str
    subnets: tuple[Subnet, ...]
    groups: tuple[Group, ...]
    domain: str
    servers: tuple[str, ...]  # DNS servers; empty for the VPC's own


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of it."""

    instances: dict[str, Instance] = field(default_factory=dict)
    vpcs: dict[str, Vpc] = field(default_factory=dict)
    volumes: dict[str, int] = field(default_factory=dict)  # all that exist: id -> GiB
    stopped: set[str] = field(default_factory=set)  # instances that keep their root disk

    def instance_at(self, vpc_id: str, address: str) -> Instance | None:
        """The instance with this private address."""
        for instance in self.instances.values():
            if instance.vpc_id == vpc_id and instance.interface and instance.interface.address == address:
                return instance
        return None
