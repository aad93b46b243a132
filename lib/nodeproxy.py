"""A way out through a proxy (KUBE_HTTP_PROXY): what of a cluster is asked past it.

What runs on a node knows a proxy by three variables of its environment: curl and apt in the bootstrap, containerd and
the kubelet (for ECR) in their units, and the addons that call AWS in their manifests. All of them read NO_PROXY alike:
addresses, ranges, and names with all that is below them (golang.org/x/net/http/httpproxy; curl from 7.86.0 on).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config

METADATA = "169.254.169.254"


def with_own_places(aws: Aws, config: Config, blocks: Sequence[str], *, vpc_id: str) -> Config:
    """The settings with KUBE_NO_PROXY as nodes behind KUBE_HTTP_PROXY need it: what was set, and the cluster's own.

    `blocks` are the VPC's ranges, `vpc_id` is '' for one that is yet to be made.
    """
    given = [each for each in config.kube_no_proxy.split(",") if each]
    own = [
        *("localhost", "127.0.0.1", METADATA),
        *blocks,
        config.cluster_ip_range,
        config.service_cluster_ip_range,
        f".{config.dns_domain}",
        ".svc",
        f".{config.dhcp_domain}",
        *_s3(aws, vpc_id),
    ]
    listed = ",".join(dict.fromkeys([*given, *own]))
    return dataclasses.replace(config, kube_no_proxy=listed)


def _s3(aws: Aws, vpc_id: str) -> list[str]:
    """S3's name, and with it each bucket's, where the VPC has a gateway endpoint for it; else the proxy leads there."""
    asked: Any = [{"Name": "vpc-id", "Values": [vpc_id]}]
    found = aws.every("describe_vpc_endpoints", "VpcEndpoints", Filters=asked) if vpc_id else []
    wanted = f".{aws.region}.s3"
    gateways = [
        each for each in found if each.get("VpcEndpointType") == "Gateway" and each["ServiceName"].endswith(wanted)
    ]
    return [f"s3.{aws.region}.{aws.dns_suffix}"] if gateways else []
