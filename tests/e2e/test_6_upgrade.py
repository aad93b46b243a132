"""Kubernetes upgraded by a minor release under a workload: what keeps serving, and how long the API is away."""

from __future__ import annotations

import base64
import contextlib
import http.client
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.stage import REGION, Stage, wait

BEFORE, AFTER = "1.36.3", "1.37.2"
WORK = Path(__file__).parent / "upgrade.yaml"
CLUSTER = {
    "KUBE_AWS_INSTANCE_PREFIX": "old",
    "NUM_NODES": "2",
    "KUBE_ENABLE_EBS_CSI_DRIVER": "false",
    "KUBE_VPC_CIDR_BASE": "10.20",  # as the pods' and services' ranges are
}
ASKING = {
    **CLUSTER,
    "KUBE_USE_EXISTING_MASTER": "true",
    "NODE_SIZE": "t3.medium",
    "NUM_NODES": "1",
    "NODE_LABELS": "asks=yes",
}
VERSIONS = "{range .items[*]}{.metadata.name}={.status.nodeInfo.kubeletVersion} {end}"


class Asking:
    """Reads an object from the API ten times a second, and remembers when it could."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        config = yaml.safe_load(Path(stage.environ["KUBECONFIG"]).read_text())
        name = config["current-context"]
        cluster = next(each["cluster"] for each in config["clusters"] if each["name"] == name)
        user = next(each["user"] for each in config["users"] if each["name"] == name)
        pem = folder / "client.pem"
        pem.write_bytes(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        self._tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        self._tls.load_cert_chain(pem)
        self._url = f"{cluster['server']}/api/v1/namespaces/default/configmaps/kept"
        self._ended = threading.Event()
        self.answered: list[float] = []

    @contextlib.contextmanager
    def all_along(self) -> Iterator[None]:
        thread = threading.Thread(target=self._ask)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.1):
            with contextlib.suppress(OSError, urllib.error.URLError, http.client.HTTPException):
                urllib.request.urlopen(self._url, timeout=1, context=self._tls).read()
                self.answered.append(time.monotonic())

    def gap(self) -> float:
        """The longest time in which the API did not answer, in seconds."""
        return max(later - before for before, later in zip(self.answered, self.answered[1:], strict=False))


@pytest.fixture(scope="module")
def old(stage: Stage) -> Iterator[Stage]:
    """A cluster of the minor release before, with its workload, and who asks it."""
    sums = f"{stage.environ['KUBE_DOWNLOAD_MIRROR']}/dl.k8s.io/release/v{BEFORE}/bin/linux/amd64/kubeadm.sha256"
    try:
        urllib.request.urlopen(sums).close()
    except urllib.error.HTTPError:
        pytest.skip(f"the sandbox's release has no Kubernetes {BEFORE}: make release builds one that has")
    with stage.removing(**CLUSTER):
        stage.up(**CLUSTER, KUBERNETES_VERSION=BEFORE)
        stage.up(**ASKING)
        stage.kubectl("apply", f"--filename={WORK}")
        stage.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
        wait("the service to answer", lambda: stage.try_kubectl("logs", "asks", "--tail=20").stdout.count(" ok") == 20)
        yield stage


def versions(stage: Stage) -> dict[str, str]:
    """Each node's version."""
    return dict(word.split("=") for word in stage.kubectl("get", "nodes", f"--output=jsonpath={VERSIONS}").split())


def images(stage: Stage) -> dict[str, str]:
    """The image of each of the master's pods and addons, by its label."""
    pods = stage.get("pods", "--namespace=kube-system")["items"]
    named = [(p["metadata"]["labels"], p["spec"]["containers"][0]["image"]) for p in pods]
    return {labels.get("component") or labels.get("k8s-app", ""): image.rpartition("/")[2] for labels, image in named}


def snapshots(stage: Stage) -> int:
    """How many snapshots of etcd the bucket has."""
    s3 = stage.client("s3")
    (bucket,) = [each["Name"] for each in s3.list_buckets()["Buckets"] if each["Name"].startswith("kubernetes-staging")]
    found = s3.list_object_versions(Bucket=bucket, Prefix=f"{REGION}/old/etcd-snapshot").get("Versions", [])
    return len(found)


def test_a_pod_resolves_a_name_outside_in_a_vpc_inside_10(old: Stage) -> None:
    """Its VPC's DNS server answers sources inside the VPC only."""
    assert old.fetch(old.web()[0][0], "http://outside.example.com/")


def test_an_upgrade_replaces_every_node_and_the_service_goes_on(old: Stage, tmp_path: Path) -> None:
    assert set(versions(old).values()) == {f"v{BEFORE}"}
    assert images(old)["etcd"] == "etcd:3.6.8-0"
    uid, taken = old.get("deployment", "web")["metadata"]["uid"], snapshots(old)
    asking = Asking(old, tmp_path)
    before = len(_asked(old))
    with asking.all_along():
        result = old.up(**CLUSTER, KUBERNETES_VERSION=AFTER)
    asked = _asked(old)[before:]
    failed = [line for line in asked if not line.endswith(" ok")]
    old.times["upgrade"] = result.seconds
    old.times["the API away in an upgrade"] = asking.gap()
    old.counts["requests to the service in an upgrade"] = len(asked)
    old.counts["of them failed"] = len(failed)
    assert (result.out.count(f" Ready v{BEFORE}"), result.out.count(f" Ready v{AFTER}")) == (1, 3)
    wait("the Nodes of dead minions to go", lambda: len(versions(old)) == 4)
    assert sorted(versions(old).values()) == [f"v{BEFORE}", *[f"v{AFTER}"] * 3]
    (master,) = old.instances("old", role="master")
    said = old.console(master)
    assert said.index("snapshot of etcd in") < said.index(f"upgrading from Kubernetes {BEFORE} to {AFTER}")
    assert snapshots(old) > taken
    assert old.get("configmap", "kept")["data"] == {"word": "kept"}
    assert old.get("deployment", "web")["metadata"]["uid"] == uid
    assert len(asked) > 100
    assert failed == []


def test_what_goes_with_the_release_is_the_releases(old: Stage) -> None:
    wait("the old pods to go", lambda: len(images(old)) >= 7, seconds=60)
    found = images(old)
    assert {found[name] for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")} == {
        f"{name}:v{AFTER}" for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    }
    assert found["etcd"] == "etcd:3.7.0-0"
    assert found["kube-dns"] == "coredns:v1.14.6"
    assert found["cloud-controller-manager"] == "cloud-controller-manager:v1.37.0"
    config = yaml.safe_load(
        old.get("configmap", "kubeadm-config", "--namespace=kube-system")["data"]["ClusterConfiguration"]
    )
    assert config["kubernetesVersion"] == f"v{AFTER}"


def test_a_further_group_follows_by_its_own_command(old: Stage) -> None:
    old.up(**ASKING)
    wait("the Node of a dead minion to go", lambda: len(versions(old)) == 4)
    assert set(versions(old).values()) == {f"v{AFTER}"}
    assert "nothing to do" in old.up(**CLUSTER).out


def _asked(stage: Stage) -> list[str]:
    """What the pod that asks the service has said, a line for each request."""
    return stage.kubectl("logs", "asks").splitlines()
