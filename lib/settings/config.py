"""What a run is about: one frozen, typed Config, and what follows from it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from lib.settings import rules


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
