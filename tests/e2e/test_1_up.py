"""A cluster of a master and two minions, and its network as a person's pods see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.stage import Stage, wait
from sandbox.machines import debian, places

WEB = Path(__file__).parent / "web.yaml"
TOKEN = ("--request", "PUT", "--header", "X-aws-ec2-metadata-token-ttl-seconds: 60")


@pytest.fixture(scope="module")
def pods(stage: Stage) -> list[tuple[str, str, str]]:
    """The web server's two pods."""
    stage.kubectl("apply", f"--filename={WEB}")
    stage.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    return stage.web()


def test_up_ends_with_every_node_ready_and_validated(stage: Stage) -> None:
    result = stage.up(KUBE_ENABLE_POD_IDENTITY="true", KUBE_ENABLE_VOLUME_SNAPSHOTS="true")
    stage.times["up"] = result.seconds
    assert "Cluster kubernetes is up" in result.out
    assert len(stage.nodes()) == 3
    assert all(stage.nodes().values())
    assert len(stage.instances()) == 3


def test_the_machines_have_the_programs_of_debians_image_and_no_other(stage: Stage) -> None:
    assert stage.instances()
    image = max(places.cache().machine.glob("debian-*"), key=lambda folder: folder.stat().st_mtime)
    assert set(debian.on_path(image)) == set(debian.programs())


def test_a_node_has_the_disk_that_its_root_volume_was_asked_for(stage: Stage) -> None:
    """By it the kubelet begins to remove images (85%) and to evict pods: not by what else is on the computer."""
    asked = {f"ip-{address.replace('.', '-')}": 32 for address in stage.instances(role="minion").values()}
    asked |= {f"ip-{address.replace('.', '-')}": 8 for address in stage.instances(role="master").values()}
    assert len(asked) == 3
    for node in stage.get("nodes")["items"]:
        gibibytes = asked[node["metadata"]["name"].partition(".")[0]]
        assert 0.95 < int(node["status"]["capacity"]["ephemeral-storage"]) / 2**30 / gibibytes < 1


def test_an_image_that_is_there_can_be_pulled_again(stage: Stage, pods: list[tuple[str, str, str]]) -> None:
    image = stage.get("pod", pods[0][0])["spec"]["containers"][0]["image"]
    stage.kubectl("run", "again", f"--image={image}", "--image-pull-policy=Always", "--restart=Never")
    stage.kubectl("wait", "--for=condition=Ready", "pod/again", "--timeout=90s")
    stage.kubectl("delete", "pod", "again", "--grace-period=1", "--wait=false")


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


def test_a_host_port_answers_at_its_nodes_address(
    stage: Stage, pods: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    (_, _, node), (other, _, other_node) = pods
    _make_pod(stage, tmp_path, "host-port", node, ports=[{"containerPort": 8080, "hostPort": 8088}])
    url = f"http://{_internal_address(stage, node)}:8088"
    # Another node's pods appear with their node's address; its own node's, and the pod itself, come by the bridge.
    assert stage.fetch(other, url) == _internal_address(stage, other_node)
    assert stage.fetch("host-port", url)
    stage.kubectl("delete", "pod", "host-port", "--wait")
    curl = ("/usr/bin/curl", "--silent", "--max-time", "3", url)
    wait("the port to be closed", lambda: stage.try_kubectl("exec", other, "--", *curl).returncode != 0, seconds=10)


def test_the_kubelet_guards_its_nodes_127_0_0_1(stage: Stage) -> None:
    """The plugin for host ports makes the bridge route there (route_localnet); the kubelet's KUBE-FIREWALL ends it."""
    rules = stage.on_master("sudo iptables --wait 30 --list-rules")
    assert "-A INPUT -j KUBE-FIREWALL" in rules
    assert any("-d 127.0.0.0/8" in rule and "-j DROP" in rule for rule in rules.splitlines()), rules


def _make_pod(stage: Stage, folder: Path, name: str, node: str, **more: Any) -> None:
    """A pod on that node, Ready; a copy of the web server's but for what `more` says of its container."""
    spec = stage.get("deployment", "web")["spec"]["template"]["spec"]
    container = {**spec["containers"][0], "ports": [], **more}
    spec |= {"containers": [container], "nodeName": node}
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))
    stage.kubectl("apply", f"--filename={file}")
    stage.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=90s")


def _internal_address(stage: Stage, node: str) -> str:
    addresses = stage.get("node", node)["status"]["addresses"]
    return str(next(found["address"] for found in addresses if found["type"] == "InternalIP"))


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


def test_pods_may_not_take_what_is_reserved(stage: Stage) -> None:
    """What is theirs is the node's less kubeReserved and the 100 MiB at which eviction begins."""
    for node in stage.get("nodes")["items"]:
        capacity, allocatable = node["status"]["capacity"], node["status"]["allocatable"]
        kept = int(capacity["memory"].removesuffix("Ki")) - int(allocatable["memory"].removesuffix("Ki"))
        assert kept > 100 * 1024
        assert allocatable["cpu"].endswith("m")


def test_a_boot_ends_without_the_bootstraps_end(stage: Stage) -> None:
    """Else a minion without a master would never finish booting, and have no timers of security updates."""
    assert "kube-bootstrap.service" in stage.on_master("systemctl show multi-user.target --property=Wants")
    assert "kube-bootstrap.service" not in stage.on_master("systemctl show multi-user.target --property=After")


def test_ssh_reaches_the_master_as_kube_up_says(stage: Stage) -> None:
    assert stage.on_master("hostname --fqdn") == "ip-172-20-0-9.us-west-2.compute.internal"


def test_pods_are_masqueraded_by_one_rule_however_often_the_bootstrap_runs(stage: Stage) -> None:
    def masquerade() -> list[str]:
        rules = stage.on_master("iptables --table nat --list-rules").splitlines()
        return [rule for rule in rules if "POD-MASQUERADE" in rule]

    before = masquerade()
    assert before.count("-A POSTROUTING -j POD-MASQUERADE") == 1
    stage.on_master("systemctl restart kube-bootstrap")
    assert masquerade() == before
    assert stage.fetch(stage.web()[0][0], "http://outside.example.com/")


def test_the_logs_of_every_machine_can_be_had(stage: Stage, tmp_path: Path) -> None:
    stage.logs(tmp_path / "logs")
    machines = [folder for folder in (tmp_path / "logs").iterdir() if folder.name != "runs"]
    assert len(machines) == 3
    for folder in machines:
        assert "kubelet" in (folder / "kubelet.log").read_text()
        assert "step" in (folder / "kube-bootstrap.log").read_text()
        assert list((folder / "pods").glob("kube-system_kube-proxy-*/*/*.log"))


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
    controller = stage.get("deployment", "ebs-csi-controller", "--namespace=kube-system")
    assert controller["spec"]["replicas"] >= 1
    (storage_class,) = stage.get("storageclass")["items"]
    assert storage_class["parameters"]["type"] == "gp3"
    assert storage_class["parameters"]["encrypted"] == "true"


def test_volume_snapshots_are_accepted_and_checked(stage: Stage, tmp_path: Path) -> None:
    """The API server has the last word on what a schema means: its rules are no more than text to all else here."""
    (snapshot_class,) = stage.get("volumesnapshotclass")["items"]
    assert snapshot_class["driver"] == "ebs.csi.aws.com"
    sidecars = stage.get("deployment", "ebs-csi-controller", "--namespace=kube-system")["spec"]["template"]["spec"]
    assert "csi-snapshotter" in {each["name"] for each in sidecars["containers"]}
    file = tmp_path / "snapshot.json"
    snapshot = {"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": "orders"}}
    sources = {"persistentVolumeClaimName": "orders", "volumeSnapshotContentName": "orders"}
    for source, words in ((sources, "give persistentVolumeClaimName or"), ({}, "give persistentVolumeClaimName or")):
        file.write_text(json.dumps(snapshot | {"spec": {"source": source}}))
        assert words in stage.try_kubectl("apply", f"--filename={file}").stderr
    file.write_text(json.dumps(snapshot | {"spec": {"source": {"persistentVolumeClaimName": "orders"}}}))
    stage.kubectl("apply", "--validate=strict", f"--filename={file}")
    other = json.dumps({"spec": {"source": {"persistentVolumeClaimName": "other"}}})
    said = stage.try_kubectl("patch", "volumesnapshot", "orders", "--type=merge", f"--patch={other}").stderr
    assert "stays as it was given" in said
    stage.kubectl("delete", "volumesnapshot", "orders")


def _answers(stage: Stage, pod: str, address: str) -> bool:
    curl = ("/usr/bin/curl", "--silent", "--fail", "--max-time", "2", f"http://{address}:8080")
    return stage.try_kubectl("exec", pod, "--", *curl).returncode == 0


def test_with_the_source_check_on_a_nodes_pods_are_cut_off(stage: Stage, pods: list[tuple[str, str, str]]) -> None:
    (pod, _, node), (_, address, _) = pods
    ec2 = stage.client("ec2")
    instance = stage.get("node", node)["spec"]["providerID"].rpartition("/")[2]
    ec2.modify_instance_attribute(InstanceId=instance, SourceDestCheck={"Value": True})
    wait("packets to be dropped", lambda: not _answers(stage, pod, address), seconds=10)
    ec2.modify_instance_attribute(InstanceId=instance, SourceDestCheck={"Value": False})
    wait("packets to pass", lambda: _answers(stage, pod, address), seconds=10)


def test_without_its_rule_the_apis_port_is_closed(stage: Stage) -> None:
    ec2 = stage.client("ec2")
    (group,) = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["kubernetes-master-kubernetes"]}]
    )["SecurityGroups"]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
    wait("the port to be closed", lambda: not stage.nodes(), seconds=10)
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
    wait("the port to be open", stage.nodes, seconds=10)


def test_an_image_of_ecr_is_pulled_by_the_nodes_own_rights(stage: Stage) -> None:
    """Its registry wants the password of this run's GetAuthorizationToken, and the pod has no secret."""
    pause = next(
        name
        for node in stage.get("nodes")["items"]
        for image in node["status"]["images"]
        for name in image["names"]
        if name.startswith("registry.k8s.io/pause:")
    )
    image = f"123456789012.dkr.ecr.us-west-2.amazonaws.com/{pause.partition('/')[2]}"
    stage.kubectl("run", "from-ecr", f"--image={image}", "--image-pull-policy=Always", "--restart=Never")
    stage.kubectl("wait", "--for=condition=Ready", "pod/from-ecr", "--timeout=90s")
    stage.kubectl("delete", "pod", "from-ecr", "--wait=false")
