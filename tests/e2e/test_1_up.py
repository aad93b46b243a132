"""A cluster of a master and two minions, and its network as a person's pods see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.stage import Stage, wait

WEB = Path(__file__).parent / "web.yaml"
TOKEN = ("--request", "PUT", "--header", "X-aws-ec2-metadata-token-ttl-seconds: 60")


@pytest.fixture(scope="module")
def pods(stage: Stage) -> list[tuple[str, str, str]]:
    """The web server's two pods."""
    stage.kubectl("apply", f"--filename={WEB}")
    stage.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    return stage.web()


def test_up_ends_with_every_node_ready_and_validated(stage: Stage) -> None:
    result = stage.up()
    stage.times["up"] = result.seconds
    assert "Cluster kubernetes is up" in result.out
    assert len(stage.nodes()) == 3
    assert all(stage.nodes().values())
    assert len(stage.instances()) == 3


def test_the_deployment_is_on_two_nodes(pods: list[tuple[str, str, str]]) -> None:
    assert len({node for _, _, node in pods}) == 2


def test_pods_reach_each_other_across_nodes_by_their_own_addresses(
    stage: Stage, pods: list[tuple[str, str, str]]
) -> None:
    (one, one_address, _), (other, other_address, _) = pods
    assert stage.fetch(one, f"http://{other_address}:8080") == one_address
    assert stage.fetch(other, f"http://{one_address}:8080") == other_address


def test_a_service_answers_at_its_address_and_at_its_name(stage: Stage, pods: list[tuple[str, str, str]]) -> None:
    service = stage.get("service", "web")["spec"]["clusterIP"]
    addresses = {address for _, address, _ in pods}
    for pod, _, _ in pods:
        for name in (service, "web.default.svc.cluster.local", "web"):
            caller = stage.fetch(pod, f"http://{name}")
            # A pod that gets itself comes back through the bridge, by the bridge's address.
            assert caller in addresses or caller.endswith(".1")


def test_a_node_port_answers_on_every_node(stage: Stage, pods: list[tuple[str, str, str]]) -> None:
    for node in stage.get("nodes")["items"]:
        address = next(found["address"] for found in node["status"]["addresses"] if found["type"] == "InternalIP")
        assert stage.fetch(pods[0][0], f"http://{address}:30080")


def test_the_outside_sees_the_nodes_public_address(stage: Stage, pods: list[tuple[str, str, str]]) -> None:
    nodes = {node["metadata"]["name"]: node for node in stage.get("nodes")["items"]}
    for pod, _, node in pods:
        addresses = nodes[node]["status"]["addresses"]
        public = next(found["address"] for found in addresses if found["type"] == "ExternalIP")
        assert stage.fetch(pod, "http://outside.example.com/") == public


def test_a_pod_gets_no_credentials_of_its_node(stage: Stage, pods: list[tuple[str, str, str]]) -> None:
    curl = ("/usr/bin/curl", "--silent", "--max-time", "3", *TOKEN, "http://169.254.169.254/latest/api/token")
    done = stage.try_kubectl("exec", pods[0][0], "--", *curl)
    assert done.returncode != 0
    assert done.stdout == ""


def test_logs_and_exec(stage: Stage, pods: list[tuple[str, str, str]]) -> None:
    assert "caller" in stage.kubectl("logs", pods[0][0])
    assert stage.kubectl("exec", pods[0][0], "--", "/usr/bin/hostname") == pods[0][0]


def test_metrics_of_every_node(stage: Stage) -> None:
    def all_there() -> bool:
        return len(stage.try_kubectl("top", "nodes", "--no-headers").stdout.splitlines()) == 3

    wait("metrics of three nodes", all_there, seconds=120)


def test_the_route_table_leads_to_every_nodes_pods(stage: Stage) -> None:
    ranges = {node["spec"]["podCIDR"]: node["spec"]["providerID"] for node in stage.get("nodes")["items"]}
    routes = stage.pod_routes()
    assert {cidr: f"aws:///us-west-2a/{instance}" for cidr, instance in routes.items()} == ranges


def test_addons_that_cannot_run_here_are_applied_and_accepted(stage: Stage) -> None:
    driver = stage.get("daemonset", "ebs-csi-node", "--namespace=kube-system")
    assert driver["status"]["desiredNumberScheduled"] == 3
    assert stage.get("storageclass", "gp3")["metadata"]["annotations"] == pytest.approx(
        stage.get("storageclass", "gp3")["metadata"]["annotations"]
    )
    assert json.dumps(driver)
