"""What several settings must agree on, and whether it all fits: pure arithmetic, refused with its numbers.

`check_limits` is what needs no AWS call; `fits` is for when AWS has said how large a brought subnet is and how many
routes a table may have.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import os
from typing import TYPE_CHECKING

from lib.run.errors import SettingError, gathered, raise_all
from lib.settings import sizes
from lib.settings.rules import ROUTES_AT_MOST, partition

if TYPE_CHECKING:
    from lib.settings.config import Config

ROUTES_DEFAULT = 500  # a route table's quota unless raised; L-93826ACB, "Routes per route table"
_AWS_KEEPS = 5  # addresses of every subnet: the first four and the last (VPC user guide, "Subnet sizing")
_IAM_NAME = 64
_RULES_A_GROUP = 60
_LEAST_PRICE_OF_A_GROUP = 0.001  # Auto Scaling API reference, InstancesDistribution: SpotMaxPrice

# What listens on a node already: ssh, etcd, kubelet, kube-proxy, scheduler, controller managers. NodePorts come on top.
_NODE_PORTS = frozenset({22, 2379, 2380, 2381, *range(10248, 10260)})
_SERVICE_PORTS = range(30000, 32768)


def check_limits(config: Config) -> None:
    """SettingError for all that settings do not agree on."""
    raise_all([error for agree in _CHECKS for error in gathered(functools.partial(agree, config))])


# --- what fits


def fits(config: Config, *, subnet_prefix: int, routes_quota: int = ROUTES_DEFAULT) -> None:
    """SettingError when the nodes do not fit the subnet, the pods' range or the route table."""
    check_subnet(config, prefix=subnet_prefix)
    check_pod_range(config)
    check_routes(config, quota=routes_quota)


def nodes_at_most(config: Config) -> int:
    """How many minions there can be: NUM_NODES, or what the cluster autoscaler may make of it."""
    return config.kube_autoscaler_max_nodes if config.kube_enable_cluster_autoscaler else config.num_nodes


def check_subnet(config: Config, *, prefix: int) -> None:
    """SettingError when a subnet of that prefix has too few addresses: one for a node, two while it is replaced."""
    nodes, has = nodes_at_most(config), 2 ** (32 - prefix) - _AWS_KEEPS
    if nodes + 2 > has:
        raise SettingError(
            _counts(config),
            f"{nodes} minions + the master + 1 spare for replacing a minion need {nodes + 2} addresses, "
            f"and a /{prefix} subnet has {has} (AWS keeps {_AWS_KEEPS})",
            f"set it to {max(has - 2, 0)} or less, or KUBE_SUBNET_CIDR to a /{_prefix_for(nodes + 2 + _AWS_KEEPS)}",
        )


def check_pod_range(config: Config) -> None:
    """SettingError when CLUSTER_IP_RANGE has fewer /24s than there are nodes, the master included."""
    nodes = nodes_at_most(config)
    prefix = ipaddress.IPv4Network(config.cluster_ip_range).prefixlen
    has = 2 ** (24 - prefix)
    if nodes + 1 > has:
        raise SettingError(
            _counts(config),
            f"{nodes} minions + the master need {nodes + 1} ranges of /24, and {config.cluster_ip_range} has {has}",
            f"set it to {has - 1} or less, or CLUSTER_IP_RANGE to a /{_prefix_for((nodes + 1) * 256)}",
        )


def check_routes(config: Config, *, quota: int) -> None:
    """SettingError when the route table would need more routes than the quota."""
    nodes = nodes_at_most(config)
    if nodes + 3 > quota:
        raise SettingError(
            _counts(config),
            f"{nodes} minions + the master + the local and the default route need {nodes + 3} routes, "
            f"and a route table may have {quota}",
            f"set it to {max(quota - 3, 0)} or less" + _raise_routes(nodes + 3, quota),
        )


def _raise_routes(needed: int, quota: int) -> str:
    if not quota < needed <= ROUTES_AT_MOST:
        return f" (AWS raises that quota to {ROUTES_AT_MOST} at most)"
    return f", or have the quota 'Routes per route table' raised to {needed} (at most {ROUTES_AT_MOST})"


def _counts(config: Config) -> str:
    return "KUBE_AUTOSCALER_MAX_NODES" if config.kube_enable_cluster_autoscaler else "NUM_NODES"


def _prefix_for(addresses: int) -> int:
    return 32 - (addresses - 1).bit_length()


def _pods_and_addresses(config: Config) -> None:
    check_pod_range(config)
    if config.subnet_cidr:
        check_subnet(config, prefix=ipaddress.IPv4Network(config.subnet_cidr).prefixlen)


# --- addresses


def _subnet_in_vpc(config: Config) -> None:
    if not config.subnet_cidr or config.vpc_id or config.subnet_id:
        return  # a brought VPC's ranges are AWS's to say
    if not _inside(config.subnet_cidr, config.vpc_cidr):
        right = f"give a part of it, or set KUBE_VPC_CIDR_BASE ({config.kube_vpc_cidr_base})"
        raise SettingError("KUBE_SUBNET_CIDR", f"{config.subnet_cidr} is not inside the VPC's {config.vpc_cidr}", right)


def _no_overlaps(config: Config) -> None:
    ranges = {
        "KUBE_VPC_CIDR_BASE": "" if config.vpc_id or config.subnet_id else config.vpc_cidr,
        "KUBE_SUBNET_CIDR": config.subnet_cidr if config.vpc_id else "",
        "CLUSTER_IP_RANGE": config.cluster_ip_range,
        "SERVICE_CLUSTER_IP_RANGE": config.service_cluster_ip_range,
    }
    for (one, first), (other, second) in itertools.combinations(ranges.items(), 2):
        if first and second and ipaddress.IPv4Network(first).overlaps(ipaddress.IPv4Network(second)):
            raise SettingError(
                other, f"{second} overlaps {first} ({one})", "give ranges that have no address in common"
            )


def _pods_not_masqueraded(config: Config) -> None:
    pods, inside = config.cluster_ip_range, config.non_masquerade_cidr
    if not _inside(pods, inside):
        problem = f"{inside} does not contain CLUSTER_IP_RANGE ({pods})"
        raise SettingError("NON_MASQUERADE_CIDR", problem, masquerade_hint(config))


def masquerade_hint(config: Config) -> str:
    """The value of NON_MASQUERADE_CIDR that is right wherever CLUSTER_IP_RANGE is, also over a remembered one."""
    return f"give NON_MASQUERADE_CIDR={config.cluster_ip_range}, the pods' own range"


def _master_address(config: Config) -> None:
    if not config.master_internal_ip or not config.subnet_cidr or config.kube_use_existing_master:
        return  # found where the subnet or the master is
    check_master_address(config.master_internal_ip, subnet=config.subnet_cidr)


def check_master_address(ip: str, *, subnet: str) -> None:
    """SettingError when MASTER_INTERNAL_IP is not in the subnet, or is one of the five that AWS keeps there."""
    network = ipaddress.IPv4Network(subnet)
    offset = int(ipaddress.IPv4Address(ip)) - int(network.network_address)
    right = f"give one from {network[4]} to {network[-2]}, or leave it empty"
    if not 0 <= offset < network.num_addresses:
        raise SettingError("MASTER_INTERNAL_IP", f"{ip} is not in the subnet {subnet}", right)
    if offset < 4 or offset == network.num_addresses - 1:
        raise SettingError("MASTER_INTERNAL_IP", f"{ip} is one of the five that AWS keeps in {subnet}", right)


def _dns_address(config: Config) -> None:
    services = ipaddress.IPv4Network(config.service_cluster_ip_range)
    ip = ipaddress.IPv4Address(config.dns_server_ip)
    right = f"give one from {services[2]} to {services[-2]}, or leave it empty for {services[10]}"
    if ip not in services:
        raise SettingError("DNS_SERVER_IP", f"{ip} is not in SERVICE_CLUSTER_IP_RANGE ({services})", right)
    if ip == services[1]:
        raise SettingError("DNS_SERVER_IP", f"{ip} is the first of {services}, which is the API's", right)
    if ip in (services[0], services[-1]):
        raise SettingError("DNS_SERVER_IP", f"{ip} is an end of {services}, which no service can have", right)


def _api_port(config: Config) -> None:
    port = config.kube_api_port
    if port in _NODE_PORTS:
        raise SettingError("KUBE_API_PORT", f"{port} is a port that the node itself uses", "give another, such as 443")
    if port in _SERVICE_PORTS:
        raise SettingError("KUBE_API_PORT", f"{port} is one of the services' ports", "give another, such as 443")


def _inside(inner: str, outer: str) -> bool:
    return ipaddress.IPv4Network(inner).subnet_of(ipaddress.IPv4Network(outer))


# --- sizes, disks, images


def _memory(config: Config) -> None:
    size = config.master_size.partition(".")[2]
    if size in ("nano", "micro"):
        right = "give a type with 2 GiB or more, such as t3.small"
        raise SettingError("MASTER_SIZE", f"{config.master_size} has too little memory for a control plane", right)
    for name, kinds in (("NODE_SIZE", [config.node_size]), ("NODE_SPOT_SIZES", config.node_spot_sizes)):
        for kind in kinds:
            if kind.endswith(".nano"):
                right = "give a larger one, such as t3.small"
                raise SettingError(name, f"{kind} has too little memory for a node", right)


def _spot_sizes(config: Config) -> None:
    price = config.node_spot_price
    if config.node_spot_sizes and price and float(price) < _LEAST_PRICE_OF_A_GROUP:
        problem = f"{price} is less than a group with NODE_SPOT_SIZES takes"
        raise SettingError("NODE_SPOT_PRICE", problem, f"give {_LEAST_PRICE_OF_A_GROUP} or more")


def _disks(config: Config) -> None:
    for size, kind, kind_name, name in (
        (config.master_disk_size, config.master_disk_type, "MASTER_DISK_TYPE", "MASTER_DISK_SIZE"),
        (config.master_root_disk_size, config.master_root_disk_type, "MASTER_ROOT_DISK_TYPE", "MASTER_ROOT_DISK_SIZE"),
        (config.node_root_disk_size, config.node_root_disk_type, "NODE_ROOT_DISK_TYPE", "NODE_ROOT_DISK_SIZE"),
    ):
        low, high = sizes.DISK_LIMITS[kind]
        if not low <= size <= high:
            right = f"give one from {low} to {high}, or another {kind_name}"
            raise SettingError(name, f"{size} GiB is not a size of {kind}", right)


def _etcd_quota(config: Config) -> None:
    quota, disk = config.kube_etcd_quota_gib, config.master_disk_size
    if quota + 2 > disk:  # the audit log has one, and the file system its own
        needed = f"etcd of {quota} GiB, the audit log and the file system need {quota + 2} GiB"
        problem = f"{needed}, and MASTER_DISK_SIZE is {disk}"
        raise SettingError("KUBE_ETCD_QUOTA_GIB", problem, f"give {disk - 2} or less, or MASTER_DISK_SIZE={quota + 2}")


def _images(config: Config) -> None:
    for name, image in (("AWS_IMAGE", config.aws_image), ("KUBE_NODE_IMAGE", config.kube_node_image)):
        if config.partition != "aws" and not image:
            problem = f"is needed in partition {config.partition}, where no image's publisher is known"
            raise SettingError(name, problem, f"give the id of a Debian or Ubuntu image in {config.region}")


# --- names, places, ways out


def _role_names(config: Config) -> None:
    over = len(config.master_role) - _IAM_NAME
    if over > 0:
        problem = f"the role's name {config.master_role} has {len(config.master_role)} characters, and IAM takes 64"
        raise SettingError("KUBE_AWS_INSTANCE_PREFIX", problem, f"shorten it or VPC_NAME by {over}")


def _node_policies(config: Config) -> None:
    if config.kube_node_policies and config.node_iam_profile:
        problem = f"nothing is attached to the role of NODE_IAM_PROFILE ({config.node_iam_profile}), which is yours"
        raise SettingError("KUBE_NODE_POLICIES", problem, "attach them yourself, or leave out NODE_IAM_PROFILE")


def _policies_partition(config: Config) -> None:
    for name, arns in (
        ("KUBE_IAM_PERMISSIONS_BOUNDARY", [config.kube_iam_permissions_boundary]),
        ("KUBE_NODE_POLICIES", config.kube_node_policies),
    ):
        for arn in filter(None, arns):
            if not arn.startswith(f"arn:{config.partition}:"):
                problem = f"{arn} is not of partition {config.partition}, which {config.region} is in"
                raise SettingError(name, problem, f"give one that begins with arn:{config.partition}:iam::")


def _issuer(config: Config) -> None:
    flags = [each.partition("=")[0] for each in config.apiserver_test_args.split()]
    own = [each for each in ("--service-account-issuer", "--service-account-jwks-uri") if each in flags]
    if config.kube_enable_pod_identity and own:
        problem = f"{own[0]} is KUBE_ENABLE_POD_IDENTITY's to set"
        raise SettingError("APISERVER_TEST_ARGS", problem, "leave one of them out")


def _bucket_region(config: Config) -> None:
    if partition(config.aws_s3_region) != config.partition:
        right = f"give a region of partition {config.partition}, or leave it empty"
        raise SettingError("AWS_S3_REGION", f"{config.aws_s3_region} cannot be reached from {config.region}", right)


def _ways_out(config: Config) -> None:
    if config.subnet_id or config.kube_download_mirror:
        return
    for name, public in (
        ("KUBE_ENABLE_NODE_PUBLIC_IP", config.kube_enable_node_public_ip),
        ("KUBE_ENABLE_MASTER_PUBLIC_IP", config.kube_enable_master_public_ip),
    ):
        if not public:
            problem = "false leaves no way to the downloads"
            raise SettingError(name, problem, "set SUBNET_ID to a subnet with a NAT gateway, or KUBE_DOWNLOAD_MIRROR")


def _rules_of_group(config: Config) -> None:
    """A group has 60 rules each way unless its quota is raised, each range of an option one a protocol (L-0EA8095F)."""
    ssh, balancers = len(config.ssh_cidr), len(config.kube_load_balancer_cidr)
    rules = 2 + ssh + 2 * balancers
    if balancers and rules > _RULES_A_GROUP:
        problem = f"{balancers} ranges for tcp and udp + {ssh} of SSH_CIDR + 2 within the cluster are {rules} rules"
        raise SettingError("KUBE_LOAD_BALANCER_CIDR", problem, f"give fewer: a security group has {_RULES_A_GROUP}")


def _files(config: Config) -> None:
    key = config.aws_ssh_key
    for path in config.kubeconfig.split(os.pathsep):
        if path in (key, f"{key}.pub"):
            raise SettingError("AWS_SSH_KEY", f"{key} and KUBECONFIG ({path}) are one file", "give two")


def _autoscaler(config: Config) -> None:
    if not config.kube_enable_cluster_autoscaler:
        return
    low, high, nodes = config.kube_autoscaler_min_nodes, config.kube_autoscaler_max_nodes, config.num_nodes
    if low > high:
        problem = f"{low} is more than KUBE_AUTOSCALER_MAX_NODES ({high})"
        raise SettingError("KUBE_AUTOSCALER_MIN_NODES", problem, f"give {high} or less")
    if not low <= nodes <= high:
        problem = f"{nodes} is not between KUBE_AUTOSCALER_MIN_NODES ({low}) and KUBE_AUTOSCALER_MAX_NODES ({high})"
        raise SettingError("NUM_NODES", problem, f"give one from {low} to {high}, or change these two")


def _notready(config: Config) -> None:
    if config.allowed_notready_nodes > config.num_nodes:
        problem = f"{config.allowed_notready_nodes} is more than NUM_NODES ({config.num_nodes})"
        raise SettingError("ALLOWED_NOTREADY_NODES", problem, f"give {config.num_nodes} or less")


_CHECKS = (
    _role_names,
    _node_policies,
    _policies_partition,
    _issuer,
    _bucket_region,
    _images,
    _memory,
    _spot_sizes,
    _disks,
    _etcd_quota,
    _subnet_in_vpc,
    _no_overlaps,
    _pods_not_masqueraded,
    _master_address,
    _dns_address,
    _api_port,
    _autoscaler,
    _pods_and_addresses,
    _notready,
    _files,
    _rules_of_group,
    _ways_out,
)
