"""A cluster whose nodes have more packages, a script of one's own and less memory than the others'.

Packages come from Debian's own mirror as this computer's apt reaches it. Whether a pod mounts NFS is not shown: that
needs a server, and a kernel that has it. A machine sees the memory of the whole computer, so what is left to pods is
made small by reserving the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.stage import PATIENCE, Stage, wait

ID = "packages"
FOR_PODS = 2000  # MiB: enough for the control plane's own
EVICTION = 100  # MiB, EVICTION_HARD's default
SCRIPT = """#!/bin/sh
test -e /sbin/mount.nfs || { echo no mount.nfs yet; exit 1; }
echo "$KUBE_ROLE, kubelet $(systemctl is-active kubelet)" >/run/mine
"""
EATER = """
eaten = []
while True:
    eaten.append(b"x" * 2**24)
"""


def _memory() -> int:
    """MiB of this computer."""
    with open("/proc/meminfo") as meminfo:
        return int(next(meminfo).split()[1]) // 1024


def _reserved(mib: int) -> float:
    """What the bootstrap reserves of so many MiB."""
    bands = ((4096, 0.25), (8192, 0.2), (16384, 0.1), (131072, 0.06), (mib, 0.02))
    ends = [0, *(min(mib, end) for end, _ in bands)]
    return sum(max(0, end - begin) * part for begin, end, (_, part) in zip(ends, ends[1:], bands, strict=False))


@pytest.fixture(scope="module")
def pause(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The cluster; the name of the image that every node has."""
    script = tmp_path_factory.mktemp("script") / "mine"
    script.write_text(SCRIPT, encoding="utf-8")
    spare = int(_memory() - _reserved(_memory()) - FOR_PODS)
    settings = {
        "KUBE_AWS_INSTANCE_PREFIX": ID,
        "NUM_NODES": "1",
        "KUBE_EXTRA_PACKAGES": "nfs-common",
        "KUBE_NODE_SCRIPT": str(script),
        "NODE_SPOT_PRICE": "0.05",
        "KUBELET_TEST_ARGS": f"--system-reserved=memory={max(0, spare)}Mi",
    }
    with stage.removing(**settings):
        stage.up(**settings)
        yield next(
            name
            for node in stage.get("nodes")["items"]
            for each in node["status"]["images"]
            for name in each["names"]
            if name.startswith("registry.k8s.io/pause:")
        )


def test_nfs_common_is_there_when_a_node_joins(stage: Stage, pause: str) -> None:
    for instance in stage.instances(ID):
        assert "extra packages: ok" in stage.console(instance)
    # A volume of type File is refused by the kubelet where the host has no such file.
    volume = {"name": "mount-nfs", "hostPath": {"path": "/usr/sbin/mount.nfs", "type": "File"}}
    overrides = {"spec": {"volumes": [volume]}}
    stage.kubectl("run", "nfs", f"--image={pause}", "--restart=Never", f"--overrides={json.dumps(overrides)}")
    stage.kubectl("wait", "--for=condition=Ready", "pod/nfs", "--timeout=90s")


def test_every_node_has_run_the_script_after_packages_and_before_its_kubelet(stage: Stage, pause: str) -> None:
    assert pause
    for instance in stage.instances(ID):
        assert "node script: ok" in stage.console(instance)
    assert stage.on_master("cat /run/mine") == "master, kubelet inactive"


def test_the_kernel_holds_pods_to_what_is_allocatable(stage: Stage, pause: str) -> None:
    """The kubelet's limit for all pods together; eviction begins before it."""
    assert pause
    files = "/sys/fs/cgroup/memory/kubepods/memory.limit_in_bytes /sys/fs/cgroup/kubepods.slice/memory.max"
    limit = int(stage.on_master(f"cat {files} 2>/dev/null || true"))
    address = next(iter(stage.instances(ID, role="master").values())).replace(".", "-")
    master = stage.get("node", f"ip-{address}.us-west-2.compute.internal")
    allocatable = int(master["status"]["allocatable"]["memory"].removesuffix("Ki")) * 1024
    assert limit == allocatable + EVICTION * 2**20


def test_a_pod_that_eats_all_memory_is_killed_and_its_node_stays_ready(stage: Stage, pause: str) -> None:
    before = _ready(stage)
    assert set(before.values()) == {"True"}
    folders = {"usr": "/usr", "lib": "/usr/lib", "lib64": "/usr/lib64"}
    container = {
        "name": "eater",
        "image": pause,
        "command": ["/usr/bin/python3", "-c", EATER],
        "volumeMounts": [{"name": name, "mountPath": f"/{name}", "readOnly": True} for name in folders],
    }
    volumes = [{"name": name, "hostPath": {"path": path}} for name, path in folders.items()]
    overrides = {"spec": {"containers": [container], "volumes": volumes}}
    stage.kubectl("run", "eater", f"--image={pause}", "--restart=Never", f"--overrides={json.dumps(overrides)}")
    wait("the end of a pod that eats memory", lambda: stage.get("pod", "eater")["status"]["phase"] == "Failed")
    status = stage.get("pod", "eater")["status"]
    ended = [each["state"].get("terminated", {}) for each in status.get("containerStatuses", [])]
    assert status.get("reason") == "Evicted" or [each["reason"] for each in ended] == ["OOMKilled"], status
    stage.kubectl("run", "next", f"--image={pause}", "--restart=Never")
    stage.kubectl("wait", "--for=condition=Ready", "pod/next", "--timeout=90s")
    assert _ready(stage) == before


def test_a_spot_minion_leaves_in_order_when_it_has_notice(stage: Stage, pause: str) -> None:
    (minion, address), *_ = stage.instances(ID, role="minion").items()
    node = f"ip-{address.replace('.', '-')}.us-west-2.compute.internal"
    overrides = {"spec": {"nodeName": node}}
    stage.kubectl("run", "leaving", f"--image={pause}", "--restart=Never", f"--overrides={json.dumps(overrides)}")
    stage.kubectl("wait", "--for=condition=Ready", "pod/leaving", "--timeout=90s")
    tag = {"Key": "sandbox:spot-notice", "Value": "2026-11-28T08:22:00Z"}
    # Watched from before: once its Node is gone, so is the pod. The reason is that of a kubelet which ends a pod since
    # its host shuts down (nodeshutdown_manager.go).
    with ThreadPoolExecutor() as aside:
        ends = "--for=jsonpath={.status.conditions[?(@.type=='DisruptionTarget')].reason}=TerminationByKubelet"
        wait_for_it = ("wait", "--request-timeout=0", ends, "pod/leaving", f"--timeout={PATIENCE:.0f}s")
        ended = aside.submit(stage.kubectl, *wait_for_it)
        stage.client("ec2").create_tags(Resources=[minion], Tags=[tag])
        ended.result()
    assert "kube-spot: AWS takes this instance" in stage.console(minion)
    wait("the minion to be off", lambda: minion not in stage.instances(ID, role="minion"))
    wait("its successor", lambda: list(stage.nodes().values()).count(True) == 2)


def test_an_etcd_that_is_full_stores_again_by_what_the_docs_say_to_type(stage: Stage, pause: str) -> None:
    """Its manifest says that it may have no more than it has: the least that the option takes is long to fill."""
    assert pause
    size = stage.on_master("stat -c %s /mnt/master-pd/etcd/member/snap/db")
    manifest = "/etc/kubernetes/manifests/etcd.yaml"
    stage.on_master(f"sed -i 's/--quota-backend-bytes=.*/--quota-backend-bytes={size}/' {manifest}")
    many = [f"--from-literal={name}={'x' * 100_000}" for name in "abcdefgh"]

    def is_full() -> bool:
        stage.try_kubectl("delete", "configmap", "filler")
        return "space exceeded" in stage.try_kubectl("create", "configmap", "filler", *many).stderr

    wait("etcd to be full", is_full)
    said = stage.on_master("/usr/local/sbin/kube-bootstrap settings etcd_room")
    assert "etcd was full, and stores again" in said
    stage.kubectl("create", "configmap", "stored", "--from-literal=x=y")


def _ready(stage: Stage) -> dict[tuple[str, str], str]:
    """Each node's condition Ready, by its name and since when."""
    return {
        (node["metadata"]["name"], condition["lastTransitionTime"]): condition["status"]
        for node in stage.get("nodes")["items"]
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    }
