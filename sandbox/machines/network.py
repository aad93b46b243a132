"""A VPC as a network namespace: every interface is on a line of its own to the VPC's router, which is the namespace.

So all traffic, also between two instances of one subnet, passes the router's routes and its packet filter, as in EC2,
where there is no broadcast domain either. The router answers ARP for everybody it has a route to.
"""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from pathlib import Path

from sandbox.machines import firewall
from sandbox.machines.keeper import Keeper
from sandbox.machines.wanted import Instance, Interface, Subnet, Vpc

MTU = 9001
SITES = "198.51.100.10"  # the release sites, the registry and AWS's endpoints, as every VPC sees them
OUTSIDE = (
    "198.51.100.20"  # somebody on the internet: answers who has called; and what the elastic IPs' callers come from
)
METADATA, TIME = "169.254.169.254", "169.254.169.123"
TABLE = 1000  # the first of the subnets' routing tables
NAMES = (
    "dl.k8s.io",
    "github.com",
    "registry.k8s.io",
    "artifacts.k8s.io",
    "deb.debian.org",
    "amazonaws.com",
    "amazonaws.com.cn",
    "api.aws",
)
OUTSIDE_NAME = "outside.example.com"


class Network:
    """One VPC's namespace."""

    def __init__(self, keeper: Keeper, folder: Path, vpc: Vpc, *, mirror: tuple[str, int]) -> None:
        self.name = vpc.id
        self.vpc = vpc
        self._keeper, self._folder, self._mirror = keeper, folder, mirror
        self._lines: dict[str, Interface] = {}  # instance -> its interface
        self._rules: list[str] = []
        self._ruleset = ""
        self._names: subprocess.Popen[bytes] | None = None
        self._names_say = ""
        folder.mkdir(parents=True, exist_ok=True)
        self._namespace(self.name)
        self._settings("ipv4.ip_forward=1", *(f"ipv4.conf.{name}.rp_filter=0" for name in ("all", "default")))
        self._settings(*(f"ipv4.conf.{name}.send_redirects=0" for name in ("all", "default")))
        self._settings("ipv6.conf.all.disable_ipv6=1", "ipv6.conf.default.disable_ipv6=1")
        self._ip(*self._services())

    @property
    def resolver(self) -> str:
        """The VPC's DNS server: the second address after its base."""
        return str(ipaddress.ip_network(self.vpc.cidr)[2])

    @property
    def _resolvers(self) -> tuple[str, str]:
        return "169.254.169.253", self.resolver

    def _services(self) -> list[str]:
        addresses = (METADATA, *self._resolvers, SITES, OUTSIDE)
        return [
            "link set lo up",
            *(f"addr add {address}/32 dev lo" for address in addresses),
            f"route add blackhole {self.vpc.cidr}",  # the VPC's own range never leads elsewhere
        ]

    def _namespace(self, name: str) -> None:
        """A new namespace; one that an attempt before this has left half made is replaced."""
        self._keeper.run(["sh", "-c", f"ip netns del {name} 2>/dev/null; ip netns add {name}"])

    def _ip(self, *lines: str) -> None:
        if lines:
            self._keeper.run(["ip", "-netns", self.name, "-batch", "-"], stdin="\n".join(lines) + "\n")

    def _settings(self, *values: str) -> None:
        words = [f"net.{value}" for value in values]
        self._keeper.run(["ip", "netns", "exec", self.name, "sysctl", "-q", "-w", *words])

    # --- lines to machines ---

    def connect(self, instance: Instance) -> None:
        """Make the instance's namespace, with its interface in it, and the line to it."""
        interface = instance.interface
        assert interface is not None
        line = line_name(instance.id)
        self._namespace(instance.id)
        subnet = self._subnet(interface)
        router = ipaddress.ip_network(subnet.cidr)[1]
        prefix = subnet.cidr.rpartition("/")[2]
        self._ip(
            f"link add {line} mtu {MTU} type veth peer name ens5 mtu {MTU} address {interface.mac} netns {instance.id}",
            f"addr add {router}/{prefix} dev {line} noprefixroute",
            f"link set {line} up",
            f"route replace {interface.address}/32 dev {line}",
        )
        self._settings(f"ipv4.conf.{line}.proxy_arp=1", f"ipv4.neigh.{line}.proxy_delay=0")
        self._translate_mirror(instance.id)
        self._lines[instance.id] = interface

    def _translate_mirror(self, namespace: str) -> None:
        """Let the mirror's address, which is one of the computer's loopback, lead to the release sites here as well.

        By the kernel alone: a program in between has hung. It lasts as long as the namespace, from boot to boot.
        """
        inside = ["ip", "netns", "exec", namespace]
        self._keeper.run([*inside, "sysctl", "-q", "-w", "net.ipv4.conf.ens5.route_localnet=1"])
        self._keeper.run([*inside, "nft", "-f", "-"], stdin=firewall.translation(self._mirror, f"{SITES}:80"))

    def disconnect(self, instance_id: str) -> None:
        """Take line and namespace away."""
        if self._lines.pop(instance_id, None):
            self._ip(f"link del {line_name(instance_id)}")
            self._keeper.run(["ip", "netns", "del", instance_id])

    @property
    def instances(self) -> list[str]:
        """The instances that are connected."""
        return list(self._lines)

    def _subnet(self, interface: Interface) -> Subnet:
        return next(subnet for subnet in self.vpc.subnets if subnet.id == interface.subnet_id)

    # --- what the account says of it ---

    def update(self, vpc: Vpc, instances: list[Instance]) -> None:
        """Make routes, packet filter and names what they have to be for these connected instances."""
        self.vpc = vpc
        self._lines |= {i.id: i.interface for i in instances if i.id in self._lines and i.interface}
        self._update_routes()
        self._update_filter()
        self._update_names()

    def _update_routes(self) -> None:
        wanted = self._wanted_routes()
        if wanted == self._rules:
            return
        tables = {line.split()[-1] for line in self._rules + wanted if line.startswith("route")}
        undo = [line.replace("rule add", "rule del") for line in self._rules if line.startswith("rule")]
        self._ip(*undo, *(line for line in wanted if line.startswith("rule")))
        for table in sorted(tables):
            self._keeper.run(["sh", "-c", f"ip -netns {self.name} route flush table {table} 2>/dev/null || true"])
        self._ip(*(line for line in wanted if line.startswith("route")))
        self._rules = wanted

    def _wanted_routes(self) -> list[str]:
        """Lines for ip: which table a packet from a line is looked up in, and the tables' routes."""
        by_interface = {interface.id: (instance, interface) for instance, interface in self._lines.items()}
        lines = []
        for number, subnet in enumerate(self.vpc.subnets, TABLE):
            for instance, interface in self._lines.items():
                if interface.subnet_id == subnet.id:
                    lines.append(f"rule add pref 33000 iif {line_name(instance)} lookup {number}")
            for route in subnet.routes:
                if route.interface in by_interface:
                    instance, target = by_interface[route.interface]
                    via = f"via {target.address} dev {line_name(instance)} onlink"
                    lines.append(f"route replace {route.destination} {via} table {number}")
        return lines

    def _update_filter(self) -> None:
        lines = {line_name(instance): interface for instance, interface in self._lines.items()}
        outside = {subnet.id for subnet in self.vpc.subnets if subnet.outside}
        ruleset = firewall.ruleset(
            lines,
            self.vpc.groups,
            can_leave=outside,
            services=[METADATA, *self._resolvers],
            resolvers=self._resolvers,
            ranges=self._ranges(),
        )
        if ruleset != self._ruleset:
            self._keeper.run(["ip", "netns", "exec", self.name, "nft", "-f", "-"], stdin=ruleset)
            self._ruleset = ruleset

    def _ranges(self) -> list[str]:
        """The VPC's addresses, each range once."""
        found = (ipaddress.IPv4Network(cidr) for cidr in (self.vpc.cidr, *(subnet.cidr for subnet in self.vpc.subnets)))
        return [str(network) for network in ipaddress.collapse_addresses(found)]

    # --- names and addresses ---

    def _update_names(self) -> None:
        """dnsmasq anew when something has changed: without leases, so that an address can go to another instance."""
        configuration = self._dnsmasq()
        if configuration == self._names_say:
            return
        self._stop_names()
        self._names_say = configuration
        file = self._folder / "dnsmasq.conf"
        file.write_text(configuration)
        with open(self._folder / "dnsmasq.log", "ab") as log:
            self._names = self._keeper.start(
                ["ip", "netns", "exec", self.name, "dnsmasq", "--keep-in-foreground", f"--conf-file={file}"], log
            )

    def _dnsmasq(self) -> str:
        lines = [
            *("no-resolv", "no-hosts", "no-ping", "user=root", "pid-file=", "log-facility=-", "cache-size=0"),
            *("bind-dynamic", f"listen-address={','.join(self._resolvers)}", "leasefile-ro", "dhcp-authoritative"),
            *(f"address=/{name}/{SITES}" for name in NAMES),
            f"address=/{OUTSIDE_NAME}/{OUTSIDE}",
            # There is nobody else to ask: what is not known here does not exist. Else dnsmasq would refuse to answer.
            *(f"local=/{name}/" for name in (*NAMES, OUTSIDE_NAME, "#")),
            *(line for subnet in self.vpc.subnets for line in self._dhcp(subnet)),
        ]
        for instance, interface in sorted(self._lines.items()):
            lines.append(f"interface={line_name(instance)}")
            lines.append(f"dhcp-host={interface.mac},{interface.address},{interface.name.partition('.')[0]},1h")
            lines.append(f"host-record={interface.name},{interface.address}")
        return "\n".join(lines) + "\n"

    def _dhcp(self, subnet: Subnet) -> list[str]:
        network = ipaddress.ip_network(subnet.cidr)
        servers = ",".join(self.vpc.servers or [self.resolver])
        tag = subnet.id
        return [
            f"dhcp-range=set:{tag},{network.network_address},static,{network.netmask},1h",
            f"dhcp-option=tag:{tag},option:router,{network[1]}",
            f"dhcp-option=tag:{tag},option:dns-server,{servers}",
            f"dhcp-option=tag:{tag},option:domain-name,{self.vpc.domain}",
            f"dhcp-option=tag:{tag},option:mtu,{MTU}",
        ]

    def _stop_names(self) -> None:
        if self._names is not None:
            self._keeper.end(self._names)
            self._names = None

    def close(self) -> None:
        """Take the namespace away; its machines are gone."""
        self._stop_names()
        for instance in self.instances:
            self.disconnect(instance)
        self._keeper.run(["ip", "netns", "del", self.name])
        shutil.rmtree(self._folder, ignore_errors=True)


def line_name(instance_id: str) -> str:
    """The router's end of the line to an instance; names of interfaces have at most 15 characters."""
    return f"v{instance_id[-12:]}"
