"""The cluster's API as the client sees it: wait for it and the nodes, validate (the original's validate-cluster.sh).

It is asked with the client certificate from kubeconfig, so kubectl is a convenience and not a requirement.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import tempfile
import weakref
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lib.run.errors import Known, KubeError, WaitExpired

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.proxies import Proxy
    from lib.settings.config import Config

_TIMEOUT = 5.0  # seconds for one answer
_INTERVAL = 1.0  # seconds between two looks at a cluster that comes up
# The taint that a kubelet gives its Node, and the cloud controller manager takes off.
# (k8s.io/cloud-provider/api, TaintExternalCloudProvider)
_UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
_UNSEEN = "the cloud controller manager has not initialized it"
# A master without a public address may be out of this computer's reach for good; that shows soon.
_PRIVATE_SECONDS = 60


@dataclass(frozen=True)
class Client:
    """With what the API is asked: its address, the certificates, PEM, and the proxy on the way, if there is one.

    `name` is what kubeconfig has in place of the address, '' where it has that.
    """

    server: str
    ca_cert: bytes
    cert: bytes
    key: bytes
    proxy: Proxy | None = None
    name: str = ""

    @property
    def url(self) -> str:
        """The API as kubeconfig has it."""
        return self.server.replace(self.host, self.name) if self.name else self.server

    @property
    def host(self) -> str:
        """The server's address, without its port."""
        return self.server.removeprefix("https://").split(":")[0]

    def __repr__(self) -> str:  # a key must not get into a traceback or a log
        return f"Client({self.server})"


class Unreachable(Exception):
    """No answer came; the text says why, in the network's own words."""


class WrongCertificate(Unreachable):
    """Somebody answered who is not this cluster's API server."""


@dataclass(frozen=True)
class Node:
    """One node as the API reports it.

    `alive` is whether its kubelet says Ready, and `unseen` whether the cloud controller manager has yet to initialize
    it: until then no pods may run there. `routed` is whether it has made the route to the node's pods, later still.
    """

    name: str
    alive: bool
    version: str
    routed: bool = False
    unseen: bool = False
    reason: str = ""
    instance_id: str = ""
    uid: str = ""
    created: str = ""
    unschedulable: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether pods can run there."""
        return self.alive and not self.unseen

    @property
    def word(self) -> str:
        """How it is, for a person."""
        return "NotReady" if not self.alive else "Ready, not initialized" if self.unseen else "Ready"


class Api:
    """One API server, asked with the client certificate."""

    def __init__(self, client: Client) -> None:
        url = urlsplit(client.server)
        self.server = client.server
        self._host, self._port = url.hostname or "", url.port or 443
        self._context = _tls(client)
        self._proxy = client.proxy
        self._kept = self._connection()  # http.client opens it when something is asked, and again once it was closed
        weakref.finalize(self, self._kept.close)

    def _connection(self) -> http.client.HTTPSConnection:
        return _connection(self._host, self._port, self._context, self._proxy)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body. Raises Unreachable.

        Asked over the connection of the last one: a new one is two round trips and a handshake more. Where that was
        closed meanwhile, as a server does (kube-apiserver after 90 idle seconds), it is asked again over a new one.
        """
        kept = self._kept.sock is not None
        try:
            return self._ask(self._kept, "GET", path)
        except Unreachable as error:
            if not kept or isinstance(error.__cause__, TimeoutError):
                raise
        return self._ask(self._kept, "GET", path)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, kind: str = "") -> tuple[int, str]:
        """Status and body of a request that changes something; `kind` is the body's type. Raises Unreachable.

        Over a connection of its own: what breaks there was not asked twice.
        """
        connection = self._connection()
        try:
            return self._ask(connection, method, path, body, kind)
        finally:
            connection.close()

    def _ask(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        kind: str = "",
    ) -> tuple[int, str]:
        headers = {"Accept": "application/json"} | ({"Content-Type": kind or "application/json"} if body else {})
        try:
            connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if isinstance(error, ssl.SSLCertVerificationError):
                words = f"{self.server} shows a certificate that this cluster's CA did not make: {error.verify_message}"
                raise WrongCertificate(words) from error
            raise _unreachable(error, self._proxy) from error

    def etcd_bytes(self) -> int | None:
        """How large etcd's file is, free space in it too, None where the server does not say.

        A metric that Kubernetes calls stable (staging/src/k8s.io/apiserver/pkg/storage/etcd3/metrics). All metrics come
        with it, some MB: that they take too long says nothing of the API.
        """
        try:
            _, text = self.get("/metrics")
        except Unreachable:
            return None
        found = re.search(r"^apiserver_storage_size_bytes\{.*\} (\S+)$", text, re.MULTILINE)
        return int(float(found[1])) if found else None

    def certificate(self) -> bytes:
        """The certificate that the server shows now, to a new connection, DER. Raises Unreachable."""
        connection = self._connection()
        try:
            connection.connect()
            tls: Any = connection.sock
            return tls.getpeercert(binary_form=True) or b""
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(error, self._proxy) from error
        finally:
            connection.close()

    def get_json(self, path: str) -> dict[str, Any]:
        """The object at the path. Raises Unreachable, also for an answer that is a refusal."""
        status, body = self.get(path)
        if status != http.HTTPStatus.OK:
            raise Unreachable(f"{path}: HTTP {status}")
        loaded: dict[str, Any] = json.loads(body)
        return loaded

    def version(self) -> str:
        """The API server's release, such as 1.37.2. Raises Unreachable."""
        return str(self.get_json("/version").get("gitVersion", "")).removeprefix("v")

    def since(self) -> str:
        """When the API server was started, as its pod says it, '' where that does not. Raises Unreachable.

        kubeadm labels the pods of the control plane with their component (cmd/kubeadm/app/util/staticpod).
        """
        found = self.get_json("/api/v1/namespaces/kube-system/pods?labelSelector=component%3Dkube-apiserver")
        states = [
            s.get("state", {}) for pod in found["items"] for s in pod.get("status", {}).get("containerStatuses", [])
        ]
        return max((str(state.get("running", {}).get("startedAt", "")) for state in states), default="")

    def nodes(self) -> list[Node]:
        """The nodes by name. Raises Unreachable."""
        return sorted((_node(item) for item in self.get_json("/api/v1/nodes")["items"]), key=lambda node: node.name)


def is_well(server: str, ca_cert: bytes, *, proxy: Proxy | None) -> bool:
    """Whether the cluster's own API server says that it is well."""
    return healthz(server, ca_cert, proxy=proxy) == b"ok"


def healthz(server: str, ca_cert: bytes, *, proxy: Proxy | None) -> bytes | None:
    """What anybody is answered at /healthz by a server whose certificate that CA made; None for no answer.

    Asked twice, since one that is only slow must not count as gone. Without a CA the computer's own count. Raises
    ValueError for a CA that is none, and for what is no URL.
    """
    url = urlsplit(server)
    context = ssl.create_default_context(cadata=ca_cert.decode())
    for _ in range(2):
        connection = _connection(url.hostname or "", url.port or 443, context, proxy)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return None


def _connection(host: str, port: int, context: ssl.SSLContext, proxy: Proxy | None) -> http.client.HTTPSConnection:
    """A connection that is not there yet; through a proxy it is still the server whose certificate is looked at."""
    to = (proxy.host, proxy.port) if proxy else (host, port)
    connection = http.client.HTTPSConnection(*to, timeout=_TIMEOUT, context=context)
    if proxy:
        connection.set_tunnel(host, port, headers=proxy.headers)
    return connection


def _unreachable(error: Exception, proxy: Proxy | None) -> Unreachable:
    words = getattr(error, "strerror", "") or str(error)
    through = f", through the proxy {proxy}" if proxy else ""
    return Unreachable((" ".join(words.split()) or type(error).__name__) + through)


def _tls(client: Client) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=client.ca_cert.decode())
    # OpenSSL takes a client's key from a file only: one that is nobody else's to read, for this moment.
    handle, path = tempfile.mkstemp(prefix="kube-up-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(client.cert + client.key)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)
    return context


def _node(item: dict[str, Any]) -> Node:
    status = item.get("status", {})
    conditions: dict[str, dict[str, Any]] = {c["type"]: c for c in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    spec = item.get("spec", {})
    alive = ready.get("status") == "True"
    unseen = any(taint["key"] == _UNINITIALIZED for taint in spec.get("taints", []))
    return Node(
        name=item["metadata"]["name"],
        alive=alive,
        version=status.get("nodeInfo", {}).get("kubeletVersion", "?"),
        routed=conditions.get("NetworkUnavailable", {}).get("status") == "False",
        unseen=unseen,
        reason=_UNSEEN if alive and unseen else " ".join(ready.get("message", "").split()),
        instance_id=spec.get("providerID", "").rpartition("/")[2],
        uid=item["metadata"].get("uid", ""),
        created=item["metadata"].get("creationTimestamp", ""),
        unschedulable=bool(spec.get("unschedulable")),
        annotations=item["metadata"].get("annotations", {}),
    )


def server_url(config: Config, public: str) -> str:
    """The API's URL, of its elastic IP or name, or of the internal address where there is none."""
    host = public or config.master_internal_ip
    return f"https://{host}" if config.kube_api_port == 443 else f"https://{host}:{config.kube_api_port}"


def wait_healthy(
    aws: Aws, config: Config, api: Api, *, known: Callable[[], Known], watch: Callable[[], None] = lambda: None
) -> bool:
    """True once /healthz says ok. False for a private master that this computer cannot reach.

    Raises WaitExpired with the last answer and with what `known` tells of the master, and what `watch` raises, which is
    called after each answer that was not ok.
    """
    last = {"answer": "no answer yet", "heard": ""}

    def healthy() -> bool | None:
        try:
            status, body = api.get("/healthz")
        except Unreachable as error:
            last["answer"] = str(error)
            if isinstance(error, WrongCertificate) and not private:  # waiting does not mend that
                hint = "run it again with KUBE_REPLACE_MASTER=<the master's id>: a new one makes its certificate anew"
                raise KubeError(str(error), hint=hint) from error
            return None  # a private address may be somebody else's in the network that this computer is in
        last["heard"], last["answer"] = "yes", f"HTTP {status} {body.strip()[:60]}"
        return True if body.strip() == "ok" else None

    def healthy_or_watched() -> bool | None:
        if healthy():
            return True
        watch()
        return None

    private = not config.kube_enable_master_public_ip
    seconds = min(_PRIVATE_SECONDS, config.kube_wait_api_seconds) if private else config.kube_wait_api_seconds
    try:
        return aws.wait(
            f"the API at {api.server}",
            healthy_or_watched,
            seconds=seconds,
            progress=lambda: last["answer"],
            at_end=lambda: _with(f"last answer: {last['answer']}", known()),
            interval=_INTERVAL,
        )
    except WaitExpired:
        if private and not last["heard"]:
            return False
        raise


def wait_nodes(
    aws: Aws,
    config: Config,
    api: Api,
    *,
    expected: int,
    alive: Callable[[], Container[str]],
    known: Callable[[Sequence[Node]], Known],
    watch: Callable[[Sequence[Node], bool], None] = lambda _there, _minions: None,
) -> list[Node]:
    """The nodes, once `expected` of the `alive` instances, less ALLOWED_NOTREADY_NODES, are Ready ones.

    After a restored snapshot, or a replacement, the API lists nodes as Ready for a while whose instances are gone.

    Those allowed to be late get CLUSTER_READY_ADDITIONAL_TIME_SECONDS more. Raises WaitExpired,
    and what `watch` raises, which is called with the nodes that are there whenever too few are Ready, and with whether
    minions count: not where some are allowed to be late.
    """
    seen: dict[str, Any] = {"nodes": [], "answer": ""}

    def ready(enough: int) -> bool | None:
        try:
            ours = alive()
            seen["nodes"] = [node for node in api.nodes() if not node.instance_id or node.instance_id in ours]
        except Unreachable as error:
            seen["answer"] = str(error)
            return None
        seen["answer"] = f"{_ready(seen['nodes'])} of {expected} Ready"
        return True if _ready(seen["nodes"]) >= enough else None

    def ready_or_watched(enough: int) -> bool | None:
        if ready(enough):
            return True
        watch(seen["nodes"], not config.allowed_notready_nodes)  # one that fails may be one of those
        return None

    aws.wait(
        f"{expected} nodes to be Ready",
        lambda: ready_or_watched(expected - config.allowed_notready_nodes),
        seconds=config.kube_wait_nodes_seconds,
        progress=lambda: str(seen["answer"]),
        at_end=lambda: _with(f"{seen['answer']}; {_not_ready(seen['nodes'])}", known(seen["nodes"])),
        interval=_INTERVAL,
    )
    if _ready(seen["nodes"]) < expected:
        try:
            aws.wait(
                "the last nodes",
                lambda: ready(expected),
                seconds=config.cluster_ready_additional_time_seconds,
                progress=lambda: str(seen["answer"]),
            )
        except WaitExpired:
            aws.console.warn(f"{seen['answer']}; {_not_ready(seen['nodes'])}: allowed by ALLOWED_NOTREADY_NODES")
    nodes: list[Node] = seen["nodes"]
    return nodes


def _with(words: str, known: Known) -> Known:
    return Known(f"{words}\n{known.hint}", known.seen)


def _ready(nodes: Sequence[Node]) -> int:
    return sum(node.ready for node in nodes)


def _not_ready(nodes: Sequence[Node]) -> str:
    late: dict[str, list[str]] = {}
    for node in nodes:
        if not node.ready:
            late.setdefault(node.reason or "no word from its kubelet", []).append(node.name)
    words = [f"{', '.join(names)} ({'each: ' if names[1:] else ''}{why})" for why, names in late.items()]
    return f"not Ready: {', '.join(words)}" if words else "the others have not joined"


def validate(aws: Aws, config: Config, api: Api) -> None:
    """Return once the API server calls itself ready; that one answer is late, or none, says nothing of it.

    Raises WaitExpired with the failing checks.
    """
    last = {"answer": ""}

    def ready() -> bool | None:
        try:
            status, body = api.get("/readyz?verbose")
        except Unreachable as error:
            last["answer"] = str(error)
            return None
        failing = [line[3:].strip() for line in body.splitlines() if line.startswith("[-]")]
        last["answer"] = ", ".join(failing) or f"HTTP {status}"
        return True if status == http.HTTPStatus.OK else None

    aws.wait(
        f"the API at {api.server} to be ready",
        ready,
        seconds=config.kube_wait_api_seconds,
        progress=lambda: last["answer"],
        at_end=lambda: Known(f"last answer: {last['answer']}"),
        interval=_INTERVAL,
    )


def services(api: Api) -> list[tuple[str, str]]:
    """The cluster's own services and their addresses, as kubectl cluster-info lists them; at first none."""
    try:
        found = api.get_json(
            "/api/v1/namespaces/kube-system/services?labelSelector=kubernetes.io%2Fcluster-service%3Dtrue"
        )
    except Unreachable:
        return []
    listed = []
    for item in found.get("items", []):
        name, labels = item["metadata"]["name"], item["metadata"].get("labels", {})
        port = next((p.get("name", "") for p in item["spec"].get("ports", [])), "")
        target = f"{name}:{port}" if port else name
        listed.append(
            (
                labels.get("kubernetes.io/name", name),
                f"{api.server}/api/v1/namespaces/kube-system/services/{target}/proxy",
            )
        )
    return listed
