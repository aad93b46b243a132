"""From layers to one checked Config; what of it is remembered, and what cannot change of a cluster that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from lib.run.errors import SettingError, raise_all
from lib.settings import limits, rules, sizes
from lib.settings.config import Config, master_address, nth, region_of
from lib.settings.layers import Layers, expand

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
            wrong.append(_said_of_memory(error, layers) if layers.source(name) == "remembered" else error)
    raise_all(wrong)
    for name, compute in _COMPUTED.items():
        if name not in values:
            text = compute(values)
            values[name] = _parse(name, text) if text else ""
    for name in _PATHS:
        values[name] = ":".join(expand(path, environ=layers.environment) for path in values[name].split(":"))
    config = Config(**{name.lower(): value for name, value in values.items()})
    if check:
        limits.check_limits(config)
    return config


def _said_of_memory(error: SettingError, layers: Layers) -> SettingError:
    """The same of a value that this run was not told, but remembers."""
    name = error.variable
    problem = f"{error.problem}, and that is remembered in {layers.remembered_in or 'settings.env'}"
    return SettingError(name, problem, f"{error.right}, or run {name}= python kube_up.py, which forgets it")


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
