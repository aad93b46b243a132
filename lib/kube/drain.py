"""Take a node's pods off it before its machine goes: cordon, evict, uncordon one that is to stay after all, forget one.

Pods are evicted (policy/v1 Eviction), so that PodDisruptionBudgets are kept. A node that we cordoned bears an
annotation of ours, by which a later run knows it: a node that a person cordoned is never uncordoned.
"""

from __future__ import annotations

import functools
import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lib.kube.api import Unreachable
from lib.run.errors import Known, KubeError, WaitExpired

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.aws.client import Aws
    from lib.kube.api import Api, Node

OURS = "kube-up/cordoned"
_MIRROR = "kubernetes.io/config.mirror"
_MERGE = "application/merge-patch+json"
_PATIENCE = 60  # seconds for a change that the API does not answer
_BRIEFLY = 10  # the same for one that nothing depends on


def is_cordoned_by_us(node: Node) -> bool:
    """Whether a run of ours cordoned the node."""
    return OURS in node.annotations


def cordon(aws: Aws, api: Api, node: Node) -> None:
    """Let no more pods come. One that somebody cordoned before is left theirs. Raises KubeError."""
    if not node.unschedulable:
        patch = {"metadata": {"annotations": {OURS: "true"}}, "spec": {"unschedulable": True}}
        aws.change("cordon", f"node {node.name}", lambda: _patch(aws, api, node.name, patch))


def uncordon(aws: Aws, api: Api, node: Node) -> None:
    """Let pods come again to a node that we cordoned. Raises KubeError."""
    patch = {"metadata": {"annotations": {OURS: None}}, "spec": {"unschedulable": None}}
    aws.change("uncordon", f"node {node.name}", lambda: _patch(aws, api, node.name, patch))


def forget(aws: Aws, api: Api, node: Node) -> None:
    """Delete the Node of a machine that is ended; a warning where the API refuses.

    Until the API misses its kubelet it would count as Ready, and keep its route. A Node that stays because this did not
    come to pass is the cloud controller manager's to delete, later. A new machine's Node of the same name stays.
    """
    this = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": node.uid}}
    send = functools.partial(_send, aws, api, "DELETE", node.name, this, what="deleted", seconds=_BRIEFLY)
    try:
        aws.change("delete", f"node {node.name}", send)
    except KubeError as refused:
        why = f" ({refused.hint})" if refused.hint else ""
        aws.console.warn(f"{refused}{why}: its machine is ended, so the cloud controller manager will delete it")


def drain(aws: Aws, api: Api, node: Node, *, seconds: int) -> None:
    """Evict the node's pods and return once they are gone. Pods of DaemonSets, mirror pods and ended ones stay.

    Of a node that is not Ready only the evictions are waited for, since nobody there ends a pod. Raises KubeError, with
    the pod and the API server's own words, for one that did not go in time; nothing is killed then.
    """
    aws.change("drain", f"node {node.name}", lambda: _empty(aws, api, node, seconds=seconds))


def _empty(aws: Aws, api: Api, node: Node, *, seconds: int) -> None:
    held: dict[str, str] = {}
    told: set[str] = set()

    def empty() -> bool | None:
        held.clear()
        try:
            for pod in _pods(api, node.name):
                _let_go(aws, api, pod, node, held, told)
        except Unreachable as error:
            held["the API"] = str(error)
        return None if held else True

    try:
        aws.wait(f"the pods of {node.name} to leave", empty, seconds=seconds, progress=lambda: _first(held))
    except WaitExpired as expired:
        raise KubeError(
            f"node {node.name} could not be drained within {seconds} s: {_first(held)}",
            hint="nothing was killed; let it go, or give KUBE_DRAIN_SECONDS more, then run the same command again",
        ) from expired


def _first(held: Mapping[str, str]) -> str:
    pod, words = next(iter(held.items()), ("", ""))
    more = f", and {len(held) - 1} more" if len(held) > 1 else ""
    return f"{pod}: {words}{more}" if pod else ""


def _let_go(aws: Aws, api: Api, pod: Mapping[str, Any], node: Node, held: dict[str, str], told: set[str]) -> None:
    """Evict the pod; into `held` goes why it is still there."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    shown = f"pod {namespace}/{name}"
    if pod["metadata"].get("deletionTimestamp"):
        if node.alive:
            held[shown] = "it is still ending"
        return
    if _controller(pod) == "" and shown not in told:
        told.add(shown)
        aws.console.warn(f"{shown} belongs to no controller: nothing makes it again elsewhere")
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    status, answer = api.send("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)
    if status == http.HTTPStatus.NOT_FOUND:
        return
    held[shown] = "it is still ending" if status < 300 else why_refused(status, answer)


def why_refused(status: int, answer: str) -> str:
    """The API server's own words in a Status that refuses, with the causes that it names."""
    try:
        said = json.loads(answer)
        causes = [cause.get("message", "") for cause in (said.get("details") or {}).get("causes") or []]
        return " ".join(" ".join([said.get("message", ""), *causes]).split()) or f"HTTP {status}"
    except (ValueError, AttributeError):
        return f"HTTP {status}"


def _pods(api: Api, node: str) -> list[Mapping[str, Any]]:
    """The pods of a node that have to leave it."""
    found = api.get_json(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{quote(node)}")["items"]
    return [pod for pod in found if _leaves(pod)]


def _leaves(pod: Mapping[str, Any]) -> bool:
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not ended and _MIRROR not in pod["metadata"].get("annotations", {}) and _controller(pod) != "DaemonSet"


def _controller(pod: Mapping[str, Any]) -> str:
    owners = pod["metadata"].get("ownerReferences", [])
    return str(next((owner["kind"] for owner in owners if owner.get("controller")), ""))


def _patch(aws: Aws, api: Api, name: str, patch: Mapping[str, Any]) -> None:
    """Change a Node; one that is gone needs no change. It may be repeated without harm."""
    _send(aws, api, "PATCH", name, patch, _MERGE, what="changed")


def _send(
    aws: Aws,
    api: Api,
    method: str,
    name: str,
    body: Mapping[str, Any],
    kind: str = "",
    *,
    what: str,
    seconds: int = _PATIENCE,
) -> None:
    """Ask for something to be done to a Node until it is, or there is no such Node, or another of its name."""
    last = {"answer": ""}

    def done() -> bool | None:
        try:
            status, answer = api.send(method, f"/api/v1/nodes/{quote(name)}", body, kind)
        except Unreachable as error:
            last["answer"] = str(error)
            return None
        another = method == "DELETE" and status == http.HTTPStatus.CONFLICT
        if status < 300 or status == http.HTTPStatus.NOT_FOUND or another:
            return True
        last["answer"] = why_refused(status, answer)
        if status < 500 and status != http.HTTPStatus.TOO_MANY_REQUESTS:
            raise KubeError(f"node {name} cannot be {what}: {last['answer']}")
        return None

    aws.wait(f"node {name} to be {what}", done, seconds=seconds, at_end=lambda: Known(last["answer"]))
