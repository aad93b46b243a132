"""Machines with a kernel of their own: what stands in two places is the same, and nothing for containers is there."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from sandbox.machines import debian, firewall, image, machine, places, requirements, uml
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


def test_a_machine_that_has_said_much_since_its_boot_has_booted(tmp_path: Path) -> None:
    console = tmp_path / "console"
    console.write_text("Linux version 7.2\n")
    assert not uml.has_booted(console)
    with open(console, "a") as said:
        said.write("systemd[1]: Detected architecture x86-64.\n" + "a word of the bootstrap\n" * machine.CONSOLE_BYTES)
    assert uml.has_booted(console)


def test_an_image_is_made_anew_for_another_kernel_of_the_same_configuration(tmp_path: Path) -> None:
    """Its modules are of one kernel; the source package may have had a new version since."""
    modules, authority = tmp_path / "modules/lib/modules", tmp_path / "ca"
    (modules / "7.2.12").mkdir(parents=True)
    (tmp_path / "inputs").write_text("same")
    authority.write_text("authority")
    recipe = image._recipe(tmp_path)
    before = recipe.digest(authority)
    assert recipe.digest(authority) == before
    (modules / "7.2.12").rename(modules / "7.2.13")
    assert recipe.digest(authority) != before


def test_what_make_release_did_not_finish_does_not_hide_what_another_has_built(tmp_path: Path) -> None:
    cache = places.Cache(tmp_path / "root", built_by=tmp_path / "person")
    for name in ("release", "kernel"):
        for folder in (cache.folder, tmp_path / "person"):
            (folder / name).mkdir(parents=True)
    (tmp_path / "person/kernel/inputs").write_text("")
    assert (cache.built, cache.kernel) == (tmp_path / "person/release", tmp_path / "person/kernel")
    assert not requirements.is_built(cache)
    for name in ("release", "kernel"):
        (cache.folder / name / "inputs").write_text("")
    assert (cache.built, cache.kernel) == (cache.folder / "release", cache.folder / "kernel")
    assert requirements.is_built(cache)


@pytest.mark.parametrize(("asked", "given"), [(1024, 1024), (2048, 2048), (8192, uml.MOST_MEMORY)])
def test_memory_is_the_types_up_to_a_limit(asked: int, given: int) -> None:
    assert uml.memory(dataclasses.replace(INSTANCE, mebibytes=asked)) == given
