"""What whoever runs the scripts must be allowed: two policies, and docs/permissions.md, made of them by `make docs`.

Two, since IAM takes 6,144 characters of a managed policy: what every cluster needs, and what an option alone does.
"""

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
OPTIONS_POLICY = POLICY.with_name("caller-options-policy.json")
TEXT = _ROOT / "templates" / "docs" / "permissions.md"


def statements(*paths: Path) -> list[dict[str, Any]]:
    """The statements of these policies, of both where none is named."""
    return [each for path in paths or (POLICY, OPTIONS_POLICY) for each in _document(path)["Statement"]]


def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def size(path: Path) -> int:
    """How much of IAM's 6,144 characters of a managed policy it takes: white space does not count."""
    return len(re.sub(r"\s", "", path.read_text(encoding="utf-8")))


def permissions_page() -> str:
    """The text with what each statement is on, and with the policies. Raises KeyError for a statement that is gone."""
    text = string.Template(TEXT.read_text(encoding="utf-8"))
    on = {statement["Sid"]: _on(statement) for statement in statements()}
    policy, options = (path.read_text(encoding="utf-8").rstrip() for path in (POLICY, OPTIONS_POLICY))
    sizes = {"size": f"{size(POLICY):,}", "options_size": f"{size(OPTIONS_POLICY):,}"}
    return text.substitute(on | sizes, policy=policy, options_policy=options)


def _on(statement: Mapping[str, Any]) -> str:
    """The resources of a statement, and its conditions, for a cell of a table."""
    resources = statement["Resource"]
    on = ["everything"] if resources == "*" else [f"`{arn.removeprefix('arn:aws:')}`" for arn in resources]
    for keys in statement.get("Condition", {}).values():
        on += [f"`{key}` {', '.join(f'`{value}`' for value in values)}" for key, values in keys.items()]
    return "; ".join(on).replace("everything; ", "")


if __name__ == "__main__":
    sys.stdout.write(permissions_page())
