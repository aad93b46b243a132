"""The network of a VPC alone, without machines: who the resolver answers, what it says, and the mirror's address."""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.stage import wait
from sandbox.machines.keeper import Keeper
from sandbox.machines.network import SITES, Network, line_name
from sandbox.machines.servers import Handler, Server, listen
from sandbox.machines.wanted import Group, Instance, Interface, Rule, Subnet, Vpc

ANY = Rule("-1", None, None, "0.0.0.0/0", "")
DOMAIN = "us-west-2.compute.internal"
INTERFACE = Interface(
    id="eni-1",
    mac="02:00:00:00:00:01",
    address="10.1.0.9",
    name=f"ip-10-1-0-9.{DOMAIN}",
    subnet_id="subnet-1",
    groups=("sg-1",),
    check=False,  # as on a node, for its pods
    public="127.80.0.1",
)
VPC = Vpc(
    id=f"vpc-{os.getpid():x}",
    region="us-west-2",
    cidr="10.1.0.0/16",
    subnets=(Subnet("subnet-1", "10.1.0.0/24", (), outside=True),),
    groups=(Group("sg-1", (ANY,), (ANY,)),),
    domain=DOMAIN,
    servers=(),
)
INSTANCE = Instance(
    id=f"i-{os.getpid():012x}",
    region="us-west-2",
    zone="us-west-2a",
    vpc_id=VPC.id,
    alive=True,
    ends=False,
    reboots=0,
    interface=INTERFACE,
    root=None,
    disks=(),
    kind="t3.medium",
    mebibytes=4096,
    image="ami-1",
    user="admin",
    role="",
    key_name="",
    key="",
    hop_limit=1,
    spot=False,
    notice="",
    user_data=b"",
)
POD = "10.244.1.5"  # inside 10/8, outside the VPC
MIRROR = ("127.80.255.1", 18080)
NOERROR, NXDOMAIN = 0, 3


@dataclass
class Line:
    """An instance's namespace, as its machine would set it up."""

    keeper: Keeper
    network: Network

    def connect(self) -> None:
        self.network.connect(INSTANCE)
        self.network.update(VPC, [INSTANCE])
        lines = ["link set lo up", "link set ens5 up", f"addr add {INTERFACE.address}/24 dev ens5"]
        lines += ["route add default via 10.1.0.1", f"addr add {POD}/32 dev lo"]
        self.keeper.run(["ip", "-netns", INSTANCE.id, "-batch", "-"], stdin="\n".join(lines) + "\n")
        # The resolver has a way back to the pod, so that it is its own choice not to answer.
        back = f"{POD}/32 via {INTERFACE.address} dev {line_name(INSTANCE.id)} onlink"
        self.keeper.run(["ip", "-netns", self.network.name, "route", "replace", *back.split()])
        wait("the resolver", lambda: self.ask(INTERFACE.name), seconds=10)

    def disconnect(self) -> None:
        self.network.disconnect(INSTANCE.id)

    def ask(self, name: str, kind: int = 1, *, source: str = INTERFACE.address) -> tuple[int, int] | None:
        """The answer's code and number of records; None when there is no answer."""

        def sent() -> tuple[int, int] | None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.bind((source, 0))
                asking.settimeout(2)
                labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
                question = struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)
                asking.sendto(question, (self.network.resolver, 53))
                try:
                    head = struct.unpack("!6H", asking.recv(1500)[:12])
                except TimeoutError:
                    return None
                return head[1] & 15, head[3]

        return self.keeper.in_network(INSTANCE.id, sent)

    def fetch(self, address: tuple[str, int]) -> bytes:
        def fetched() -> bytes:
            with contextlib.closing(http.client.HTTPConnection(*address, timeout=5)) as connection:
                connection.request("GET", "/")
                return connection.getresponse().read()

        return self.keeper.in_network(INSTANCE.id, fetched)


class Caller(Handler):
    """Answers with the caller's address."""

    def do_GET(self) -> None:  # noqa: N802
        self.reply(200, self.client_address[0].encode())


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    keeper = Keeper()
    network = Network(keeper, Path(tmp_path_factory.mktemp("network")) / "vpc", VPC, mirror=MIRROR)
    site = Server(keeper.in_network(network.name, functools.partial(listen, (SITES, 80))), Caller)
    made = Line(keeper, network)
    try:
        made.connect()
        yield made
    finally:
        site.close()
        network.close()
        keeper.close()


def test_the_resolver_knows_the_vpcs_names_and_those_outside(line: Line) -> None:
    assert line.ask(INTERFACE.name) == (NOERROR, 1)
    assert line.ask("outside.example.com") == (NOERROR, 1)
    assert line.ask("s3.us-west-2.amazonaws.com") == (NOERROR, 1)


def test_an_address_of_another_kind_is_none_and_not_an_unknown_name(line: Line) -> None:
    for name in (INTERFACE.name, "outside.example.com", "s3.us-west-2.amazonaws.com"):
        assert line.ask(name, 28) == (NOERROR, 0)


def test_unknown_names_do_not_exist_in_the_vpcs_domain_and_elsewhere(line: Line) -> None:
    """Not REFUSED, at which a resolver in a pod gives up instead of trying the next domain of its list."""
    for name in (f"ip-10-1-0-8.{DOMAIN}", f"kubernetes.default.svc.cluster.local.{DOMAIN}", "nobody.example.org"):
        assert line.ask(name) == (NXDOMAIN, 0)


def test_a_packet_with_a_pods_address_gets_no_answer(line: Line) -> None:
    assert line.ask("outside.example.com", source=POD) is None
    assert line.ask("outside.example.com") == (NOERROR, 1)


def test_the_mirrors_address_leads_to_the_sites_for_many_at_once_and_after_a_reboot(line: Line) -> None:
    with ThreadPoolExecutor(24) as pool:
        answers = set(pool.map(lambda _: line.fetch(MIRROR), range(96)))
    assert answers == {INTERFACE.address.encode()}
    line.disconnect()
    line.connect()
    assert line.fetch(MIRROR) == INTERFACE.address.encode()


def test_another_port_of_the_mirrors_address_is_the_instances_own(line: Line) -> None:
    with pytest.raises(ConnectionRefusedError):
        line.fetch((MIRROR[0], MIRROR[1] + 1))
