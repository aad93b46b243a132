"""A cluster of machines with a kernel of their own: they have what a machine in a container may lack."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import conformance
from e2e import test_2_nodes as nodes
from e2e.stage import ROOT, Stage, wait
from e2e.test_1_up import WEB
from sandbox.conformance import part
from sandbox.conformance.suite import FEWER_PROCESSES
from sandbox.machines import debian, places

KERNEL = places.cache().kernel
MODULES = KERNEL / "modules/lib/modules"
WANTED = ROOT / "sandbox/kernel/wanted"
SETTINGS = {"KUBE_ENABLE_EBS_CSI_DRIVER": "false"}  # its images cannot be built here
PATIENCE = 600.0  # seconds: system calls cost several times what they cost elsewhere

pytestmark = pytest.mark.skipif(not (KERNEL / "inputs").exists(), reason="there is no kernel: make release")


@pytest.fixture(scope="module")
def own() -> Iterator[Stage]:
    """A sandbox whose machines have a kernel of their own."""
    with Stage.opened("--kernel", *conformance.options()) as opened:
        yield opened


def kubeadms_symbols() -> dict[str, set[str]]:
    """What kubeadm's look at a kernel's configuration asks for, in its own words for how much."""
    done = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/system-validators"],
        cwd=ROOT / "sandbox/release/k8s",
        capture_output=True,
        text=True,
        check=True,
    )
    text = (Path(done.stdout.strip()) / "validators/types_unix.go").read_text()
    lists = re.findall(r"^\t\t(\w+): +\[\]KernelConfig\{\n(.*?)^\t\t\}", text, re.MULTILINE | re.DOTALL)
    return {kind: set(re.findall(r'\{Name: "(\w+)"', body)) for kind, body in lists}


def test_every_symbol_that_kubeadm_asks_for_is_in_the_list_of_what_a_kernel_must_have() -> None:
    lines = [line.split() for line in WANTED.read_text().splitlines() if line and not line.startswith("#")]
    how = {symbol: much for symbol, much, *_ in lines}
    asked = kubeadms_symbols()
    required = asked["Required"] | asked["RequiredCgroupsV2"]
    assert {"NAMESPACES", "CGROUP_BPF"} <= required  # it was read
    assert {symbol for symbol in required if how.get(symbol) != "must"} == set()
    assert asked["Optional"] | asked["OptionalCgroupsV2"] <= set(how)


def test_every_module_that_a_node_needs_was_built() -> None:
    (folder,) = MODULES.iterdir()
    built = {Path(line).stem for name in ("modules.order", "modules.builtin") for line in _lines(folder / name)}
    assert {name for name in debian.modules() if name not in built} == set()


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_the_same_user_data_comes_up_on_a_kernel_of_the_machines_own(own: Stage, stage: Stage) -> None:
    result = own.up(**SETTINGS)
    stage.times["up on kernels of the machines' own"] = result.seconds
    assert list(own.nodes().values()) == [True, True, True]
    (folder,) = MODULES.iterdir()
    assert {node["status"]["nodeInfo"]["kernelVersion"] for node in own.get("nodes")["items"]} == {folder.name}
    assert folder.name != os.uname().release


def test_control_groups_are_of_version_2_and_the_systemd_driver_has_them(own: Stage) -> None:
    assert own.on_master("stat --file-system --format=%T /sys/fs/cgroup") == "cgroup2fs"
    assert {"cpuset", "cpu", "io", "memory", "pids"} <= set(
        own.on_master("cat /sys/fs/cgroup/cgroup.controllers").split()
    )
    for node in own.nodes():
        configuration = json.loads(own.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"))["kubeletconfig"]
        assert (configuration["cgroupDriver"], configuration["failCgroupV1"]) == ("systemd", True)
    assert "cri-containerd-" in own.on_master("sh -c 'ls -d /sys/fs/cgroup/kubepods.slice/*/*/*.scope'")


def test_kubeadm_has_looked_at_the_kernel_and_the_bootstrap_lacks_no_module(own: Stage) -> None:
    for instance in own.instances():
        words = own.console(instance)
        assert "kube-bootstrap: done" in words
        assert "warning: the kernel" not in words
    # Of kubeadm's checks the one for two processors is left out, and none of the kernel's.
    assert own.on_master("cat /etc/default/kube-bootstrap") == "KUBE_IGNORE_PREFLIGHT_ERRORS=NumCPU"
    assert {"nf_tables", "br_netfilter"} <= {line.split()[0] for line in own.on_master("lsmod").splitlines()}
    assert own.on_master("sysctl -n kernel.panic vm.overcommit_memory").split() == ["10", "1"]
    assert own.on_master("cat /sys/module/apparmor/parameters/enabled") == "Y"


def test_its_interface_has_ec2s_size_of_a_packet_and_nothing_that_it_sends_comes_back(own: Stage) -> None:
    assert own.on_master("cat /sys/class/net/ens5/mtu") == "9001"
    inside = own.on_master("cat /proc/net/dev")
    processes = _kernels(list(own.instances(role="master")))
    (process,) = [folder for folder in processes if os.readlink(folder / "exe") == str(KERNEL / "linux")]
    came = _packets(inside)[0]
    comes, goes = _packets((process / "net/dev").read_text())  # of its end of the line, a moment later
    assert came < comes + goes / 4  # not until it was seen, after a tenth of a second


def _packets(devices: str) -> tuple[int, int]:
    """Received and sent ones of ens5, of what /proc/net/dev says."""
    (words,) = [line.split() for line in devices.splitlines() if line.strip().startswith("ens5:")]
    return int(words[2]), int(words[10])


def test_pods_reach_each_other_across_machines_and_through_a_service(own: Stage) -> None:
    own.kubectl("apply", f"--filename={WEB}")
    own.kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE:.0f}s", "--request-timeout=0")
    (one, one_address, node), (other, other_address, other_node) = own.web()
    assert node != other_node
    assert own.fetch(one, f"http://{other_address}:8080") == one_address
    assert own.fetch(other, f"http://{one_address}:8080") == other_address
    service = own.get("service", "web")["spec"]["clusterIP"]
    for name in (service, "web.default.svc.cluster.local"):
        assert own.fetch(one, f"http://{name}")
    for address in own.instances().values():
        assert own.fetch(one, f"http://{address}:30080")
    assert own.fetch(one, "http://outside.example.com/")


@conformance.built
def test_something_of_every_sig_of_the_conformance_suite_passes(own: Stage, stage: Stage, tmp_path: Path) -> None:
    try:
        conformance.passes(
            own,
            tmp_path,
            most=part.FEWER,
            processes=FEWER_PROCESSES,
            limit="10m",
            where=" on own kernels",
        )
    finally:
        stage.counts.update(own.counts)  # those of `stage` are what the end of the run says


def test_a_reboot_is_one(own: Stage, stage: Stage) -> None:
    before = nodes.boot_ids(own)
    own.client("ec2").reboot_instances(InstanceIds=list(own.instances()))

    def rebooted() -> bool:
        now = nodes.boot_ids(own)
        return set(now) == set(before) and not set(now.values()) & set(before.values())

    stage.times["all rebooted, on kernels of the machines' own"] = wait("new boots", rebooted, seconds=PATIENCE)
    wait("three nodes to be Ready", lambda: sum(own.nodes().values()) == 3, seconds=PATIENCE)
    wait("both pods to serve", lambda: nodes.all_serve(own), seconds=PATIENCE)


def test_down_leaves_nothing(own: Stage) -> None:
    instances = list(own.instances())
    result = own.run("kube_down.py", **SETTINGS)
    assert result.code == 0, result.out
    assert own.inventory() == {}
    folder = own.folder()
    places_of_machines = ("machines", "networks", "volumes")
    wait("the files to go", lambda: not [each for name in places_of_machines for each in (folder / name).glob("*")])
    assert _kernels(instances) == []
    assert not own.networks()


def _kernels(instances: list[str]) -> list[Path]:
    """The folders in /proc of what has to do with these machines' kernels."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if {f"umid={name}" for name in instances} & set(file.read_text().split("\0")):
                found.append(file.parent)
    return found
