"""One request to the simulated AWS: what is asked (service, operation, parameters), and how to answer it."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

Environ = MutableMapping[str, Any]

READS = ("Describe", "Get", "List", "Head", "Lookup", "Search", "BatchGet", "Simulate", "Decode", "Select")
REQUEST_ID = "5a6b7c8d-0000-4000-8000-0000a5a5a5a5"


class Refusal(Exception):
    """AWS says no: the error's code and words as the service would give them, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class LoseAnswer(ConnectionError):
    """Raised by a hook: the connection is reset, whatever was done. Whoever calls the Sandbox itself gets it."""


@dataclass(slots=True)
class Call:
    """One API call of the client's. `params` have boto3's names and types; `changes` is false for reads.

    `number` counts COMMAND's calls over the sandbox's life, and is 0 for a machine's; `peer` is the client's port and
    `server` the sandbox's; `fault` is what was done to the call on purpose. An `anonymous` one is
    signed by nobody.
    """

    service: str
    operation: str
    region: str
    params: dict[str, Any]
    protocol: str
    method: str = "POST"
    number: int = 0
    peer: int = 0
    server: int = 0
    fault: str = ""
    anonymous: bool = False

    @property
    def changes(self) -> bool:
        """Whether the call may change the account."""
        return not self.operation.startswith(READS) and self.service != "sts"


@dataclass(slots=True)
class Answer:
    """What goes back to the client; a lost one does not."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    code: str = ""
    lost: bool = False

    @property
    def refused(self) -> bool:
        """Whether this is an error."""
        return self.status >= 400


def refusal_answer(call: Call, refusal: Refusal) -> Answer:
    """The error as this service writes errors."""
    if call.protocol == "json" or call.service in ("ssm", "service-quotas", "pricing", "kms", "scheduler"):
        return _json_refusal(refusal)
    text = f"<Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
    if call.service == "ec2":
        xml = f"<Response><Errors><Error>{text}</Error></Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
    elif call.service == "s3":
        xml = f"<Error>{text}<RequestId>{REQUEST_ID}</RequestId></Error>"
    else:
        error = f"<Error><Type>Sender</Type>{text}</Error>"
        xml = f"<ErrorResponse>{error}<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
    body = b"" if call.method == "HEAD" else f'<?xml version="1.0" encoding="UTF-8"?>{xml}'.encode()
    return Answer(refusal.status, body, [("Content-Type", "text/xml")], refusal.code)


def _json_refusal(refusal: Refusal) -> Answer:
    body = json.dumps({"__type": refusal.code, "message": refusal.message}).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", refusal.code)]
    return Answer(refusal.status, body, headers, refusal.code)


def error_code(answer: Answer) -> str:
    """The error's code in an answer that refuses; empty for one that does not."""
    if not answer.refused:
        return ""
    if answer.code:
        return answer.code
    text = answer.body.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        kind = json.loads(text).get("__type", "")
        return str(kind).rpartition("#")[2]
    return text.partition("<Code>")[2].partition("</Code>")[0] or str(answer.status)
