"""The settings that travel in user-data (the original's build-kube-env and write-master-env)."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.aws.objects import SNAPSHOT, why_no_snapshots

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.objects import Bucket
    from lib.settings.config import Config

# Options that a node reads as they are.
_PASSED = (
    "KUBE_AWS_INSTANCE_PREFIX",
    "KUBE_AWS_ZONE",
    "MASTER_INTERNAL_IP",
    "KUBE_API_PORT",
    "KUBERNETES_VERSION",
    "CLUSTER_IP_RANGE",
    "SERVICE_CLUSTER_IP_RANGE",
    "NON_MASQUERADE_CIDR",
    "DNS_SERVER_IP",
    "DNS_DOMAIN",
    "EVICTION_HARD",
    "FEATURE_GATES",
    "KUBELET_TEST_ARGS",
    "KUBELET_TEST_LOG_LEVEL",
    "DOCKER_REGISTRY_MIRROR_URL",
    "KUBE_ENABLE_INSECURE_REGISTRY",
    "KUBE_EXTRA_PACKAGES",
)
_MASTER_ONLY = (
    "KUBE_RUNTIME_CONFIG",
    "APISERVER_TEST_ARGS",
    "APISERVER_TEST_LOG_LEVEL",
    "CONTROLLER_MANAGER_TEST_ARGS",
    "CONTROLLER_MANAGER_TEST_LOG_LEVEL",
    "SCHEDULER_TEST_ARGS",
    "SCHEDULER_TEST_LOG_LEVEL",
    "KUBEPROXY_TEST_ARGS",
    "KUBEPROXY_TEST_LOG_LEVEL",
    "KUBE_ENABLE_CLUSTER_DNS",
    "KUBE_ENABLE_CLUSTER_MONITORING",
    "KUBE_ENABLE_EBS_CSI_DRIVER",
    "KUBE_ENABLE_VOLUME_SNAPSHOTS",
    "KUBE_ENABLE_CLUSTER_AUTOSCALER",
    "KUBE_AUTOSCALER_MIN_NODES",
    "KUBE_AUTOSCALER_MAX_NODES",
)


@dataclass(frozen=True)
class Facts:
    """What a node must know that the settings do not say, because AWS chose it."""

    bucket: Bucket
    vpc_id: str
    subnet_id: str
    route_table_id: str
    ca_cert_hash: str
    group_name: str


def master_env(aws: Aws, config: Config, facts: Facts, *, public_ip: str, disk_id: str, restore: str) -> dict[str, str]:
    """The master's settings: no key and no token among them; those it reads from the bucket with its role.

    `restore` is the version of the snapshot that its disk is made from.
    """
    without_snapshots = why_no_snapshots(config, facts.bucket)
    return {
        "KUBE_ROLE": "master",
        **_common(aws, config, facts),
        **{name: config.text(name) for name in _MASTER_ONLY},
        "AWS_PARTITION": aws.partition,
        "AWS_DNS_SUFFIX": aws.dns_suffix,
        "AWS_ACCOUNT_ID": aws.account,
        "MASTER_NAME": config.master_name,
        "MASTER_PUBLIC_IP": public_ip,
        "MASTER_DISK_ID": disk_id,
        "KUBERNETES_SERVICE_IP": config.kubernetes_service_ip,
        "VPC_ID": facts.vpc_id,
        "SUBNET_ID": facts.subnet_id,
        "ROUTE_TABLE_ID": facts.route_table_id,
        "KUBE_BUCKET": facts.bucket.name,
        "KUBE_BUCKET_REGION": facts.bucket.region,
        "KUBE_BUCKET_PREFIX": facts.bucket.prefix,
        "KUBE_SNAPSHOT": SNAPSHOT,
        "KUBE_ETCD_SNAPSHOT_HOURS": "0" if without_snapshots else config.text("KUBE_ETCD_SNAPSHOT_HOURS"),
        "KUBE_RESTORE_VERSION": urllib.parse.quote(restore, safe=""),
        "GROUP_NAME": facts.group_name,
    }


def minion_env(aws: Aws, config: Config, facts: Facts, *, join_token: str) -> dict[str, str]:
    """A minion's settings, with the token that lets it join and do nothing else."""
    return {
        "KUBE_ROLE": "minion",
        **_common(aws, config, facts),
        "NODE_LABELS": config.text("NODE_LABELS"),
        "KUBE_JOIN_TOKEN": join_token,
    }


def _common(aws: Aws, config: Config, facts: Facts) -> dict[str, str]:
    passed = {name: config.text(name) for name in _PASSED}
    return {"AWS_REGION": aws.region, "CA_CERT_HASH": facts.ca_cert_hash, **passed}
