"""python -m benchmarks.bearing: whether the instance types that nobody chose bear 100 pods a node and 50 services.

Runs inside `python -m sandbox --hosts machines`, as `make bench-bearing` does: kube_up.py with the default NUM_NODES
and the types that follow from it. A machine sees the computer's memory and processors, so each one's control group gets
the memory that Linux sees on its type: what does not fit is then ended by the kernel, and that is counted. The
processors stay the computer's, for all machines together.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from benchmarks.nodes import ZONE, inside, instances, timed_lines, until
from lib.kube.api import Api, Unreachable
from sandbox.machines import places
from sandbox.machines.keeper import GROUPS
from sandbox.show_nodes import read_client

PODS, SERVICES = 100, 50  # a node; in all
# Of a type's memory, what the hypervisor and the kernel take before Linux counts it, at most: Karpenter's estimate for
# all of EC2's types (karpenter.sh, settings, VM_MEMORY_OVERHEAD_PERCENT).
OVERHEAD = 0.075
EVICTION = 100  # MiB that the kubelet wants to see free, its own default (memory.available)
ASKED = 30  # times, each question to the API
PATIENCE = 900.0  # seconds for all pods
CALM = 30.0  # seconds after the last pod is Ready
# The driver's images cannot be made here.
SETTINGS = {"KUBE_ENABLE_EBS_CSI_DRIVER": "false"}
MIB = 1 << 20


@dataclass
class Machine:
    """An instance, its type, the MiB that Linux sees on it, and the control group of its machine."""

    name: str
    size: str
    memory: int
    group: Path
    most: int = 0  # MiB of working set, of what was looked at

    def bound(self) -> None:
        """The machine has no more memory than its type."""
        _file(self.group, "memory.limit_in_bytes", "memory.max").write_text(str(self.memory * MIB))

    def used(self) -> int:
        """MiB of working set."""
        found = working_set(self.group)
        self.most = max(self.most, found)
        return found

    def of_pods(self) -> int:
        """MiB of it that are in the group that the kubelet has for all pods."""
        groups = sorted(each for each in self.group.rglob("kubepods*") if (each / "memory.stat").exists())
        return working_set(groups[0])

    def left(self) -> int:
        """MiB that pods could take beside what is used, before the kubelet evicts the first of them."""
        return self.memory - EVICTION - self.most

    def ended(self) -> int:
        """How many processes the kernel has ended for want of memory, in the machine and in its pods."""
        files = [file for name in ("memory.oom_control", "memory.events.local") for file in self.group.rglob(name)]
        lines = [line for file in files for line in file.read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def working_set(group: Path) -> int:
    """MiB, as the kubelet reckons: what is in use without the pages of files that were not used lately."""
    used = int(_file(group, "memory.usage_in_bytes", "memory.current").read_text())
    lines = (group / "memory.stat").read_text().splitlines()
    counts = {name: int(value) for name, value in (line.split() for line in lines)}
    return (used - counts.get("total_inactive_file", counts["inactive_file"])) // MIB


def _file(group: Path, *names: str) -> Path:
    """The group's file by its name in version 1 of control groups, or in version 2."""
    return next(group / name for name in names if (group / name).exists())


def machines(ec2: Any) -> list[Machine]:
    """The cluster's, the master first."""
    return [_machine(ec2, each, role) for role in ("master", "minion") for each in instances(ec2, role)]


def _machine(ec2: Any, instance: str, role: str) -> Machine:
    size = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["InstanceType"]
    (kind,) = ec2.describe_instance_types(InstanceTypes=[size])["InstanceTypes"]
    hierarchy = GROUPS / "memory" if (GROUPS / "memory").exists() else GROUPS
    (group,) = hierarchy.glob(f"{places.PREFIX}*-{instance}")
    return Machine(role, size, int(kind["MemoryInfo"]["SizeInMiB"] * (1 - OVERHEAD)), group)


def pause(api: Api) -> str:
    """The image that every node has, of a program that only waits."""
    images = [each for node in api.get_json("/api/v1/nodes")["items"] for each in node["status"]["images"]]
    names = [str(name) for each in images for name in each["names"]]
    return next(name for name in names if name.startswith("registry.k8s.io/pause:"))


def load(minions: int, image: str) -> list[dict[str, Any]]:
    """Services, each with a deployment of pods spread evenly over the minions: PODS on each."""
    replicas = PODS * minions // SERVICES
    return [each for number in range(SERVICES) for each in _service(f"bearing-{number}", replicas, image)]


def _service(name: str, replicas: int, image: str) -> list[dict[str, Any]]:
    labels = {"app": name}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",  # the master's; a minion that is not Ready meanwhile has one, too, and fewer pods
        "labelSelector": {"matchLabels": labels},
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "topologySpreadConstraints": [spread],
        "containers": [{"name": "pause", "image": image}],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]


def apply(objects: Sequence[dict[str, Any]]) -> None:
    """As a user does. Raises SystemExit with kubectl's words."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    done = subprocess.run(["kubectl", "apply", "-f", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"kubectl apply failed: {done.stderr}")


def asked(api: Api, path: str) -> str:
    """How long the API takes to answer, in words."""
    times = []
    for _ in range(ASKED):
        started = time.monotonic()
        api.get_json(path)
        times.append((time.monotonic() - started) * 1000)
    return f"{statistics.median(times):.0f} ms, at most {max(times):.0f}"


def ready(api: Api) -> int:
    """How many of the load's pods are Ready; 0 while the API does not answer."""
    try:
        items = api.get_json("/apis/apps/v1/namespaces/default/deployments")["items"]
    except Unreachable:
        return 0
    return sum(each["status"].get("readyReplicas", 0) for each in items)


def one_more(api: Api) -> float:
    """Seconds until another pod is Ready."""
    (_, deployment) = _service("bearing-more", 1, pause(api))
    apply([deployment])
    path = "/apis/apps/v1/namespaces/default/deployments/bearing-more"
    return until("one more pod", lambda: api.get_json(path)["status"].get("readyReplicas"))


def main() -> None:
    """Print what was measured; status 1 where a pod is not Ready in time or a process was ended for want of memory."""
    inside()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before", flush=True)
    timed_lines("kube_up.py", SETTINGS)
    try:
        good = measure(boto3.client("ec2", region_name=ZONE[:-1]))
    finally:
        timed_lines("kube_down.py", SETTINGS)
    sys.exit(not good)


def measure(ec2: Any) -> bool:
    """The load and what it takes; whether every machine bears it."""
    api, all_machines = Api(read_client(Path(os.environ["KUBECONFIG"]))), machines(ec2)
    for each in all_machines:
        each.bound()
    print("empty:", flush=True)
    say(api, all_machines)
    minions = len(all_machines) - 1
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(all_machines, stop))
    watcher.start()
    try:
        started = time.monotonic()
        apply(load(minions, pause(api)))
        until(f"{PODS * minions} pods", lambda: ready(api) == PODS * minions, patience=PATIENCE)
        print(f"{SERVICES} services, {PODS * minions} pods Ready after {time.monotonic() - started:.0f} s", flush=True)
        time.sleep(CALM)
    finally:
        stop.set()
        watcher.join()
    say(api, all_machines)
    print(f"  one more pod is Ready after {one_more(api):.1f} s")
    return all(each.ended() == 0 and each.left() >= 0 for each in all_machines)


def _watch(all_machines: Sequence[Machine], stop: threading.Event) -> None:
    while not stop.wait(0.5):
        for each in all_machines:
            each.used()


def say(api: Api, all_machines: Sequence[Machine]) -> None:
    """How many pods there are and may be, how soon the API answers, and the memory of each machine."""
    pods = api.get_json("/api/v1/pods")["items"]
    for node in api.get_json("/api/v1/nodes")["items"]:
        name = node["metadata"]["name"]
        there = sum(pod["spec"].get("nodeName") == name for pod in pods)
        print(f"  {name}: {there} pods of {node['status']['capacity']['pods']}, addresses {node['spec']['podCIDR']}")
    print(f"  all {len(pods)} pods are listed in {asked(api, '/api/v1/pods')}")
    print(f"  a service is read in {asked(api, '/api/v1/namespaces/default/services/kubernetes')}")
    for each in all_machines:
        print(f"  {each.name}, {each.size}: {each.used()} MiB in use, at most {each.most} of {each.memory}", end=", ")
        print(f"pods {each.of_pods()}, left for more {each.left()}; processes ended {each.ended()}", flush=True)


if __name__ == "__main__":
    main()
