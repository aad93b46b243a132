"""A master that dies, and one that is cut short in its making."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time

from e2e.stage import REGION, ROOT, Stage, wait


def test_a_terminated_master_is_made_again_by_a_rerun(stage: Stage) -> None:
    (old, address), minions = next(iter(stage.instances(role="master").items())), stage.instances(role="minion")
    server = stage.kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
    boots = {name: stage.console(name).count("kube-bootstrap: done") for name in minions}
    stage.client("ec2").modify_instance_attribute(InstanceId=old, DisableApiTermination={"Value": False})
    asked = ("get", "mutatingadmissionpolicies,mutatingadmissionpolicybindings", "--output=name")
    assert len(stage.kubectl(*asked).splitlines()) == 2
    stage.client("ec2").terminate_instances(InstanceIds=[old])
    wait("the master's end", lambda: old not in stage.instances(role="master"))

    started = time.monotonic()
    stage.up(KUBE_ENABLE_POD_IDENTITY="false")
    stage.times["master back"] = time.monotonic() - started

    ((new, now),) = stage.instances(role="master").items()
    assert (new != old, now) == (True, address)
    assert stage.kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}") == server
    assert stage.get("configmap", "kept")["data"] == {"word": "kept"}
    wait("the end of an addon that is off by now", lambda: stage.kubectl(*asked) == "")
    assert stage.get("deployment", "web")["status"]["readyReplicas"] == 2
    assert sum(stage.nodes().values()) == 3
    assert stage.instances(role="minion") == minions
    assert {name: stage.console(name).count("kube-bootstrap: done") for name in minions} == boots


def test_a_master_stopped_and_started_is_the_same(stage: Stage) -> None:
    ((master, address),) = stage.instances(role="master").items()
    ec2 = stage.client("ec2")
    ec2.stop_instances(InstanceIds=[master])
    wait("the master to be stopped", lambda: not stage.instances(role="master"))
    started = time.monotonic()
    stage.up()
    stage.times["stopped master back"] = time.monotonic() - started
    assert stage.instances(role="master") == {master: address}
    assert sum(stage.nodes().values()) == 3


def test_a_master_of_another_size_is_the_same(stage: Stage) -> None:
    ((master, address),), minions = stage.instances(role="master").items(), stage.instances(role="minion")
    result = stage.up(MASTER_SIZE="t3.large")
    stage.times["master of another size"] = result.seconds
    (found,) = stage.client("ec2").describe_instances(InstanceIds=[master])["Reservations"]
    assert found["Instances"][0]["InstanceType"] == "t3.large"
    assert (stage.instances(role="master"), stage.instances(role="minion")) == ({master: address}, minions)
    assert stage.get("configmap", "kept")["data"] == {"word": "kept"}
    assert sum(stage.nodes().values()) == 3


def test_a_lost_disk_is_made_again_from_a_snapshot(stage: Stage) -> None:
    ((old, _),), minions = stage.instances(role="master").items(), stage.instances(role="minion")
    server = stage.kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
    address = server.removeprefix("https://").partition(":")[0]
    options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
    ssh = ("ssh", "-i", stage.environ["AWS_SSH_KEY"], *options, f"admin@{address}", "sudo")
    stage.kubectl("create", "configmap", "before", "--from-literal=word=before")
    timers = subprocess.run(
        [*ssh, "systemctl", "list-timers", "kube-etcd-snapshot.timer"], capture_output=True, text=True, check=True
    )
    assert "kube-etcd-snapshot.service" in timers.stdout
    subprocess.run([*ssh, "systemctl", "start", "kube-etcd-snapshot"], check=True, timeout=60)
    stage.kubectl("create", "configmap", "after", "--from-literal=word=after")

    ec2 = stage.client("ec2")
    names = [{"Name": "tag:Name", "Values": ["kubernetes-master-pd"]}]
    disk = ec2.describe_volumes(Filters=names)["Volumes"][0]["VolumeId"]
    ec2.modify_instance_attribute(InstanceId=old, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[old])
    wait("the disk to be free", lambda: ec2.describe_volumes(VolumeIds=[disk])["Volumes"][0]["State"] == "available")
    ec2.delete_volume(VolumeId=disk)

    refused = stage.run("kube_up.py")
    assert (refused.code, "KUBE_RESTORE_SNAPSHOT: the master's disk is gone" in refused.out) == (2, True), refused.out
    started = time.monotonic()
    restored = stage.up(KUBE_RESTORE_SNAPSHOT="latest")
    assert ", Kubernetes 1." in restored.out, restored.out
    stage.times["restored from a snapshot"] = time.monotonic() - started

    assert stage.get("configmap", "before")["data"] == {"word": "before"}
    assert stage.try_kubectl("get", "configmap", "after").returncode != 0
    assert sum(stage.nodes().values()) == 3
    assert stage.instances(role="minion") == minions
    wait("the web server", lambda: stage.get("deployment", "web")["status"].get("readyReplicas") == 2)
    pods = {name for name, _, _ in stage.web()}
    stage.kubectl("delete", "pods", "--selector=app=web")  # the old minions' kubelets see what is gone and what is new
    wait("new pods", lambda: len([name for name, _, _ in stage.web() if name not in pods]) == 2, seconds=60)
    stage.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert stage.run("kube_up.py").out.count("nothing to do") == 1


def test_a_master_cut_short_in_kubeadm_init_is_finished_by_a_rerun(stage: Stage) -> None:
    settings = {
        "KUBE_AWS_INSTANCE_PREFIX": "cut",
        "NUM_NODES": "1",
        "KUBE_OS_DISTRIBUTION": "ubuntu",
        "KUBE_ENABLE_CLUSTER_AUTOSCALER": "true",
    }
    with stage.removing(**settings):
        _cut_short(stage, settings)
        said = stage.up(**settings).out
        assert sum(stage.nodes().values()) == 2
        taints = [taint["key"] for node in stage.get("nodes")["items"] for taint in node["spec"].get("taints", [])]
        assert "node.cloudprovider.kubernetes.io/uninitialized" not in taints, said
        addon = ("get", "deployment", "cluster-autoscaler", "--namespace=kube-system")
        wait("the last addon", lambda: stage.try_kubectl(*addon).returncode == 0)
        way_in = next(line.split() for line in said.splitlines() if line.strip().startswith("ssh "))
        options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
        done = subprocess.run([*way_in, *options, "whoami"], capture_output=True, text=True, timeout=30, check=False)
        assert done.stdout.strip() == "ubuntu", done.stderr


def _cut_short(stage: Stage, settings: dict[str, str]) -> None:
    """A run that ends, and its master's plug pulled once its API server answers."""
    with subprocess.Popen(
        [sys.executable, "kube_up.py"],
        cwd=ROOT,
        env=stage.environ | {"KUBE_AWS_ZONE": f"{REGION}a"} | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as first:
        wait("the master", lambda: stage.instances("cut", role="master"))
        (master,) = stage.instances("cut", role="master")
        wait("an API server", lambda: _answers(stage, master))
        assert "control plane: ok" not in stage.console(master)
        stage.pull_plug(master)
        first.terminate()


def _answers(stage: Stage, master: str) -> bool:
    """Whether its API server does; the port is open before."""
    (found,) = stage.client("ec2").describe_instances(InstanceIds=[master])["Reservations"]
    try:
        ssl.get_server_certificate((found["Instances"][0]["PublicIpAddress"], 443), timeout=1)
    except (OSError, KeyError):
        return False
    return True


def test_a_terminated_master_comes_back_by_itself(stage: Stage) -> None:
    settings = {"KUBE_AWS_INSTANCE_PREFIX": "heals", "NUM_NODES": "1", "KUBE_MASTER_SELF_HEAL": "true"}
    with stage.removing(**settings):
        stage.up(**settings)
        _loses_its_master(stage)


def _loses_its_master(stage: Stage) -> None:
    ((old, address),) = stage.instances("heals", role="master").items()
    minions = stage.instances("heals", role="minion")
    stage.kubectl("create", "configmap", "kept", "--from-literal=word=kept")

    started = time.monotonic()
    stage.client("ec2").modify_instance_attribute(InstanceId=old, DisableApiTermination={"Value": False})
    stage.client("ec2").terminate_instances(InstanceIds=[old])
    wait("another master", lambda: set(stage.instances("heals", role="master")) - {old}, seconds=240)
    launched = time.monotonic()
    wait("two nodes", lambda: list(stage.nodes().values()) == [True, True])
    stage.times["self-healing: from a master's end to the next one's launch"] = launched - started
    stage.times["self-healing: from there to Ready nodes"] = time.monotonic() - launched

    ((new, now),) = stage.instances("heals", role="master").items()
    assert (new != old, now) == (True, address)
    assert stage.get("configmap", "kept")["data"] == {"word": "kept"}
    assert stage.instances("heals", role="minion") == minions
    said = stage.up(KUBE_AWS_INSTANCE_PREFIX="heals", NUM_NODES="1").out  # the rest is remembered
    assert "alarm heals-master-recover" in said, said
    assert "nothing to do" in said, said  # its alarms, too, it has made by itself
