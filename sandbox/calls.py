"""One request to the simulated AWS: what is asked (service, operation, parameters), and how to answer it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast
from xml.sax.saxutils import escape

from botocore.serialize import create_serializer
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import XFormedAttributePicker, get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import BackendRequest
from werkzeug.test import EnvironBuilder

from sandbox import cloud

Environ = MutableMapping[str, Any]

# Names in a signature's credential scope that differ from boto3's name of the service.
SIGNING_NAMES = {
    "elasticloadbalancing": "elb",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
}
READS = ("Describe", "Get", "List", "Head", "Lookup", "Search", "BatchGet", "Simulate", "Decode", "Select")
REQUEST_ID = "5a6b7c8d-0000-4000-8000-0000a5a5a5a5"


class Refusal(Exception):
    """AWS says no: the error's code and words as the service would give them, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(slots=True)
class Call:
    """One API call of the client's. `params` have boto3's names and types; `changes` is false for reads.

    `number` counts COMMAND's calls over the sandbox's life, and is 0 for a machine's; `peer` is the client's port and
    `server` the sandbox's; `fault` is what was done to the call on purpose.
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


def read_body(environ: Environ) -> bytes:
    """The request's whole body; left in `environ` so that moto can read it again."""
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    chunked = environ.get("wsgi.input_terminated")
    body = stream.read() if chunked else stream.read(int(length or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return cast(bytes, body)


def parse(environ: Environ, body: bytes) -> Call:
    """Which call this request is. An unsigned request is taken for S3's, as moto takes it."""
    service, region = _scope(environ)
    request = BackendRequest(dict(environ))
    environ["wsgi.input"] = io.BytesIO(body)
    if service == "elb" and b"Version=2015-12-01" in body:
        service = "elbv2"
    operation, uri_params = _operation(service, request, environ)
    call = Call(service, operation, region, {}, _protocol(service, request), method=environ["REQUEST_METHOD"])
    call.peer, call.server = int(environ.get("REMOTE_PORT") or 0), int(environ.get("SERVER_PORT") or 0)
    if operation:
        call.params = _params(call, request, body, uri_params)
    environ["wsgi.input"] = io.BytesIO(body)
    return call


def request_of(service: str, operation: str, region: str, params: Mapping[str, Any]) -> Environ:
    """The request that a client would send for a call."""
    model = get_service_model(service)
    asked = create_serializer(model.metadata["protocol"]).serialize_to_request(
        dict(params), model.operation_model(operation)
    )
    scope = f"sandbox/20260101/{region}/{model.signing_name}/aws4_request"
    headers = {**asked["headers"], "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host"}
    headers["Host"] = f"{service}.{region}.{cloud.dns_suffix(region)}"
    builder = EnvironBuilder(asked["url_path"], method=asked["method"], data=asked["body"], headers=headers)
    return builder.get_environ()


def _scope(environ: Environ) -> tuple[str, str]:
    """Service (boto3's name) and region out of the signature."""
    credential = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0]
    parts = credential.split("/")
    if len(parts) != 5:
        return "s3", "us-east-1"
    return SIGNING_NAMES.get(parts[3], parts[3]), parts[2]


def _operation(service: str, request: Any, environ: Environ) -> tuple[str, dict[str, Any]]:
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rpartition(".")[2], {}
    action = request.form.get("Action") or request.args.get("Action")
    if action:
        return str(action), {}
    try:
        operation, uri_params = get_service_router(service).match(request)
        return str(operation.name), uri_params
    except Exception:  # noqa: BLE001  moto's router raises many kinds for what it does not know; the call is then nameless
        return "", {}


def _protocol(service: str, request: Any) -> str:
    try:
        return determine_request_protocol(get_service_model(service), request.content_type)
    except Exception:  # noqa: BLE001  a service that botocore does not know
        return "query"


def _params(call: Call, request: Any, body: bytes, uri_params: dict[str, Any]) -> dict[str, Any]:
    try:
        model = get_service_model(call.service).operation_model(call.operation)
        parsed = PROTOCOL_PARSERS[call.protocol](model).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": body,
                "url_path": request.path,
                "url_params": uri_params,
            }
        )
    except Exception:  # noqa: BLE001  malformed input is moto's to refuse
        return dict(uri_params)
    return dict(parsed or {}) | {name: value for name, value in uri_params.items() if name not in (parsed or {})}


def result_answer(call: Call, result: Mapping[str, Any]) -> Answer:
    """A successful answer with this result, in the call's own protocol."""
    model = get_service_model(call.service).operation_model(call.operation)
    serializer = get_serializer_class(call.service, call.protocol)(model, value_picker=XFormedAttributePicker())
    serialized = cast(dict[str, Any], serializer.serialize(dict(result)))
    body = serialized["body"]
    headers = [(str(name), str(value)) for name, value in serialized["headers"].items()]
    return Answer(int(serialized["status_code"]), body if isinstance(body, bytes) else body.encode(), headers)


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
