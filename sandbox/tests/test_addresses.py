"""No address that the sandbox's account shows is somebody's: private, of loopback, or kept for documents and tests."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from conftest import REGION, Box
from helpers import must

from sandbox.backend import cloud, patches

FREE = [ipaddress.ip_network(net) for net in ("203.0.113.0/24", "198.18.0.0/15", "198.51.100.0/24", "192.0.2.0/24")]


def somebodys(text: str) -> set[str]:
    """The addresses in a text that are in use on the internet."""
    found = set(re.findall(r"(?<![\d.-])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])", text))
    found |= {name.replace("-", ".") for name in re.findall(r"\b(?:ip|ec2)-((?:\d{1,3}-){3}\d{1,3})\b", text)}
    return {
        each
        for each in found
        if (address := ipaddress.ip_address(each)).is_global and not any(address in net for net in FREE)
    }


def test_an_address_of_somebodys_would_be_found() -> None:
    assert somebodys("54.214.1.2/32 ec2-54-214-3-4.compute.amazonaws.com ip-172-20-0-9 203.0.113.7 0.0.0.0/0") == {
        "54.214.1.2",
        "54.214.3.4",
    }


def test_after_a_whole_up_no_address_is_somebodys(sandbox: Box, tmp_path: Path) -> None:
    up = must(sandbox.up())
    ec2 = sandbox.client("ec2")
    shown = [
        ec2.describe_instances()["Reservations"],
        ec2.describe_network_interfaces()["NetworkInterfaces"],
        ec2.describe_addresses()["Addresses"],
        sandbox.inventory(),
        up.out,
        sorted(path.read_text(errors="replace") for path in sandbox.home.rglob("*") if path.is_file()),
    ]
    given = [i["PublicIpAddress"] for r in shown[0] for i in r["Instances"] if i["State"]["Name"] == "running"]
    assert len(given) == 3
    assert {address.rpartition(".")[0] for address in given if not address.startswith("127.")} == {"203.0.113"}
    assert somebodys(str(shown)) == set()


def test_no_two_instances_get_one_public_address_and_there_are_enough(sandbox: Box) -> None:
    ec2 = cloud.ec2(REGION)
    assert ec2 is not None
    given = [ipaddress.ip_address(patches.public_address(sandbox.aws.world)) for _ in range(2000)]
    assert len(set(given)) == 2000
    assert all(any(address in net for net in FREE[:2]) for address in given)
