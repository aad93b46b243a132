"""Calls that AWS refuses for who makes them: rights that are missing, credentials that expire in mid-run."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
from collections.abc import Iterator

from sandbox.backend import answers, cloud
from sandbox.calls import Answer, Call, Refusal
from sandbox.faults import refuse

JSON_SERVICES = ("ssm", "service-quotas", "pricing", "scheduler")

PREFIXES = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
# Calls whose action has another name, or that need more than one: "Actions, resources, and condition keys" of each
# service in AWS's service authorization reference.
ACTIONS = {
    ("autoscaling", "CreateAutoScalingGroup"): (
        "autoscaling:CreateAutoScalingGroup",
        "autoscaling:CreateOrUpdateTags",
        "ec2:RunInstances",  # whoever names a launch template must be allowed to launch from it
        "ec2:CreateTags",
        "iam:CreateServiceLinkedRole",  # the first group, and the first spot instance, of an account
        "iam:PassRole",
    ),
    ("ec2", "RunInstances"): ("ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"),
    ("iam", "AddRoleToInstanceProfile"): ("iam:AddRoleToInstanceProfile", "iam:PassRole"),
    ("iam", "CreateInstanceProfile"): ("iam:CreateInstanceProfile", "iam:TagInstanceProfile"),
    ("iam", "CreateOpenIDConnectProvider"): ("iam:CreateOpenIDConnectProvider", "iam:TagOpenIDConnectProvider"),
    ("iam", "CreateRole"): ("iam:CreateRole", "iam:TagRole"),
    ("cloudwatch", "PutMetricAlarm"): (
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:TagResource",  # it is tagged in that call
        "iam:CreateServiceLinkedRole",  # the account's first alarm with an action on an instance
    ),
    ("s3", "CreateBucket"): ("s3:CreateBucket", "s3:TagResource"),  # it is tagged in that call
    ("s3", "DeleteObjects"): ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    ("s3", "GetBucketEncryption"): ("s3:GetEncryptionConfiguration",),
    ("s3", "GetBucketLifecycleConfiguration"): ("s3:GetLifecycleConfiguration",),
    ("s3", "GetPublicAccessBlock"): ("s3:GetBucketPublicAccessBlock",),
    ("s3", "HeadBucket"): ("s3:ListBucket",),
    ("s3", "HeadObject"): ("s3:GetObjectVersion",),  # of one that names a version
    ("s3", "ListBuckets"): ("s3:ListAllMyBuckets",),
    ("s3", "ListObjectVersions"): ("s3:ListBucketVersions",),
    ("s3", "ListObjectsV2"): ("s3:ListBucket",),
    ("s3", "PutBucketEncryption"): ("s3:PutEncryptionConfiguration",),
    ("s3", "PutBucketLifecycleConfiguration"): ("s3:PutLifecycleConfiguration",),
    ("s3", "PutPublicAccessBlock"): ("s3:PutBucketPublicAccessBlock",),
    ("s3control", "GetPublicAccessBlock"): ("s3:GetAccountPublicAccessBlock",),
    ("scheduler", "CreateSchedule"): ("scheduler:CreateSchedule", "iam:PassRole"),
    ("scheduler", "CreateScheduleGroup"): ("scheduler:CreateScheduleGroup", "scheduler:TagResource"),
    ("scheduler", "DeleteScheduleGroup"): ("scheduler:DeleteScheduleGroup", "scheduler:DeleteSchedule"),
    ("scheduler", "UpdateSchedule"): ("scheduler:UpdateSchedule", "iam:PassRole"),
    ("sts", "GetCallerIdentity"): (),  # everybody may
}


def actions(service: str, operation: str) -> tuple[str, ...]:
    """The IAM actions that a call needs, its own first."""
    return ACTIONS.get((service, operation), (f"{PREFIXES.get(service, service)}:{operation}",))


class Deny:
    """The user lacks the rights to these actions; `*` and `?` stand in them for what they stand for in a policy."""

    def __init__(self, *patterns: str) -> None:
        self._patterns = [pattern.lower() for pattern in patterns]

    def before(self, call: Call) -> Answer | None:
        """Refuse a call that needs one of them, and name it."""
        if not call.number:
            return None
        for action in _needed(call):
            if self._lacks(action):
                return refuse(call, f"denied {action}", _denied(call, action))
        if call.operation == "SimulatePrincipalPolicy":
            names = call.params.get("ActionNames", [])
            return answers.simulated(call, {name: "implicitDeny" for name in names if self._lacks(name)})
        return None

    def _lacks(self, action: str) -> bool:
        return any(fnmatch.fnmatchcase(action.lower(), pattern) for pattern in self._patterns)


def _needed(call: Call) -> Iterator[str]:
    if (call.service, call.operation) == ("s3", "GetObject") and call.params.get("VersionId"):
        yield "s3:GetObjectVersion"
    else:
        yield from actions(call.service, call.operation)
    if call.service == "ec2" and call.params.get("TagSpecifications"):
        yield "ec2:CreateTags"


def _denied(call: Call, action: str) -> Refusal:
    because = f"because no identity-based policy allows the {action} action"
    partition = cloud.partition(call.region)
    user = f"arn:{partition}:iam::{cloud.ACCOUNT}:user/moto"  # as sts get-caller-identity says
    words = f"User: {user} is not authorized to perform: {action}"
    if call.service == "ec2":
        words = f"You are not authorized to perform this operation. {words}"
        if call.changes:
            resource = f"arn:{partition}:ec2:{call.region}:{cloud.ACCOUNT}:*/*"
            return Refusal("UnauthorizedOperation", f"{words} on resource: {resource} {because}. {_encoded(call)}", 403)
        return Refusal("UnauthorizedOperation", f"{words} {because}", 403)
    if call.service in JSON_SERVICES:
        return Refusal("AccessDeniedException", f"{words} {because}", 400)
    return Refusal("AccessDenied", f"{words} on resource: {_resource(call)} {because}", 403)


def _encoded(call: Call) -> str:
    """What only sts decode-authorization-message can read: long, and of no use to a person."""
    seed = f"{call.operation} {call.number}".encode()
    blob = b"".join(hashlib.sha512(seed + bytes([part])).digest() for part in range(8))
    return f"Encoded authorization failure message: {base64.urlsafe_b64encode(blob).decode().rstrip('=')}"


def _resource(call: Call) -> str:
    if call.service == "s3":
        key = f"/{call.params['Key']}" if call.params.get("Key") else ""
        return f'"arn:{cloud.partition(call.region)}:s3:::{call.params.get("Bucket", "*")}{key}"'
    if call.service == "iam":
        for kind, name in (("role", "RoleName"), ("instance profile", "InstanceProfileName")):
            if call.params.get(name):
                return f"{kind} {call.params[name]}"
    return "*"


class Expire:
    """The credentials have expired from call `number` on, for each process that comes: nobody renews them."""

    def __init__(self, number: int) -> None:
        self._number = number

    def before(self, call: Call) -> Answer | None:
        """Refuse whatever comes after the end."""
        if not call.number or call.number < self._number:
            return None
        return refuse(call, "token expired", EXPIRED.get(call.service, TOKEN_EXPIRED))


EXPIRED: dict[str, Refusal] = {
    "ec2": Refusal("RequestExpired", "Request has expired.", 400),
    "s3": Refusal("ExpiredToken", "The provided token has expired.", 400),
    **{
        service: Refusal("ExpiredTokenException", "The security token included in the request is expired", 400)
        for service in JSON_SERVICES
    },
}
TOKEN_EXPIRED = Refusal("ExpiredToken", "The security token included in the request is expired", 403)
