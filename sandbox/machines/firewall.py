"""A VPC's packet filter for nftables: source and destination checks, security groups, and who may leave the VPC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set

from sandbox.machines.wanted import Group, Interface, Rule

OUTSIDE = "198.51.100.0/24"  # all of the internet that there is


def ruleset(
    lines: Mapping[str, Interface],
    groups: Iterable[Group],
    *,
    can_leave: Set[str],
    services: Iterable[str],
    resolvers: Iterable[str],
    ranges: Iterable[str],
) -> str:
    """What nft reads. `lines`: interfaces by the name of the router's end; `can_leave`: the subnets with a gateway.

    A packet between two instances has to pass the source's check and its groups' egress, then the target's check and
    its groups' ingress. `services` are addresses of AWS's own that every instance reaches, whatever its groups say. Of
    these the `resolvers` answer only addresses in the VPC's own `ranges`, and a pod's is none (kubernetes issue 15932).
    """
    known = {group.id: group for group in groups}
    members: dict[str, list[str]] = {}
    for line, interface in lines.items():
        for group in interface.groups:
            members.setdefault(group, []).append(line)
    parts = ["table ip vpc {}", "delete table ip vpc", "table ip vpc {"]
    for line, interface in lines.items():
        own = [known[group] for group in interface.groups if group in known]
        parts += _chain(f"in-{line}", [rule for group in own for rule in group.ingress], members, "iifname", "saddr")
        parts += _chain(f"out-{line}", [rule for group in own for rule in group.egress], members, "oifname", "daddr")
    parts += _checks(lines)
    parts += _hooks(lines, can_leave, services, _only_inside(resolvers, ranges))
    return "\n".join([*parts, "}", ""])


def translation(address: tuple[str, int], to: str) -> str:
    """What nft reads in an instance's namespace, for an address of loopback to lead out of it, to another address."""
    return f"""table ip sandbox {{
	chain output {{
		type nat hook output priority -100; policy accept;
		ip daddr {address[0]} tcp dport {address[1]} dnat to {to}
	}}
	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 127.0.0.0/8 oifname "ens5" masquerade
	}}
}}
"""


def iptables_translation(address: tuple[str, int], to: str) -> str:
    """The same for a machine with a netfilter of its own: what iptables-restore reads there."""
    return f"""*nat
-A OUTPUT -d {address[0]} -p tcp --dport {address[1]} -j DNAT --to-destination {to}
-A POSTROUTING -s 127.0.0.0/8 -o ens5 -j MASQUERADE
COMMIT
"""


def _chain(name: str, rules: list[Rule], members: Mapping[str, list[str]], line: str, address: str) -> list[str]:
    """A chain that returns for what the rules permit, and drops the rest."""
    permitted = [
        f"{peer} {ports} return".strip()
        for rule in sorted(set(rules), key=str)
        for peer in _peers(rule, members, line, address)
        for ports in _ports(rule)
    ]
    return [f"\tchain {name} {{", *(f"\t\t{words}" for words in permitted), "\t\tdrop", "\t}"]


def _peers(rule: Rule, members: Mapping[str, list[str]], line: str, address: str) -> Iterator[str]:
    """A group stands for its members' interfaces, not for their addresses: pods' packets match, too."""
    if rule.group and members.get(rule.group):
        yield f"{line} {_set(members[rule.group])}"
    if rule.cidr:
        yield "" if rule.cidr == "0.0.0.0/0" else f"ip {address} {rule.cidr}"


def _ports(rule: Rule) -> Iterator[str]:
    if rule.protocol == "-1":
        yield ""
    elif rule.protocol in ("tcp", "udp"):
        yield (
            f"{rule.protocol} dport {rule.first}-{rule.last}"
            if rule.first != rule.last
            else (f"{rule.protocol} dport {rule.first}")
        )
    elif rule.protocol == "icmp":
        yield "meta l4proto icmp" if rule.first in (-1, None) else f"icmp type {rule.first}"
    else:
        yield f"meta l4proto {rule.protocol}"


def _checks(lines: Mapping[str, Interface]) -> list[str]:
    rules = []
    for line, interface in lines.items():
        if interface.check:
            rules.append(f'iifname "{line}" ip saddr != {interface.address} drop')
            rules.append(f'oifname "{line}" ip daddr != {interface.address} drop')
    return ["\tchain check {", *(f"\t\t{rule}" for rule in rules), "\t}"]


def _only_inside(resolvers: Iterable[str], ranges: Iterable[str]) -> str:
    names, sources = _set(resolvers, quoted=False), _set(ranges, quoted=False)
    return f"ip daddr {names} meta l4proto {{ tcp, udp }} th dport 53 ip saddr != {sources} drop"


def _hooks(lines: Mapping[str, Interface], can_leave: Set[str], services: Iterable[str], only_inside: str) -> list[str]:
    leaving = [
        f'iifname "{line}" ip saddr {interface.address} jump out-{line}'
        for line, interface in lines.items()
        if interface.public and interface.subnet_id in can_leave
    ]
    accept = [f'iifname "{line}" ip saddr {i.address} accept' for line, i in lines.items()]
    out = _verdicts("iifname", "out", lines)
    into = _verdicts("oifname", "in", lines)
    return [
        "\tchain leave {",
        *(f"\t\t{rule}\n\t\t{rule.rpartition(' jump ')[0]} accept" for rule in leaving),
        "\t\tdrop",
        "\t}",
        "\tchain forward {",
        "\t\ttype filter hook forward priority filter; policy drop;",
        "\t\tjump check",
        "\t\tct state established,related accept",
        *out,
        *into,
        f"\t\tiifname {_set(lines)} oifname {_set(lines)} accept" if lines else "",
        "\t}",
        "\tchain input {",
        "\t\ttype filter hook input priority filter; policy drop;",
        '\t\tiifname "lo" accept',
        "\t\tudp dport 67 accept",
        "\t\tjump check",
        f"\t\t{only_inside}",
        "\t\tct state established,related accept",
        f"\t\tip daddr {_set(services, quoted=False)} accept",
        f"\t\tip daddr {OUTSIDE} jump leave",
        *(f"\t\t{rule}" for rule in accept),  # the router's own address, for ping
        "\t}",
        "\tchain output {",
        "\t\ttype filter hook output priority filter; policy accept;",
        "\t\tct state established,related accept",
        f"\t\tip saddr != {OUTSIDE} accept",  # the router's own, and AWS's services in the VPC
        *into,
        "\t}",
    ]


def _verdicts(key: str, prefix: str, lines: Mapping[str, Interface]) -> list[str]:
    if not lines:
        return []
    pairs = ", ".join(f'"{line}" : jump {prefix}-{line}' for line in sorted(lines))
    return [f"\t\t{key} vmap {{ {pairs} }}"]


def _set(words: Iterable[str], *, quoted: bool = True) -> str:
    return "{ " + ", ".join(f'"{word}"' if quoted else word for word in sorted(words)) + " }"
