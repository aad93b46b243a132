"""KUBE_HTTP_PROXY: downloads, containerd, kubelet and the addons that call AWS go by it, the cluster's own not."""

from __future__ import annotations

from pathlib import Path

import pytest
from bootstrap import MASTER, MINION, Role, Shell
from conftest import REGION, Box
from helpers import (
    GROUP,
    master_of,
    master_settings,
    minion_settings,
    must,
    refused_untouched,
    template_data,
    user_data,
)
from helpers import unpack as unpacked
from test_options import Brought, addons
from test_proxies import proxy

PROXY = "http://proxy.example.com:3128"
OPTIONS = {"KUBE_HTTP_PROXY": PROXY, "KUBE_NO_PROXY": ".example.com, 198.51.100.0/24"}
CALL_AWS = {"cloud-controller-manager": 1, "aws-ebs-csi-driver": 1, "cluster-autoscaler": 1}
ROLES = pytest.mark.parametrize(
    ("role", "settings"), [("master", MASTER), ("minion", MINION)], ids=["master", "minion"]
)


def listed(box: Box) -> list[str]:
    found = master_settings(box)["KUBE_NO_PROXY"]
    assert minion_settings(box)["KUBE_NO_PROXY"] == found
    return found.split(",")


def environments(box: Box, addon: str) -> list[dict[str, str]]:
    """The environment of each container of an addon that has a proxy in it."""
    pods = [each["spec"]["template"]["spec"] for each in addons(box)[addon] if "template" in each.get("spec", {})]
    found = [
        {each["name"]: each.get("value", "") for each in container.get("env", [])}
        for pod in pods
        for container in pod["containers"]
    ]
    return [each for each in found if "HTTPS_PROXY" in each]


def test_without_it_no_node_knows_of_a_proxy(sandbox: Box) -> None:
    sandbox.cluster(KUBE_ENABLE_CLUSTER_AUTOSCALER="true")
    texts = [user_data(sandbox, master_of(sandbox)), unpacked(template_data(sandbox, name=GROUP)["UserData"])]
    assert not any("proxy=" in text.lower() or "KUBE_HTTP_PROXY" in text for text in texts)
    assert all(environments(sandbox, addon) == [] for addon in CALL_AWS)


def test_nodes_and_addons_are_told_the_proxy_and_what_is_reached_past_it(sandbox: Box) -> None:
    must(sandbox.up(KUBE_ENABLE_CLUSTER_AUTOSCALER="true", **OPTIONS))
    given = [".example.com", "198.51.100.0/24"]
    assert listed(sandbox) == [
        *given,
        *("localhost", "127.0.0.1", "169.254.169.254"),
        *("172.20.0.0/16", "10.244.0.0/16", "10.0.0.0/16"),
        *(".cluster.local", ".svc", f".{REGION}.compute.internal"),
    ]
    assert master_settings(sandbox)["KUBE_HTTP_PROXY"] == minion_settings(sandbox)["KUBE_HTTP_PROXY"] == PROXY
    for addon, number in CALL_AWS.items():
        found = environments(sandbox, addon)
        assert len(found) == number, addon
        assert all(each["HTTPS_PROXY"] == PROXY for each in found), addon
        assert all(each["NO_PROXY"].split(",") == listed(sandbox) for each in found), addon
    again = must(sandbox.up())
    assert again.changing == []
    assert len(again.calls) <= 43  # and one for the VPC's endpoints
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_s3_is_reached_past_it_where_the_vpc_has_a_gateway_endpoint(sandbox: Box) -> None:
    brought = Brought(sandbox)
    must(sandbox.up(SUBNET_ID=brought.subnet, **OPTIONS))
    assert not any("s3" in each for each in listed(sandbox))
    assert "172.31.0.0/16" in listed(sandbox)
    must(sandbox.down())
    brought.ec2.create_vpc_endpoint(
        VpcId=brought.vpc, ServiceName=f"com.amazonaws.{REGION}.s3", VpcEndpointType="Gateway", RouteTableIds=[]
    )
    must(sandbox.up(SUBNET_ID=brought.subnet, **OPTIONS))
    assert f"s3.{REGION}.amazonaws.com" in listed(sandbox)


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_persons_own_proxy_is_no_mistake_for_it(sandbox: Box, name: str) -> None:
    assert "_PROXY: nothing reads it" not in sandbox.up("--dry-run", **{name: "127.0.0.1"}).err


def test_it_can_be_set_and_taken_away_later(sandbox: Box) -> None:
    sandbox.cluster()
    first = master_settings(sandbox)
    foretold = sandbox.up("--dry-run", KUBE_HTTP_PROXY=PROXY)
    assert foretold.code == 3
    assert "KUBE_HTTP_PROXY" in foretold.out
    must(sandbox.up(KUBE_HTTP_PROXY=PROXY))
    assert minion_settings(sandbox)["KUBE_HTTP_PROXY"] == PROXY
    assert master_settings(sandbox) == first  # which keeps what it was made with, and is said to differ
    must(sandbox.up(KUBE_HTTP_PROXY=""))
    assert minion_settings(sandbox)["KUBE_HTTP_PROXY"] == ""
    assert must(sandbox.up()).changing == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KUBE_HTTP_PROXY", "http://me:secret@proxy.example.com:3128", "holds a user or password"),
        ("KUBE_HTTP_PROXY", "proxy.example.com:3128", "is not a URL"),
        ("KUBE_HTTP_PROXY", "socks5://proxy.example.com:1080", "is not a URL"),
        ("KUBE_HTTP_PROXY", "http://proxy.example.com", "with its port"),
        ("KUBE_HTTP_PROXY", "http://proxy.example.com:3128/path", "with its port"),
        ("KUBE_NO_PROXY", ".example.com", "there is none"),
        ("KUBE_NO_PROXY", "http://a", "has the wrong form"),
    ],
)
def test_what_is_no_proxy_is_refused(sandbox: Box, name: str, value: str, words: str) -> None:
    said = refused_untouched(sandbox, sandbox.up(**{name: value}), 2, f"{name}: ", words)
    assert "secret" not in said


# --- on a node


def shell(role: Role, settings: dict[str, str], folder: Path, address: str) -> Shell:
    places = {"/etc/kube-bootstrap": folder / "settings", "/etc/default": folder, "/etc/systemd": folder / "units"}
    given = {"KUBE_HTTP_PROXY": f"http://{address}", "KUBE_NO_PROXY": "localhost,127.0.0.1,.svc"}
    return Shell(role, {**settings, **given}, folder, {old: str(new) for old, new in places.items()})


@ROLES
def test_downloads_go_through_it_and_what_is_near_does_not(
    role: Role, settings: dict[str, str], tmp_path: Path
) -> None:
    with proxy() as it:
        ran = shell(role, settings, tmp_path, it.address).run(
            "identity() { :; }; sleep() { :; }",
            'settings; fetch https://dl.k8s.io/kubelet 0 "$STATE/x" || curl --silent https://127.0.0.1:9/ || true',
        )
        assert ran.status == 0, ran.output
        assert {head.split("\r")[0] for head in it.asked} == {"CONNECT dl.k8s.io:443 HTTP/1.1"}


@ROLES
def test_containerd_and_the_kubelet_have_it_in_their_units(
    role: Role, settings: dict[str, str], tmp_path: Path
) -> None:
    stubs = "systemctl() { :; }; more_units() { :; }"
    ran = shell(role, settings, tmp_path, "proxy.example.com:3128").run(stubs, "eval_settings; units")
    assert ran.status == 0, ran.output
    for unit in ("containerd", "kubelet"):
        written = (tmp_path / "units" / "system" / f"{unit}.service.d" / "http-proxy.conf").read_text()
        assert written == (
            f"[Service]\nEnvironment=HTTP_PROXY={PROXY} HTTPS_PROXY={PROXY} NO_PROXY=localhost,127.0.0.1,.svc\n"
        )
