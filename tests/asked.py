"""What a call asks of IAM: its actions, each with the resource that it is on and the condition keys that are known.

From the tables "Actions, resources, and condition keys" of each service in AWS's service authorization reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.backend import cloud
from sandbox.calls import Call
from sandbox.faults import denials

_KINDS = {
    "vpc": "vpc",
    "subnet": "subnet",
    "igw": "internet-gateway",
    "rtb": "route-table",
    "dopt": "dhcp-options",
    "sg": "security-group",
    "eni": "network-interface",
    "eipalloc": "elastic-ip",
    "vol": "volume",
    "i": "instance",
    "lt": "launch-template",
}
_ID = re.compile(rf"({'|'.join(_KINDS)})-[0-9a-f]{{17}}")
_LINKED = {
    ("autoscaling", "CreateAutoScalingGroup"): ("autoscaling", "spot"),
    ("cloudwatch", "PutMetricAlarm"): ("events",),
}


@dataclass(frozen=True)
class Need:
    """One action on one resource."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass
class Asked:
    """A hook that notes what the calls need."""

    needs: set[Need] = field(default_factory=set)
    _minions_profile: str = ""  # a group's call names a launch template only

    def __call__(self, call: Call) -> None:
        """Note a call of a client's."""
        if not call.number:
            return
        if "LaunchTemplateData" in call.params:
            self._minions_profile = call.params["LaunchTemplateData"]["IamInstanceProfile"]["Name"]
        for action in denials.actions(call.service, call.operation):
            self.needs.update(self._needs(call, action))

    def _needs(self, call: Call, action: str) -> Iterator[Need]:
        service = action.partition(":")[0]
        if action == "iam:CreateServiceLinkedRole":
            for linked in _LINKED[call.service, call.operation]:
                name = f"{linked}.amazonaws.com"
                yield Need(action, _iam(f"role/aws-service-role/{name}/X"), {"iam:AWSServiceName": name})
        elif action == "iam:PassRole":
            profile = call.params.get("IamInstanceProfile", {}).get("Name", "") or self._minions_profile
            given = call.params.get("Target", {}).get("RoleArn", "").rpartition("/")[2]
            yield Need(action, _iam(f"role/{given or call.params.get('RoleName') or profile}"))
        else:
            for resource in _RESOURCES.get(service, _anything)(call):
                yield Need(action, resource)


def _iam(name: str) -> str:
    return f"arn:aws:iam::{cloud.ACCOUNT}:{name}"


def _arn(call: Call, service: str, name: str) -> str:
    return f"arn:aws:{service}:{call.region}:{cloud.ACCOUNT}:{name}"


def _anything(_: Call) -> Iterator[str]:
    yield "*"


def _of_iam(call: Call) -> Iterator[str]:
    if call.operation == "SimulatePrincipalPolicy":
        yield call.params["PolicySourceArn"]
    elif call.operation in ("ListRoles", "ListInstanceProfiles", "ListOpenIDConnectProviders"):
        yield "*"  # of the whole account
    elif "OpenIDConnectProvider" in call.operation:
        named = call.params.get("Url", "").replace("https:/", "oidc-provider")
        yield call.params.get("OpenIDConnectProviderArn") or _iam(named)
    elif call.operation == "GetPolicy":
        yield call.params["PolicyArn"]
    elif call.params.get("InstanceProfileName"):
        yield _iam(f"instance-profile/{call.params['InstanceProfileName']}")
    else:
        yield _iam(f"role/{call.params['RoleName']}")


def _of_s3(call: Call) -> Iterator[str]:
    if call.service == "s3control":
        yield "*"
        return
    bucket = f"arn:aws:s3:::{call.params['Bucket']}"
    keys = [each["Key"] for each in call.params.get("Delete", {}).get("Objects", [])]
    if call.params.get("Key"):
        keys = [call.params["Key"]]
    yield from (f"{bucket}/{key}" for key in keys) if keys else (bucket,)


def _of_ssm(call: Call) -> Iterator[str]:
    yield from (f"arn:aws:ssm:{call.region}::parameter{name}" for name in call.params["Names"])


def _of_cloudwatch(call: Call) -> Iterator[str]:
    if "ResourceARN" in call.params:
        yield call.params["ResourceARN"]
        return
    names = [call.params["AlarmName"]] if call.params.get("AlarmName") else call.params.get("AlarmNames") or ["*"]
    yield from (_arn(call, "cloudwatch", f"alarm:{name}") for name in names)


def _of_ec2(call: Call) -> Iterator[str]:
    found = {match[0]: match[1] for match in _ID.finditer(str(call.params))} if call.changes else {}
    yield from (_arn(call, "ec2", f"{_KINDS[kind]}/{each}") for each, kind in found.items()) if found else ("*",)


def _of_autoscaling(call: Call) -> Iterator[str]:
    name: Any = call.params.get("AutoScalingGroupName")
    yield _arn(call, "autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{name}") if name else "*"


def _of_scheduler(call: Call) -> Iterator[str]:
    """A group, and by its end all that is in it."""
    name = call.params.get("GroupName") or call.params.get("ResourceArn", "").rpartition("/")[2] or call.params["Name"]
    if "Schedule" in call.operation and "Group" not in call.operation:
        yield _arn(call, "scheduler", f"schedule/{name}/{call.params['Name']}")
    else:
        yield _arn(call, "scheduler", f"schedule-group/{name}")


def _of_route53(call: Call) -> Iterator[str]:
    zone = call.params.get("HostedZoneId", "").rpartition("/")[2]
    yield f"arn:aws:route53:::hostedzone/{zone}" if zone else "*"


_RESOURCES = {
    "autoscaling": _of_autoscaling,
    "cloudwatch": _of_cloudwatch,
    "ec2": _of_ec2,
    "iam": _of_iam,
    "route53": _of_route53,
    "s3": _of_s3,
    "scheduler": _of_scheduler,
    "ssm": _of_ssm,
}
