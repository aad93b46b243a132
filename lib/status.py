"""`kube_up.py --status`: one cluster on one screen, of what account and API say now. It only reads."""

from __future__ import annotations

import dataclasses
import datetime
import io
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lib import launchtemplate, spotsizes, state
from lib.aws.errors import FAILURES
from lib.aws.tags import tags_of
from lib.checks import prices
from lib.diagnosis import state_and_checks
from lib.disk import VERSION_TAG
from lib.kube.api import Api, Node, Unreachable, server_url
from lib.kubeconfig import find_client
from lib.master import find_master
from lib.minions import living, own_groups
from lib.pki import find_pki
from lib.preflight import check_regions
from lib.run.console import Console
from lib.run.errors import KubeError, NothingFound
from lib.settings.resolve import resolve
from lib.snapshots import find_snapshots

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, VolumeTypeDef

    from lib.aws.client import Aws
    from lib.checks.prices import Cost
    from lib.checks.situation import Snapshot
    from lib.cluster import Found
    from lib.kube.api import Client
    from lib.settings.config import Config
    from lib.settings.layers import Layers

T = TypeVar("T")
_FEW, _SNAPSHOTS = 2, 3  # nodes that are not Ready, and groups, that the screen has room for; and snapshots
_WORDS = 110  # characters of what is told of one change or refusal: two lines
_TIME = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True)
class Drift:
    """What a dry run finds: changes, as verb and words, and how many differences up leaves; why it came to no end."""

    changes: tuple[tuple[str, str], ...] = ()
    differing: int = 0
    refused: str = ""


@dataclass(frozen=True)
class GroupState:
    """Minions: how many there should be, are, and are not as the launch template has it."""

    name: str
    wanted: int
    there: int
    outdated: int


@dataclass(frozen=True)
class MasterState:
    """The instance; `checks` are AWS's of its host and of itself."""

    instance_id: str
    size: str
    state: str
    launched: datetime.datetime
    version: str
    checks: str

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is paid for the instance itself."""
        return self.state in ("stopping", "stopped")


@dataclass(frozen=True)
class Answer:
    """The API: `why` it does not answer, '' where it does; its release, and since when it runs, '' where unknown.

    `ends` is when its certificate does; `etcd_bytes` how large etcd is, None where it does not say.
    """

    server: str
    why: str
    version: str = ""
    since: str = ""
    nodes: tuple[Node, ...] = ()
    ends: datetime.datetime | None = None
    etcd_bytes: int | None = None


@dataclass(frozen=True)
class Status:
    """All of it. `wanted` is how many nodes there should be, `etcd_quota` how many bytes etcd may have, as remembered.

    `unknown` says of what could not be looked at why, by the labels of the screen.
    """

    cluster: Mapping[str, str]
    api: Answer
    groups: tuple[GroupState, ...]
    master: MasterState | None
    disk: VolumeTypeDef | None
    snapshots: tuple[Snapshot, ...]
    certificates: Mapping[str, datetime.datetime]
    cost: Cost
    wanted: int
    etcd_quota: int
    drift: Drift = Drift()
    unknown: Mapping[str, str] = field(default_factory=dict)


class _Looks:
    """Looks of which each may be refused for itself."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.unknown: dict[str, str] = {}

    def at(self, label: str, look: Callable[[], T], otherwise: T) -> T:
        """What `look` finds; `otherwise` where AWS or the cluster does not let us look."""
        try:
            return look()
        except KubeError as error:
            self.unknown[label] = str(error)
        except FAILURES as error:
            self.unknown[label] = str(self._aws.explain(error))
        return otherwise


def find_status(aws: Aws, layers: Layers) -> Status:
    """The cluster as it is, without its drift. Raises NothingFound where nothing is of it, KubeError."""
    asked = resolve(layers, check=False)
    check_regions(aws, asked, layers)
    aws.identify()
    layers, found = state.with_remembered(aws, layers)
    config = _as_it_is(resolve(layers, check=False), found)
    instance, disk = find_master(aws, config), state.find_master_disk(aws, config, found)
    groups = own_groups(aws, config)
    if not (found.bucket or found.interface or instance or disk or groups):
        raise NothingFound(
            f"nothing of cluster {config.cluster_id} in account {aws.account}, {aws.region}",
            hint="kube_up.py --list names the clusters that are there",
        )
    looks = _Looks(aws)
    sized = _sized(config, groups, has_master=instance is not None, disk=disk)
    nobody: tuple[Client | None, dict[str, datetime.datetime]] = (None, {})
    client, certificates = looks.at("certificates", lambda: _client(aws, config, found), nobody)
    api = _ask(client, instance, groups)
    master = _master(aws, instance) if instance else None
    return Status(
        cluster=which_cluster(aws, config),
        api=api,
        groups=looks.at("minions", lambda: _groups(aws, config, groups), ()),
        master=master,
        disk=disk,
        snapshots=looks.at("snapshots", lambda: tuple(find_snapshots(aws, found.bucket)), ()),
        certificates=certificates | ({"API": api.ends} if api.ends else {}),
        cost=prices.cost(aws, sized, layers.environment, stopped=master is None or master.is_stopped),
        wanted=1 + sized.num_nodes,
        etcd_quota=config.kube_etcd_quota_gib * 2**30,
        unknown=looks.unknown,
    )


def which_cluster(aws: Aws, config: Config) -> dict[str, str]:
    """Which cluster it is, and where, as the documents of --output json say it."""
    return {"id": config.cluster_id, "region": aws.region, "account": aws.account}


def _as_it_is(config: Config, found: Found) -> Config:
    """The settings with the address that the master's interface has."""
    if found.interface is None:
        return config
    return dataclasses.replace(config, master_internal_ip=found.interface["PrivateIpAddress"])


def _sized(config: Config, groups: list[Any], *, has_master: bool, disk: VolumeTypeDef | None) -> Config:
    """The settings with as many minions as the groups should have and, without a master, with what is left of it."""
    sized = dataclasses.replace(config, num_nodes=sum(group["DesiredCapacity"] for group in groups))
    if has_master:
        return sized
    return dataclasses.replace(sized, master_root_disk_size=0, master_disk_size=disk["Size"] if disk else 0)


def _master(aws: Aws, instance: InstanceTypeDef) -> MasterState:
    _, checks = state_and_checks(aws, instance["InstanceId"])
    return MasterState(
        instance["InstanceId"],
        instance["InstanceType"],
        instance["State"]["Name"],
        instance["LaunchTime"],
        tags_of(instance).get(VERSION_TAG, ""),
        checks,
    )


def _groups(aws: Aws, config: Config, groups: list[Any]) -> tuple[GroupState, ...]:
    names = [group["AutoScalingGroupName"] for group in groups]
    templates = launchtemplate.find_current(aws, config, *names) if names else {}
    return tuple(_group(group, templates.get(group["AutoScalingGroupName"])) for group in groups)


def _group(group: Any, template: launchtemplate.Template | None) -> GroupState:
    there = living(group)
    outdated = sum(not template.is_current(each, spotsizes.kinds_of(group)) for each in there) if template else 0
    return GroupState(group["AutoScalingGroupName"], group["DesiredCapacity"], len(there), outdated)


def _client(aws: Aws, config: Config, found: Found) -> tuple[Client | None, dict[str, datetime.datetime]]:
    """What the API is asked with, and when the certificates end that are known without it."""
    from lib.kube import certificates

    pki = find_pki(aws, found.bucket)
    if pki is None:
        raise KubeError("the cluster's CA is not in its bucket")
    client, is_kept = find_client(aws, config, pki, server=server_url(config, found.public_ip))
    ends = {"CA": certificates.ends(pki.ca_cert)} | ({"kubeconfig": certificates.ends(client.cert)} if is_kept else {})
    return client, ends


def _ask(client: Client | None, master: InstanceTypeDef | None, groups: list[Any]) -> Answer:
    """What the API says now. Nodes of instances that are gone are none."""
    from lib.kube import certificates

    if client is None:
        return Answer("", "there are no certificates to ask it with")
    if master is None:
        return Answer(client.server, "there is no master")
    alive = {master["InstanceId"], *(each["InstanceId"] for group in groups for each in living(group))}
    api, ends = Api(client), None
    try:
        status, said = api.get("/healthz")
        ends = certificates.shown_ends(api.certificate())
        nodes = tuple(node for node in api.nodes() if not node.instance_id or node.instance_id in alive)
        why = "" if said.strip() == "ok" else f"HTTP {status} {said.strip()[:60]}"
        return Answer(api.server, why, api.version(), api.since(), nodes, ends, api.etcd_bytes())
    except Unreachable as error:
        return Answer(api.server, str(error), ends=ends)


def find_drift(aws: Aws, trial: Callable[[Aws], None]) -> Drift:
    """What a dry run finds, which `trial` makes; nothing is said of it, and in a hurry it waits for nothing."""
    console = Console(aws.clock, out=io.StringIO(), err=io.StringIO())
    onlooker = aws.onlooker(console=console)
    refused = ""
    try:
        trial(onlooker)
    except KubeError as error:
        refused = str(error)
    except FAILURES as error:
        refused = str(aws.explain(error))
    return Drift(tuple(console.plans), console.differing, refused)


# --- what is told


def show_status(aws: Aws, layers: Layers, *, trial: Callable[[Aws], None]) -> bool:
    """Tell a person of the cluster, or a program; `trial` is a dry run of kube_up.py. Whether its API answers."""
    status = dataclasses.replace(find_status(aws, layers), drift=find_drift(aws, trial))
    if aws.console.owes:
        aws.console.give(_document(status))
    else:
        _say(aws.console, status)
    return not status.api.why


def _say(console: Console, status: Status) -> None:
    """The screen: at most 24 lines of 80 columns."""
    console.paragraph("Cluster {id} in {region}, account {account}".format_map(status.cluster))
    console.line()
    for label, words in _page(status).items():
        console.entry(label, words)


def _page(status: Status) -> dict[str, str]:
    """The screen's labels, and the words beside them."""
    told = {
        "API": _api_words(status.api),
        "nodes": _node_words(status),
        "minions": _lines([_group_words(group) for group in status.groups]) or "no group",
        "master": _master_words(status.master),
        "disk": _disk_words(status.disk),
        "etcd": _etcd_words(status),
        "snapshots": _snapshot_words(status.snapshots),
        "certificates": f"end: {', '.join(f'{name} {end:%Y-%m-%d}' for name, end in status.certificates.items())}",
        "drift": _drift_words(status.drift),
        "cost": _cost_words(status),
    }
    return told | {label: f"not known: {_short(why)}" for label, why in status.unknown.items()}


def _short(words: str) -> str:
    return textwrap.shorten(words, _WORDS, placeholder=" …")


def _lines(words: list[str]) -> str:
    more = f"and {len(words) - _FEW} more"
    return "\n".join([*words[:_FEW], *([more] if len(words) > _FEW else [])])


def _api_words(api: Answer) -> str:
    since = f", since {api.since}" if api.since else ""
    return f"does not answer: {_short(api.why)}" if api.why else f"ok, {api.server}, Kubernetes {api.version}{since}"


def _node_words(status: Status) -> str:
    if status.api.why:
        return f"not known: the API does not answer; there should be {status.wanted}"
    late = [node for node in status.api.nodes if not node.ready]
    words = [_short(f"not Ready: {node.name}: {node.reason or 'no word from its kubelet'}") for node in late]
    ready = f"{len(status.api.nodes) - len(late)} of {status.wanted} Ready"
    return "\n".join([ready, *([_lines(words)] if words else [])])


def _group_words(group: GroupState) -> str:
    outdated = f", {group.outdated} outdated" if group.outdated else ""
    return f"{group.there} of {group.wanted} in {group.name}{outdated}"


def _master_words(master: MasterState | None) -> str:
    if master is None:
        return "none: kube_up.py makes it again"
    words = f"{master.instance_id} {master.size}, {master.state}, launched {master.launched:{_TIME}}"
    if master.state == "stopped":  # AWS checks none that is
        return f"{words}; kube_up.py starts it"
    return f"{words}; AWS's checks: {master.checks}"


def _disk_words(disk: VolumeTypeDef | None) -> str:
    return f"{disk['VolumeId']} {disk['Size']} GiB {disk['VolumeType']}, {disk['State']}" if disk else "none"


def _etcd_words(status: Status) -> str:
    size, quota = status.api.etcd_bytes, status.etcd_quota
    if size is None:
        return "not known: the API does not say how large it is"
    words = f"{size / 2**20:.0f} of {quota / 2**20:.0f} MiB"
    return f"full, or soon: {words}; docs/recovery.md, etcd is full" if _is_full(status) else words


def _is_full(status: Status) -> bool:
    """Whether etcd's file is within a twentieth of its quota: it refuses what would pass that, not what fills it."""
    return (status.api.etcd_bytes or 0) >= status.etcd_quota * 0.95


def _snapshot_words(snapshots: tuple[Snapshot, ...]) -> str:
    if not snapshots:
        return "none of etcd"
    many = f"{len(snapshots)} of etcd, oldest {snapshots[-1].taken:%Y-%m-%d %H:%M}; for KUBE_RESTORE_SNAPSHOT:"
    return "\n".join([many, *map(str, snapshots[:_SNAPSHOTS])])


def _drift_words(drift: Drift) -> str:
    left = f"{drift.differing} more left as they are" if drift.differing else ""
    if drift.refused:
        return f"not known, a dry run ends so: {_short(drift.refused)}"
    if drift.changes:
        first = _short(" ".join(drift.changes[0]))
        more = f"kube_up.py would change {len(drift.changes)} things: --dry-run names them"
        return f"kube_up.py would {first}" if len(drift.changes) == 1 and not left else more
    return f"nothing to change, {left}: --dry-run names them" if left else "none: kube_up.py would change nothing"


def _cost_words(status: Status) -> str:
    cost = status.cost
    if cost.month is None:
        return cost.words
    which = "by its settings"
    if status.master is None:
        which = "without a master"
    elif status.master.is_stopped:
        which = "with its master stopped"
    return f"{cost.month:.2f} USD a month{cost.spot} {which}, traffic not counted"


def _document(status: Status) -> dict[str, Any]:
    """The same for a program: docs/output.md."""
    return {
        "cluster": dict(status.cluster),
        "api": {
            "server": status.api.server,
            "answers": not status.api.why,
            "why": status.api.why,
            "version": status.api.version,
            "since": status.api.since or None,
        },
        "nodes": {
            "wanted": status.wanted,
            "ready": sum(node.ready for node in status.api.nodes),
            "all": [
                {"name": n.name, "ready": n.ready, "version": n.version, "why": "" if n.ready else n.reason}
                for n in status.api.nodes
            ],
        },
        "minions": [dataclasses.asdict(group) for group in status.groups],
        "master": _master_entry(status.master),
        "disk": _disk_entry(status.disk),
        "etcd": {"bytes": status.api.etcd_bytes, "quota": status.etcd_quota, "full": _is_full(status)},
        "snapshots": [{"id": s.version, "taken": s.taken.isoformat(), "bytes": s.size} for s in status.snapshots],
        "certificates": {name: end.isoformat() for name, end in status.certificates.items()},
        "drift": {
            "changes": [{"verb": verb, "what": words} for verb, words in status.drift.changes],
            "left": status.drift.differing,
            "refused": status.drift.refused,
        },
        "cost": status.cost.document,
        "not_known": [{"what": what, "why": why} for what, why in status.unknown.items()],
    }


def _master_entry(master: MasterState | None) -> dict[str, Any] | None:
    if master is None:
        return None
    told = dataclasses.asdict(master) | {"launched": master.launched.isoformat()}
    return {"id": told.pop("instance_id"), **told}


def _disk_entry(disk: VolumeTypeDef | None) -> dict[str, Any] | None:
    if disk is None:
        return None
    return {"id": disk["VolumeId"], "gib": disk["Size"], "type": disk["VolumeType"], "state": disk["State"]}
