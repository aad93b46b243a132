"""The stand-in API server: TLS with the cluster's own CA, client certificates, the objects that clients read."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.backend.nodes import Cluster, Member, node_object

ADMIN_GROUPS = {"system:masters", "kubeadm:cluster-admins"}
OPEN_PATHS = {"/healthz", "/livez", "/readyz", "/version"}  # what a real one answers to anybody
CHECKS = ("ping", "log", "etcd", "informer-sync", "poststarthook/start-apiextensions-controllers", "shutdown")


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, by the client certificate; anonymous without one."""

    name: str = "system:anonymous"
    groups: tuple[str, ...] = ()

    @property
    def is_admin(self) -> bool:
        """Whether the certificate is one of an administrator."""
        return bool(ADMIN_GROUPS.intersection(self.groups))


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body and type of an answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Identity:
    """The server's certificate with its key, and the CA that clients' certificates must come from; PEM."""

    certificate: bytes
    key: bytes
    authority: bytes

    def __repr__(self) -> str:
        return "Identity()"


Answer = Callable[[str, User, str], Reply]
Change = Callable[[str, str, User, bytes], Reply]


def identity(authority: x509.Certificate, authority_key: Any, names: list[x509.GeneralName]) -> Identity:
    """A new serving certificate for these names, signed by the CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer: Any = authority.public_key()
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return Identity(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        authority.public_bytes(serialization.Encoding.PEM),
    )


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, answer: Answer, change: Change) -> None:
        super().__init__(address, _Handler)
        self.context, self.answer, self.change = context, answer, change
        self._open: set[ssl.SSLSocket] = set()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: a client that never shakes hands keeps nobody else waiting."""
        request.settimeout(30)
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as secured:
            self._open.add(secured)
            try:
                super().finish_request(secured, client_address)
            finally:
                self._open.discard(secured)

    def server_close(self) -> None:
        """Connections end too: a machine that is gone answers nobody."""
        super().server_close()
        for secured in list(self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(secured, socket.SHUT_RDWR)  # not TLS's own, which its thread may be using

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Server:
    """An API server that listens on one address until it is closed. Raises OSError when the address cannot be had."""

    def __init__(self, address: tuple[str, int], own: Identity, answer: Answer, change: Change) -> None:
        self.address = address
        self._listener = _Listener(address, _context(own), answer, change)
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown()
        self._listener.server_close()


def _context(own: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=own.authority.decode())
    with tempfile.TemporaryDirectory(prefix="kube-sandbox-") as folder:
        file = Path(folder) / "server.pem"
        file.touch(mode=0o600)
        file.write_bytes(own.certificate + own.key)
        context.load_cert_chain(file)
    return context


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer in one piece
    server: _Listener

    def do_GET(self) -> None:
        """Answer from the simulated cluster."""
        reply = self.server.answer(self.path, self._user(), self.headers.get("Accept", ""))
        self._send(reply)

    def _change(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._send(self.server.change(self.command, self.path, self._user(), body))

    do_POST = do_PUT = do_PATCH = do_DELETE = _change  # noqa: N815  (names that http.server looks for)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _user(self) -> User:
        peer: dict[str, Any] = self.connection.getpeercert() or {}
        parts = [pair for name in peer.get("subject", ()) for pair in name]
        common = [value for kind, value in parts if kind == "commonName"]
        return User(common[0], tuple(v for kind, v in parts if kind == "organizationName")) if common else User()

    def log_message(self, *args: Any) -> None:
        """Nothing: the sandbox is silent."""


# --- answers ---------------------------------------------------------------------------------------------------------


def answer(cluster: Cluster, target: str, user: User, accept: str) -> Reply:
    """What the API says to a GET."""
    url = urlsplit(target)
    path, query = url.path.rstrip("/") or "/", parse_qs(url.query, keep_blank_values=True)
    if path in OPEN_PATHS or path.split("/")[1] in ("healthz", "livez", "readyz"):
        return _open(cluster, path, query)
    if not user.is_admin:
        return status(403, "Forbidden", f'User "{user.name}" cannot get path "{path}"')
    if path == "/metrics":
        line = f'apiserver_storage_size_bytes{{storage_cluster_id="etcd-0"}} {cluster.kube.etcd_bytes:.6e}\n'
        return Reply(200, line.encode(), "text/plain; version=0.0.4; charset=utf-8")
    if path in DISCOVERY:
        return _json(DISCOVERY[path])
    if path == "/api/v1/nodes" or path.startswith("/api/v1/nodes/"):
        return _nodes(cluster, path, accept)
    return _others(cluster, path, query, accept)


def change(cluster: Cluster, method: str, target: str, user: User, body: bytes) -> Reply:
    """What a drain asks: a node cordoned or not, annotations, deleted; a pod evicted. Nothing else can be changed."""
    parts = urlsplit(target).path.strip("/").split("/")
    if not user.is_admin:
        return status(403, "Forbidden", f'User "{user.name}" cannot change path "{target}"')
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        return status(400, "BadRequest", "the body of the request was not JSON")
    if method == "PATCH" and parts[:3] == ["api", "v1", "nodes"] and len(parts) == 4:
        return _patch_node(cluster, parts[3], content)
    if method == "DELETE" and parts[:3] == ["api", "v1", "nodes"] and len(parts) == 4:
        return _delete_node(cluster, parts[3], content)
    if method == "POST" and parts[:3] == ["api", "v1", "namespaces"] and parts[4::2] == ["pods", "eviction"]:
        return _evict(cluster, parts[3], parts[5])
    return status(
        405,
        "MethodNotAllowed",
        "the stand-in control plane of the sandbox only cordons and deletes nodes, and evicts pods",
    )


def _patch_node(cluster: Cluster, name: str, patch: dict[str, Any]) -> Reply:
    member = next((member for member in cluster.members if member.name == name), None)
    if member is None:
        return status(404, "NotFound", f'nodes "{name}" not found')
    kept = cluster.kube.nodes.setdefault(member.id, {"annotations": {}, "unschedulable": False})
    for key, value in (patch.get("metadata", {}).get("annotations") or {}).items():
        kept["annotations"].pop(key, None)
        if value is not None:
            kept["annotations"][key] = value
    if "unschedulable" in patch.get("spec", {}):
        kept["unschedulable"] = bool(patch["spec"]["unschedulable"])
        cluster.kube.log.append(f"{'cordon' if kept['unschedulable'] else 'uncordon'} {member.id}")
    return _json(node_object(cluster, member))


def _delete_node(cluster: Cluster, name: str, options: dict[str, Any]) -> Reply:
    """A Node is gone with its machine here, so that only the log tells whether anybody asked."""
    cluster.kube.log.append(f"delete {name}")
    member = next((member for member in cluster.members if member.name == name), None)
    if member is None:
        return status(404, "NotFound", f'nodes "{name}" not found')
    wanted = options.get("preconditions", {}).get("uid")
    if wanted not in (None, node_object(cluster, member)["metadata"]["uid"]):
        return status(409, "Conflict", f"Precondition failed: UID in precondition: {wanted}")
    cluster.kube.deleted.add(member.id)
    return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})


def _evict(cluster: Cluster, namespace: str, name: str) -> Reply:
    """Kubernetes' words: pkg/registry/core/pod/storage/eviction.go."""
    kube, key = cluster.kube, {"namespace": namespace, "name": name}
    pod = next((pod for pod in kube.pods if key.items() <= pod["metadata"].items()), None)
    if pod is None:
        return status(404, "NotFound", f'pods "{name}" not found')
    budget = kube.held.get(f"{namespace}/{name}")
    if budget:
        refused = status(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
        words = f"The disruption budget {budget} needs 1 healthy pods and has 1 currently"
        causes = {"details": {"causes": [{"reason": "DisruptionBudget", "message": words}]}}
        return _json(json.loads(refused.body) | causes, 429)
    kube.pods.remove(pod)
    kube.log.append(f"evict {namespace}/{name}")
    return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)


def _open(cluster: Cluster, path: str, query: dict[str, list[str]]) -> Reply:
    if path == "/version":
        return _json(_version(cluster))
    if "verbose" not in query:
        return Reply(200, b"ok", "text/plain; charset=utf-8")
    lines = [*(f"[+]{check} ok" for check in CHECKS), f"{path.strip('/')} check passed"]
    return Reply(200, ("\n".join(lines) + "\n").encode(), "text/plain; charset=utf-8")


def _version(cluster: Cluster) -> dict[str, str]:
    major, minor = cluster.version.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": cluster.version,
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.25",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def _json(value: Any, code: int = 200) -> Reply:
    return Reply(code, json.dumps(value).encode())


def status(code: int, reason: str, message: str) -> Reply:
    """A Status object that refuses."""
    return _json(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        },
        code,
    )


def _resource(name: str, kind: str, *, namespaced: bool, short: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "singularName": kind.lower(),
        "namespaced": namespaced,
        "kind": kind,
        "verbs": ["get", "list"],
    }
    return found | ({"shortNames": [short]} if short else {})


DISCOVERY: dict[str, dict[str, Any]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            _resource("nodes", "Node", namespaced=False, short="no"),
            _resource("namespaces", "Namespace", namespaced=False, short="ns"),
            _resource("pods", "Pod", namespaced=True, short="po"),
            _resource("services", "Service", namespaced=True, short="svc"),
            _resource("events", "Event", namespaced=True, short="ev"),
        ],
    },
}


def _nodes(cluster: Cluster, path: str, accept: str) -> Reply:
    name = path.removeprefix("/api/v1/nodes").strip("/")
    members = [member for member in cluster.members if name in ("", member.name)]
    if name and not members:
        return status(404, "NotFound", f'nodes "{name}" not found')
    if "as=Table" in accept:
        return _json(_table(NODE_COLUMNS, [_node_row(cluster, member) for member in members]))
    objects = [node_object(cluster, member) for member in members]
    return _json(objects[0] if name else _list("NodeList", [*objects, *cluster.kube.ghosts]))


def _list(kind: str, items: list[Any]) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}


def _table(columns: list[tuple[str, int]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "1"},
        "columnDefinitions": [
            {"name": name, "type": "string", "format": "", "description": "", "priority": priority}
            for name, priority in columns
        ],
        "rows": rows,
    }


NODE_COLUMNS = [
    *((name, 0) for name in ("Name", "Status", "Roles", "Age", "Version")),
    *((name, 1) for name in ("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime")),
]


def _node_row(cluster: Cluster, member: Member) -> dict[str, Any]:
    node = node_object(cluster, member)
    info, addresses = node["status"]["nodeInfo"], {a["type"]: a["address"] for a in node["status"]["addresses"]}
    cells = [
        node["metadata"]["name"],
        "Ready",
        "control-plane" if member.is_master else "<none>",
        _age(node["metadata"]["creationTimestamp"]),
        info["kubeletVersion"],
        addresses["InternalIP"],
        addresses.get("ExternalIP", "<none>"),
        info["osImage"],
        info["kernelVersion"],
        info["containerRuntimeVersion"],
    ]
    return _row(cells, node["metadata"])


def _row(cells: list[Any], metadata: dict[str, Any]) -> dict[str, Any]:
    part = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return {"cells": cells, "object": part}


def _age(created: str) -> str:
    since = datetime.datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
    seconds = int((datetime.datetime.now(datetime.UTC) - since).total_seconds())
    return f"{max(seconds, 0)}s" if seconds < 120 else f"{seconds // 60}m"


def _others(cluster: Cluster, path: str, query: dict[str, list[str]], accept: str) -> Reply:
    """Namespaces and services as kubeadm leaves them; pods only that a test has put there."""
    parts = path.strip("/").split("/")
    kind = parts[-1]
    if parts[:2] != ["api", "v1"] or kind not in OBJECTS:
        return status(404, "NotFound", "the server could not find the requested resource")
    namespace = parts[3] if len(parts) == 5 and parts[2] == "namespaces" else ""
    objects = [item for item in OBJECTS[kind](cluster) if namespace in ("", item["metadata"].get("namespace"))]
    wanted = query.get("labelSelector", [""])[0]
    if wanted:
        name, _, value = wanted.partition("=")
        objects = [item for item in objects if item["metadata"].get("labels", {}).get(name) == value]
    for selector in filter(None, query.get("fieldSelector", [""])[0].split(",")):
        field, _, value = selector.partition("=")
        objects = [item for item in objects if _field(item, field) == value]
    if "as=Table" in accept:
        rows = [_row([item["metadata"]["name"]], item["metadata"]) for item in objects]
        return _json(_table([("Name", 0)], rows))
    return _json(_list(kind.capitalize().removesuffix("s") + "List", objects))


def _field(item: dict[str, Any], field: str) -> str:
    found: Any = item
    for part in field.split("."):
        found = found.get(part, {}) if isinstance(found, dict) else {}
    return str(found)


def _namespaces(_cluster: Cluster) -> list[dict[str, Any]]:
    names = ("default", "kube-node-lease", "kube-public", "kube-system")
    return [{"metadata": {"name": name}, "status": {"phase": "Active"}} for name in names]


def _services(cluster: Cluster) -> list[dict[str, Any]]:
    kubernetes = _service(
        "default", "kubernetes", cluster.settings.get("KUBERNETES_SERVICE_IP", ""), ("https", 443), {}
    )
    if cluster.settings.get("KUBE_ENABLE_CLUSTER_DNS", "true") != "true":
        return [kubernetes]
    labels = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    return [
        kubernetes,
        _service("kube-system", "kube-dns", cluster.settings.get("DNS_SERVER_IP", ""), ("dns", 53), labels),
    ]


def _service(namespace: str, name: str, address: str, port: tuple[str, int], labels: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"clusterIP": address, "ports": [{"name": port[0], "port": port[1], "protocol": "TCP"}]},
    }


OBJECTS: dict[str, Callable[[Cluster], list[dict[str, Any]]]] = {
    "namespaces": _namespaces,
    "services": _services,
    "pods": lambda cluster: list(cluster.kube.pods),
    "events": lambda _cluster: [],
}
