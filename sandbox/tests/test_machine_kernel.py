"""Machines with a kernel of their own: what stands in two places is the same, and nothing for containers is there."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from sandbox.machines import debian, firewall, machine, uml
from sandbox.machines.image import FILES
from sandbox.tests.test_machines import INSTANCE

KERNEL = Path(__file__).parents[1] / "kernel"
OWN = FILES / "kernel"


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def symbols() -> dict[str, str]:
    """What the configuration asks for."""
    return dict(re.findall(r"^CONFIG_(\w+)=(\S+)$", (KERNEL / "config").read_text(), re.MULTILINE))


def test_nothing_that_a_container_needs_is_in_the_image_but_cloud_inits_source() -> None:
    containers = files(FILES / "all") | files(FILES / "v1")
    source = Path("etc/cloud/cloud.cfg.d/90-sandbox.cfg")
    preparing = {Path("etc/systemd/system/sandbox-prepare.service"), Path("usr/lib/sandbox/prepare")}
    assert files(OWN) & containers == {source, *preparing}
    assert (OWN / source).read_text() == (FILES / "all" / source).read_text()
    for file in preparing:
        assert (OWN / file).read_text() != (FILES / "all" / file).read_text()


def test_no_program_is_added_to_the_path() -> None:
    assert not debian.on_path(OWN)


def test_every_symbol_that_a_node_must_have_is_asked_for() -> None:
    lines = [line.split() for line in (KERNEL / "wanted").read_text().splitlines() if line and not line.startswith("#")]
    asked = {symbol for symbol, value in symbols().items() if value in ("y", "m")}
    must = {symbol for symbol, how, *_ in lines if how == "must"}
    assert len(must) > 40
    assert must <= asked
    assert {how for _, how, *_ in lines} == {"must", "may", "cannot"}


def test_the_seeds_disk_and_the_volumes_links_are_what_the_image_looks_for() -> None:
    letter = chr(ord("a") + uml.SEED_DISK)
    assert f"/dev/ubd{letter} " in (OWN / "usr/lib/sandbox/prepare").read_text()
    assert f"disk/by-id/{machine.BY_ID}$attr{{serial}}" in (OWN / "etc/udev/rules.d/90-sandbox.rules").read_text()


def test_the_mirrors_address_leads_where_it_leads_in_a_container() -> None:
    there, to = ("127.80.255.1", 18080), "198.51.100.10:80"
    rules = firewall.iptables_translation(there, to)
    assert "-d 127.80.255.1 -p tcp --dport 18080 -j DNAT --to-destination 198.51.100.10:80" in rules
    assert "ip daddr 127.80.255.1 tcp dport 18080 dnat to 198.51.100.10:80" in firewall.translation(there, to)


@pytest.mark.parametrize(("asked", "given"), [(1024, 1024), (2048, 2048), (8192, uml.MOST_MEMORY)])
def test_memory_is_the_types_up_to_a_limit(asked: int, given: int) -> None:
    assert uml.memory(dataclasses.replace(INSTANCE, mebibytes=asked)) == given
