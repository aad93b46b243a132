"""EventBridge Scheduler: what it refuses, and schedules that do what they say by the sandbox's clock.

moto keeps groups and schedules, and runs none. The roles' policies are not looked at here; whom a role trusts is.
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import DataNotFoundError, ParamValidationError
from moto.core.utils import get_service_model

from sandbox.backend import cloud
from sandbox.calls import READS, Answer, Call, Refusal
from sandbox.world import World

# A call in a region, as service, operation and parameters, and what AWS would answer.
Ask = Callable[[str, str, str, dict[str, Any]], Answer]

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
_UNIVERSAL = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:([a-z0-9]+):([a-zA-Z0-9]+)")
_ROLE_LATE = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."


def _backend(region: str) -> Any:
    return cloud.backend("scheduler", region)


def _invalid(words: str) -> Refusal:
    return Refusal("ValidationException", words)


def _missing(words: str) -> Refusal:
    return Refusal("ResourceNotFoundException", words, 404)


# --- what is refused


def role_changed(world: World, call: Call) -> None:
    """CreateRole, UpdateAssumeRolePolicy: other services know whom it trusts a while later."""
    world.state.roles[call.params["RoleName"]] = world.now + world.delays.role


def create_group(_world: World, call: Call) -> None:
    """No second one of a name; moto puts it in the first one's place."""
    if call.params["Name"] in _backend(call.region).schedule_groups:
        raise Refusal("ConflictException", f"Schedule group {call.params['Name']} already exists.", 409)


def known_group(_world: World, call: Call) -> None:
    """DeleteScheduleGroup, TagResource, UntagResource, ListTagsForResource: of a group that is there."""
    name = call.params.get("Name") or call.params.get("ResourceArn", "").rpartition("/")[2]
    if name not in _backend(call.region).schedule_groups:
        raise _missing(f"Schedule group {name} does not exist.")


def create_schedule(world: World, call: Call) -> None:
    """Its group is there, no other of its name is in it, and it is a schedule."""
    if call.params["Name"] in _group(call).schedules:
        raise Refusal("ConflictException", f"Schedule {call.params['Name']} already exists.", 409)
    _check(world, call)


def update_schedule(world: World, call: Call) -> None:
    """It is there, and a schedule afterwards too."""
    if call.params["Name"] not in _group(call).schedules:
        raise _missing(f"Schedule {call.params['Name']} does not exist.")
    _check(world, call)


def _group(call: Call) -> Any:
    name = call.params.get("GroupName") or "default"
    if name not in _backend(call.region).schedule_groups:
        raise _missing(f"Schedule group {name} does not exist.")
    return _backend(call.region).schedule_groups[name]


def _check(world: World, call: Call) -> None:
    """Expression, target, input, and the role that it is to assume."""
    expression, target = call.params["ScheduleExpression"], call.params["Target"]
    if not re.match(r"(rate|cron|at)\(", expression) or (expression.startswith("rate") and not _seconds(expression)):
        raise _invalid(f"Invalid Schedule Expression {expression}.")
    if not _is_target(target["Arn"]):
        raise _invalid(f"{target['Arn']} is not a target that the sandbox knows.")
    try:
        json.loads(target.get("Input") or "{}")
    except ValueError:
        raise _invalid("Input is not valid JSON.") from None
    if not _may_assume(world, call, target["RoleArn"]):
        raise _invalid(_ROLE_LATE)


def _seconds(expression: str) -> float:
    """Seconds of a rate, 0.0 for what is none; the shortest is a minute."""
    found = _RATE.fullmatch(expression)
    return int(found[1]) * _SECONDS[found[2]] if found else 0.0


def _universal(arn: str) -> tuple[str, str]:
    """Service and operation of a universal target, as boto3 names them; '' for another kind of target."""
    found = _UNIVERSAL.fullmatch(arn)
    return (found[1], found[2][0].upper() + found[2][1:]) if found else ("", "")


def _is_target(arn: str) -> bool:
    """A universal target whose call there is, and that does more than read; the other kinds are not simulated."""
    service, operation = _universal(arn)
    try:
        known = operation in get_service_model(service).operation_names
    except DataNotFoundError:
        return False
    return known and not operation.startswith(READS)


def _may_assume(world: World, call: Call, arn: str) -> bool:
    """Whether Scheduler may assume the role for this group, and has heard of it yet."""
    name = arn.rpartition("/")[2]
    role = next((role for role in cloud.iam(call.region).roles.values() if role.name == name), None)
    if role is None or world.state.roles.get(name, 0.0) > world.now:
        return False
    partition, name = cloud.partition(call.region), call.params.get("GroupName", "default")
    group = f"arn:{partition}:scheduler:{call.region}:{cloud.ACCOUNT}:schedule-group/{name}"
    context = {"aws:SourceArn": group, "aws:SourceAccount": cloud.ACCOUNT}
    document = json.loads(role.assume_role_policy_document)
    return any(_trusts(statement, context) for statement in document["Statement"])


def _trusts(statement: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    services = statement.get("Principal", {}).get("Service", [])
    given = statement.get("Condition", {}).get("StringEquals", {})
    ours = "scheduler.amazonaws.com" in ([services] if isinstance(services, str) else services)
    return statement["Effect"] == "Allow" and ours and all(context.get(key) == value for key, value in given.items())


# --- what is run


def tick(world: World, ask: Ask) -> None:
    """Run what is due: a new schedule at once, each again at its rate."""
    due = world.state.schedules_due
    there = dict(_enabled())
    for key in [key for key in due if key not in there]:
        del due[key]
    for key, schedule in there.items():
        if due.get(key, world.now) <= world.now:
            due[key] = world.now + _seconds(schedule.schedule_expression)
            _invoke(world, key[0], schedule, ask)


def _enabled() -> Iterator[tuple[tuple[str, str, str], Any]]:
    for region, backend in cloud.backends_in_use("scheduler"):
        for group in backend.schedule_groups.values():
            for schedule in group.schedules.values():
                if schedule.state == "ENABLED" and _seconds(schedule.schedule_expression):
                    yield (region, group.name, schedule.name), schedule


def _invoke(world: World, region: str, schedule: Any, ask: Ask) -> None:
    """One try, which is not repeated: MaximumRetryAttempts is taken for 0."""
    service, operation = _universal(schedule.target["Arn"])
    text = (schedule.target.get("Input") or "{}").replace("<aws.scheduler.execution-id>", str(uuid.uuid4()))
    try:
        said = ask(region, service, operation, json.loads(text)).code or "done"
    except ParamValidationError:  # an input that is no input of that call; Scheduler tells nobody
        said = "ParamValidationError"
    world.state.invoked.append(said)
    del world.state.invoked[:-100]
