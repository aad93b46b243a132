"""The master's alarms: a failing machine is moved to a sound one, a hanging system is rebooted (reboot-on-failure).

An alarm names an instance, so each new master's take the place of the last one's, under the same two names.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/UsingAlarmActions.html
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lib.aws.changes import Planned, became
from lib.aws.errors import unless
from lib.aws.tags import Disputed, cluster_tags, other_owner, refuse_others, sorted_out, tag_list, tags_of
from lib.cluster import Cluster

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricAlarmTypeDef

    from lib.aws.client import Aws
    from lib.settings.config import Config

# The action, the check that calls for it, and for how many minutes it must have failed. AWS asks for different numbers,
# so that both actions do not begin at once.
_ACTIONS = (("recover", "StatusCheckFailed_System", 2), ("reboot", "StatusCheckFailed_Instance", 3))


def ensure_alarms(aws: Aws, cluster: Cluster) -> None:
    """Have the master recovered or rebooted by AWS when its status checks fail."""
    config, instance_id = cluster.config, cluster.master.instance_id
    there = {} if isinstance(instance_id, Planned) else {each["AlarmName"]: each for each in _own(aws, config)}
    for wanted in _wanted(aws, config, instance_id):
        name = wanted["AlarmName"]
        found: Mapping[str, Any] = there.get(name, {})
        if all(found.get(key) == value for key, value in wanted.items()):
            aws.console.found(f"alarm {name}")
        else:
            if found:
                refuse_others(config.cluster_id, f"alarm {name}", _tags(aws, found))
            put = functools.partial(aws.cloudwatch.put_metric_alarm, **wanted, Tags=tag_list(cluster_tags(config)))
            aws.change("set", f"alarm {name} of {instance_id}{_drift(found, wanted)}", put)


def _drift(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What somebody changed of an alarm: ": Period 60 → 300"."""
    changed = [became(key, found.get(key), value) for key, value in wanted.items() if found and found.get(key) != value]
    return f": {', '.join(changed)}" if changed else ""


def for_bootstrap(aws: Aws) -> str:
    """The same alarms, for a master that makes its own (templates/bootstrap-master.sh): METRIC:MINUTES:ACTION, each."""
    return " ".join(f"{metric}:{minutes}:{_arn(aws, action)}" for action, metric, minutes in _ACTIONS)


def _arn(aws: Aws, action: str) -> str:
    return f"arn:{aws.partition}:automate:{aws.region}:ec2:{action}"


def _wanted(aws: Aws, config: Config, instance_id: str) -> Iterator[dict[str, Any]]:
    for action, metric, minutes in _ACTIONS:
        yield {
            "AlarmName": _name(config, action),
            "AlarmActions": [_arn(aws, action)],
            "ActionsEnabled": True,
            "Namespace": "AWS/EC2",
            "MetricName": metric,
            "Dimensions": [{"Name": "InstanceId", "Value": instance_id}],
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": minutes,
            "Threshold": 1.0,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        }


def _name(config: Config, action: str) -> str:
    return f"{config.master_name}-{action}"


def _own(aws: Aws, config: Config) -> list[MetricAlarmTypeDef]:
    names = [_name(config, action) for action, _, _ in _ACTIONS]
    return _described(aws, AlarmNames=names)


def find_alarms(aws: Aws, config: Config, instance_ids: Sequence[str]) -> list[str | Disputed]:
    """The names of the master's alarms, and of those that were made for these instances as the original named them.

    Those that are tagged for another cluster are not among them; those that are so too are, in words.
    """
    found = _own(aws, config)
    for instance_id in instance_ids:
        found += _described(aws, AlarmNamePrefix=f"k8s-{instance_id}-")
    return [item for alarm in found for item in _sorted_out(aws, config, alarm)]


def _sorted_out(aws: Aws, config: Config, alarm: Mapping[str, Any]) -> list[str | Disputed]:
    """By its name ours without a tag, too."""
    name, tags = alarm["AlarmName"], _tags(aws, alarm)
    if not other_owner(config.cluster_id, tags):
        return [name]
    return sorted_out(config.cluster_id, name, f"alarm {name}", tags)


def _tags(aws: Aws, alarm: Mapping[str, Any]) -> dict[str, str]:
    arn = alarm["AlarmArn"]
    answer = unless("ResourceNotFoundException", lambda: aws.cloudwatch.list_tags_for_resource(ResourceARN=arn))
    return tags_of(answer or {})  # somebody may have removed it meanwhile


def own_with_tags(aws: Aws, config: Config) -> list[tuple[MetricAlarmTypeDef, dict[str, str]]]:
    """The master's alarms with their tags, but for those of another cluster."""
    found = [(alarm, _tags(aws, alarm)) for alarm in _own(aws, config)]
    return [(alarm, tags) for alarm, tags in found if not other_owner(config.cluster_id, tags)]


def tag_alarm(aws: Aws, alarm: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """The call that puts these tags on an alarm that is there, for which PutMetricAlarm takes none."""
    aws.cloudwatch.tag_resource(ResourceARN=alarm["AlarmArn"], Tags=tag_list(wanted))


def untag_alarm(aws: Aws, alarm: Mapping[str, Any], keys: Sequence[str]) -> None:
    """The call that takes these tags off an alarm."""
    aws.cloudwatch.untag_resource(ResourceARN=alarm["AlarmArn"], TagKeys=list(keys))


def _described(aws: Aws, **which: Any) -> list[MetricAlarmTypeDef]:
    pages = aws.cloudwatch.get_paginator("describe_alarms").paginate(**which)
    return [alarm for page in pages for alarm in page["MetricAlarms"]]


def delete_alarm(aws: Aws, name: str) -> None:
    """Remove an alarm."""
    aws.remove("delete", f"alarm {name}", lambda: aws.cloudwatch.delete_alarms(AlarmNames=[name]))
