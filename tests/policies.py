"""Whether a role may do something: IAM's evaluation of identity policies, as far as templates/iam uses its language.

sandbox/policies.py says what a statement is about. A condition key that AWS does not give to an action on a resource is
not there, whatever a test says of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iamreference import carries

from sandbox import policies
from sandbox.policies import Context


def may(policy: Mapping[str, Any], action: str, resource: str, context: Context | None = None) -> bool:
    """Whether the policy allows the action on the resource; `context`: condition keys of request and resource.

    aws:TagKeys follows from the tags of the request.
    """
    known = {key.lower(): value for key, value in (context or {}).items() if carries(action, resource, key)}
    tags = [key.partition("/")[2] for key in context or {} if key.lower().startswith("aws:requesttag/")]
    if tags and carries(action, resource, "aws:TagKeys"):
        known.setdefault("aws:tagkeys", tags)
    return policies.may(policy["Statement"], action, resource, known)
