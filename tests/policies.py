"""Whether a role may do something: IAM's evaluation of identity policies, as far as templates/iam uses its language.

Actions and resources are compared as in "Policy evaluation logic" and "IAM JSON policy elements" of the IAM user guide:
`*` is any text, `?` any character, actions know no case, an explicit Deny wins, and what nobody allows is denied. An
element or operator that is not known here is an error, so that no policy passes for want of understanding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


def may(policy: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str] | None = None) -> bool:
    """Whether the policy allows the action on the resource; `context`: condition keys of request and resource."""
    effects = {s["Effect"] for s in policy["Statement"] if _applies(s, action, resource, context or {})}
    return effects == {"Allow"}


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    unknown = set(statement) - _ELEMENTS
    if unknown:
        raise NotImplementedError(f"elements {unknown}")
    return (
        any(_like(pattern.lower(), action.lower()) for pattern in _list(statement["Action"]))
        and any(_like(pattern, resource) for pattern in _list(statement["Resource"]))
        and all(
            _holds(operator, key, _list(values), context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, key: str, values: Sequence[str], context: Mapping[str, str]) -> bool:
    there = {name.lower(): value for name, value in context.items()}.get(key.lower())
    if operator == "Null":  # "true": the key must not be there
        return values == [str(there is None).lower()]
    if operator == "StringEquals":
        return there in values
    if operator == "ForAllValues:StringEquals":  # true of none, too; here of one
        return there is None or there in values
    if operator in ("StringLike", "ArnEquals"):
        return there is not None and any(_like(value, there) for value in values)
    if operator == "Bool":
        return there is not None and there.lower() in values
    raise NotImplementedError(f"operator {operator}")


def _list(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _like(pattern: str, text: str) -> bool:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
