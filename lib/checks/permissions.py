"""What whoever runs the scripts must be allowed: the policy, and docs/permissions.md, which `make docs` makes of it."""

from __future__ import annotations

import json
import re
import string
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
POLICY = _ROOT / "templates" / "iam" / "caller-policy.json"
TEXT = _ROOT / "templates" / "docs" / "permissions.md"


def statements(path: Path = POLICY) -> list[dict[str, Any]]:
    """The policy's statements."""
    return list(json.loads(path.read_text(encoding="utf-8"))["Statement"])


def size(path: Path = POLICY) -> int:
    """How much of IAM's 6,144 characters of a managed policy it takes: white space does not count."""
    return len(re.sub(r"\s", "", path.read_text(encoding="utf-8")))


def permissions_page() -> str:
    """The text with what each statement is on, and with the policy. Raises KeyError for a statement that is gone."""
    text = string.Template(TEXT.read_text(encoding="utf-8"))
    on = {statement["Sid"]: _on(statement) for statement in statements()}
    return text.substitute(on, size=f"{size():,}", policy=POLICY.read_text(encoding="utf-8").rstrip())


def _on(statement: Mapping[str, Any]) -> str:
    """The resources of a statement, and its conditions, for a cell of a table."""
    resources = statement["Resource"]
    on = ["everything"] if resources == "*" else [f"`{arn.removeprefix('arn:aws:')}`" for arn in resources]
    for keys in statement.get("Condition", {}).values():
        on += [f"`{key}` {', '.join(f'`{value}`' for value in values)}" for key, values in keys.items()]
    return "; ".join(on).replace("everything; ", "")


if __name__ == "__main__":
    sys.stdout.write(permissions_page())
