"""A cluster whose machines have no way out but a proxy: the VPC's packet filter drops all else that would leave it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import proxy
from e2e.stage import Stage, wait
from sandbox.machines.network import SITES

ID = "behind"
PORT = 3128
PROXY = "172.20.0.2"  # an address of the VPC's that every machine reaches, whatever its groups let out
CUT = f"""table ip cut {{
	chain input {{
		type filter hook input priority -10; policy accept;
		iifname "lo" accept
		ip daddr {SITES} counter drop
	}}
}}
"""


def network(stage: Stage) -> str:
    """The VPC's network namespace, '' as long as it is not there."""
    vpcs = stage.client("ec2").describe_vpcs(Filters=[{"Name": "tag:KubernetesCluster", "Values": [ID]}])["Vpcs"]
    children = Path(f"/proc/{stage.process.pid}/task/{stage.process.pid}/children").read_text().split()
    files = [Path(f"/proc/{pid}/root/run/netns/{vpc['VpcId']}") for pid in children for vpc in vpcs]
    return next((str(file) for file in files if file.exists()), "")


def running(stage: Stage) -> set[str]:
    """The names of kube-system's pods that run, by what made them."""
    pods = stage.get("pods", "--namespace=kube-system")["items"]
    names = (pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running")
    return {name.rsplit("-", 2)[0] for name in names}


@pytest.fixture(scope="module")
def asked(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cluster; the file with what its proxy was asked for."""
    log = tmp_path_factory.mktemp("proxy") / "asked"
    log.touch()
    serving: list[subprocess.Popen[bytes]] = []

    def cut_off() -> None:
        wait("the VPC's network", lambda: network(stage))
        inside = ["nsenter", f"--net={network(stage)}"]
        subprocess.run([*inside, "nft", "-f", "-"], input=CUT.encode(), check=True)
        program = [sys.executable, proxy.__file__, PROXY, str(PORT), SITES, str(log)]
        serving.append(subprocess.Popen([*inside, *program]))

    cutting = threading.Thread(target=cut_off, daemon=True)
    cutting.start()
    settings = {
        "KUBE_AWS_INSTANCE_PREFIX": ID,
        "NUM_NODES": "1",
        "KUBE_HTTP_PROXY": f"http://{PROXY}:{PORT}",
        "KUBE_WAIT_API_SECONDS": "600",
    }
    try:
        with stage.removing(**settings):
            stage.up(**settings)
            cutting.join()
            yield log
    finally:
        for each in serving:
            each.terminate()
            each.wait()


def test_nodes_are_ready_by_the_proxy_alone(stage: Stage, asked: Path) -> None:
    assert sorted(stage.nodes().values()) == [True, True]
    # Nodes are Ready before all of their pods run, whose images are asked for one after another.
    wait(
        "the pods of CoreDNS and of the controller manager",
        lambda: {"coredns", "cloud-controller-manager"} <= running(stage),
    )
    lines = asked.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("GET http://") and line.endswith("/kubelet") for line in lines)
    assert any(line.startswith("CONNECT registry.k8s.io:443") for line in lines)
    assert any(line.startswith("CONNECT ec2.us-west-2.amazonaws.com:443") for line in lines)
    assert any(".s3." in line for line in lines)
    near = ("172.20.", "10.244.", "10.0.", "169.254.", "127.0.0.1")
    assert [line for line in lines if line.partition(" ")[2].removeprefix("http://").startswith(near)] == []


def test_the_addon_that_makes_the_pods_routes_works_by_it(stage: Stage, asked: Path) -> None:
    assert asked.exists()
    wait("a route to every node", lambda: set(stage.instances(ID)) <= set(stage.pod_routes().values()))
