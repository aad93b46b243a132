"""Which rights a change takes, read from the code that would make it: a dry run has that, and calls nothing.

What is read are the names in a function, in those within it, in what it is bound to, and in functions of its own
module, or methods of its own class, that it names: `ec2` and `create_vpc` are ec2:CreateVpc. So a right may be found
that only a branch needs which is not taken; none is overlooked that a call of a client in that code needs, which
tests/test_verdict.py says of all of them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from botocore import xform_name

_SERVICES = {"elasticloadbalancing": ("elb", "elbv2")}
# Calls that take another right than their name says, or more than that. "Actions, resources, and condition keys" of
# each service: https://docs.aws.amazon.com/service-authorization/latest/reference/
_ALSO = {
    "autoscaling:CreateOrUpdateTags": ("create_auto_scaling_group",),
    "cloudwatch:TagResource": ("put_metric_alarm",),
    "ec2:CreateTags": ("create_auto_scaling_group", "run_instances"),
    "ec2:RunInstances": ("create_auto_scaling_group",),
    "iam:PassRole": (
        "add_role_to_instance_profile",
        "create_auto_scaling_group",
        "create_schedule",
        "run_instances",
        "update_schedule",
    ),
    "iam:TagInstanceProfile": ("create_instance_profile",),
    "iam:TagOpenIDConnectProvider": ("create_open_id_connect_provider",),
    "iam:TagRole": ("create_role",),
    "s3:DeleteObject": ("delete_objects",),
    "s3:DeleteObjectVersion": ("delete_objects",),
    "s3:PutBucketPublicAccessBlock": ("put_public_access_block",),
    "s3:PutEncryptionConfiguration": ("put_bucket_encryption",),
    "s3:PutLifecycleConfiguration": ("put_bucket_lifecycle_configuration",),
    "s3:TagResource": ("create_bucket",),
    "scheduler:DeleteSchedule": ("delete_schedule_group",),
    "scheduler:TagResource": ("create_schedule_group",),
}


def needed(actions: Iterable[str], calls: Iterable[Callable[..., object]]) -> list[str]:
    """Those of IAM's actions, such as "ec2:CreateVpc", that one of the calls takes, in their order."""
    read = [set(_names(call, set())) for call in calls]
    return [action for action in actions if any(_takes(names, action) for names in read)]


def _takes(names: set[str], action: str) -> bool:
    service, _, operation = action.partition(":")
    own = xform_name(operation)
    if own in names and names.intersection(_SERVICES.get(service, (service,))):
        return True
    if action == "ec2:CreateTags" and "TagSpecifications" in names:
        return True
    return bool(names.intersection(_ALSO.get(action, ())))


def _names(thing: Any, seen: set[int]) -> Iterator[str]:
    """All names in what would be called, a client's service among them."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, functools.partial):
        for each in (thing.func, *thing.args, *thing.keywords.values()):
            yield from _names(each, seen)
        yield from thing.keywords
    elif isinstance(thing, FunctionType):
        if thing.__module__.partition(".")[0] == "lib":
            yield from _of_function(thing, seen)
    elif isinstance(thing, MethodType):
        service = _service(thing.__self__)
        yield from (service, thing.__name__) if service else _of_method(thing, seen)
    elif service := _service(thing):
        yield service


def _of_function(function: FunctionType, seen: set[int]) -> Iterator[str]:
    names = set(_of_code(function.__code__))
    yield from names
    for cell in function.__closure__ or ():
        yield from _names(cell.cell_contents, seen)
    module = vars(sys.modules[function.__module__])
    for name in names:
        if isinstance(module.get(name), FunctionType) and module[name].__module__ == function.__module__:
            yield from _names(module[name], seen)


def _of_method(method: MethodType, seen: set[int]) -> Iterator[str]:
    """Of a class's own method, and of those of that class that it names."""
    names = set(_names(method.__func__, seen))
    yield from names
    for name in names & vars(type(method.__self__)).keys():
        yield from _names(vars(type(method.__self__))[name], seen)


def _of_code(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
        elif isinstance(constant, tuple):  # the names of keyword arguments
            yield from (each for each in constant if isinstance(each, str))


def _service(thing: Any) -> str:
    """The service of a client of boto3's, '' for what is none."""
    model = getattr(getattr(thing, "meta", None), "service_model", None)
    return str(model.service_name) if model else ""
