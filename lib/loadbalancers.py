"""Load balancers that Kubernetes, or a controller in it, made: found by the cluster's tag or its, removed by down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from lib.aws.errors import ErrorKind, classify
from lib.aws.tags import Disputed, other_owner, sorted_out, tags_of

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config

# On all that the AWS load balancer controller makes: load balancers, target groups, security groups.
# https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/
CONTROLLER_TAG = "elbv2.k8s.aws/cluster"
T = TypeVar("T")
_TAGS_PER_CALL = 20  # both DescribeTags take no more names at once


@dataclass(frozen=True)
class Balancer:
    """A load balancer of either kind; `arn` is '' for a classic one."""

    name: str
    arn: str = ""


def find_balancers(aws: Aws, config: Config) -> list[Balancer | Disputed]:
    """The cluster's own load balancers of both kinds, with those in dispute."""
    return [*_classic(aws, config), *_modern(aws, config)]


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[start : start + _TAGS_PER_CALL] for start in range(0, len(items), _TAGS_PER_CALL))


def _classic(aws: Aws, config: Config) -> Iterator[Balancer | Disputed]:
    pages = aws.elb.get_paginator("describe_load_balancers").paginate()
    names = [b["LoadBalancerName"] for page in pages for b in page["LoadBalancerDescriptions"]]
    for some in _chunks(names):
        for described in _tags(lambda few: aws.elb.describe_tags(LoadBalancerNames=few)["TagDescriptions"], some):
            name = described["LoadBalancerName"]
            yield from _sorted_out(config, Balancer(name), f"load balancer {name}", described)


def _tags(describe: Callable[[list[str]], Sequence[Any]], names: Sequence[str]) -> Sequence[Any]:
    """The tags of all that are still there; someone may remove a load balancer of theirs while we look."""
    try:
        return describe(list(names))
    except ClientError as error:
        if classify(error) is not ErrorKind.NOT_FOUND:
            raise
        return [found for name in names for found in _tags(describe, [name])] if len(names) > 1 else []


def _modern(aws: Aws, config: Config) -> Iterator[Balancer | Disputed]:
    pages = aws.elbv2.get_paginator("describe_load_balancers").paginate()
    names = {b["LoadBalancerArn"]: b["LoadBalancerName"] for page in pages for b in page["LoadBalancers"]}
    for described in _described(aws, list(names)):
        arn = described["ResourceArn"]
        yield from _sorted_out(config, Balancer(names[arn], arn=arn), f"load balancer {names[arn]}", described)


def _described(aws: Aws, arns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for some in _chunks(arns):
        yield from _tags(lambda few: aws.elbv2.describe_tags(ResourceArns=few)["TagDescriptions"], some)


def _sorted_out(config: Config, item: T, words: str, described: Mapping[str, Any]) -> list[T | Disputed]:
    """By the cluster's tags, or that of the AWS load balancer controller, whose --cluster-name is the cluster's id."""
    tags = tags_of(described)
    if tags.get(CONTROLLER_TAG) == config.cluster_id and not other_owner(config.cluster_id, tags):
        return [item]
    return sorted_out(config.cluster_id, item, words, tags)


def find_target_groups(aws: Aws, config: Config) -> list[str | Disputed]:
    """The ARNs of the cluster's own target groups, which outlive their load balancer, with those in dispute."""
    pages = aws.elbv2.get_paginator("describe_target_groups").paginate()
    arns = [group["TargetGroupArn"] for page in pages for group in page["TargetGroups"]]
    described = [(each["ResourceArn"], each) for each in _described(aws, arns)]
    return [item for arn, each in described for item in _sorted_out(config, arn, f"target group {arn}", each)]


def delete_balancer(aws: Aws, balancer: Balancer) -> None:
    """Remove a load balancer of the cluster's. Its interfaces go some seconds later."""
    words = f"load balancer {balancer.name}"
    if balancer.arn:
        aws.remove("delete", words, lambda: aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer.arn))
    else:
        aws.remove("delete", words, lambda: aws.elb.delete_load_balancer(LoadBalancerName=balancer.name))


def delete_target_group(*, waits: bool) -> Callable[[Aws, str], None]:
    """A function that removes a target group of the cluster's, once its load balancer is gone; `waits`, if all go."""

    def delete(aws: Aws, arn: str) -> None:
        aws.remove(
            "delete",
            f"target group {arn.split('/')[-2]}",
            lambda: aws.elbv2.delete_target_group(TargetGroupArn=arn),
            retry_on=["ResourceInUse"] if waits else [],
        )

    return delete
