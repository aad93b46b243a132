"""What a run is about: one frozen, typed Config, an option a line, and what follows from it.

A new option takes two places and no third: its help and default in config-default.env,

    # The network time server that every node asks. Empty: Amazon's.
    KUBE_TIME_SERVER=

and here, among its neighbours there, its name in lower case, its type and its rule, with what else is to be known of it
(lib/settings/declare.py has all of that):

    kube_time_server: str = option(rules.optional(rules.domain), read_by="both")

What a node reads is then a variable of that name in its user-data, and its template in templates/ must read it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib.settings import rules, sizes, tagging
from lib.settings.declare import Declared, Fixed, Role, declarations, option

# --- what several options say alike

_DISK_GIB = rules.whole(4, 65536, unit="GiB")  # etcd's 2 GiB, and 1 GiB of audit logs
_ROOT_GIB = rules.whole(8, 65536, unit="GiB")
_SECONDS = rules.whole(1, 86400, unit="seconds")

_DOWN_FIRST = "leave it as it is, or run kube_down.py first"
_NEW_GROUP = "leave it as it is, or set KUBE_USE_EXISTING_MASTER=true to add minions there"
_NEW_ZONE = f"{_NEW_GROUP}; how a whole cluster changes its zone: docs/recovery.md, A zone is lost"

_FROM_THE_START = Fixed(_DOWN_FIRST, from_the_start=True)
_WITH_A_MASTER = Fixed(_DOWN_FIRST)


def _node_image(so_far: Mapping[str, Any]) -> str:
    same = sizes.architecture(so_far["MASTER_SIZE"]) == sizes.architecture(so_far["NODE_SIZE"])
    return so_far["AWS_IMAGE"] if same else ""


def _subnet_cidr(so_far: Mapping[str, Any]) -> str:
    return "" if so_far["SUBNET_ID"] else f"{so_far['KUBE_VPC_CIDR_BASE']}.0.0/24"


def _master_internal_ip(so_far: Mapping[str, Any]) -> str:
    subnet = so_far["KUBE_SUBNET_CIDR"]
    return "" if so_far["KUBE_USE_EXISTING_MASTER"] or not subnet else master_address(subnet)


@dataclass(frozen=True, slots=True)
class Config:
    """Every option by its name in lower case, checked and typed, and what follows from them.

    Optional texts are '' when unset. Sizes are GiB, times seconds. config-default.env says what each means.
    """

    kube_aws_zone: str = option(
        rules.zone,
        remembered="as resolved",
        fixed=Fixed(_NEW_ZONE, from_the_start=True, but_in_another_group=True, but_in_another_zone=True),
        down=True,
    )
    kube_aws_instance_prefix: str = option(rules.cluster_id, read_by="master", down=True)
    kubernetes_version: str = option(rules.version, read_by="both", remembered="as resolved")
    num_nodes: int = option(rules.minions(0))

    master_size: str = option(rules.instance_type, computed=lambda so_far: sizes.master_size(so_far["NUM_NODES"]))
    node_size: str = option(rules.instance_type, computed=lambda so_far: sizes.node_size(so_far["NUM_NODES"]))
    node_spot_price: str = option(rules.optional(rules.price))
    node_spot_sizes: tuple[str, ...] = option(rules.further_sizes, needs="NODE_SPOT_PRICE")
    kube_os_distribution: str = option(rules.distribution)
    aws_image: str = option(rules.optional(rules.identifier("ami")), remembered="as resolved")
    kube_node_image: str = option(
        rules.optional(rules.identifier("ami")), remembered="as resolved", computed=_node_image
    )
    master_disk_size: int = option(_DISK_GIB, only_grows="the disk has {was} GiB, and EBS cannot make it smaller")
    master_disk_type: str = option(rules.disk_type)
    master_root_disk_size: int = option(_ROOT_GIB)
    master_root_disk_type: str = option(rules.disk_type)
    node_root_disk_size: int = option(_ROOT_GIB)
    node_root_disk_type: str = option(rules.disk_type)

    vpc_name: str = option(rules.vpc_name, fixed=_FROM_THE_START, down=True)
    vpc_id: str = option(rules.optional(rules.identifier("vpc")), fixed=_FROM_THE_START)
    subnet_id: str = option(
        rules.optional(rules.identifier("subnet")),
        fixed=Fixed(_NEW_GROUP, from_the_start=True, but_in_another_group=True, but_in_another_zone=True),
        down=True,
    )
    dhcp_option_set_id: str = option(rules.optional(rules.identifier("dopt")), of_all_groups=True)
    kube_vpc_cidr_base: str = option(rules.cidr_base, remembered="as resolved", fixed=_FROM_THE_START)
    kube_subnet_cidr: str = option(
        rules.optional(rules.cidr(16, 28)),
        remembered="as resolved",
        computed=_subnet_cidr,
        fixed=Fixed(_NEW_GROUP, but_in_another_group=True),
    )
    master_internal_ip: str = option(
        rules.optional(rules.address),
        read_by="both",
        remembered="as resolved",
        computed=_master_internal_ip,
        fixed=_WITH_A_MASTER,
        down=True,
    )
    master_reserved_ip: str = option(rules.optional(rules.elastic_ip), down=True, needs="KUBE_ENABLE_MASTER_PUBLIC_IP")
    cluster_ip_range: str = option(
        rules.cidr(8, 24), read_by="both", remembered="as resolved", fixed=_WITH_A_MASTER, down=True
    )
    service_cluster_ip_range: str = option(
        rules.cidr(12, 28), read_by="master", remembered="as resolved", fixed=_WITH_A_MASTER
    )
    non_masquerade_cidr: str = option(
        rules.cidr(0, 28, unicast=False),
        read_by="both",
        remembered="as resolved",
        computed=lambda so_far: so_far["CLUSTER_IP_RANGE"],
    )
    dns_server_ip: str = option(
        rules.address,
        read_by="both",
        remembered="as resolved",
        computed=lambda so_far: nth(so_far["SERVICE_CLUSTER_IP_RANGE"], 10),
        fixed=_WITH_A_MASTER,
    )
    dns_domain: str = option(rules.domain, read_by="master", fixed=_WITH_A_MASTER)
    ssh_cidr: tuple[str, ...] = option(rules.cidrs, of_all_groups=True)
    http_api_cidr: tuple[str, ...] = option(rules.cidrs, of_all_groups=True)
    kube_load_balancer_cidr: tuple[str, ...] = option(rules.cidrs_or_none, of_all_groups=True)
    kube_api_dns_name: str = option(rules.optional(rules.host_name), down=True)
    kube_api_port: int = option(rules.whole(1, 65535), read_by="both", fixed=_WITH_A_MASTER, down=True)
    kube_enable_master_public_ip: bool = option(rules.boolean)
    kube_enable_node_public_ip: bool = option(rules.boolean)
    network_provider: str = option(rules.network_provider)

    aws_ssh_key: str = option(rules.path, is_path=True, remembered="never")
    kubeconfig: str = option(rules.path, is_path=True, remembered="never", down=True)
    kube_config_context: str = option(
        rules.context, computed=lambda so_far: f"aws_{so_far['KUBE_AWS_INSTANCE_PREFIX']}", down=True
    )
    kube_config_file: str = option(rules.optional(rules.path), is_path=True, remembered="never", down=True)
    kube_use_existing_master: bool = option(rules.boolean, remembered="never")
    kube_replace_master: str = option(rules.optional(rules.identifier("i")), remembered="never")
    kube_master_self_heal: bool = option(rules.boolean, down=True)

    kube_extra_tags: tuple[tuple[str, str], ...] = option(tagging.extra_tags, of_all_groups=True)
    aws_s3_bucket: str = option(rules.optional(rules.bucket), down=True)
    aws_s3_region: str = option(rules.region, computed=lambda so_far: region_of(so_far["KUBE_AWS_ZONE"]), down=True)
    kube_etcd_snapshot_hours: int = option(rules.whole(0, 8760, unit="hours"), read_by="master")
    kube_etcd_snapshots_kept: int = option(rules.whole(1, 100, unit="snapshots"))
    kube_etcd_quota_gib: int = option(rules.whole(1, 8, unit="GiB"), read_by="master")
    kube_restore_snapshot: str = option(rules.optional(rules.snapshot), remembered="never")
    kube_discard_disk: str = option(rules.optional(rules.identifier("vol")), remembered="never")

    node_labels: tuple[tuple[str, str], ...] = option(rules.labels, read_by="minion")
    eviction_hard: str = option(rules.evictions, read_by="both", may_hold="<")
    feature_gates: str = option(rules.gates, read_by="both")
    kube_runtime_config: str = option(rules.runtime_config, read_by="master")
    apiserver_test_args: str = option(rules.arguments, read_by="master")
    controller_manager_test_args: str = option(rules.arguments, read_by="master")
    scheduler_test_args: str = option(rules.arguments, read_by="master")
    kubelet_test_args: str = option(rules.arguments, read_by="both")
    kubeproxy_test_args: str = option(rules.arguments, read_by="master")
    apiserver_test_log_level: str = option(rules.optional(rules.log_level), read_by="master")
    controller_manager_test_log_level: str = option(rules.optional(rules.log_level), read_by="master")
    scheduler_test_log_level: str = option(rules.optional(rules.log_level), read_by="master")
    kubelet_test_log_level: str = option(rules.optional(rules.log_level), read_by="both")
    kubeproxy_test_log_level: str = option(rules.optional(rules.log_level), read_by="master")
    docker_registry_mirror_url: str = option(rules.optional(rules.url), read_by="both")
    kube_enable_insecure_registry: bool = option(rules.boolean, read_by="both", needs="DOCKER_REGISTRY_MIRROR_URL")
    kube_http_proxy: str = option(rules.optional(rules.proxy), read_by="both")
    kube_no_proxy: str = option(rules.no_proxy, read_by="both", needs="KUBE_HTTP_PROXY")
    kube_download_mirror: str = option(rules.optional(rules.url))
    kube_extra_packages: tuple[str, ...] = option(rules.packages, read_by="both")
    kube_node_script: str = option(rules.optional(rules.path), is_path=True)

    kube_iam_permissions_boundary: str = option(rules.optional(rules.policy_arn), of_all_groups=True)
    master_iam_profile: str = option(rules.optional(rules.iam_name))
    node_iam_profile: str = option(rules.optional(rules.iam_name))
    kube_node_policies: tuple[str, ...] = option(rules.policies, of_all_groups=True)
    kube_enable_pod_identity: bool = option(rules.boolean, down=True)
    kube_oidc_bucket: str = option(rules.optional(rules.public_bucket), down=True, needs="KUBE_ENABLE_POD_IDENTITY")

    kube_enable_cluster_dns: bool = option(rules.boolean, read_by="master")
    kube_enable_cluster_monitoring: bool = option(rules.monitoring)
    kube_enable_ebs_csi_driver: bool = option(rules.boolean)
    kube_enable_volume_snapshots: bool = option(rules.boolean, needs="KUBE_ENABLE_EBS_CSI_DRIVER", idle="never")
    kube_enable_cluster_autoscaler: bool = option(rules.boolean)
    kube_autoscaler_min_nodes: int = option(rules.minions(1), needs="KUBE_ENABLE_CLUSTER_AUTOSCALER", idle="always")
    kube_autoscaler_max_nodes: int = option(
        rules.minions(1),
        computed=lambda so_far: str(max(1, int(so_far["NUM_NODES"]))),
        needs="KUBE_ENABLE_CLUSTER_AUTOSCALER",
        idle="always",
    )
    kube_enable_nvidia_device_plugin: bool = option(rules.boolean)

    allowed_notready_nodes: int = option(rules.whole(0, rules.ROUTES_AT_MOST - 3, unit="nodes"))
    cluster_ready_additional_time_seconds: int = option(
        rules.whole(0, 86400, unit="seconds"), needs="ALLOWED_NOTREADY_NODES", idle="always"
    )
    kube_wait_aws_seconds: int = option(_SECONDS, down=True)
    kube_wait_instance_seconds: int = option(_SECONDS)
    kube_wait_api_seconds: int = option(_SECONDS)
    kube_wait_nodes_seconds: int = option(_SECONDS)
    kube_drain_seconds: int = option(_SECONDS)
    kube_wait_delete_seconds: int = option(_SECONDS, down=True)

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
    def node_sizes(self) -> tuple[str, ...]:
        """The instance types that a minion may be of, NODE_SIZE first."""
        return tuple(dict.fromkeys((self.node_size, *self.node_spot_sizes)))

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

    def text(self, name: str) -> str:
        """An option's value as one would write it in config-default.env."""
        return _as_text(getattr(self, name.lower()))

    def texts(self) -> dict[str, str]:
        """Every option by its name, as one would write it."""
        return {name: self.text(name) for name in OPTIONS}

    def read_by(self, role: Role) -> dict[str, str]:
        """What the nodes of a role read, by its name, as one would write it."""
        return {name: self.text(name) for name, declared in OPTIONS.items() if declared.is_read_by(role)}


OPTIONS: Mapping[str, Declared] = declarations(Config)  # by name, in the order of the fields


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
