"""What is known of an instance that was waited for in vain: state, AWS's checks, console, and what to type next."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lib.aws.errors import FAILURES, error_code
from lib.aws.tags import tags_of
from lib.master import own_instances
from lib.run.errors import Known, KubeError
from lib.sshkey import local_key_name

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from lib.aws.client import Aws
    from lib.kube.api import Node
    from lib.settings.config import Config

SSH_USERS = {"debian": "admin", "ubuntu": "ubuntu"}
_FEW = 3
_LINES, _ALL = 30, 10_000  # of the console: what is shown, and more than EC2 keeps
_UNKNOWN = "in a state that AWS does not tell"
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")  # what systemd writes to a console for a terminal's eyes
_STEP = re.compile(r"kube-bootstrap: (step \d+/\d+ .*)")
_FAILED = re.compile(r"kube-bootstrap: step \d+/\d+ [^:]*: failed")
_REPEATED = 3  # failures of the same words after which nobody need wait on; the unit repeats every 15 s
_LOOK_SECONDS = 20.0


def console(aws: Aws, instance_id: str) -> str:
    """All of an instance's console output that EC2 keeps, where the bootstrap says which step failed.

    As it is now, which types on Nitro offer; other types, and instances that have ended, have what was posted soon
    after their last start, stop or reboot. (API reference, GetConsoleOutput)
    """
    try:
        output = aws.ec2.get_console_output(InstanceId=instance_id, Latest=True).get("Output", "")
    except ClientError:
        output = aws.ec2.get_console_output(InstanceId=instance_id).get("Output", "")
    return "\n".join(_COLOURS.sub("", output).splitlines()[-_ALL:])


class Watch:
    """What the machines' consoles say while something is waited for: a bootstrap that fails again and again."""

    def __init__(self, aws: Aws, config: Config) -> None:
        self._aws, self._config = aws, config
        self._next = aws.clock.monotonic() + _LOOK_SECONDS
        self._before: dict[str, Counter[str]] | None = None  # of each machine, at the first look

    def look(self, there: Sequence[Node] = (), minions: bool = True) -> None:
        """Read the consoles of the master and of three `minions` that are not `there`, every 20 s at most.

        Raises KubeError when a bootstrap has failed three times since the first look in the same words: what an
        earlier run has seen may be mended by now.
        """
        now = self._aws.clock.monotonic()
        if now < self._next:
            return
        self._next = now + _LOOK_SECONDS
        watched = _watched(self._aws, self._config, there, few=_FEW if minions else 0)
        consoles = {each["InstanceId"]: _readable_console(self._aws, each["InstanceId"]) for each in watched}
        if self._before is None:
            # A machine of this run has failed once by now, if at all.
            counts = {id_: _failures(said) for id_, said in consoles.items()}
            self._before = {id_: count for id_, count in counts.items() if count.total() > 1}
        for instance in watched:
            id_ = instance["InstanceId"]
            again = _failures(consoles[id_]) - self._before.get(id_, Counter())
            if (step := failing(consoles[id_])) and again[_alike(step)] >= _REPEATED:
                raise _stuck(self._config, instance, step=step, said=consoles[id_])


def _failures(said: str) -> Counter[str]:
    """How often each step has failed, by its words."""
    return Counter(_alike(step) for step in _STEP.findall(said) if _FAILED.search(f"kube-bootstrap: {step}"))


def _alike(step: str) -> str:
    """The words of a failure without its numbers: curl says how many milliseconds it took."""
    return re.sub(r"\d+", "#", step.strip())


def _stuck(config: Config, instance: InstanceTypeDef, *, step: str, said: str) -> KubeError:
    role = "master" if tags_of(instance).get("Role") == config.master_name else "minion"
    name = f"{role} {instance['InstanceId']}"
    return KubeError(
        f"{name} fails at the same step again and again: kube-bootstrap: {step}",
        hint=f"next: {_look(config, _host(instance), instance.get('KeyName', ''))}",
        seen=f"{name}'s console ends:\n{_marked(said)}",
    )


def _watched(aws: Aws, config: Config, there: Sequence[Node], *, few: int) -> list[InstanceTypeDef]:
    """The master, and the first `few` minions that have not joined; none where AWS does not tell."""
    try:
        ours = own_instances(aws, config)
    except FAILURES:
        return []
    return [*_masters(ours, config), *_late(ours, config, there)[:few]]


def _host(instance: InstanceTypeDef) -> str:
    """Where ssh reaches it."""
    return instance.get("PublicIpAddress") or instance.get("PrivateIpAddress", "")


def _masters(ours: Sequence[InstanceTypeDef], config: Config) -> list[InstanceTypeDef]:
    return [instance for instance in ours if tags_of(instance).get("Role") == config.master_name]


def ssh_file(config: Config) -> str:
    """AWS_SSH_KEY as ssh takes it, which expands a % in it. (ssh_config(5), IdentityFile and TOKENS)"""
    return config.aws_ssh_key.replace("%", "%%")


def ssh(config: Config, host: str, key: str) -> str:
    """What a person types to get into a machine with that key pair, '' for one that is not known.

    Another computer's key is somewhere there: only its owner knows the file.
    """
    file = "ITS_FILE" if is_anothers(config, key) else shlex.quote(ssh_file(config))
    return f"ssh -i {file} {SSH_USERS[config.kube_os_distribution]}@{host}"


def is_anothers(config: Config, key: str) -> bool:
    """Whether a machine's key pair is of another key than AWS_SSH_KEY."""
    mine = local_key_name(config)
    return bool(key and mine) and key != mine


def _look(config: Config, host: str, key: str) -> str:
    """The command by which a machine's bootstrap is looked at, and whose key it needs if that is not here."""
    words = f" (the key is {key}, another computer's)" if is_anothers(config, key) else ""
    return f"{ssh(config, host, key)} sudo journalctl -b -u kube-bootstrap -u kubelet{words}"


def of_master(aws: Aws, config: Config, instance_id: str, *, host: str, key: str = "") -> Known:
    """What is known of a master that is waited for; `key` is its key pair's name, where that is known."""
    return _of(aws, config, f"master {instance_id}", instance_id, host=host, key=key)


def of_nodes(aws: Aws, config: Config, there: Sequence[Node]) -> Known:
    """What is known of the minions that have not joined, or are not Ready.

    Of the master, where all have joined and some wait for the cloud controller manager, which it applies.
    """
    ours = own_instances(aws, config)
    late = _late(ours, config, there)
    master = next(iter(_masters(ours, config)), None)
    if not late and master and any(node.unseen for node in there):
        said = _readable_console(aws, master["InstanceId"])
        if "addons: ok" in said and not failing(said):
            return Known("next: kubectl --namespace=kube-system logs deployment/cloud-controller-manager")
        return of_master(aws, config, master["InstanceId"], host=_host(master), key=master.get("KeyName", ""))
    if not late:
        name = next((node.name for node in there if not node.ready), "")
        return Known(f"next: kubectl describe node {name}" if name else "next: kubectl get nodes -o wide")
    first = late[0]
    name, key = f"minion {first['InstanceId']}", first.get("KeyName", "")
    known = _of(aws, config, name, first["InstanceId"], host=_host(first), key=key)
    others = [f"minion {each['InstanceId']}: {_bootstrap(aws, each['InstanceId'])}" for each in late[1:_FEW]]
    more = [f"and {len(late) - _FEW} minions more have not joined"] if len(late) > _FEW else []
    return Known("\n".join([*others, *more, known.hint]), known.seen)


def _late(ours: Sequence[InstanceTypeDef], config: Config, there: Sequence[Node]) -> list[InstanceTypeDef]:
    names = {node.name for node in there}
    minions = [instance for instance in ours if tags_of(instance).get("Role") == config.node_name]
    return [instance for instance in minions if instance.get("PrivateDnsName") not in names]


def failing(said: str) -> str:
    """The step that failed last, with its reason, unless a later run of the bootstrap has got over it; '' for none."""
    steps = [step.strip() for step in _STEP.findall(said)]
    failed = [number for number, step in enumerate(steps) if _FAILED.search(f"kube-bootstrap: {step}")]
    if not failed:
        return ""
    name = steps[failed[-1]].partition(":")[0]
    return "" if f"{name}: ok" in steps[failed[-1] :] else steps[failed[-1]]


def _bootstrap(aws: Aws, instance_id: str) -> str:
    return _last_step(_readable_console(aws, instance_id)) or "nothing from its bootstrap yet"


def _of(aws: Aws, config: Config, name: str, instance_id: str, *, host: str, key: str) -> Known:
    said = _readable_console(aws, instance_id)
    state, checks = state_and_checks(aws, instance_id)
    step = _last_step(said)
    lines = [
        f"{name} is {state}",
        f"AWS's status checks: {checks}",
        f"its bootstrap: {step}" if step else "nothing from its bootstrap is on its console",
        f"next: {_next(aws, config, instance_id, state=state, checks=checks, host=host, key=key)}",
    ]
    return Known("\n".join(lines), f"{name}'s console ends:\n{_marked(said)}" if said else "")


def _readable_console(aws: Aws, instance_id: str) -> str:
    """All of the console that EC2 keeps; '' where it may not be read, since the rest is worth telling without it."""
    try:
        return console(aws, instance_id)
    except FAILURES:
        return ""


def state_and_checks(aws: Aws, instance_id: str) -> tuple[str, str]:
    """The instance's state, and AWS's checks of its host and of itself: "system ok, instance initializing".

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html
    """
    try:
        answer = aws.ec2.describe_instance_status(InstanceIds=[instance_id], IncludeAllInstances=True)
    except FAILURES as error:
        return _UNKNOWN, f"not known ({error_code(error) or 'AWS does not answer'})"
    if not answer["InstanceStatuses"]:
        return _UNKNOWN, "none"
    found = answer["InstanceStatuses"][0]
    checks = {"system": found["SystemStatus"]["Status"], "instance": found["InstanceStatus"]["Status"]}
    return found["InstanceState"]["Name"], ", ".join(f"{what} {status}" for what, status in checks.items())


def _last_step(said: str) -> str:
    """The bootstrap's last word about a step; it repeats a failed one by itself."""
    steps = _STEP.findall(said)
    return str(steps[-1]).strip() if steps else ""


def _marked(said: str) -> str:
    """The last lines, a > before each that says that a step failed; before them the last such line, if it is older."""
    lines = said.splitlines()
    failed = [number for number, line in enumerate(lines) if _FAILED.search(line)]
    first = max(0, len(lines) - _LINES)
    shown = [*([failed[-1]] if failed and failed[-1] < first else []), *range(first, len(lines))]
    return "\n".join(f"{'>' if number in failed else ' '} {lines[number]}" for number in shown)


def _next(aws: Aws, config: Config, instance_id: str, *, state: str, checks: str, host: str, key: str) -> str:
    """The one command that gets a person further."""
    if state not in ("running", _UNKNOWN):
        return "run the same command again: it starts what is stopped, and makes what is gone anew"
    if "impaired" in checks:
        return f"aws ec2 reboot-instances --region {aws.region} --instance-ids {instance_id}"
    return _look(config, host, key)
