"""What a statement of a policy says of a request: IAM's language, as far as templates/iam and trust policies use it.

Actions and resources are compared as in "Policy evaluation logic" and "IAM JSON policy elements" of the IAM user guide:
`*` is any text, `?` any character, actions know no case, and what nobody allows is denied. An element or operator that
is not known here is an error, so that no policy passes for want of understanding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Context = Mapping[str, str | Sequence[str]]
_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


def may(statements: Sequence[Mapping[str, Any]], action: str, resource: str, context: Context) -> bool:
    """Whether the statements allow it: one does, and none denies. `context` has its keys in lower case."""
    return {each["Effect"] for each in statements if applies(each, action, resource, context)} == {"Allow"}


def applies(statement: Mapping[str, Any], action: str, resource: str, context: Context) -> bool:
    """Whether a statement is about the action on the resource. Raises NotImplementedError for an unknown element."""
    unknown = set(statement) - _ELEMENTS
    if unknown:
        raise NotImplementedError(f"elements {unknown}")
    return (
        any(_like(pattern.lower(), action.lower()) for pattern in listed(statement["Action"]))
        and any(_like(pattern, resource) for pattern in listed(statement["Resource"]))
        and meets(statement.get("Condition", {}), context)
    )


def meets(condition: Mapping[str, Any], context: Context) -> bool:
    """Whether a request with these keys, in lower case, meets a statement's condition."""
    return all(
        _holds(operator, listed(values), context.get(key.lower()))
        for operator, keys in condition.items()
        for key, values in keys.items()
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


def listed(value: Any) -> list[str]:
    """One text or several, as policies have them."""
    return [value] if isinstance(value, str) else list(value)
