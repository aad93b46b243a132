"""EC2's instances, out of the reservations that it lists them in: by the call that made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from lib.aws.client import Aws

RUNNING = ("pending", "running")
ALIVE = (*RUNNING, "stopping", "stopped", "shutting-down")  # not terminated, as EC2 shows it for a while


def describe_instances(aws: Aws, filters: Iterable[Any] = (), *, states: Sequence[str]) -> list[InstanceTypeDef]:
    """The instances that meet the filters and are in one of the states, RUNNING, ALIVE or others."""
    asked: list[Any] = [*filters, {"Name": "instance-state-name", "Values": list(states)}]
    reservations = aws.every("describe_instances", "Reservations", Filters=asked)
    return [instance for reservation in reservations for instance in reservation["Instances"]]
