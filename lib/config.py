"""From four layers of settings to one frozen, typed Config. No other module reads the environment.

The layers, of which the first that has a name wins: the environment, the file that KUBE_CONFIG_FILE names, what is
remembered of the cluster (settings.env in its bucket), and config-default.env. A name that is there but empty takes the
default, as in shell.
"""

from __future__ import annotations

import functools
import io
import ipaddress
import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from lib import limits, rules, sizes, tags
from lib.errors import SettingError, raise_all

DEFAULTS = Path(__file__).resolve().parent.parent / "config-default.env"

_LONGEST_FILE = 1_000_000  # characters of KUBE_CONFIG_FILE

Source = Literal["environment", "KUBE_CONFIG_FILE", "remembered", "default"]

# What is of one run or one person, not of the cluster. (AWS's own variables are no options and never get this far.)
NEVER_REMEMBERED = frozenset(
    {
        "AWS_SSH_KEY",
        "KUBECONFIG",
        "KUBE_CONFIG_FILE",
        "KUBE_REPLACE_MASTER",
        "KUBE_RESTORE_SNAPSHOT",
        "KUBE_USE_EXISTING_MASTER",
    }
)

# What is remembered even if nobody set it: a new default must not change a cluster that is there.
REMEMBERED_AS_RESOLVED = (
    "KUBE_AWS_ZONE",
    "KUBERNETES_VERSION",
    "AWS_IMAGE",
    "KUBE_NODE_IMAGE",
    "KUBE_VPC_CIDR_BASE",
    "KUBE_SUBNET_CIDR",
    "MASTER_INTERNAL_IP",
    "CLUSTER_IP_RANGE",
    "SERVICE_CLUSTER_IP_RANGE",
    "NON_MASQUERADE_CIDR",
    "DNS_SERVER_IP",
)


# --- layers


@dataclass(frozen=True, slots=True)
class Layers:
    """Where settings come from, each name with its text. `environment` is the whole environment, so never printed."""

    environment: Mapping[str, str] = field(repr=False)
    file: Mapping[str, str]
    defaults: Mapping[str, str]
    remembered: Mapping[str, str] = field(default_factory=dict)
    zone_from: str = ""  # what names the region of the default zone, where something does

    def with_remembered(self, values: Mapping[str, str]) -> Layers:
        """The same layers with what is remembered of the cluster; names that never are remembered are left out."""
        kept = {name: text for name, text in values.items() if name in self.defaults and name not in NEVER_REMEMBERED}
        return replace(self, remembered=kept)

    def without_remembered(self, name: str) -> Layers:
        """The same layers as if nothing were remembered of one option."""
        return replace(self, remembered={key: text for key, text in self.remembered.items() if key != name})

    def in_region(self, region: str, *, where: str) -> Layers:
        """The same layers with the default zone in a region that `where` names: its first, as us-west-2a is."""
        defaults = {**self.defaults, "KUBE_AWS_ZONE": f"{region}a"}
        return replace(self, defaults=defaults, zone_from=where)

    def source(self, name: str) -> Source:
        """The layer that an option's value comes from."""
        return self._find(name)[0]

    def value(self, name: str) -> str:
        """The text of an option, '' if it is computed. KeyError for a name that is no option."""
        return self._find(name)[1]

    def asked(self, name: str) -> str | None:
        """What environment or file say of an option now, '' for the default; None if they are silent."""
        for layer in (self.environment, self.file):
            if name in layer:
                return layer[name].strip()
        return None

    def user_set(self) -> dict[str, str]:
        """What environment, file and memory set to something, of all that may be remembered.

        In a run with KUBE_USE_EXISTING_MASTER only what was remembered before: such a run is about one more group.
        """
        if self.value("KUBE_USE_EXISTING_MASTER").lower() == "true":
            return dict(self.remembered)
        names = (name for name in self.defaults if name not in NEVER_REMEMBERED and self.source(name) != "default")
        return {name: self.value(name) for name in names}

    def _find(self, name: str) -> tuple[Source, str]:
        default = self.defaults[name]
        text = self.asked(name)
        if text is not None:
            source: Source = "environment" if name in self.environment else "KUBE_CONFIG_FILE"
        else:
            source, text = "remembered", self.remembered.get(name, "")
        return (source, text) if text else ("default", default)


def read_layers(environ: Mapping[str, str], *, defaults: Path = DEFAULTS) -> Layers:
    """The layers of a run, without what is remembered. SettingError for a KUBE_CONFIG_FILE that cannot be read."""
    named = environ.get("KUBE_CONFIG_FILE", "").strip()
    file = _read_config_file(expand(rules.plain("KUBE_CONFIG_FILE", named), environ=environ)) if named else {}
    return Layers(environment=dict(environ), file=file, defaults=read_env(defaults.read_text(encoding="utf-8")))


def read_env(text: str) -> dict[str, str]:
    """NAME=value lines as a mapping; nothing is expanded, a name without = counts as empty."""
    return dict(_read_env(text))


@functools.lru_cache(maxsize=16)  # a run reads its own files a dozen times
def _read_env(text: str) -> tuple[tuple[str, str], ...]:
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return tuple((name, value or "") for name, value in values.items())


def _read_config_file(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8-sig") as file:  # a pipe will do, so it is read once and not without end
            text = file.read(_LONGEST_FILE + 1)
        if len(text) > _LONGEST_FILE:
            problem = f"{rules.shown(path)} has more than {_LONGEST_FILE} characters"
            raise SettingError("KUBE_CONFIG_FILE", problem, "name a file of NAME=value lines")
    except OSError as error:
        problem = f"cannot read {rules.shown(path)}: {error.strerror}"
        raise SettingError("KUBE_CONFIG_FILE", problem, "name a file of NAME=value lines") from None
    except UnicodeDecodeError:
        problem = f"{rules.shown(path)} is not text in UTF-8"
        raise SettingError("KUBE_CONFIG_FILE", problem, "name a file of NAME=value lines") from None
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            problem = f"line {binding.original.line} of {rules.shown(path)} is not NAME=value"
            raise SettingError("KUBE_CONFIG_FILE", problem, "it is read as plain settings, not as shell")
    return read_env(text)


def expand(path: str, *, environ: Mapping[str, str]) -> str:
    """The path with a leading ~ replaced by HOME, or by the password database's directory where HOME is not set.

    SettingError where neither knows one.
    """
    if path != "~" and not path.startswith("~/"):
        return path
    try:
        return (environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir) + path[1:]
    except KeyError:
        problem = f"is not set, and user {os.getuid()} has no home directory"
        raise SettingError("HOME", problem, "set it, or give paths without ~") from None


# --- the one config object


@dataclass(frozen=True, slots=True)
class Config:
    """Every option by its name in lower case, checked and typed, and what follows from them.

    Optional texts are '' when unset. Sizes are GiB, times seconds. config-default.env says what each means.
    """

    kube_aws_zone: str
    kube_aws_instance_prefix: str
    kubernetes_version: str
    num_nodes: int

    master_size: str
    node_size: str
    node_spot_price: str
    kube_os_distribution: str
    aws_image: str
    kube_node_image: str
    master_disk_size: int
    master_disk_type: str
    master_root_disk_size: int
    master_root_disk_type: str
    node_root_disk_size: int
    node_root_disk_type: str

    vpc_name: str
    vpc_id: str
    subnet_id: str
    dhcp_option_set_id: str
    kube_vpc_cidr_base: str
    kube_subnet_cidr: str
    master_internal_ip: str
    master_reserved_ip: str
    cluster_ip_range: str
    service_cluster_ip_range: str
    non_masquerade_cidr: str
    dns_server_ip: str
    dns_domain: str
    ssh_cidr: tuple[str, ...]
    http_api_cidr: tuple[str, ...]
    kube_api_port: int
    kube_enable_master_public_ip: bool
    kube_enable_node_public_ip: bool
    network_provider: str

    aws_ssh_key: str
    kubeconfig: str
    kube_config_context: str
    kube_config_file: str
    kube_use_existing_master: bool
    kube_replace_master: str
    kube_master_self_heal: bool

    aws_s3_bucket: str
    aws_s3_region: str
    kube_etcd_snapshot_hours: int
    kube_etcd_snapshots_kept: int
    kube_restore_snapshot: str

    node_labels: tuple[tuple[str, str], ...]
    eviction_hard: str
    feature_gates: str
    kube_runtime_config: str
    apiserver_test_args: str
    controller_manager_test_args: str
    scheduler_test_args: str
    kubelet_test_args: str
    kubeproxy_test_args: str
    apiserver_test_log_level: str
    controller_manager_test_log_level: str
    scheduler_test_log_level: str
    kubelet_test_log_level: str
    kubeproxy_test_log_level: str
    docker_registry_mirror_url: str
    kube_enable_insecure_registry: bool
    kube_download_mirror: str
    kube_extra_packages: tuple[str, ...]

    kube_enable_cluster_dns: bool
    kube_enable_cluster_monitoring: bool
    kube_enable_ebs_csi_driver: bool
    kube_enable_volume_snapshots: bool
    kube_enable_cluster_autoscaler: bool
    kube_autoscaler_min_nodes: int
    kube_autoscaler_max_nodes: int

    allowed_notready_nodes: int
    cluster_ready_additional_time_seconds: int
    kube_wait_aws_seconds: int
    kube_wait_instance_seconds: int
    kube_wait_api_seconds: int
    kube_wait_nodes_seconds: int
    kube_drain_seconds: int
    kube_wait_delete_seconds: int

    @property
    def region(self) -> str:
        """The zone's region; for a local zone (us-west-2-lax-1a) the region that it belongs to."""
        return region_of(self.kube_aws_zone)

    @property
    def partition(self) -> str:
        """aws, aws-cn or aws-us-gov: the second part of every ARN."""
        return rules.partition(self.region)

    @property
    def cluster_id(self) -> str:
        """The cluster's name, by which everything is tagged."""
        return self.kube_aws_instance_prefix

    @property
    def tags(self) -> dict[str, str]:
        """The tags that make a thing ours."""
        return tags.of(self.cluster_id)

    @property
    def vpc_cidr(self) -> str:
        """The range of a VPC that we make."""
        return f"{self.kube_vpc_cidr_base}.0.0/16"

    @property
    def subnet_cidr(self) -> str:
        """The subnet's range; '' with SUBNET_ID, until the subnet has been looked up."""
        return self.kube_subnet_cidr

    @property
    def dhcp_domain(self) -> str:
        """The domain of private DNS names, which are the nodes' names."""
        return "ec2.internal" if self.region == "us-east-1" else f"{self.region}.compute.internal"

    @property
    def kubernetes_service_ip(self) -> str:
        """The API's address for pods: the first of the services' range."""
        return nth(self.service_cluster_ip_range, 1)

    @property
    def master_name(self) -> str:
        """Name tag of the master's instance."""
        return f"{self.cluster_id}-master"

    @property
    def node_name(self) -> str:
        """Name tag of every minion."""
        return f"{self.cluster_id}-minion"

    @property
    def group_name(self) -> str:
        """Name of the minions' group in this zone, and of its launch template."""
        return f"{self.node_name}-group-{self.kube_aws_zone}"

    @property
    def master_role(self) -> str:
        """Name of the master's role and instance profile. IAM knows no regions, so the region is in it."""
        return f"kubernetes-master-{self.cluster_id}-{self.vpc_name}-{self.region}"

    @property
    def minion_role(self) -> str:
        """Name of the minions' role and instance profile."""
        return f"kubernetes-minion-{self.cluster_id}-{self.vpc_name}-{self.region}"

    @property
    def healer_role(self) -> str:
        """Name of the role of the schedule that makes a dead master anew."""
        return f"kubernetes-healer-{self.cluster_id}-{self.vpc_name}-{self.region}"

    @property
    def healer_name(self) -> str:
        """Name of that schedule, and of its group."""
        return f"{self.master_name}-heal"

    @property
    def context(self) -> str:
        """Name of cluster, user and context in kubeconfig."""
        return self.kube_config_context

    def text(self, option: str) -> str:
        """An option's value as one would write it in config-default.env."""
        return _as_text(getattr(self, option.lower()))


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join("=".join(item) if isinstance(item, tuple) else item for item in value)
    return str(value)


def region_of(zone: str) -> str:
    """The region of a zone or local zone."""
    parts = zone.split("-")
    number = next(i for i, part in enumerate(parts) if part[0].isdigit())
    return "-".join([*parts[:number], parts[number].rstrip("abcdefghijklmnopqrstuvwxyz")])


def nth(cidr: str, number: int) -> str:
    """The address so many after the range's first."""
    return str(ipaddress.IPv4Network(cidr)[number])


def master_address(subnet_cidr: str) -> str:
    """MASTER_INTERNAL_IP where nobody chose one: the subnet's .9, as in the original."""
    return nth(subnet_cidr, 9)


# --- resolving

_DISK_GIB = rules.whole(4, 65536, unit="GiB")  # etcd's 2 GiB, and 1 GiB of audit logs
_ROOT_GIB = rules.whole(8, 65536, unit="GiB")
_DISK_TYPE = rules.one_of(
    *sizes.DISK_LIMITS,
    gone={
        "st1": "is a hard disk that nothing can be booted from, too slow for etcd",
        "sc1": "is a hard disk that nothing can be booted from, too slow for etcd",
        "standard": "is a magnetic disk, too slow for etcd and images",
    },
)
_SECONDS = rules.whole(1, 86400, unit="seconds")
_OLD_DEBIAN = "is a Debian of former days, and Kubernetes no longer runs on it: debian is Debian 13"
_OLD_UBUNTU = "is an Ubuntu of former days, and Kubernetes no longer runs on it: ubuntu is 24.04"

RULES: Mapping[str, rules.Rule] = {
    "KUBE_AWS_ZONE": rules.zone,
    "KUBE_AWS_INSTANCE_PREFIX": rules.cluster_id,
    "KUBERNETES_VERSION": rules.version,
    "NUM_NODES": rules.whole(1, 5000, unit="minions"),
    "MASTER_SIZE": rules.instance_type,
    "NODE_SIZE": rules.instance_type,
    "NODE_SPOT_PRICE": rules.optional(rules.price),
    "KUBE_OS_DISTRIBUTION": rules.one_of(
        "debian",
        "ubuntu",
        gone={
            **dict.fromkeys(("jessie", "wheezy", "stretch"), _OLD_DEBIAN),
            **dict.fromkeys(("trusty", "vivid", "wily", "xenial"), _OLD_UBUNTU),
            "coreos": "is no longer made",
        },
    ),
    "AWS_IMAGE": rules.optional(rules.identifier("ami")),
    "KUBE_NODE_IMAGE": rules.optional(rules.identifier("ami")),
    "MASTER_DISK_SIZE": _DISK_GIB,
    "MASTER_DISK_TYPE": _DISK_TYPE,
    "MASTER_ROOT_DISK_SIZE": _ROOT_GIB,
    "MASTER_ROOT_DISK_TYPE": _DISK_TYPE,
    "NODE_ROOT_DISK_SIZE": _ROOT_GIB,
    "NODE_ROOT_DISK_TYPE": _DISK_TYPE,
    "VPC_NAME": rules.vpc_name,
    "VPC_ID": rules.optional(rules.identifier("vpc")),
    "SUBNET_ID": rules.optional(rules.identifier("subnet")),
    "DHCP_OPTION_SET_ID": rules.optional(rules.identifier("dopt")),
    "KUBE_VPC_CIDR_BASE": rules.cidr_base,
    "KUBE_SUBNET_CIDR": rules.optional(rules.cidr(16, 28)),
    "MASTER_INTERNAL_IP": rules.optional(rules.address),
    "MASTER_RESERVED_IP": rules.optional(rules.elastic_ip),
    "CLUSTER_IP_RANGE": rules.cidr(8, 24),
    "SERVICE_CLUSTER_IP_RANGE": rules.cidr(12, 28),
    "NON_MASQUERADE_CIDR": rules.cidr(0, 28, unicast=False),
    "DNS_SERVER_IP": rules.address,
    "DNS_DOMAIN": rules.domain,
    "SSH_CIDR": rules.cidrs,
    "HTTP_API_CIDR": rules.cidrs,
    "KUBE_API_PORT": rules.whole(1, 65535),
    "KUBE_ENABLE_MASTER_PUBLIC_IP": rules.boolean,
    "KUBE_ENABLE_NODE_PUBLIC_IP": rules.boolean,
    "NETWORK_PROVIDER": rules.one_of(
        "kubenet",
        gone=dict.fromkeys(("none", "opencontrail", "flannel", "calico", "cni"), "is not ported, see docs/porting.md"),
    ),
    "AWS_SSH_KEY": rules.path,
    "KUBECONFIG": rules.path,
    "KUBE_CONFIG_CONTEXT": rules.context,
    "KUBE_CONFIG_FILE": rules.optional(rules.path),
    "KUBE_USE_EXISTING_MASTER": rules.boolean,
    "KUBE_REPLACE_MASTER": rules.optional(rules.identifier("i")),
    "KUBE_MASTER_SELF_HEAL": rules.boolean,
    "AWS_S3_BUCKET": rules.optional(rules.bucket),
    "AWS_S3_REGION": rules.region,
    "KUBE_ETCD_SNAPSHOT_HOURS": rules.whole(0, 8760, unit="hours"),
    "KUBE_ETCD_SNAPSHOTS_KEPT": rules.whole(1, 100, unit="snapshots"),
    "KUBE_RESTORE_SNAPSHOT": rules.optional(rules.snapshot),
    "NODE_LABELS": rules.labels,
    "EVICTION_HARD": rules.evictions,
    "FEATURE_GATES": rules.gates,
    "KUBE_RUNTIME_CONFIG": rules.runtime_config,
    "APISERVER_TEST_ARGS": rules.arguments,
    "CONTROLLER_MANAGER_TEST_ARGS": rules.arguments,
    "SCHEDULER_TEST_ARGS": rules.arguments,
    "KUBELET_TEST_ARGS": rules.arguments,
    "KUBEPROXY_TEST_ARGS": rules.arguments,
    "APISERVER_TEST_LOG_LEVEL": rules.optional(rules.log_level),
    "CONTROLLER_MANAGER_TEST_LOG_LEVEL": rules.optional(rules.log_level),
    "SCHEDULER_TEST_LOG_LEVEL": rules.optional(rules.log_level),
    "KUBELET_TEST_LOG_LEVEL": rules.optional(rules.log_level),
    "KUBEPROXY_TEST_LOG_LEVEL": rules.optional(rules.log_level),
    "DOCKER_REGISTRY_MIRROR_URL": rules.optional(rules.url),
    "KUBE_ENABLE_INSECURE_REGISTRY": rules.boolean,
    "KUBE_DOWNLOAD_MIRROR": rules.optional(rules.url),
    "KUBE_EXTRA_PACKAGES": rules.packages,
    "KUBE_ENABLE_CLUSTER_DNS": rules.boolean,
    "KUBE_ENABLE_CLUSTER_MONITORING": rules.monitoring,
    "KUBE_ENABLE_EBS_CSI_DRIVER": rules.boolean,
    "KUBE_ENABLE_VOLUME_SNAPSHOTS": rules.boolean,
    "KUBE_ENABLE_CLUSTER_AUTOSCALER": rules.boolean,
    "KUBE_AUTOSCALER_MIN_NODES": rules.whole(1, 5000, unit="minions"),
    "KUBE_AUTOSCALER_MAX_NODES": rules.whole(1, 5000, unit="minions"),
    "ALLOWED_NOTREADY_NODES": rules.whole(0, 5000, unit="nodes"),
    "CLUSTER_READY_ADDITIONAL_TIME_SECONDS": rules.whole(0, 86400, unit="seconds"),
    "KUBE_WAIT_AWS_SECONDS": _SECONDS,
    "KUBE_WAIT_INSTANCE_SECONDS": _SECONDS,
    "KUBE_WAIT_API_SECONDS": _SECONDS,
    "KUBE_WAIT_NODES_SECONDS": _SECONDS,
    "KUBE_DRAIN_SECONDS": _SECONDS,
    "KUBE_WAIT_DELETE_SECONDS": _SECONDS,
}

# Characters that a shell acts on and that an option cannot do without; they are quoted where a shell reads them.
_ALLOWED = {"EVICTION_HARD": "<"}

_PATHS = ("AWS_SSH_KEY", "KUBECONFIG", "KUBE_CONFIG_FILE")


def _subnet_cidr(so_far: Mapping[str, Any]) -> str:
    return "" if so_far["SUBNET_ID"] else f"{so_far['KUBE_VPC_CIDR_BASE']}.0.0/24"


def _master_internal_ip(so_far: Mapping[str, Any]) -> str:
    subnet = so_far["KUBE_SUBNET_CIDR"]
    return "" if so_far["KUBE_USE_EXISTING_MASTER"] or not subnet else master_address(subnet)


def _node_image(so_far: Mapping[str, Any]) -> str:
    same = sizes.architecture(so_far["MASTER_SIZE"]) == sizes.architecture(so_far["NODE_SIZE"])
    return so_far["AWS_IMAGE"] if same else ""


# How an option that is empty gets its value, in this order, from the values so far.
_COMPUTED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "MASTER_SIZE": lambda so_far: sizes.master_size(so_far["NUM_NODES"]),
    "NODE_SIZE": lambda so_far: sizes.node_size(so_far["NUM_NODES"]),
    "KUBE_NODE_IMAGE": _node_image,
    "KUBE_SUBNET_CIDR": _subnet_cidr,
    "MASTER_INTERNAL_IP": _master_internal_ip,
    "NON_MASQUERADE_CIDR": lambda so_far: so_far["CLUSTER_IP_RANGE"],
    "DNS_SERVER_IP": lambda so_far: nth(so_far["SERVICE_CLUSTER_IP_RANGE"], 10),
    "KUBE_CONFIG_CONTEXT": lambda so_far: f"aws_{so_far['KUBE_AWS_INSTANCE_PREFIX']}",
    "AWS_S3_REGION": lambda so_far: region_of(so_far["KUBE_AWS_ZONE"]),
    "KUBE_AUTOSCALER_MAX_NODES": lambda so_far: str(so_far["NUM_NODES"]),
}


def resolve(layers: Layers, *, check: bool = True) -> Config:
    """The settings of a run, checked as far as that needs no call to AWS. SettingError for all that are wrong.

    Without `check` each value is right, but they may not fit together: enough to look for what is remembered, which may
    be what one of them needs.
    """
    values, wrong = dict[str, Any](), list[SettingError]()
    for name in (each for each in RULES if layers.value(each) or each not in _COMPUTED):
        try:
            values[name] = _parse(name, layers.value(name))
        except SettingError as error:
            wrong.append(error)
    raise_all(wrong)
    for name, compute in _COMPUTED.items():
        if name not in values:
            text = compute(values)
            values[name] = _parse(name, text) if text else ""
    for name in _PATHS:
        values[name] = ":".join(expand(path, environ=layers.environment) for path in values[name].split(":"))
    config = Config(**{name.lower(): value for name, value in values.items()})
    if check:
        limits.check(config)
    return config


def resolve_whatever(layers: Layers) -> tuple[Layers, Config]:
    """For kube_down.py: the settings with nothing that is remembered in the way of a removal.

    A remembered value that is refused today, such as a release of long ago, counts as not remembered. Raises
    SettingError for what environment or file say.
    """
    while True:
        try:
            return layers, resolve(layers, check=False)
        except SettingError as wrong:
            found = [each.variable for each in (wrong, *wrong.others) if each.variable in layers.remembered]
            if not found:
                raise
            for name in found:
                layers = layers.without_remembered(name)


def _parse(name: str, text: str) -> Any:
    return RULES[name](name, rules.plain(name, text, allowed=_ALLOWED.get(name, "")))


# --- what is remembered, and what cannot change


def to_remember(layers: Layers, config: Config) -> dict[str, str]:
    """What settings.env in the bucket is to hold after this run: what was set, and some values as they resolved."""
    if config.kube_use_existing_master:
        return layers.user_set()
    resolved = {name: config.text(name) for name in REMEMBERED_AS_RESOLVED}
    return layers.user_set() | {name: text for name, text in resolved.items() if text}


_DOWN_FIRST = "leave it as it is, or run kube_down.py first"
_NEW_GROUP = "leave it as it is, or set KUBE_USE_EXISTING_MASTER=true to add minions there"
_NEW_ZONE = f"{_NEW_GROUP}; how a whole cluster changes its zone: docs/recovery.md, A zone is lost"
_ELSEWHERE = ("KUBE_AWS_ZONE", "SUBNET_ID")  # what a cluster that begins anew in another zone is given

# What a cluster has from its first step on, and what it has from its master on: every minion knows these.
_FROM_THE_START = {
    "KUBE_AWS_ZONE": _NEW_ZONE,
    "SUBNET_ID": _NEW_GROUP,
    "VPC_NAME": _DOWN_FIRST,
    "VPC_ID": _DOWN_FIRST,
    "KUBE_VPC_CIDR_BASE": _DOWN_FIRST,
}
_WITH_A_MASTER = {
    "KUBE_SUBNET_CIDR": _NEW_GROUP,
    "CLUSTER_IP_RANGE": _DOWN_FIRST,
    "SERVICE_CLUSTER_IP_RANGE": _DOWN_FIRST,
    "DNS_SERVER_IP": _DOWN_FIRST,
    "DNS_DOMAIN": _DOWN_FIRST,
    "MASTER_INTERNAL_IP": _DOWN_FIRST,
    "KUBE_API_PORT": _DOWN_FIRST,
}


def refuse_changes(layers: Layers, *, has_master: bool, moves: bool = False) -> None:
    """SettingError when environment or file ask for another value than the cluster has of what cannot change in place.

    What it has is what is remembered of it, and the defaults of the rest; of a cluster that is not there yet nothing is
    refused, and of one that `moves` neither its zone nor its subnet.
    """
    remembered = layers.remembered
    if not remembered:
        return
    another_group = layers.value("KUBE_USE_EXISTING_MASTER").lower() == "true"
    config = resolve(layers, check=False)
    for name, instead in {**_FROM_THE_START, **(_WITH_A_MASTER if has_master else {})}.items():
        wanted, was = config.text(name), remembered.get(name, layers.defaults[name])
        asked = layers.asked(name) is not None and wanted and wanted != was
        if moves and name in _ELSEWHERE:
            continue
        if asked and not (another_group and instead in (_NEW_GROUP, _NEW_ZONE)):
            problem = f"the cluster has {was or 'its own'}, and it cannot become {rules.shown(wanted)}"
            raise SettingError(name, problem, instead)
    if not another_group:
        _refuse_smaller_disk(layers, remembered)


def _refuse_smaller_disk(layers: Layers, remembered: Mapping[str, str]) -> None:
    name = "MASTER_DISK_SIZE"
    asked, was = layers.asked(name) or "", remembered.get(name, "")
    if asked.isdecimal() and was.isdecimal() and int(asked) < int(was):
        raise SettingError(name, f"the disk has {was} GiB, and EBS cannot make it smaller", f"give {was} or more")


def option_names() -> tuple[str, ...]:
    """The names of all options, as Config has them."""
    return tuple(each.name.upper() for each in fields(Config))
