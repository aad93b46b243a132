"""The cluster so far: what a step has not made yet is never read as an empty id."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from lib.cluster import Cluster, Found, OutOfOrder, Part, Parts


@pytest.fixture
def cluster() -> Cluster:
    nothing: Any = None
    found = Found(bucket=None, interface=None, tagged="", disk=None, looked=True)
    return Cluster(
        config=nothing, layers=nothing, images=nothing, sums={}, known_sums={}, found=found, situation=nothing
    )


def test_what_is_read_before_its_step_names_the_step(cluster: Cluster) -> None:
    with pytest.raises(OutOfOrder, match=r"cluster\.disk_id is read before disk\.ensure_disk has made it"):
        _ = cluster.disk_id
    with pytest.raises(OutOfOrder, match=r"vpc\.ensure_vpc"):
        _ = cluster.vpc_id


def test_a_step_returns_another_cluster_and_leaves_the_one_it_was_given(cluster: Cluster) -> None:
    more = cluster.having(Cluster.disk_id, "vol-1")
    assert more.disk_id == "vol-1"
    with pytest.raises(OutOfOrder):
        _ = cluster.disk_id


def test_each_part_names_a_step_that_is_there() -> None:
    for part in vars(Parts).values():
        if isinstance(part, Part):
            module, _, function = part.maker.partition(".")
            assert callable(getattr(importlib.import_module(f"lib.{module}"), function))
