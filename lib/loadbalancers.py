"""Load balancers that Kubernetes, or a controller in it, made: found by the cluster's tag or its, removed by down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.aws import error_code
from lib.tags import is_ours, other_owner, tags_of

if TYPE_CHECKING:
    from lib.aws import Aws
    from lib.config import Config

# On all that the AWS load balancer controller makes: load balancers, target groups, security groups.
# https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/
CONTROLLER_TAG = "elbv2.k8s.aws/cluster"
_TAGS_PER_CALL = 20  # both DescribeTags take no more names at once


@dataclass(frozen=True)
class Balancer:
    """A load balancer of either kind; `arn` is '' for a classic one."""

    name: str
    arn: str = ""


def find_balancers(aws: Aws, config: Config) -> list[Balancer]:
    """The cluster's own load balancers of both kinds."""
    return [*_classic(aws, config), *_modern(aws, config)]


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[start : start + _TAGS_PER_CALL] for start in range(0, len(items), _TAGS_PER_CALL))


def _classic(aws: Aws, config: Config) -> Iterator[Balancer]:
    pages = aws.elb.get_paginator("describe_load_balancers").paginate()
    names = [b["LoadBalancerName"] for page in pages for b in page["LoadBalancerDescriptions"]]
    for some in _chunks(names):
        for described in _tags(lambda few: aws.elb.describe_tags(LoadBalancerNames=few)["TagDescriptions"], some):
            if _ours(config, described):
                yield Balancer(described["LoadBalancerName"])


def _tags(describe: Callable[[list[str]], Sequence[Any]], names: Sequence[str]) -> Sequence[Any]:
    """The tags of all that are still there; someone may remove a load balancer of theirs while we look."""
    try:
        return describe(list(names))
    except ClientError as error:
        if "NotFound" not in error_code(error):
            raise
        return [found for name in names for found in _tags(describe, [name])] if len(names) > 1 else []


def _modern(aws: Aws, config: Config) -> Iterator[Balancer]:
    pages = aws.elbv2.get_paginator("describe_load_balancers").paginate()
    names = {b["LoadBalancerArn"]: b["LoadBalancerName"] for page in pages for b in page["LoadBalancers"]}
    for arn in _own_arns(aws, config, list(names)):
        yield Balancer(names[arn], arn=arn)


def _own_arns(aws: Aws, config: Config, arns: Sequence[str]) -> Iterator[str]:
    for some in _chunks(arns):
        for described in _tags(lambda few: aws.elbv2.describe_tags(ResourceArns=few)["TagDescriptions"], some):
            if _ours(config, described):
                yield described["ResourceArn"]


def _ours(config: Config, described: Mapping[str, Any]) -> bool:
    """By the cluster's tags, or that of the AWS load balancer controller, whose --cluster-name is the cluster's id."""
    tags = tags_of(described)
    by_controller = tags.get(CONTROLLER_TAG) == config.cluster_id and not other_owner(config.cluster_id, tags)
    return by_controller or is_ours(config.cluster_id, tags)


def find_target_groups(aws: Aws, config: Config) -> list[str]:
    """The ARNs of the cluster's own target groups; they outlive their load balancer."""
    pages = aws.elbv2.get_paginator("describe_target_groups").paginate()
    return list(_own_arns(aws, config, [g["TargetGroupArn"] for page in pages for g in page["TargetGroups"]]))


def delete_balancer(aws: Aws, balancer: Balancer) -> None:
    """Remove a load balancer of the cluster's. Its interfaces go some seconds later."""
    words = f"load balancer {balancer.name}"
    if balancer.arn:
        aws.remove("delete", words, lambda: aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer.arn))
    else:
        aws.remove("delete", words, lambda: aws.elb.delete_load_balancer(LoadBalancerName=balancer.name))


def delete_target_group(aws: Aws, arn: str, *, waits: bool) -> None:
    """Remove a target group of the cluster's, once its load balancer is gone; `waits`, if all of them go."""
    aws.remove(
        "delete",
        f"target group {arn.split('/')[-2]}",
        lambda: aws.elbv2.delete_target_group(TargetGroupArn=arn),
        retry_on=["ResourceInUse"] if waits else [],
    )
