"""CloudWatch alarms of the master, by the prefix of their names (the original's delete of k8s-<instance>-*)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.aws import Aws


def find_alarms(aws: Aws, instance_ids: Sequence[str]) -> list[str]:
    """The names of the alarms that were made for these instances."""
    found: list[str] = []
    for instance_id in instance_ids:
        pages = aws.cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"k8s-{instance_id}-")
        found += [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    return found


def delete_alarm(aws: Aws, name: str) -> None:
    """Remove an alarm."""
    aws.remove("delete", f"alarm {name}", lambda: aws.cloudwatch.delete_alarms(AlarmNames=[name]))
