"""What comes in over the wire and what goes out: requests to moto's server as calls, and results as answers."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl

from botocore.serialize import create_serializer
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import XFormedAttributePicker, get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import BackendRequest
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.test import EnvironBuilder

from sandbox.backend import cloud, server
from sandbox.calls import Answer, Call, Environ

# Names in a signature's credential scope that differ from boto3's name of the service.
SIGNING_NAMES = {
    "elasticloadbalancing": "elb",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
}


def service_model(service: str) -> Any:
    """botocore's model of a service, loaded once."""
    return get_service_model(service)


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
    service, region = _scope(environ, body)
    request = BackendRequest(dict(environ))
    environ["wsgi.input"] = io.BytesIO(body)
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded") and b"Action=" in body:
        _read_form(request, body)
    if service == "elb" and b"Version=2015-12-01" in body:
        service = "elbv2"
    operation, uri_params = _operation(service, request, environ)
    protocol = _protocol(service, request.content_type)
    call = Call(service, operation, region, {}, protocol, method=environ["REQUEST_METHOD"])
    call.anonymous = "HTTP_AUTHORIZATION" not in environ and "X-Amz-Credential" not in environ.get("QUERY_STRING", "")
    if call.anonymous and service == "s3":  # of some paths moto would think that they are other services'
        environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential=nobody/20260101/{region}/s3/aws4_request"
    call.peer, call.server = int(environ.get("REMOTE_PORT") or 0), int(environ.get("SERVER_PORT") or 0)
    if operation:
        call.params = _params(call, request, body, uri_params)
    environ["wsgi.input"] = io.BytesIO(body)
    if "Action" in request.form:  # read, it has no body any more: of a form nobody wants more than the fields
        environ[server.REQUEST] = request
    return call


def _read_form(request: Any, body: bytes) -> None:
    """Set what werkzeug would find out about the request in several steps: that it is fields, each once."""
    fields = parse_qsl(body.decode(), keep_blank_values=True)
    known = request.__dict__
    known["stream"], known["form"], known["files"] = io.BytesIO(), ImmutableMultiDict(fields), ImmutableMultiDict()
    known["values"] = dict(fields)


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


def _scope(environ: Environ, body: bytes) -> tuple[str, str]:
    """Service (boto3's name) and region out of the signature; where there is none, out of host and body."""
    credential = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0]
    parts = credential.split("/")
    if len(parts) != 5:
        host = environ.get("HTTP_HOST", "").split(".")
        region = host[1] if len(host) > 3 and host[0] in ("s3", "sts") and "-" in host[1] else "us-east-1"
        return "sts" if b"Action=AssumeRoleWithWebIdentity" in body else "s3", region
    if parts[3] == "s3" and environ.get("PATH_INFO", "").startswith("/v20180820/"):
        return "s3control", parts[2]
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


@functools.lru_cache(maxsize=256)
def _protocol(service: str, content_type: str | None) -> str:
    try:
        return determine_request_protocol(get_service_model(service), content_type)
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
