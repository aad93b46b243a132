"""The cluster's API as a run asks it: an answer that is lost, or late on a machine under load, fails no run."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import Box
from helpers import must, refused, refused_untouched

from lib.kube.api import Api, Unreachable
from sandbox.hosts import apiserver
from sandbox.show_nodes import read_client


class Unanswered:
    """Notes what the stand-in API is asked, and does the first requests of each that is `lost` without an answer."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: dict[str, None] = {}
        self.lost = Counter[str]()
        self.kept = 0
        answer, change = apiserver.answer, apiserver.change

        def look(cluster: Any, target: str, *more: Any) -> apiserver.Reply:
            return self._unless_lost(f"GET {target}", answer(cluster, target, *more))

        def do(cluster: Any, method: str, target: str, *more: Any) -> apiserver.Reply:
            return self._unless_lost(f"{method} {target}", change(cluster, method, target, *more))

        patch.setattr(apiserver, "answer", look)
        patch.setattr(apiserver, "change", do)

    def _unless_lost(self, asked: str, reply: apiserver.Reply) -> apiserver.Reply:
        asked = re.sub(r"ip-[-\d]+[\w.]*", "NODE", asked)
        self.asked[asked] = None
        if self.lost[asked]:
            self.lost[asked] -= 1
            self.kept += 1
            raise ConnectionError  # the connection's thread ends, and with it the connection
        return reply


def as_at_first(box: Box) -> None:
    """An empty account, and no more at home than a key: what a prepared cluster is put back into."""
    box.aws.reset()
    for each in box.home.iterdir():
        if each.name != ".ssh":
            shutil.rmtree(each)


def pods(box: Box) -> list[dict[str, Any]]:
    """One on each node, that a drain evicts."""
    owners = [{"kind": "ReplicaSet", "name": "x", "controller": True}]
    found = box.client("ec2").describe_instances()["Reservations"]
    addresses = [instance["PrivateDnsName"] for each in found for instance in each["Instances"]]
    return [
        {
            "metadata": {"name": f"pod-{number}", "namespace": "default", "ownerReferences": owners},
            "spec": {"nodeName": address},
            "status": {"phase": "Running"},
        }
        for number, address in enumerate(addresses)
    ]


@pytest.mark.parametrize(
    ("more", "asks"),
    [
        ((), ("/healthz", "/readyz?verbose", "/version", "/api/v1/nodes")),
        (("NUM_NODES",), ("PATCH /api/v1/nodes/NODE", "eviction", "DELETE /api/v1/nodes/NODE")),
    ],
    ids=["rerun", "fewer minions"],
)
@pytest.mark.parametrize("alone", [False, pytest.param(True, marks=pytest.mark.torture)])
def test_a_lost_answer_of_whatever_is_asked_fails_no_run(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch, more: Sequence[str], asks: Sequence[str], alone: bool
) -> None:
    api, settings = Unanswered(monkeypatch), dict.fromkeys(more, 1)

    def run() -> str:
        as_at_first(sandbox)
        sandbox.cluster()
        sandbox.aws.world.state.kube.pods.extend(pods(sandbox))
        api.asked.clear()
        return must(sandbox.up(**settings)).out

    run()
    asked = list(api.asked)
    for each in [[one] for one in asked] if alone else [asked]:
        # What only reads is asked again over a new connection.
        api.lost, api.kept = Counter({one: 2 if one.startswith("GET") else 1 for one in each}), 0
        lost = api.lost.total()
        assert "Cluster kubernetes is up" in run(), each
        assert api.kept == lost, each
    assert [part for part in asks if not any(part in each for each in asked)] == []


def test_a_run_reads_over_one_connection_and_over_new_ones_where_the_server_closes_them(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.cluster()
    send, seen = apiserver._Handler._send, list[tuple[Any, str]]()

    def note(handler: Any, reply: apiserver.Reply) -> None:
        seen.append((handler.client_address, handler.path))
        send(handler, reply)
        handler.close_connection = closes

    monkeypatch.setattr(apiserver._Handler, "_send", note)
    asked = list[list[str]]()
    for closes in (False, True):
        seen.clear()
        must(sandbox.up())
        asked.append([path for _, path in seen])
        connections = len({address for address, _ in seen})
        assert connections == (len(seen) if closes else 1)
    assert asked[0] == asked[1]
    assert len(asked[0]) > 5


def test_a_master_that_is_gone_answers_on_no_connection(sandbox: Box) -> None:
    sandbox.cluster()
    client = read_client(sandbox.home / ".kube" / "config")
    api = Api(client)
    assert api.get("/healthz") == (200, "ok")
    ec2 = sandbox.client("ec2")
    found = ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["kubernetes-master"]}])
    (master,) = found["Reservations"][0]["Instances"]
    ec2.modify_instance_attribute(InstanceId=master["InstanceId"], DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[master["InstanceId"]])
    sandbox.clock.sleep(60)
    with pytest.raises(Unreachable):
        api.get("/healthz")


def test_an_api_that_is_not_ready_is_waited_for_and_its_failing_checks_are_named(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.cluster()
    answer, times = apiserver.answer, [3]

    def not_yet(cluster: Any, target: str, *more: Any) -> apiserver.Reply:
        if not target.startswith("/readyz") or not times[0]:
            return answer(cluster, target, *more)
        times[0] -= 1
        return apiserver.Reply(500, b"[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n", "text/plain")

    monkeypatch.setattr(apiserver, "answer", not_yet)
    assert must(sandbox.up()).changing == []
    times[0] = 1000
    words = "etcd failed: reason withheld"
    refused(sandbox.up(KUBE_WAIT_API_SECONDS=5), 1, "waited 5 s for the API at https://", "to be ready", words)


def test_a_living_clusters_entry_in_kubeconfig_stays_though_its_first_answer_is_lost(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.cluster()
    api = Unanswered(monkeypatch)
    api.lost["GET /healthz"] = 1
    refused_untouched(sandbox, sandbox.up(KUBE_AWS_ZONE="eu-central-1a"), 2, "KUBE_CONFIG_CONTEXT: ", "which answers")
    assert api.kept == 1
