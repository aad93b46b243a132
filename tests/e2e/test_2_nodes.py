"""What happens to nodes in a cluster's life: a rerun, reboots, a death."""

from __future__ import annotations

import time

from e2e.stage import Stage, wait


def boot_ids(stage: Stage) -> dict[str, str]:
    """Each Ready node's boot, by its name."""
    found = stage.try_kubectl(
        "get", "nodes", "--output=jsonpath={range .items[*]}{.metadata.name}={.status.nodeInfo.bootID} {end}"
    )
    return dict(word.split("=") for word in found.stdout.split())


def test_a_rerun_changes_nothing(stage: Stage) -> None:
    before, nodes = stage.inventory(), boot_ids(stage)
    result = stage.up()
    stage.times["rerun"] = result.seconds
    assert "nothing to do" in result.out, result.out
    assert stage.inventory() == before
    assert boot_ids(stage) == nodes


def test_every_node_rebooted_comes_back(stage: Stage) -> None:
    before = boot_ids(stage)
    began = time.monotonic()
    stage.client("ec2").reboot_instances(InstanceIds=list(stage.instances()))

    # Not by the console: its login prompt, which starts when the bootstrap ends, may take the last lines.
    def rebooted() -> bool:
        now = boot_ids(stage)
        return set(now) == set(before) and not set(now.values()) & set(before.values())

    wait("the machines to boot again", rebooted)
    wait("three nodes to be Ready", lambda: sum(stage.nodes().values()) == 3)
    stage.times["all rebooted"] = time.monotonic() - began
    wait("both pods to serve", lambda: all_serve(stage))


def all_serve(stage: Stage) -> bool:
    """Whether there are two pods of the web server's, and one reaches the other."""
    pods = stage.web()
    if len(pods) != 2:
        return False
    (one, _, _), (_, address, _) = pods
    done = stage.try_kubectl("exec", one, "--", "/usr/bin/curl", "-sf", "-m", "3", f"http://{address}:8080")
    return done.returncode == 0


def test_a_dead_minion_is_replaced_and_its_route_goes(stage: Stage) -> None:
    dead, address = next(iter(stage.instances(role="minion").items()))
    name = f"ip-{address.replace('.', '-')}.us-west-2.compute.internal"
    stage.client("ec2").terminate_instances(InstanceIds=[dead])
    started = time.monotonic()

    def replaced() -> bool:
        minions = stage.instances(role="minion")
        ready = stage.nodes()
        nodes = {n["spec"].get("providerID", "").rpartition("/")[2]: n["metadata"]["name"] for n in _nodes(stage)}
        return dead not in minions and len(minions) == 2 and all(ready.get(nodes.get(i, "")) for i in minions)

    wait(f"the successor of {name}", replaced)
    stage.times["minion replaced"] = time.monotonic() - started
    wait("the route of the dead one to go", lambda: dead not in stage.pod_routes().values())
    wait("a route to every node", lambda: set(stage.pod_routes().values()) == set(stage.instances()))
    stage.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    wait("both pods to serve", lambda: all_serve(stage))


def test_three_then_one_then_two_minions(stage: Stage) -> None:
    grown = stage.up(NUM_NODES="3")
    minions = stage.instances(role="minion")
    assert len(minions) == 3, grown.out
    shrunk = stage.up(NUM_NODES="1")
    left = stage.instances(role="minion")
    assert len(left) == 1, shrunk.out
    assert set(left) < set(minions), shrunk.out
    for instance in set(minions) - set(left):
        assert f"remove  minion {instance}" in shrunk.out
    assert list(stage.nodes().values()) == [True, True]
    stage.times["two of three minions drained and removed"] = shrunk.seconds
    wait("a pod on what is left to serve", lambda: any(pod[2] for pod in stage.web()))
    stage.up()
    assert list(stage.nodes().values()) == [True, True, True]
    wait("both pods to serve", lambda: all_serve(stage))


def _nodes(stage: Stage) -> list[dict[str, dict[str, str]]]:
    done = stage.try_kubectl("get", "nodes")
    return list(stage.get("nodes")["items"]) if done.returncode == 0 else []
