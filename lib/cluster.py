"""The cluster as a run knows it so far: what was settled before anything is changed, and what each step has made since.

A step is given the cluster and returns it with what it made; nothing in it is changed in place. It knows rooms and no
step but what an image and a launch template are, so every step may know it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from lib.aws.tags import API_NAME_TAG, BUCKET_TAG, CA_TAG, cluster_tags
from lib.node import kubeenv, releases
from lib.node.ownscript import OwnScript

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import NetworkInterfaceTypeDef, SubnetTypeDef, VolumeTypeDef, VpcTypeDef

    from lib.aws.objects import Bucket
    from lib.checks.situation import Situation
    from lib.images import Image, Images
    from lib.kube.api import Client
    from lib.launchtemplate import Template
    from lib.settings.config import Config
    from lib.settings.layers import Layers

T = TypeVar("T")


class OutOfOrder(AssertionError):
    """A step reads what no step before it has made: the story's order is wrong, or the step's own."""


class Part(Generic[T]):
    """What one step makes of the cluster. Whoever reads it before that gets OutOfOrder, and never an empty id."""

    def __init__(self, maker: str) -> None:
        self.maker, self.name = maker, ""

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, cluster: None, _: type) -> Part[T]: ...

    @overload
    def __get__(self, cluster: Cluster, _: type) -> T: ...

    def __get__(self, cluster: Cluster | None, _: type) -> Part[T] | T:
        if cluster is None:
            return self
        if self.name not in cluster.made:
            raise OutOfOrder(f"cluster.{self.name} is read before {self.maker} has made it")
        made: T = cluster.made[self.name]
        return made


@dataclass(frozen=True)
class Found:
    """The cluster's bucket and its master's interface, as far as they are there.

    `tagged` is the bucket that the interface, or else the disk or a kept elastic IP, says the cluster's state is in, ''
    where none does; `disk` is the master's where it was looked for, which `looked` says.
    """

    bucket: Bucket | None
    interface: NetworkInterfaceTypeDef | None
    tagged: str
    disk: VolumeTypeDef | None
    looked: bool

    @property
    def public_ip(self) -> str:
        """The elastic IP of the master's interface, '' where it has none."""
        return (self.interface or {}).get("Association", {}).get("PublicIp", "")


@dataclass(frozen=True)
class SecurityGroups:
    """The ids of the two groups."""

    master: str
    minion: str


@dataclass(frozen=True)
class Pki:
    """The cluster's CA, as what the client needs of it: PEM; nodes know it by sha256:<hex> of its public key."""

    ca_cert: bytes
    ca_key: bytes
    ca_cert_hash: str
    service_account_key: bytes = b""  # the public half: PEM

    def __repr__(self) -> str:  # a key must not get into a traceback or a log
        return f"Pki({self.ca_cert_hash})"


@dataclass(frozen=True)
class Master:
    """The master's instance, and whether it runs: one that was started or made a moment ago was not seen to.

    `key_name` is the key pair that it was made with, '' where that was not looked at; `name` is KUBE_API_DNS_NAME where
    it was made with that, and so has it in its certificate, else ''.
    """

    instance_id: str
    runs: bool
    key_name: str = ""
    name: str = ""


@dataclass(frozen=True)
class Minions:
    """The group by its name, its launch template, and what that launches now, as EC2 takes it."""

    group_name: str
    template: Template
    data: Mapping[str, Any]


class Parts:
    """What the steps make, each part by the step that makes it."""

    bucket: Part[Bucket] = Part("bucket.ensure_bucket")
    profiles: Part[Mapping[str, str]] = Part("iam.ensure_profiles")
    key_name: Part[str] = Part("sshkey.ensure_key_pair")
    vpc: Part[VpcTypeDef] = Part("vpc.ensure_vpc")
    subnet: Part[SubnetTypeDef] = Part("subnet.ensure_subnet")
    gateway_id: Part[str] = Part("gateway.ensure_gateway")
    route_table_id: Part[str] = Part("routetable.ensure_route_table")
    groups: Part[SecurityGroups] = Part("securitygroups.ensure_security_groups")
    authority: Part[Pki] = Part("pki.ensure_pki")
    join_token: Part[str] = Part("pki.ensure_join_token")
    issuer: Part[str] = Part("podidentity.ensure_issuer")
    templates: Part[Mapping[str, Any]] = Part("minions.find_launch_templates")
    interface_id: Part[str] = Part("interface.ensure_interface")
    public_ip: Part[str] = Part("address.ensure_address")
    disk_id: Part[str] = Part("disk.ensure_disk")
    addons: Part[str] = Part("addons.ensure_addons")
    heal_template_id: Part[str] = Part("selfheal.ensure_heal_template")
    master: Part[Master] = Part("master.ensure_master")
    minions: Part[Minions] = Part("minions.ensure_minions")
    client: Part[Client] = Part("kubeconfig.ensure_kubeconfig")


@dataclass(frozen=True)
class Cluster(Parts):
    """What a run is about, as lib/plan.py has settled it, and the parts that steps have made since.

    `situation` is what was known of the master's side when it was decided that the run may begin, and `restore` the
    version of the snapshot of etcd that its disk is made from, '' for none. `sums` are those of all downloads,
    `known_sums` those of them that the bucket has already.
    """

    config: Config
    layers: Layers = field(repr=False)
    images: Images
    sums: Mapping[str, str] = field(repr=False)
    known_sums: Mapping[str, str] = field(repr=False)
    found: Found = field(repr=False)
    situation: Situation = field(repr=False)
    node_script: OwnScript = field(default_factory=OwnScript)
    restore: str = ""
    made: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def having(self, part: Part[T], made: T) -> Cluster:
        """The cluster with one part more."""
        return dataclasses.replace(self, made={**self.made, part.name: made})

    @property
    def vpc_id(self) -> str:
        """The VPC, made or brought."""
        return self.vpc["VpcId"]

    @property
    def subnet_id(self) -> str:
        """The subnet, made or brought."""
        return self.subnet["SubnetId"]

    @property
    def kept_tags(self) -> dict[str, str]:
        """The tags of what stays when a master is replaced: they say too where the cluster's state is, and its CA.

        And KUBE_API_DNS_NAME, so that kube_down.py knows it where the settings are lost.
        """
        name = self.config.master_name
        known_by = {BUCKET_TAG: self.bucket.name, CA_TAG: self.authority.ca_cert_hash}
        named = {API_NAME_TAG: self.config.kube_api_dns_name} if self.config.kube_api_dns_name else {}
        return {"Name": name, "Role": name, **cluster_tags(self.config), **known_by, **named}

    @property
    def group_name(self) -> str:
        """The minions' group: one a zone. A further one in the master's zone bears its subnet or size in its name."""
        config, interface = self.config, self.found.interface
        another_zone = interface is None or interface["AvailabilityZone"] != config.kube_aws_zone
        if not config.kube_use_existing_master or interface is None or another_zone:
            return config.group_name
        if interface["SubnetId"] != self.subnet_id:
            return f"{config.group_name}-{config.subnet_cidr.replace('.', '-').replace('/', '-')}"
        return f"{config.group_name}-{config.node_size.replace('.', '-')}"

    @property
    def facts(self) -> kubeenv.Facts:
        """What nodes must know that the settings do not say."""
        return kubeenv.Facts(
            bucket=self.bucket,
            vpc_id=self.vpc_id,
            subnet_id=self.subnet_id,
            route_table_id=self.route_table_id,
            ca_cert_hash=self.authority.ca_cert_hash,
            issuer=self.issuer,
            node_script=self.node_script.packed,
        )

    def downloads(self, image: Image) -> dict[str, str]:
        """URLs and sums of what a node with that image downloads, as its user-data carries them."""
        return releases.settings(releases.downloads(self.config, image.architecture), self.sums)
