"""python -m lib.logs: what a cluster's machines say, by ssh where it reaches them, by their consoles where not."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from conftest import Box, Result
from helpers import ID, answer_with, master_of, must, part, refused, speaking

from lib import logs


def collect(box: Box, *argv: str) -> Result:
    """Run it."""
    return box._run(logs.main, argv, {})


@pytest.fixture
def ssh(sandbox: Box, tmp_path: Path) -> Path:
    """Stands in for ssh: writes its arguments down, and sends the tar that a machine makes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        entry = tarfile.TarInfo("./kubelet.log")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"hi\n"))
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "logs.tar").write_bytes(content.getvalue())
    program = folder / "ssh"
    program.write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\ncat >{folder}/given\ncat {folder}/logs.tar\n')
    program.chmod(0o755)
    sandbox.environ["PATH"] = f"{folder}:{sandbox.environ['PATH']}"
    return folder


def test_every_machine_and_every_run_is_in_the_folder(sandbox: Box, ssh: Path, tmp_path: Path) -> None:
    sandbox.cluster()
    out = must(collect(sandbox, str(tmp_path / "logs"))).out
    machines = [folder for folder in (tmp_path / "logs").iterdir() if folder.name != "runs"]
    assert {folder.name.rpartition("-i-")[0] for folder in machines} == {f"{ID}-master", f"{ID}-minion"}
    assert {"i-" + folder.name.rpartition("-i-")[2] for folder in machines} == set(part(sandbox, "instances"))
    for folder in machines:
        assert sorted(file.name for file in folder.iterdir()) == ["console.log", "kubelet.log"]
        assert "kube-bootstrap: step" in (folder / "console.log").read_text()
        assert f"{folder.name}: 2 files" in out
    assert "call ec2:CreateVpc" in next((tmp_path / "logs" / "runs").iterdir()).read_text()
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (ssh / "given").read_text() == logs.COLLECT.read_text()


def test_minions_are_reached_through_the_master(sandbox: Box, ssh: Path, tmp_path: Path) -> None:
    sandbox.cluster()
    must(collect(sandbox, str(tmp_path / "logs")))
    addresses = part(sandbox, "addresses")
    elastic = next(iter(addresses.values()))["address"]
    asked = (ssh / "asked").read_text().splitlines()
    assert len(asked) == 3
    assert sum("ProxyCommand=" in line and f"-W %h:%p admin@{elastic}" in line for line in asked) == 2
    assert sum(line.endswith(f" admin@{elastic} sudo bash -s") for line in asked) == 1


def test_a_machine_that_ssh_does_not_reach_gives_its_console(sandbox: Box, ssh: Path, tmp_path: Path) -> None:
    (ssh / "ssh").write_text("#!/bin/sh\necho Connection timed out >&2\nexit 255\n")
    must(sandbox.up())
    result = must(collect(sandbox, str(tmp_path / "logs")))
    place = tmp_path / "logs" / f"{ID}-master-{master_of(sandbox)}"
    assert f"{place.name}: its console only, since ssh failed: Connection timed out" in result.err
    assert [file.name for file in place.iterdir()] == ["console.log"]


def test_the_first_lines_name_the_step_that_fails(sandbox: Box, ssh: Path, tmp_path: Path) -> None:
    sandbox.cluster()
    with speaking(
        sandbox, ["kube-bootstrap: step 2/6 host: ok", "kube-bootstrap: step 3/6 downloads: failed: no route"]
    ):
        sandbox.clock.sleep(1.0)
        result = must(collect(sandbox, str(tmp_path / "logs")))
    lines = [line for line in result.err.splitlines() if "warning" in line]
    assert len(lines) == 3
    assert f"{ID}-master-{master_of(sandbox)}: step 3/6 downloads: failed: no route" in lines[0]


def test_a_cluster_that_is_half_up_has_logs_too(sandbox: Box, tmp_path: Path) -> None:
    answer_with(sandbox, "ec2:CreateSubnet", "UnauthorizedOperation", "no", status=403)
    refused(sandbox.up(), 1, "CreateSubnet")
    must(collect(sandbox, str(tmp_path / "logs")))
    assert "UnauthorizedOperation" in next((tmp_path / "logs" / "runs").iterdir()).read_text()


@pytest.mark.parametrize("argv", [(), ("one", "two"), ("/dev/null",), ("/proc/none/folder",)])
def test_a_folder_that_will_not_do_is_refused(sandbox: Box, argv: tuple[str, ...]) -> None:
    must(sandbox.up("--show-settings"))
    refused(collect(sandbox, *argv), 2, "FOLDER: ", "python -m lib.logs FOLDER")


def test_the_help_is_its_own(sandbox: Box) -> None:
    shown = must(collect(sandbox, "--help")).out
    assert "python3 -m lib.logs [--help] FOLDER" in shown
    assert "dry run" not in shown


def test_an_account_without_the_cluster_has_no_logs_though_others_runs_are_here(sandbox: Box, tmp_path: Path) -> None:
    sandbox.cluster(KUBE_AWS_INSTANCE_PREFIX="kubernetes-2")
    refused(collect(sandbox, str(tmp_path / "logs")), 1, f"no machine of cluster {ID} in account")
