"""python -m lib.logs FOLDER: what the machines of a cluster say of themselves (the original's log-dump.sh).

For a cluster that is half up as well: a machine that ssh does not reach gives its console, and the runs of kube_up.py
and kube_down.py on this computer their logs.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib import script, state
from lib.aws.tags import tags_of
from lib.diagnosis import SSH_USERS, console, failing, ssh_file
from lib.master import own_instances
from lib.run import programs, runlog
from lib.run.clock import Clock
from lib.run.errors import KubeError, NothingFound, SettingError
from lib.run.words import counted
from lib.settings.config import Config
from lib.settings.layers import Layers
from lib.settings.resolve import resolve

if TYPE_CHECKING:
    from lib.aws.client import Aws

NAME = "-m lib.logs"
COLLECT = Path(__file__).parent.parent / "templates" / "logs.sh"
_HEAD = 4000  # characters of a run's log that hold its settings
_SSH = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR")
# A machine's key is new with each machine, and nothing secret is sent.
_ANY_HOST = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")


def collect(aws: Aws, layers: Layers, folder: Path) -> None:
    """Everything into the folder, a folder for each machine. Raises NothingFound where nothing is."""
    aws.identify()
    layers, _ = state.with_remembered(aws, layers)
    config = resolve(layers, check=False)
    aws.console.step(f"Logs of cluster {config.cluster_id} in {aws.region}, account {aws.account}")
    found = sorted(own_instances(aws, config), key=lambda instance: str(tags_of(instance).get("Name")))
    runs = [run for run in runlog.newest(layers.environment) if _is_of(run, config)]
    if not found and not runs:
        raise NothingFound(f"no machine of cluster {config.cluster_id} in account {aws.account}, {aws.region}")
    consoles = {instance["InstanceId"]: console(aws, instance["InstanceId"]) for instance in found}
    for instance in found:
        if step := failing(consoles[instance["InstanceId"]]):
            aws.console.warn(f"{tags_of(instance).get('Name', 'machine')}-{instance['InstanceId']}: {step}")
    jump = next((_address(i) for i in found if tags_of(i).get("Role") == config.master_name), "")
    for instance in found:
        _collect_one(aws, config, instance, folder, said=consoles[instance["InstanceId"]], jump=jump)
    _copy_runs(runs, folder)
    aws.console.line(f"{counted(len(found), 'machine')} and {counted(len(runs), 'run')}: {folder}")


def _is_of(run: Path, config: Config) -> bool:
    """Whether a run's log is of this cluster in this region, by what it says at its beginning."""
    with contextlib.suppress(OSError):
        head = run.read_text(encoding="utf-8", errors="replace")[:_HEAD]
        id_, region = re.escape(config.cluster_id), re.escape(config.region)
        return bool(re.search(rf"cluster {id_}(?![\w-])", head) and re.search(rf"region {region}(?![\w-])", head))
    return False


def _collect_one(aws: Aws, config: Config, instance: Any, folder: Path, *, said: str, jump: str) -> None:
    name = f"{tags_of(instance).get('Name', 'machine')}-{instance['InstanceId']}"
    place = folder / name
    place.mkdir()
    (place / "console.log").write_text(said + "\n", encoding="utf-8")
    try:
        _over_ssh(config, instance, place, jump=jump)
        aws.console.found(f"{name}: {len([f for f in place.rglob('*') if f.is_file()])} files")
    except KubeError as error:
        aws.console.warn(f"{name}: its console only, since {error}")


def _over_ssh(config: Config, instance: Any, place: Path, *, jump: str) -> None:
    """The machine's own tar, unpacked. Raises KubeError with ssh's words."""
    ways = list(_ways(config, instance, jump=jump))
    if not ways:
        raise KubeError(f"it is {instance['State']['Name']} and has no address")
    for number, way in enumerate(ways, 1):
        try:
            _fetch(way, place)
        except KubeError:
            if number == len(ways):
                raise
        else:
            return


def _ways(config: Config, instance: Any, *, jump: str) -> Iterator[list[str]]:
    """ssh's arguments to reach it: through the master, which every group of the cluster lets in, then straight."""
    user, private = SSH_USERS[config.kube_os_distribution], str(instance.get("PrivateIpAddress", ""))
    options = ["-i", ssh_file(config), *_SSH, *_ANY_HOST]
    if jump and private and tags_of(instance).get("Role") != config.master_name:
        # ssh expands a % in a command once, and the ssh that is the command once more in its own arguments.
        through = shlex.join(["ssh", *options]).replace("%", "%%") + f" -W %h:%p {user}@{jump}"
        yield [*options, "-o", f"ProxyCommand={through}", f"{user}@{private}"]
    if address := _address(instance):
        yield [*options, f"{user}@{address}"]


def _fetch(way: Sequence[str], place: Path) -> None:
    archive = place / "logs.tar"
    try:
        programs.stream("ssh", *way, "sudo bash -s", given=COLLECT.read_text(encoding="utf-8"), into=archive)
        with tarfile.open(archive) as files:
            files.extractall(place, filter="data")
    except tarfile.TarError as error:
        raise KubeError(f"what it sent is not whole: {error}") from error
    finally:
        archive.unlink(missing_ok=True)


def _address(instance: Any) -> str:
    return str(instance.get("PublicIpAddress") or instance.get("PrivateIpAddress") or "")


def _copy_runs(runs: Sequence[Path], folder: Path) -> None:
    if runs:
        (folder / "runs").mkdir()
    for log in runs:
        shutil.copy2(log, folder / "runs")


def main(argv: Sequence[str], environ: Mapping[str, str], *, clock: Clock = time) -> int:
    """Collect into the folder that is named; returns the exit status: 0, 1, 2, 130 or 143."""
    named = [word for word in argv if not word.startswith("-")]

    def body(aws: Aws, layers: Layers, _: script.Flags) -> None:
        collect(aws, layers, _new_folder(named))

    flags = [word for word in argv if word not in named]
    return script.run(NAME, body, argv=flags, environ=environ, clock=clock)


def _new_folder(named: Sequence[str]) -> Path:
    """The folder, made now and nobody else's to read. Raises SettingError where it is not one that can be new."""
    right = "python -m lib.logs FOLDER, with a folder that is not there yet"
    if len(named) != 1:
        raise SettingError("FOLDER", f"{len(named)} folders are named" if named else "none is named", right)
    folder = Path(named[0])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingError("FOLDER", f"{folder} is there already", right)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError("FOLDER", f"{folder} cannot be made: {error.strerror}", right) from error
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
