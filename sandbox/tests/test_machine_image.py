"""The machines' image is Debian's own, and what a node calls is in Debian's and Ubuntu's images alike."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal

import pytest
import shellcommands
from bootstrap import MINION, Shell

from lib.node import userdata
from sandbox.machines import debian, image
from sandbox.machines.places import Cache, CannotStart

TEMPLATES = userdata.TEMPLATES
UNITS = sorted(TEMPLATES.glob("*.service"))
# The bootstrap's own functions that run a command of their arguments, after so many others.
RUNNERS = {"try": 0, "until_or_die": 2, "need": 0}
DOWNLOADED = {"containerd", "ctr", "kubeadm", "kubectl", "kubelet", "runc", "kube-bootstrap", "kube-spot"}
OF_SYSTEMD = "/usr/lib/systemd/"  # programs beside systemd's own, which both images have


def scripts() -> dict[str, str]:
    """Everything that a node runs of the product's."""
    found = {f"bootstrap of a {role}": userdata.bootstrap(role) for role in _ROLES}
    return found | {name: (TEMPLATES / name).read_text() for name in ("logs.sh", "kube-spot.sh")}


_ROLES: tuple[Literal["master", "minion"], ...] = ("master", "minion")


def lacking(programs: set[str]) -> dict[str, list[str]]:
    """Of these programs those that an image lacks, by the image."""
    package = debian.programs()
    asked = {name for name in programs - DOWNLOADED if not name.startswith(OF_SYSTEMD)}
    return {
        "Debian": sorted(name for name in asked if name not in package),
        "Ubuntu": sorted(name for name in asked if package.get(name, name) not in debian.ubuntu()),
    }


def test_every_program_that_the_bootstrap_calls_is_in_both_images() -> None:
    for name, script in scripts().items():
        called = shellcommands.called(script, runners=RUNNERS)
        assert {"curl", "iptables"} <= called or not name.startswith("bootstrap")  # it was read
        assert lacking(called) == {"Debian": [], "Ubuntu": []}, name


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: str(unit.name))
def test_every_program_that_a_unit_starts_is_in_both_images(unit: Path) -> None:
    started = re.findall(r"^Exec\w+=[-@:+!]*(?:\S*/)?(\S+)", unit.read_text(), re.MULTILINE)
    assert started
    assert lacking(set(started)) == {"Debian": [], "Ubuntu": []}


def test_every_program_that_the_components_call_is_in_both_images() -> None:
    assert lacking(set(debian.needed())) == {"Debian": [], "Ubuntu": []}


def test_what_the_bootstrap_says_to_install_is_the_package_that_has_it() -> None:
    for script in scripts().values():
        for program, package in re.findall(r"^\s*need (\S+) (\S+)", script, re.MULTILINE):
            assert debian.programs()[program] == package


@pytest.mark.parametrize("words", ["need nft nftables", "try nft -f FILE", "cat x | nft -f -", 'x=$(nft list "$y")'])
def test_a_bootstrap_that_calls_nft_is_found_out(words: str) -> None:
    script = scripts()["bootstrap of a minion"].replace("\n}\n", f"\n\t{words}\n}}\n", 1)
    assert lacking(shellcommands.called(script, runners=RUNNERS))["Debian"] == ["nft"]


@pytest.mark.parametrize(
    ("script", "programs"),
    [
        ("if ! a; then b; elif c; then d; fi # e", "a b c d"),
        ("X=1 Y=$(a) b >c 2>&1 <d && e || f", "a b e f"),
        ('case $x in a | b) c ;; *.d) e "$(f)" ;; esac\ng', "c e f g"),
        ("a <<EOF\nb $(c)\nEOF\nd <<'EOF'\n$(e)\nEOF", "a c d"),
        ('local -a run=(a --b)\nlocal -a other=(c)\n"${run[@]}" d', "a"),
        ("one() {\n\ta | b\n}\none; try c; until_or_die 5 'words' d e", "a b c d"),
        ("[[ $x =~ ^(a)(b)$ ]] && c\nwhile read -r x; do d; done < <(e)", "c d e"),
        ("echo ${x:-$(a)} \"${y#'b'}\" $((1 + 2)) 'c $(d)'", "a"),
    ],
)
def test_how_a_script_is_read(script: str, programs: str) -> None:
    assert shellcommands.called(script, runners=RUNNERS) - {"try", "until_or_die"} == set(programs.split())


def test_every_module_of_the_kernel_that_a_node_needs_is_in_both_images() -> None:
    kernels = debian.kernels()
    assert len(kernels) == 6  # Debian 12, 13 and 14, of both architectures
    needed = debian.modules()
    assert [(name, need) for name, have in kernels.items() for need in needed if need not in have] == []
    places = {name: have[name] for have in kernels.values() for name in needed}
    assert [name for name, place in places.items() if not debian.in_ubuntus_kernel(place)] == []
    assert all({"nfs", "nfsv4"} <= have.keys() for have in kernels.values())  # what KUBE_EXTRA_PACKAGES names first


def test_the_bootstrap_asks_the_kernel_for_every_module_that_a_node_needs(tmp_path: Path) -> None:
    """One that it lacks is named on the console; a kernel without a folder of modules cannot tell."""
    folder = tmp_path / "lib/modules/7.0"
    folder.mkdir(parents=True)
    stubs = """put() { cat >/dev/null; }; uname() { echo 7.0; }; grep() { :; }
        modprobe() { echo "asked ${*: -1}"; [ "${*: -1}" != nft_masq ]; }"""
    shell = Shell("minion", MINION, tmp_path, {"/lib/modules": str(folder.parent), "-e $sign": "-e /proc"})
    words = shell.run(stubs, "main modules")
    asked = [line.partition(" ")[2] for line in words.output.splitlines() if line.startswith("asked ")]
    assert sorted(asked) == sorted(debian.modules())
    assert words.said[0] == "step 1/1 modules: ok"
    (folder / "modules.dep").touch()
    warned = shell.run(stubs, "main modules").said[0]
    assert warned == "warning: the kernel 7.0 has no nft_masq: services or host ports may not work"


def test_nothing_is_run_from_run_where_both_images_forbid_it() -> None:
    """initramfs-tools mounts /run noexec; the machines' has no such flag."""
    begins = r"(?:^|[|;&({!]|\$\(|\b(?:then|do|else|try|exec|if|until)\s)\s*"
    run = re.compile(rf'{begins}"?(?:/run/|\$RUN\b|\$\{{RUN\}})\S*', re.MULTILINE)
    assert run.search('\ttry "$RUN/program" x')
    assert run.search("x && /run/y")
    for script in scripts().values():
        assert run.findall(script) == []


def test_the_kubelets_time_at_shutdown_is_what_unattended_upgrades_of_both_images_lets_logind_give() -> None:
    """More is refused: its file, InhibitDelayMaxSec=30, comes after the kubelet's own (kubernetes 102818)."""
    (seconds,) = re.findall(r"^shutdownGracePeriod: (\d+)s$", (TEMPLATES / "kubelet.conf").read_text(), re.MULTILINE)
    assert int(seconds) <= 30


def test_the_programs_are_those_of_the_list() -> None:
    """Whoever changes the list of packages makes the list of programs anew, and reads what that adds to the PATH."""
    assert f"# list {debian.digest()}\n" in (debian.HERE / "programs").read_text()


@pytest.mark.parametrize(
    "program", ["nft", "chronyd", "cron", "logrotate", "conntrack", "mount.nfs", "ipset", "jq", "gpg"]
)
def test_debians_image_has_no(program: str) -> None:
    """A second witness beside the list: what nodes of Debian were missed to lack, or might be."""
    assert program not in debian.programs()


@pytest.mark.parametrize("folder", [image.FILES, debian.FILES], ids=["files", "debian/files"])
def test_nothing_that_the_sandbox_adds_is_on_the_path(folder: Path) -> None:
    added = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() or file.is_symlink()]
    assert added
    assert [file for file in added if {"bin", "sbin", "games"} & set(Path(file).parts[:-1])] == []


def test_a_package_that_debian_no_longer_has_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'E: Unable to locate package awscli'\nseq 20\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "machine").mkdir()
    with pytest.raises(CannotStart, match=r"has no package awscli: \S+/packages names it"):
        image.ensure(Cache(tmp_path), preload=False, authority=program, say=lambda _: None)


def test_containerd_and_the_kubelet_use_systemds_control_groups() -> None:
    """On version 2, the only one on EC2's images.

    containerd says its driver to the kubelet, which takes it from there (KubeletCgroupDriverFromCRI, on and locked in
    1.36 and 1.37); kubeadm writes systemd into the kubelet's configuration where nothing is said. So nothing may say
    otherwise.
    """
    containerd = tomllib.loads((TEMPLATES / "containerd.toml").read_text())
    runc = containerd["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["runc"]
    assert runc["options"]["SystemdCgroup"] is True
    for script in scripts().values():
        assert set(re.findall(r"SystemdCgroup *= *(\S+)", script)) <= {"true"}
        assert set(re.findall(r"cgroupDriver: *(\S+)", script)) <= {"systemd"}
        assert "KubeletCgroupDriverFromCRI" not in script


def test_on_version_1_the_sandboxs_drop_ins_say_the_same_to_both() -> None:
    for folder, driver in (("all", None), ("v1", "cgroupfs")):
        texts = [file.read_text() for file in (image.FILES / folder / "etc").rglob("*") if file.is_file()]
        said = {word for text in texts for word in re.findall(r"SystemdCgroup *= *(\S+)|cgroupDriver: *(\S+)", text)}
        assert said == ({("false", ""), ("", driver)} if driver else set())
