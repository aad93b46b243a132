"""Instance types and disks: the ladder that chooses them, and what EC2 says of them that needs no call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

Architecture = Literal["amd64", "arm64"]

# The original's ladder (config-default.sh) with today's types of about the same processors, and never less memory than
# a control plane needs: (more than this many nodes, type). t3, m6i and c6i are offered in nearly every zone.
_MASTER_LADDER = (
    (500, "c6i.8xlarge"),
    (250, "c6i.4xlarge"),
    (100, "m6i.2xlarge"),
    (10, "m6i.xlarge"),
    (5, "m6i.large"),
    (0, "t3.medium"),
)
_NODE_LADDER = ((149, "t3.large"), (49, "t3.medium"), (0, "t3.small"))

# GiB, from the EBS user guide's table of volume types. st1 and sc1 cannot be booted from and are no place for etcd.
DISK_LIMITS = {"gp3": (1, 65536), "gp2": (1, 16384), "io1": (4, 16384), "io2": (4, 65536)}

_IOPS_PER_GIB = {"io1": 50, "io2": 1000}
_IOPS = 3000  # what gp3 has without being asked


def master_size(nodes: int) -> str:
    """The master's instance type for so many minions."""
    return _climb(_MASTER_LADDER, nodes)


def node_size(nodes: int) -> str:
    """The minions' instance type for so many of them."""
    return _climb(_NODE_LADDER, nodes)


# What is computed of NUM_NODES where nobody chose it.
LADDERS: Mapping[str, Callable[[int], str]] = {"MASTER_SIZE": master_size, "NODE_SIZE": node_size}


def _climb(ladder: tuple[tuple[int, str], ...], nodes: int) -> str:
    return next((size for above, size in ladder if nodes > above), ladder[-1][1])


def architecture(instance_type: str) -> Architecture:
    """The processor of an instance type: arm64 for Graviton, whose families have a g after their number (m7g, c8gd)."""
    family = instance_type.partition(".")[0]
    graviton = re.fullmatch(r"a1|[a-z]+\d+[a-z]*g[a-z]*", family)
    return "arm64" if graviton else "amd64"


def iops(disk_type: str, size: int) -> int | None:
    """The IOPS to ask for a disk of so many GiB; None for a kind that needs none asked (EBS: CreateVolume, Iops)."""
    ratio = _IOPS_PER_GIB.get(disk_type)
    return None if ratio is None else max(100, min(_IOPS, ratio * size))
