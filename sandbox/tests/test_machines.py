"""What of the machines needs neither root nor a machine: the packet filter's text, metadata, names, disks."""

from __future__ import annotations

import dataclasses
import json

import pytest
from conftest import Box

from sandbox.backend import wanted
from sandbox.machines import firewall, imds, sites
from sandbox.machines.wanted import Group, Instance, Interface, Rule

ANY = Rule("-1", None, None, "0.0.0.0/0", "")
MASTER = Interface(
    "eni-1", "02:00:00:00:00:01", "172.20.0.9", "ip-172-20-0-9", "subnet-1", ("sg-m",), True, "127.80.0.1"
)
MINION = dataclasses.replace(MASTER, id="eni-2", address="172.20.0.4", groups=("sg-n",), check=False, public="")
GROUPS = [
    Group("sg-m", (Rule("tcp", 443, 443, "0.0.0.0/0", ""), Rule("-1", None, None, "", "sg-n")), (ANY,)),
    Group("sg-n", (Rule("tcp", 30000, 32767, "10.0.0.0/8", ""),), (ANY,)),
]
INSTANCE = Instance(
    id="i-0123456789abcdef0",
    region="us-west-2",
    zone="us-west-2a",
    vpc_id="vpc-1",
    alive=True,
    ends=False,
    reboots=0,
    interface=MASTER,
    root=None,
    disks=(),
    kind="t3.medium",
    mebibytes=4096,
    user="admin",
    image="ami-1",
    role="kubernetes-master",
    key_name="",
    key="",
    hop_limit=1,
    spot=False,
    notice="",
    user_data=b"#!/bin/sh\n",
)


def chain(name: str, *, can_leave: frozenset[str] = frozenset({"subnet-1"})) -> str:
    rules = firewall.ruleset(
        {"vm": MASTER, "vn": MINION},
        GROUPS,
        can_leave=can_leave,
        services=["169.254.169.254", "172.20.0.2"],
        resolvers=["172.20.0.2"],
        ranges=["172.20.0.0/16"],
    )
    return rules.partition(f"chain {name} {{")[2].partition("\t}")[0]


def test_a_rule_for_a_group_means_its_members_interfaces() -> None:
    assert 'iifname { "vn" }' in chain("in-vm")
    assert MINION.address not in chain("in-vm")


def test_rules_for_ranges_name_ports_and_addresses() -> None:
    assert "tcp dport 443 return" in chain("in-vm")
    assert "ip saddr 10.0.0.0/8 tcp dport 30000-32767 return" in chain("in-vn")
    assert chain("in-vn").split()[-1] == "drop"


def test_only_an_interface_with_its_check_on_is_checked() -> None:
    assert 'iifname "vm" ip saddr != 172.20.0.9 drop' in chain("check")
    assert 'oifname "vm" ip daddr != 172.20.0.9 drop' in chain("check")
    assert "vn" not in chain("check")


def test_only_a_public_address_with_a_route_leaves_the_vpc() -> None:
    assert 'iifname "vm" ip saddr 172.20.0.9 accept' in chain("leave")
    assert "vn" not in chain("leave")
    assert chain("leave", can_leave=frozenset()).split() == ["drop"]


def test_the_resolver_answers_the_vpcs_own_addresses_only_and_before_any_other_rule() -> None:
    rules = chain("input")
    refused = rules.index(
        "ip daddr { 172.20.0.2 } meta l4proto { tcp, udp } th dport 53 ip saddr != { 172.20.0.0/16 } drop"
    )
    assert (
        refused < rules.index("ct state established") < rules.index("ip daddr { 169.254.169.254, 172.20.0.2 } accept")
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("meta-data/instance-id", "i-0123456789abcdef0"),
        ("meta-data/placement/availability-zone", "us-west-2a"),
        ("meta-data/placement/", "availability-zone\nregion"),
        ("meta-data/iam/security-credentials/", "kubernetes-master"),
        ("meta-data/public-ipv4", "127.80.0.1"),
        ("user-data", "#!/bin/sh\n"),
    ],
)
def test_metadata(path: str, value: str) -> None:
    assert imds.answer(INSTANCE, f"/latest/{path}") == value.encode()


def test_metadata_that_is_not_there() -> None:
    assert imds.answer(INSTANCE, "/latest/meta-data/nothing") is None
    assert imds.answer(dataclasses.replace(INSTANCE, user_data=b""), "/latest/user-data") is None


def test_a_spot_instance_has_the_notice_of_its_end_when_somebody_gave_it_and_no_other_instance_has() -> None:
    path, time = "/latest/meta-data/spot/instance-action", "2026-11-28T08:22:00Z"
    spot = dataclasses.replace(INSTANCE, spot=True)
    assert imds.answer(spot, path) is None
    assert imds.answer(spot, "/latest/meta-data/instance-life-cycle") == b"spot"
    given = imds.answer(dataclasses.replace(spot, notice=time), path)
    assert json.loads(given or b"") == {"action": "terminate", "time": time}
    assert imds.answer(dataclasses.replace(INSTANCE, notice=time), path) is None


def test_the_identity_document_and_the_credentials_are_json() -> None:
    document = json.loads(imds.answer(INSTANCE, "/latest/dynamic/instance-identity/document") or b"")
    assert (document["instanceId"], document["region"]) == (INSTANCE.id, "us-west-2")
    role = json.loads(imds.answer(INSTANCE, "/latest/meta-data/iam/security-credentials/kubernetes-master") or b"")
    assert role["Code"] == "Success"


def test_a_bucket_in_the_hosts_name_is_asked_for_by_path() -> None:
    assert sites.endpoint("a-b.s3.us-west-2.amazonaws.com", "/k") == ("s3.us-west-2.amazonaws.com", "/a-b/k")
    assert sites.endpoint("s3.us-west-2.amazonaws.com", "/a-b/k") == ("s3.us-west-2.amazonaws.com", "/a-b/k")
    assert sites.endpoint("ec2.us-west-2.amazonaws.com", "/") == ("ec2.us-west-2.amazonaws.com", "/")


def test_a_machine_has_the_disk_that_its_root_volume_was_asked_for(sandbox: Box) -> None:
    assert sandbox.up(MASTER_ROOT_DISK_SIZE=11, NODE_ROOT_DISK_SIZE=33, MASTER_DISK_SIZE=22).code == 0
    instances = wanted.look(sandbox.aws.world).instances.values()
    sizes = [(each.root and each.root.gibibytes, [disk.gibibytes for disk in each.disks]) for each in instances]
    assert sorted(sizes, key=str) == [(11, [22]), (33, []), (33, [])]
