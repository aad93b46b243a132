"""Whether a role may do something: IAM's evaluation of identity policies, as far as templates/iam uses its language.

Actions and resources are compared as in "Policy evaluation logic" and "IAM JSON policy elements" of the IAM user guide:
`*` is any text, `?` any character, actions know no case, an explicit Deny wins, and what nobody allows is denied. A
condition key that AWS does not give to that action on that resource is not there, whatever a test says of it. An
element or operator that is not known here is an error, so that no policy passes for want of understanding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from iamreference import carries, listed

_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


Context = Mapping[str, str | Sequence[str]]


def may(policy: Mapping[str, Any], action: str, resource: str, context: Context | None = None) -> bool:
    """Whether the policy allows the action on the resource; `context`: condition keys of request and resource.

    aws:TagKeys follows from the tags of the request.
    """
    known = {key.lower(): value for key, value in (context or {}).items() if carries(action, resource, key)}
    tags = [key.partition("/")[2] for key in context or {} if key.lower().startswith("aws:requesttag/")]
    if tags and carries(action, resource, "aws:TagKeys"):
        known.setdefault("aws:tagkeys", tags)
    effects = {s["Effect"] for s in policy["Statement"] if _applies(s, action, resource, known)}
    return effects == {"Allow"}


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Context) -> bool:
    unknown = set(statement) - _ELEMENTS
    if unknown:
        raise NotImplementedError(f"elements {unknown}")
    return (
        any(_like(pattern.lower(), action.lower()) for pattern in listed(statement["Action"]))
        and any(_like(pattern, resource) for pattern in listed(statement["Resource"]))
        and all(
            _holds(operator, listed(values), context.get(key.lower()))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, values: Sequence[str], there: str | Sequence[str] | None) -> bool:
    """Whether a condition holds for the key's value, None where the request has no such key.

    A negated operator, and ForAllValues, hold where there is no key; all else does not.
    """
    if operator == "Null":  # "true": the key must not be there
        return values == [str(there is None).lower()]
    quantity, _, kind = operator.rpartition(":")
    texts = [] if there is None else listed(there)
    if quantity == "ForAllValues":
        return all(_matches(kind, values, text) for text in texts)
    if quantity == "ForAnyValue":
        return any(_matches(kind, values, text) for text in texts)
    return _matches(kind, values, texts[0] if texts else None)


def _matches(kind: str, values: Sequence[str], there: str | None) -> bool:
    if kind.startswith("StringNot"):
        return not _matches(kind.replace("Not", "", 1), values, there)
    if kind == "StringEquals":
        return there in values
    if kind == "StringEqualsIgnoreCase":
        return there is not None and there.lower() in [value.lower() for value in values]
    if kind in ("StringLike", "ArnEquals", "ArnLike"):
        return there is not None and any(_like(value, there) for value in values)
    if kind == "Bool":
        return there is not None and there.lower() in values
    raise NotImplementedError(f"operator {kind}")


def _like(pattern: str, text: str) -> bool:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
