"""Each option has an effect: what is different in the account, or in the user-data, when it is set."""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import re
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REGION, Box
from helpers import (
    GROUP,
    ID,
    OWNED,
    TAGS,
    bucket_of,
    empty_bucket,
    kill_master,
    kubeconfig,
    master_of,
    master_settings,
    minion_settings,
    must,
    named,
    only,
    part,
    read_object,
    refused,
    refused_untouched,
    remembered,
    settings,
    settle,
    speaking,
    template_data,
    unpack,
    user_data,
)
from policies import may
from spread import spread

from lib.aws.changes import Waits
from lib.aws.client import Aws
from lib.aws.credentials import Credentials
from lib.aws.objects import Bucket
from lib.iam import policy_document, policy_values
from lib.run.console import Console
from lib.settings.layers import read_layers
from lib.settings.resolve import resolve
from sandbox.backend.wire import result_answer
from sandbox.clock import FakeClock
from sandbox.world import Delays

pytestmark = pytest.mark.story

ROOT = Path(__file__).resolve().parent.parent
NO_CHECK = {"KUBE_WAIT_API_SECONDS": 1}


def server(box: Box) -> str:
    """The API's address in kubeconfig."""
    data = yaml.safe_load(kubeconfig(box).read_text())
    return str(only(data["clusters"])["cluster"]["server"])


# --- what only travels to the nodes

PASSED = {
    "EVICTION_HARD": "memory.available<250Mi,nodefs.available<10%",
    "FEATURE_GATES": "GracefulNodeShutdown=true",
    "KUBELET_TEST_ARGS": "--max-pods=50",
    "KUBELET_TEST_LOG_LEVEL": "4",
    "DOCKER_REGISTRY_MIRROR_URL": "https://registry.example.com",
    "KUBE_ENABLE_INSECURE_REGISTRY": "true",
    "KUBE_EXTRA_PACKAGES": "nfs-common,g++",
    "NON_MASQUERADE_CIDR": "10.0.0.0/7",
    "CLUSTER_IP_RANGE": "10.240.0.0/13",
    "DNS_SERVER_IP": "10.1.0.53",
    "KUBERNETES_VERSION": "1.36.4",
}
MINION_ONLY = {"NODE_LABELS": "disk=ssd,team=web"}
MASTER_ONLY = {
    "SERVICE_CLUSTER_IP_RANGE": "10.1.0.0/16",
    "DNS_DOMAIN": "example.local",
    "KUBE_RUNTIME_CONFIG": "batch/v2alpha1=true",
    "APISERVER_TEST_ARGS": "--request-timeout=2m",
    "APISERVER_TEST_LOG_LEVEL": "1",
    "CONTROLLER_MANAGER_TEST_ARGS": "--concurrent-gc-syncs=9",
    "CONTROLLER_MANAGER_TEST_LOG_LEVEL": "2",
    "SCHEDULER_TEST_ARGS": "--kube-api-qps=7",
    "SCHEDULER_TEST_LOG_LEVEL": "3",
    "KUBEPROXY_TEST_ARGS": "--oom-score-adj=-998",
    "KUBEPROXY_TEST_LOG_LEVEL": "5",
    "KUBE_ENABLE_CLUSTER_DNS": "false",
    "KUBE_ETCD_QUOTA_GIB": "8",
}


def test_options_of_the_nodes_are_in_the_user_data_of_the_role_that_needs_them(sandbox: Box) -> None:
    given: dict[str, object] = PASSED | MINION_ONLY | MASTER_ONLY  # type: ignore[assignment]
    result = must(sandbox.up(**given))
    master, minion = master_settings(sandbox), minion_settings(sandbox)

    def carried(found: dict[str, str], name: str) -> str:
        return found.get(name, "").removeprefix("--v=") if name.endswith("LOG_LEVEL") else found.get(name, "")

    for name, value in PASSED.items():
        assert (name, carried(master, name), carried(minion, name)) == (name, value, value)
    for name, value in MASTER_ONLY.items():
        assert (name, carried(master, name)) == (name, value)
    assert minion["NODE_LABELS"] == "disk=ssd,team=web"
    assert master["KUBERNETES_SERVICE_IP"] == "10.1.0.1"
    assert "Ready v1.36.4" in result.out
    assert must(sandbox.up()).changing == []


def test_spot_minions_alone_wait_for_the_notice_of_their_end(sandbox: Box) -> None:
    sandbox.cluster()
    assert "spot" not in unpack(template_data(sandbox)["UserData"])
    result = must(sandbox.up(NODE_SPOT_PRICE="0.05"))
    script = unpack(template_data(sandbox)["UserData"])
    assert "/meta-data/spot/instance-action" in script
    steps = script.replace("\\\n", "").rpartition("settings host")[2].split()
    assert steps.index("units") < steps.index("spot_notice") < steps.index("downloads")
    assert "spot" not in user_data(sandbox, master_of(sandbox))
    assert "launch template version 1 → 2: NODE_SPOT_PRICE, AWS's notice to spot instances" in result.out
    assert must(sandbox.up()).changing == []


def addons(box: Box) -> dict[str, list[dict[str, Any]]]:
    """The addons that the master is told to apply, in that order; the objects of each are in the bucket."""
    settings = master_settings(box)
    found, bucket = dict(pair.split(":") for pair in settings["ADDONS"].split()), settings["KUBE_BUCKET"]
    texts = {name: read_object(box, f"{REGION}/{ID}/addons/{digest}", bucket) for name, digest in found.items()}
    return {name: list(yaml.safe_load_all(text)) for name, text in texts.items()}


def test_addons_follow_their_switches(sandbox: Box) -> None:
    sandbox.cluster()
    usual = addons(sandbox)
    assert {"cloud-controller-manager", "metrics-server"} <= set(usual)
    assert "cluster-autoscaler" not in usual
    must(sandbox.down())
    must(sandbox.up(KUBE_ENABLE_CLUSTER_MONITORING="false", KUBE_ENABLE_EBS_CSI_DRIVER="false"))
    assert "metrics-server" not in addons(sandbox)
    assert "aws-ebs-csi-driver" not in addons(sandbox)


def test_the_plugin_for_gpus_is_there_with_its_option_on_nodes_that_are_said_to_have_them(sandbox: Box) -> None:
    sandbox.cluster()
    assert "nvidia-device-plugin" not in addons(sandbox)
    must(sandbox.down())
    must(sandbox.up(KUBE_ENABLE_NVIDIA_DEVICE_PLUGIN="true"))
    (plugin,) = addons(sandbox)["nvidia-device-plugin"]
    assert plugin["spec"]["template"]["spec"]["nodeSelector"] == {"gpu": "nvidia"}
    assert must(sandbox.up()).changing == []


def containers(documents: list[dict[str, Any]]) -> set[str]:
    pods = [each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment"]
    return {container["name"] for pod in pods for container in pod["containers"]}


def rights(documents: list[dict[str, Any]]) -> str:
    return json.dumps([each["rules"] for each in documents if each["kind"] == "ClusterRole"])


def test_volume_snapshots_have_resources_a_controller_a_sidecar_and_a_class_with_their_option(sandbox: Box) -> None:
    given: dict[str, object] = {"KUBE_ENABLE_VOLUME_SNAPSHOTS": "true"}
    sandbox.cluster(**given)
    found = addons(sandbox)
    names = list(found)
    assert names.index("snapshot-crds") < names.index("aws-ebs-csi-driver") < names.index("snapshot-controller")
    assert {each["kind"] for each in found["snapshot-crds"]} == {"CustomResourceDefinition"}
    (snapshot_class,) = (each for each in found["snapshot-controller"] if each["kind"] == "VolumeSnapshotClass")
    assert (snapshot_class["driver"], snapshot_class["deletionPolicy"]) == ("ebs.csi.aws.com", "Delete")
    assert "csi-snapshotter" in containers(found["aws-ebs-csi-driver"])
    assert "snapshot.storage.k8s.io" in rights(found["aws-ebs-csi-driver"])
    assert must(sandbox.up()).changing == []


def test_without_their_option_there_is_nothing_of_volume_snapshots(sandbox: Box) -> None:
    sandbox.cluster()
    found = addons(sandbox)
    assert not {"snapshot-crds", "snapshot-controller"} & set(found)
    assert containers(found["aws-ebs-csi-driver"]) > {"ebs-plugin", "csi-provisioner", "liveness-probe"}
    assert "csi-snapshotter" not in containers(found["aws-ebs-csi-driver"])
    assert "snapshot.storage.k8s.io" not in rights(found["aws-ebs-csi-driver"])


SNAPSHOT = f"arn:aws:ec2:{REGION}::snapshot/snap-1"
VOLUME = f"arn:aws:ec2:{REGION}:123456789012:volume/vol-1"
ITS = {f"aws:ResourceTag/kubernetes.io/cluster/{ID}": "owned"}
OTHERS = {"aws:ResourceTag/kubernetes.io/cluster/b": "owned", "aws:ResourceTag/KubernetesCluster": "b"}
CLAIM = {"aws:ResourceTag/kubernetes.io/created-for/pvc/name": "data"}
BY_HAND = {"aws:ResourceTag/ebs.csi.aws.com/cluster": "true"}  # the driver's tag, which the docs tell people to give
BY_DRIVER = {**BY_HAND, "aws:ResourceTag/CSIVolumeSnapshotName": "snapshot-1"}
ASKED = {f"aws:RequestTag/kubernetes.io/cluster/{ID}": "owned"}
MADE = {"ec2:CreateAction": "CreateSnapshot"}

SNAPSHOTS_MAY: list[tuple[str, str, dict[str, str], bool]] = [
    ("ec2:CreateSnapshot", VOLUME, {**ITS, **CLAIM}, True),
    ("ec2:CreateSnapshot", VOLUME, BY_HAND, True),
    ("ec2:CreateSnapshot", VOLUME, ITS, False),  # the master's disk, with etcd
    ("ec2:CreateSnapshot", VOLUME, {**OTHERS, **CLAIM, **BY_HAND}, False),
    ("ec2:CreateSnapshot", VOLUME, {**CLAIM, **BY_HAND, "aws:ResourceTag/CSIVolumeName": "pvc-1"}, False),
    ("ec2:CreateSnapshot", VOLUME, {}, False),
    ("ec2:CreateSnapshot", SNAPSHOT, ASKED, True),
    ("ec2:CreateSnapshot", SNAPSHOT, {}, False),
    ("ec2:CreateTags", SNAPSHOT, {**MADE, **ASKED}, True),
    ("ec2:CreateTags", SNAPSHOT, {**MADE, **ASKED, "aws:RequestTag/KubernetesCluster": "b"}, False),
    ("ec2:CreateTags", SNAPSHOT, ASKED, False),  # else it could make any snapshot its own
    ("ec2:DeleteSnapshot", SNAPSHOT, {**ITS, **BY_DRIVER}, True),
    ("ec2:DeleteSnapshot", SNAPSHOT, ITS, False),  # a person's
    ("ec2:CreateVolume", SNAPSHOT, ITS, False),
    ("ec2:DeleteSnapshot", SNAPSHOT, BY_HAND, False),
    ("ec2:DeleteSnapshot", SNAPSHOT, {**OTHERS, **BY_DRIVER}, False),
    ("ec2:CreateVolume", SNAPSHOT, {**ITS, **BY_DRIVER}, True),
    ("ec2:CreateVolume", SNAPSHOT, BY_HAND, True),
    (
        "ec2:CreateVolume",
        SNAPSHOT,
        BY_DRIVER,
        False,
    ),  # of another cluster: the driver gives snapshots no KubernetesCluster
    ("ec2:CreateVolume", SNAPSHOT, {}, False),
    ("ec2:ModifySnapshotAttribute", SNAPSHOT, {**ITS, **BY_DRIVER}, False),
    ("ec2:CopySnapshot", SNAPSHOT, {**ITS, **BY_DRIVER}, False),
    ("ec2:CopyVolumes", VOLUME, {**ITS, **CLAIM}, False),
]


def test_the_master_may_make_and_delete_snapshots_of_claims_with_their_option_alone(sandbox: Box) -> None:
    sandbox.cluster(KUBE_ENABLE_VOLUME_SNAPSHOTS="true")
    name = f"kubernetes-master-{ID}-kubernetes-vpc-{REGION}"
    policy = sandbox.inventory()["iam"]["roles"][name]["policies"][name]
    assert [row for row in SNAPSHOTS_MAY if may(policy, *row[:3]) is not row[3]] == []
    must(sandbox.up(KUBE_ENABLE_VOLUME_SNAPSHOTS="false"))
    policy = sandbox.inventory()["iam"]["roles"][name]["policies"][name]
    assert [row for row in SNAPSHOTS_MAY if may(policy, *row[:3])] == []


# --- the API's address


def test_another_api_port_is_open_served_and_in_kubeconfig(sandbox: Box) -> None:
    sandbox.cluster(KUBE_API_PORT=8443)
    assert server(sandbox).endswith(":8443")
    group = next(g for g in part(sandbox, "security groups").values() if g["name"] == f"kubernetes-master-{ID}")
    assert "tcp 8443-8443 0.0.0.0/0" in group["in"]
    assert "tcp 443-443 0.0.0.0/0" not in group["in"]
    assert master_settings(sandbox)["KUBE_API_PORT"] == minion_settings(sandbox)["KUBE_API_PORT"] == "8443"
    must(sandbox.down())
    assert ":8443" not in kubeconfig(sandbox).read_text()


def test_a_private_master_ends_well_and_says_that_it_was_not_checked(sandbox: Box) -> None:
    result = must(sandbox.up(KUBE_ENABLE_MASTER_PUBLIC_IP="false", MASTER_INTERNAL_IP="172.20.0.200", **NO_CHECK))
    assert server(sandbox).startswith("https://172.20.0.200")
    assert part(sandbox, "addresses") == {}
    assert master_settings(sandbox)["MASTER_PUBLIC_IP"] == ""
    assert "not checked" in result.err
    assert set(must(sandbox.up(**NO_CHECK)).changing) <= {"s3:PutObject"}
    must(sandbox.down())
    assert sandbox.inventory() == {}
    assert "172.20.0.200" not in kubeconfig(sandbox).read_text()


@pytest.mark.parametrize("name", ["KUBE_ENABLE_MASTER_PUBLIC_IP", "KUBE_ENABLE_NODE_PUBLIC_IP"])
def test_machines_without_a_way_out_are_refused(sandbox: Box, name: str) -> None:
    refused_untouched(sandbox, sandbox.up(**{name: "false", "KUBE_DOWNLOAD_MIRROR": ""}), 2, name, "NAT")


def test_minions_without_public_addresses(sandbox: Box) -> None:
    sandbox.cluster(KUBE_ENABLE_NODE_PUBLIC_IP="false")
    assert template_data(sandbox)["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is False
    public = {e["tags"]["Name"]: e["public address"] for e in part(sandbox, "interfaces").values()}
    assert public[f"{ID}-minion"] is None
    assert public[f"{ID}-master"]


def test_a_brought_address_is_used_and_never_released(sandbox: Box) -> None:
    made = sandbox.client("ec2").allocate_address(Domain="vpc")
    before = sandbox.inventory()
    must(sandbox.up(MASTER_RESERVED_IP=made["PublicIp"]))
    assert server(sandbox).startswith(f"https://{made['PublicIp']}")
    assert only(part(sandbox, "addresses").values())["tags"] == {}
    must(sandbox.down())
    assert sandbox.inventory() == before
    assert made["PublicIp"] not in kubeconfig(sandbox).read_text()


# --- another group of minions


def test_minions_in_another_zone_join_the_master_that_is_there(sandbox: Box) -> None:
    sandbox.cluster()
    memory, master = remembered(sandbox), master_of(sandbox)
    more: dict[str, object] = {"KUBE_USE_EXISTING_MASTER": "true", "KUBE_AWS_ZONE": f"{REGION}b"}
    said = refused_untouched(sandbox, sandbox.up(**more), 2, "KUBE_SUBNET_CIDR")
    assert "172.20.1.0/24" in said  # a free one
    result = must(sandbox.up(NODE_SIZE="t3.large", NUM_NODES=3, KUBE_SUBNET_CIDR="172.20.1.0/24", **more))
    assert {c for c in result.changing if "Put" in c or "Run" in c or "Role" in c} == set()
    other = f"{ID}-minion-group-{REGION}b"
    assert set(part(sandbox, "groups")) == {GROUP, other}
    assert part(sandbox, "groups")[other]["size"] == [3, 3, 3]
    assert minion_settings(sandbox, name=other)["MASTER_INTERNAL_IP"] == "172.20.0.9"
    assert template_data(sandbox, name=other)["InstanceType"] == "t3.large"
    assert master_of(sandbox) == master
    assert remembered(sandbox) == memory
    assert result.out.count(" Ready v") == 6
    table = only(t for t in part(sandbox, "route tables").values() if not t["main"])
    assert len(table["subnets"]) == 2
    assert must(sandbox.up()).changing == []  # neither run undoes the other's
    assert must(sandbox.up(NODE_SIZE="t3.large", NUM_NODES=3, **more)).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_minions_in_another_subnet_of_the_zone_or_of_another_size(sandbox: Box) -> None:
    sandbox.cluster()
    more: dict[str, object] = {"KUBE_USE_EXISTING_MASTER": "true", "NUM_NODES": 1}
    must(sandbox.up(KUBE_SUBNET_CIDR="172.20.7.0/24", **more))
    said = refused_untouched(sandbox, sandbox.up(NODE_SIZE="m7g.large", **more), 2, "KUBE_SUBNET_CIDR", "has 2 subnets")
    assert "172.20.0.0/24 or 172.20.7.0/24 or a new one" in said
    must(sandbox.up(NODE_SIZE="m7g.large", KUBE_SUBNET_CIDR="172.20.0.0/24", **more))
    groups = part(sandbox, "groups")
    assert set(groups) == {GROUP, f"{GROUP}-172-20-7-0-24", f"{GROUP}-m7g-large"}
    assert {name: group["size"][1] for name, group in groups.items()}[GROUP] == 2
    assert sum(1 for i in part(sandbox, "instances").values() if i["type"] == "m7g.large") == 1
    must(sandbox.up())
    assert len(part(sandbox, "instances")) == 5
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_without_a_master_there_is_none_to_use(sandbox: Box) -> None:
    refused_untouched(sandbox, sandbox.up(KUBE_USE_EXISTING_MASTER="true"), 1, f"no master of {ID}")


# --- brought networks


class Brought:
    """A VPC with a gateway, a subnet and a table of its own that somebody made."""

    def __init__(self, box: Box, cidr: str = "172.31.0.0/16") -> None:
        self.ec2 = box.client("ec2")
        self.vpc = self.ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
        base = cidr.rsplit(".", 2)[0]
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"{base}.4.0/24", AvailabilityZone=f"{REGION}a")
        self.subnet = made["Subnet"]["SubnetId"]
        self.gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.subnet)
        self.ec2.create_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=self.gateway)


def test_a_brought_vpc_is_used_and_left_as_it_was(sandbox: Box) -> None:
    brought = Brought(sandbox)
    before = sandbox.inventory()
    must(sandbox.up(VPC_ID=brought.vpc, KUBE_SUBNET_CIDR="172.31.8.0/24"))
    assert set(part(sandbox, "vpcs")) == {brought.vpc}
    assert part(sandbox, "vpcs") == before[REGION]["vpcs"]
    assert part(sandbox, "internet gateways") == before[REGION]["internet gateways"]
    assert part(sandbox, "dhcp options") == {}
    assert part(sandbox, "interfaces")[named(sandbox, "interfaces", f"{ID}-master")]["address"] == "172.31.8.9"
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == before


def test_a_group_in_a_subnet_of_another_route_table_than_the_masters_is_refused(sandbox: Box) -> None:
    """The pods' routes go into the first subnet's table alone: the group's pods would reach nobody."""
    brought, more = Brought(sandbox), {"KUBE_USE_EXISTING_MASTER": "true", "NUM_NODES": 1}
    ec2 = brought.ec2
    other = ec2.create_subnet(VpcId=brought.vpc, CidrBlock="172.31.5.0/24", AvailabilityZone=f"{REGION}b")
    subnet, zone = other["Subnet"]["SubnetId"], {"KUBE_AWS_ZONE": f"{REGION}b"}
    must(sandbox.up(VPC_ID=brought.vpc, SUBNET_ID=brought.subnet))
    wrong = sandbox.up(SUBNET_ID=subnet, **zone, **more)  # that one uses the VPC's main table
    refused_untouched(sandbox, wrong, 2, "SUBNET_ID", f"the master's is {brought.table}", "reach no others")
    its_own = sandbox.up(SUBNET_ID="", KUBE_SUBNET_CIDR="172.31.6.0/24", **zone, **more)
    refused_untouched(sandbox, its_own, 2, "KUBE_SUBNET_CIDR", f"the master's is {brought.table}, yours", "SUBNET_ID")
    ec2.associate_route_table(RouteTableId=brought.table, SubnetId=subnet)
    must(sandbox.up(SUBNET_ID=subnet, **zone, **more))
    assert len(part(sandbox, "groups")) == 2


def test_a_brought_subnet_for_a_group_beside_a_master_in_the_clusters_own_is_refused(sandbox: Box) -> None:
    sandbox.cluster()
    vpc, ec2 = only(part(sandbox, "vpcs")), sandbox.client("ec2")
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="172.20.7.0/24", AvailabilityZone=f"{REGION}b")
    more: dict[str, object] = {"KUBE_USE_EXISTING_MASTER": "true", "KUBE_AWS_ZONE": f"{REGION}b"}
    wrong = sandbox.up(SUBNET_ID=made["Subnet"]["SubnetId"], **more)
    refused_untouched(sandbox, wrong, 2, "SUBNET_ID", "and the master's is rtb-")


def test_a_private_vpc_gets_no_gateway(sandbox: Box) -> None:
    vpc = sandbox.client("ec2").create_vpc(CidrBlock="172.31.0.0/16")["Vpc"]["VpcId"]
    settings = {"VPC_ID": vpc, "KUBE_SUBNET_CIDR": "172.31.8.0/24"}
    private = {"KUBE_ENABLE_MASTER_PUBLIC_IP": "false", "KUBE_ENABLE_NODE_PUBLIC_IP": "false"}
    result = sandbox.up(**settings, **private)
    refused_untouched(sandbox, result, 2, "VPC_ID", "no internet gateway", "as SUBNET_ID")


def test_a_brought_subnets_own_table_gets_the_pods_routes_and_loses_them(sandbox: Box) -> None:
    brought = Brought(sandbox)
    before = sandbox.inventory()
    result = must(sandbox.up(SUBNET_ID=brought.subnet))
    assert f"route table {brought.table}, yours" in result.out
    assert "routes of pods (10.244.0.0/16) will be put into it" in result.out
    table = part(sandbox, "route tables")[brought.table]
    assert len([route for route in table["routes"] if route.startswith("10.244.")]) == 3
    assert len(part(sandbox, "route tables")) == 2  # theirs and the VPC's main one
    assert set(part(sandbox, "subnets")) == {brought.subnet}
    assert (
        master_settings(sandbox)["ROUTE_TABLE_ID"] == brought.table
        if "ROUTE_TABLE_ID" in master_settings(sandbox)
        else True
    )
    role = only(r for name, r in sandbox.inventory()["iam"]["roles"].items() if "master" in name)
    assert f"route-table/{brought.table}" in str(role)
    assert must(sandbox.up()).changing == []
    must(sandbox.down())  # SUBNET_ID is remembered
    assert sandbox.inventory() == before


@pytest.mark.parametrize("lost", spread(["the bucket", "the settings"], 1))
def test_pods_routes_leave_a_brought_table_though_nobody_knows_the_settings(sandbox: Box, lost: str) -> None:
    """Neither SUBNET_ID nor CLUSTER_IP_RANGE: the machines say where they are, and every route to one is a pod's."""
    brought = Brought(sandbox)
    own = {"RouteTableId": brought.table, "DestinationCidrBlock": "10.9.0.0/16", "GatewayId": brought.gateway}
    brought.ec2.create_route(**own)
    before = sandbox.inventory()
    must(sandbox.up(SUBNET_ID=brought.subnet, CLUSTER_IP_RANGE="10.77.0.0/16"))
    assert any(route.startswith("10.77.") for route in part(sandbox, "route tables")[brought.table]["routes"])
    if lost == "the bucket":
        empty_bucket(sandbox, delete=True)
    else:
        sandbox.client("s3").delete_object(Bucket=bucket_of(sandbox), Key=f"{REGION}/{ID}/settings.env")
    must(sandbox.down())
    assert sandbox.inventory() == before


def test_a_table_that_routes_to_an_instance_is_refused(sandbox: Box) -> None:
    brought = Brought(sandbox)
    nat = brought.ec2.create_network_interface(SubnetId=brought.subnet)["NetworkInterface"]["NetworkInterfaceId"]
    brought.ec2.create_route(RouteTableId=brought.table, DestinationCidrBlock="192.168.0.0/16", NetworkInterfaceId=nat)
    refused_untouched(sandbox, sandbox.up(SUBNET_ID=brought.subnet), 2, "SUBNET_ID", brought.table, "192.168.0.0/16")


def test_brought_things_that_do_not_fit_are_refused(sandbox: Box) -> None:
    brought = Brought(sandbox)
    untouched: list[tuple[dict[str, object], tuple[str, ...]]] = [
        ({"SUBNET_ID": brought.subnet, "KUBE_AWS_ZONE": f"{REGION}b"}, ("SUBNET_ID", f"{REGION}a")),
        ({"VPC_ID": brought.vpc}, ("KUBE_SUBNET_CIDR", "172.20.0.0/24")),
        ({"SUBNET_ID": brought.subnet, "MASTER_INTERNAL_IP": "172.20.0.9"}, ("MASTER_INTERNAL_IP",)),
        (
            {"SUBNET_ID": brought.subnet, "CLUSTER_IP_RANGE": "172.31.0.0/16", "NON_MASQUERADE_CIDR": "172.0.0.0/8"},
            ("CLUSTER_IP_RANGE", "172.31.0.0/16"),
        ),
    ]
    for given, words in untouched:
        refused_untouched(sandbox, sandbox.up(**given), 2, *words)


def test_a_brought_address_that_serves_something_else_is_refused(sandbox: Box) -> None:
    brought = Brought(sandbox)
    made = brought.ec2.allocate_address(Domain="vpc")
    interface = brought.ec2.create_network_interface(SubnetId=brought.subnet)["NetworkInterface"]["NetworkInterfaceId"]
    brought.ec2.associate_address(AllocationId=made["AllocationId"], NetworkInterfaceId=interface)
    result = sandbox.up(MASTER_RESERVED_IP=made["PublicIp"])
    refused_untouched(sandbox, result, 2, "MASTER_RESERVED_IP", interface)


def test_an_address_of_a_brought_subnet_that_is_taken_is_refused(sandbox: Box) -> None:
    brought = Brought(sandbox)
    made = brought.ec2.create_network_interface(SubnetId=brought.subnet, PrivateIpAddress="172.31.4.9")
    interface = made["NetworkInterface"]["NetworkInterfaceId"]
    refused_untouched(sandbox, sandbox.up(SUBNET_ID=brought.subnet), 2, "172.31.4.9", interface)


def test_brought_dhcp_options_are_used_and_left(sandbox: Box) -> None:
    made = sandbox.client("ec2").create_dhcp_options(
        DhcpConfigurations=[{"Key": "domain-name", "Values": ["us-west-2.compute.internal"]}]
    )
    options = made["DhcpOptions"]["DhcpOptionsId"]
    before = sandbox.inventory()
    must(sandbox.up(DHCP_OPTION_SET_ID=options))
    assert only(part(sandbox, "vpcs").values())["dhcp options"] == options
    assert part(sandbox, "dhcp options") == before[REGION]["dhcp options"]
    must(sandbox.down())
    assert sandbox.inventory() == before


def test_another_range_moves_the_masters_address(sandbox: Box) -> None:
    sandbox.cluster(KUBE_SUBNET_CIDR="172.20.16.0/20")
    assert minion_settings(sandbox)["MASTER_INTERNAL_IP"] == "172.20.16.9"
    must(sandbox.down())
    must(sandbox.up(KUBE_VPC_CIDR_BASE="10.77", MASTER_INTERNAL_IP="10.77.0.77"))
    assert only(part(sandbox, "vpcs").values())["cidr"] == "10.77.0.0/16"
    assert minion_settings(sandbox)["MASTER_INTERNAL_IP"] == "10.77.0.77"


def test_a_subnet_that_is_there_with_another_range_moves_the_masters_address(sandbox: Box) -> None:
    ec2 = sandbox.client("ec2")
    labels = [{"Key": key, "Value": value} for key, value in TAGS.items()]
    named_vpc = [{"ResourceType": "vpc", "Tags": [*labels, {"Key": "Name", "Value": "kubernetes-vpc"}]}]
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16", TagSpecifications=named_vpc)["Vpc"]["VpcId"]
    ec2.create_subnet(
        VpcId=vpc,
        CidrBlock="172.20.5.0/24",
        AvailabilityZone=f"{REGION}a",
        TagSpecifications=[{"ResourceType": "subnet", "Tags": labels}],
    )
    must(sandbox.up())
    assert minion_settings(sandbox)["MASTER_INTERNAL_IP"] == "172.20.5.9"
    assert remembered(sandbox)["MASTER_INTERNAL_IP"] == "172.20.5.9"


# --- buckets


def test_a_brought_bucket_keeps_everything_but_the_clusters_objects(sandbox: Box) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="company-files", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="company-files", Key="accounts.txt", Body=b"1")
    s3.put_object(Bucket="company-files", Key=f"{REGION}/{ID}-other/pki.tar", Body=b"2")
    before = sandbox.inventory()
    must(sandbox.up(AWS_S3_BUCKET="company-files"))
    assert sandbox.inventory()["s3"]["company-files"]["tags"] == {}
    assert read_object(sandbox, f"{REGION}/{ID}/pki.tar")
    must(sandbox.down())
    assert sandbox.inventory() == before


def test_a_bucket_name_that_is_free_is_made_and_removed(sandbox: Box) -> None:
    sandbox.cluster(AWS_S3_BUCKET="company-kube")
    bucket = sandbox.inventory()["s3"]["company-kube"]
    assert bucket["tags"][OWNED] == "owned"
    assert bucket["public access blocked"]
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_bucket_in_another_region_is_signed_for_there(sandbox: Box) -> None:
    sandbox.cluster(AWS_S3_REGION="eu-central-1")
    name = bucket_of(sandbox)
    assert sandbox.inventory()["s3"][name]["region"] == "eu-central-1"
    assert master_settings(sandbox)["KUBE_BUCKET_REGION"] == "eu-central-1"
    del sandbox.environ["NUM_NODES"]
    assert must(sandbox.up()).changing == []  # found though forgotten, whatever its region
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_us_east_1_takes_no_location_and_has_its_own_domain(sandbox: Box) -> None:
    asked: list[Any] = []
    sandbox.aws.hooks.before.append(
        lambda call: asked.append(call.params) if call.operation == "CreateBucket" else None
    )
    must(sandbox.up(KUBE_AWS_ZONE="us-east-1a"))
    assert "LocationConstraint" not in (asked[0].get("CreateBucketConfiguration") or {})
    options = only(part(sandbox, "dhcp options", "us-east-1").values())["options"]
    assert options["domain-name"] == ["ec2.internal"]
    must(sandbox.down(KUBE_AWS_ZONE="us-east-1a"))
    assert sandbox.inventory() == {}


# --- machines


def test_spot_minions(sandbox: Box) -> None:
    sandbox.cluster(NODE_SPOT_PRICE="0.05")
    options = template_data(sandbox)["InstanceMarketOptions"]
    assert options["MarketType"] == "spot"
    assert options["SpotOptions"]["MaxPrice"] == "0.05"
    assert part(sandbox, "instances")[master_of(sandbox)]["spot"] != "spot"


@pytest.mark.parametrize(
    ("master", "node"), [("m7g.large", "m7g.large"), ("t3.medium", "m7g.large"), ("t4g.small", "t3.small")]
)
def test_each_role_gets_the_image_and_downloads_of_its_architecture(sandbox: Box, master: str, node: str) -> None:
    sandbox.cluster(MASTER_SIZE=master, NODE_SIZE=node)
    images = {i["ImageId"]: i["Architecture"] for i in sandbox.client("ec2").describe_images()["Images"]}
    roles = {i["tags"]["Name"]: i for i in part(sandbox, "instances").values()}
    for role, kind, found in (
        ("master", master, master_settings(sandbox)),
        ("minion", node, minion_settings(sandbox)),
    ):
        machine = roles[f"{ID}-{role}"]
        assert machine["type"] == kind
        wanted = "arm64" if "g." in kind else "amd64"
        assert images[machine["image"]] == wanted.replace("amd64", "x86_64")
        assert wanted in found["URL_KUBELET"]
        assert len(found["SHA256_KUBELET"]) == 64


def test_ubuntu_has_its_own_root_device_and_user(sandbox: Box) -> None:
    result = must(sandbox.up(KUBE_OS_DISTRIBUTION="ubuntu"))
    assert template_data(sandbox)["BlockDeviceMappings"][0]["DeviceName"] == "/dev/sda1"
    master = sandbox.client("ec2").describe_instances(InstanceIds=[master_of(sandbox)])["Reservations"][0]["Instances"][
        0
    ]
    assert master["RootDeviceName"] == "/dev/sda1"
    root = next(m for m in master["BlockDeviceMappings"] if m["DeviceName"] == "/dev/sda1")
    assert part(sandbox, "volumes")[root["Ebs"]["VolumeId"]]["encrypted"] == "true"
    assert " ubuntu@" in result.out


def test_images_by_id_are_used(sandbox: Box) -> None:
    sandbox.client("ec2").describe_vpcs()
    parameter = "/aws/service/debian/release/12/latest/amd64"
    image = sandbox.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    must(sandbox.up(AWS_IMAGE=image))
    assert {i["image"] for i in part(sandbox, "instances").values()} == {image}
    must(sandbox.down())
    must(sandbox.up(KUBE_NODE_IMAGE=image))
    assert part(sandbox, "instances")[master_of(sandbox)]["image"] != image
    assert template_data(sandbox)["ImageId"] == image


def test_disks_of_another_kind_and_size(sandbox: Box) -> None:
    asked: list[Any] = []
    sandbox.aws.hooks.before.append(
        lambda call: asked.append(call.params) if call.operation == "CreateVolume" else None
    )
    must(
        sandbox.up(
            MASTER_DISK_TYPE="io1",
            MASTER_DISK_SIZE=40,
            MASTER_ROOT_DISK_TYPE="gp2",
            MASTER_ROOT_DISK_SIZE=12,
            NODE_ROOT_DISK_TYPE="io1",
            NODE_ROOT_DISK_SIZE=50,
        )
    )
    assert (asked[0]["VolumeType"], asked[0]["Size"], asked[0]["Iops"]) == ("io1", 40, 2000)
    ebs = template_data(sandbox)["BlockDeviceMappings"][0]["Ebs"]
    assert (ebs["VolumeType"], ebs["VolumeSize"], ebs["Iops"]) == ("io1", 50, 2500)
    disks = {v["tags"]["Name"]: (v["type"], v["size"]) for v in part(sandbox, "volumes").values()}
    assert disks[f"{ID}-master-root"] == ("gp2", 12)
    assert must(sandbox.up()).changing == []


def test_the_ladder_is_applied_and_an_explicit_size_wins(sandbox: Box) -> None:
    sandbox.cluster(NUM_NODES=11)
    assert part(sandbox, "instances")[master_of(sandbox)]["type"] == "m6i.xlarge"
    must(sandbox.down())
    must(sandbox.up(NUM_NODES=11, MASTER_SIZE="t3.medium"))
    assert part(sandbox, "instances")[master_of(sandbox)]["type"] == "t3.medium"


def test_the_autoscalers_range_is_the_groups_and_its_choice_is_kept(sandbox: Box) -> None:
    given: dict[str, object] = {"KUBE_ENABLE_CLUSTER_AUTOSCALER": "true", "KUBE_AUTOSCALER_MAX_NODES": 5}
    sandbox.cluster(**given)
    assert part(sandbox, "groups")[GROUP]["size"] == [1, 2, 5]
    assert "cluster-autoscaler" in addons(sandbox)
    sandbox.client("autoscaling").set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=4)
    settle(sandbox)
    result = must(sandbox.up())
    assert result.changing == []
    assert part(sandbox, "groups")[GROUP]["size"] == [1, 4, 5]


def test_the_autoscaler_knows_every_group_by_its_tags_and_each_keeps_its_own_range(sandbox: Box) -> None:
    given: dict[str, object] = {"KUBE_ENABLE_CLUSTER_AUTOSCALER": "true", "KUBE_AUTOSCALER_MAX_NODES": 5}
    sandbox.cluster(**given)
    more: dict[str, object] = {"KUBE_USE_EXISTING_MASTER": "true", "NODE_SIZE": "t3.large", "NUM_NODES": 1}
    more |= {"KUBE_AUTOSCALER_MAX_NODES": 2}
    must(sandbox.up(**more))
    groups = part(sandbox, "groups")
    assert {name: group["size"] for name, group in groups.items()} == {GROUP: [1, 2, 5], f"{GROUP}-t3-large": [1, 1, 2]}
    entry = next(each for each in master_settings(sandbox)["ADDONS"].split() if each.startswith("cluster-autoscaler:"))
    said = read_object(sandbox, f"{REGION}/{ID}/addons/{entry.partition(':')[2]}").decode()
    wanted = re.search(r"--node-group-auto-discovery=asg:tag=(\S+)", said)
    assert wanted
    filters = [{"Name": f"tag:{k}", "Values": [v]} for k, _, v in (t.partition("=") for t in wanted[1].split(","))]
    found = sandbox.client("autoscaling").describe_auto_scaling_groups(Filters=filters)["AutoScalingGroups"]
    assert {group["AutoScalingGroupName"] for group in found} == set(groups)
    assert must(sandbox.up()).changing == []
    assert must(sandbox.up(**more)).changing == []


# --- which nodes count


def test_as_many_nodes_as_allowed_may_be_late(sandbox: Box) -> None:
    sandbox.cluster()
    minion = next(i for i in part(sandbox, "instances") if i != master_of(sandbox))
    hide(sandbox, minion)
    result = must(sandbox.up(ALLOWED_NOTREADY_NODES=1, CLUSTER_READY_ADDITIONAL_TIME_SECONDS=20))
    assert "ALLOWED_NOTREADY_NODES" in result.err
    assert "2 of 3 Ready" in result.err
    assert sum(slept for slept in sandbox.clock.slept[-12:]) >= 20


def hide(box: Box, instance_id: str) -> None:
    """Let an instance run without being a node."""
    box.aws.world.state.hosts.pop(instance_id)
    settle(box, 2)


def test_too_few_nodes_end_the_run_with_what_is_known(sandbox: Box) -> None:
    sandbox.cluster()
    hide(sandbox, next(i for i in part(sandbox, "instances") if i != master_of(sandbox)))
    said = refused(sandbox.up(KUBE_WAIT_NODES_SECONDS=30), 1, "waited 30 s for 3 nodes", "2 of 3 Ready")
    assert "kube-bootstrap: done" in said


@pytest.mark.parametrize(
    ("name", "what"),
    [("KUBE_WAIT_INSTANCE_SECONDS", "to run"), ("KUBE_WAIT_API_SECONDS", "the API at")],
)
def test_each_wait_ends_at_its_deadline_and_says_what_it_waited_for(sandbox: Box, name: str, what: str) -> None:
    slow = {"KUBE_WAIT_INSTANCE_SECONDS": Delays(pending=60.0), "KUBE_WAIT_API_SECONDS": Delays(host=60.0)}
    sandbox.aws.world.delays = slow[name]
    said = refused(sandbox.up(**{name: 4}), 1, "waited 4 s for", what)
    assert "console" in said or "describe-instances" in said or "describe-scaling" in said
    sandbox.aws.world.delays = Delays()
    must(sandbox.up(**{name: 400}))  # what was set last is remembered


def test_a_failing_bootstrap_is_shown_in_its_own_words(sandbox: Box) -> None:
    sandbox.cluster()
    kill_master(sandbox)
    settle(sandbox)
    sandbox.aws.world.delays = Delays(host=10**6)
    with speaking(sandbox, BROKEN):
        said = refused(sandbox.up(KUBE_WAIT_API_SECONDS=4), 1)
    assert BROKEN[-1] in said
    assert "ssh -i" in said


BROKEN = ["kube-bootstrap: step 3/8 downloads: failed: kubelet has another sha256"]


def test_deletes_wait_no_longer_than_their_deadline(sandbox: Box) -> None:
    sandbox.cluster()
    sandbox.aws.world.delays = Delays(shutting_down=600.0)
    result = sandbox.down(KUBE_WAIT_DELETE_SECONDS=6)
    refused(result, 1, "left of cluster", master_of(sandbox))
    assert "warning: waited 6 s for the instances to be gone, and it did not come" in result.err
    settle(sandbox, 600)
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_user_data_too_large_is_refused_before_the_launch(sandbox: Box) -> None:
    dice = random.Random(1)
    parts = ("APISERVER", "CONTROLLER_MANAGER", "SCHEDULER", "KUBELET", "KUBEPROXY")

    def word(length: int) -> str:
        return "".join(dice.choices(string.ascii_letters + string.digits, k=length))

    given: dict[str, object] = {f"{name}_TEST_ARGS": f"--feature={word(1980)}" for name in parts}
    result = sandbox.up(**given)
    refused(result, 2, "16384", "_TEST_ARGS")
    assert "ec2:RunInstances" not in result.operations


# --- other partitions


@pytest.mark.parametrize(
    ("zone", "partition", "suffix"),
    [("cn-north-1a", "aws-cn", "amazonaws.com.cn"), ("us-gov-west-1a", "aws-us-gov", "amazonaws.com")],
)
def test_partitions_show_in_every_arn_and_domain(
    zone: str, partition: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    config = resolve(read_layers({"HOME": "/tmp", "KUBE_AWS_ZONE": zone, "AWS_IMAGE": "ami-0123456789abcdef0"}))
    nobodys = Credentials(environ={}, file={})
    aws = Aws(config.region, credentials=nobodys, console=Console(FakeClock()), clock=FakeClock(), waits=Waits(1, 1))
    aws.account, aws.partition = "123456789012", partition
    staging = Bucket(name="b", region=config.region, prefix="p/", owner="123456789012", ours=True, computed=True)
    values = policy_values(aws, config, staging)
    policy = json.dumps(policy_document("master-policy", values))
    assert config.partition == partition
    assert "arn:aws:" not in policy
    assert f"arn:{partition}:s3:::b/p/*" in policy
    assert f"ec2.{suffix}" in json.dumps(policy_document("trust", values))


@pytest.mark.parametrize("zone", ["cn-north-1a", "us-gov-west-1a"])
def test_outside_partition_aws_an_image_is_needed(sandbox: Box, zone: str) -> None:
    refused_untouched(sandbox, sandbox.up(KUBE_AWS_ZONE=zone), 2, "AWS_IMAGE", zone[:-1])


@pytest.mark.parametrize("zone", spread(["cn-north-1a", "us-gov-west-1a"], 1))
def test_a_whole_life_in_each_partition(sandbox: Box, zone: str) -> None:
    images = sandbox.client("ec2", zone[:-1]).describe_images()["Images"]
    image = next(i["ImageId"] for i in images if "debian" in i["Name"] and i["Architecture"] == "x86_64")
    before = sandbox.inventory()
    sandbox.environ["KUBE_AWS_ZONE"] = zone
    must(sandbox.up(AWS_IMAGE=image, KUBE_MASTER_SELF_HEAL="true"))
    there = sandbox.inventory()
    assert {"iam", "s3", zone[:-1]} == set(there)
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == before == {}


def test_user_data_is_the_same_for_the_same_settings(sandbox: Box) -> None:
    sandbox.cluster()
    first = user_data(sandbox, master_of(sandbox))
    kill_master(sandbox)
    settle(sandbox)
    must(sandbox.up())
    assert user_data(sandbox, master_of(sandbox)) == first
    assert settings(gzip.decompress(base64.b64decode(template_data(sandbox)["UserData"])).decode())


# --- who keeps pods' addresses

PODS_ALONE = "give NON_MASQUERADE_CIDR=10.244.0.0/16, the pods' own range"


def test_pods_are_masqueraded_in_a_vpc_inside_10_by_default(sandbox: Box) -> None:
    must(sandbox.up(KUBE_VPC_CIDR_BASE="10.20"))
    assert minion_settings(sandbox)["NON_MASQUERADE_CIDR"] == "10.244.0.0/16"
    assert must(sandbox.up()).changing == []


@pytest.mark.parametrize("further", [(), ("10.77.0.0/16",)], ids=["its first range", "a further range"])
def test_a_vpc_in_which_pods_would_keep_their_addresses_is_refused(sandbox: Box, further: tuple[str, ...]) -> None:
    brought = Brought(sandbox, "172.31.0.0/16" if further else "10.77.0.0/16")
    for block in further:
        brought.ec2.associate_vpc_cidr_block(VpcId=brought.vpc, CidrBlock=block)
    result = sandbox.up(SUBNET_ID=brought.subnet, NON_MASQUERADE_CIDR="10.0.0.0/8")
    refused_untouched(sandbox, result, 2, "NON_MASQUERADE_CIDR", "10.77.0.0/16", "DNS", PODS_ALONE)
    made = sandbox.up(KUBE_VPC_CIDR_BASE="10.20", NON_MASQUERADE_CIDR="10.0.0.0/8")
    refused_untouched(sandbox, made, 2, "NON_MASQUERADE_CIDR", "10.20.0.0/16")


def test_a_cluster_that_has_it_keeps_it_and_is_warned(sandbox: Box) -> None:
    """As one that an earlier release made, whose default was 10.0.0.0/8."""
    vpc = Brought(sandbox)
    must(sandbox.up(SUBNET_ID=vpc.subnet, NON_MASQUERADE_CIDR="10.0.0.0/8"))
    vpc.ec2.associate_vpc_cidr_block(VpcId=vpc.vpc, CidrBlock="10.77.0.0/16")
    again = must(sandbox.up())
    assert again.changing == []
    assert "warning: NON_MASQUERADE_CIDR: 10.0.0.0/8 overlaps 10.77.0.0/16" in again.out + again.err
    mended = must(sandbox.up(NON_MASQUERADE_CIDR="10.244.0.0/16"))
    assert "overlaps" not in mended.out + mended.err
    assert minion_settings(sandbox)["NON_MASQUERADE_CIDR"] == "10.244.0.0/16"


def test_one_that_is_only_remembered_gives_way_where_the_cluster_is_made_anew(sandbox: Box) -> None:
    vpc = Brought(sandbox)
    must(sandbox.up(SUBNET_ID=vpc.subnet, NON_MASQUERADE_CIDR="10.0.0.0/8"))
    must(sandbox.down("--keep-disk"))
    vpc.ec2.associate_vpc_cidr_block(VpcId=vpc.vpc, CidrBlock="10.77.0.0/16")
    asked = sandbox.up(NON_MASQUERADE_CIDR="10.0.0.0/8")
    refused_untouched(sandbox, asked, 2, "NON_MASQUERADE_CIDR", "10.77.0.0/16", PODS_ALONE)
    again = must(sandbox.up())
    assert "warning: NON_MASQUERADE_CIDR: 10.0.0.0/8 → 10.244.0.0/16, the pods' range: 10.0.0.0/8 overlaps" in again.err
    assert minion_settings(sandbox)["NON_MASQUERADE_CIDR"] == "10.244.0.0/16"
    assert remembered(sandbox)["NON_MASQUERADE_CIDR"] == "10.244.0.0/16"
    finished = must(sandbox.up())
    assert finished.changing == []
    assert "NON_MASQUERADE_CIDR: " not in finished.out + finished.err


def test_a_range_that_our_vpc_got_later_is_warned_of(sandbox: Box) -> None:
    must(sandbox.up(NON_MASQUERADE_CIDR="10.0.0.0/8"))
    ours = only(part(sandbox, "vpcs"))
    sandbox.client("ec2").associate_vpc_cidr_block(VpcId=ours, CidrBlock="10.77.0.0/16")
    again = must(sandbox.up())
    assert "NON_MASQUERADE_CIDR: 10.0.0.0/8 overlaps 10.77.0.0/16" in again.out + again.err


def test_a_subnet_that_names_hosts_by_their_ids_is_warned_of_and_minions_ask_for_addresses(sandbox: Box) -> None:
    brought = Brought(sandbox)
    assert "names hosts by their ids" not in sandbox.up("--dry-run", SUBNET_ID=brought.subnet).err
    subnets = brought.ec2.describe_subnets(SubnetIds=[brought.subnet])["Subnets"]
    subnets[0]["PrivateDnsNameOptionsOnLaunch"] = {"HostnameType": "resource-name"}
    sandbox.aws.hooks.before.append(
        lambda call: result_answer(call, {"Subnets": subnets}) if call.operation == "DescribeSubnets" else None
    )
    said = must(sandbox.up(SUBNET_ID=brought.subnet)).err
    assert f"warning: SUBNET_ID: {brought.subnet} names hosts by their ids" in said
    assert template_data(sandbox)["PrivateDnsNameOptions"]["HostnameType"] == "ip-name"


@pytest.mark.parametrize(("version", "warned"), [("1.36.2", True), ("1.36.3", False)])
def test_a_release_whose_kube_proxy_may_set_up_no_services_is_warned_of(
    sandbox: Box, version: str, warned: bool
) -> None:
    result = sandbox.up("--dry-run", KUBERNETES_VERSION=version)
    assert ("kubernetes 136786" in result.out + result.err) is warned
