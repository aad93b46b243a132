"""Down: nothing is left, neither in the account nor on the computer."""

from __future__ import annotations

from pathlib import Path

from e2e.stage import Stage, wait


def test_down_leaves_nothing(stage: Stage) -> None:
    folder = stage.folder()
    instances = list(stage.instances())
    result = stage.run("kube_down.py")
    stage.times["down"] = result.seconds
    assert result.code == 0, result.out
    assert stage.inventory() == {}
    wait("the files to go", lambda: not _files(folder), seconds=5)
    assert not _processes(instances)
    assert not stage.networks()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/kube-sandbox-{folder.name}-*"))


def _files(folder: Path) -> list[Path]:
    return [file for place in ("machines", "networks", "volumes") for file in (folder / place).glob("*")]


def _processes(instances: list[str]) -> list[str]:
    commands = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(file.read_text())
        except OSError:
            continue
    return [command for command in commands if any(f"--machine={name}" in command for name in instances)]
