"""`kube_up.py --list`: the account's clusters over its regions, by their tags. It only reads, one region after another.

A region is asked once where nothing bears a cluster's tag; else once more for each kind of thing that does, and for the
minions' groups. A region that refuses or does not answer is named, and the list goes on.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lib.aws.errors import FAILURES, error_code
from lib.aws.instances import ALIVE, describe_instances
from lib.aws.tags import BUCKET_TAG, CLUSTER, PREFIX, is_ours, owners, tags_of
from lib.bucket import Made, bucket_tags, made_buckets, names_for
from lib.disk import VERSION_TAG, disk_name
from lib.run.words import counted
from lib.volumes import goes_along, is_disk

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.run.console import Console
    from lib.settings.config import Config

_INSTANCE, _VOLUME, _ADDRESS, _GROUP = _KINDS = ("instance", "volume", "elastic-ip", "group")  # but the last, EC2's
_NOT_LOOKED_FOR = (
    *("load balancers", "alarms", "schedules"),  # of each more calls in every region
    *("roles", "identity providers", "DNS names"),  # as many calls as the account has of them
)
_MOST_KEYS = 200  # values that a filter of EC2's may have
_MINION, _CLAIMED = _MANY = ("minion", "volume")
_HEAD = ("cluster", "zone", "version", "nodes", "age", "master")


@dataclass(frozen=True)
class Left:
    """A thing that costs money while no master is there: its kind and id, and how large it is, 0 for no size."""

    kind: str
    id: str
    gib: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.id}{f' {self.gib} GiB' if self.gib else ''}"


@dataclass(frozen=True)
class Seen:
    """A cluster as its region shows it; '' and None stand for what nothing says.

    `made_here` is whether something of it is tagged or named as kube_up.py and the original do, and not only as every
    tool does that makes clusters. `left` is what is there without a master.
    """

    cluster_id: str
    region: str
    zone: str = ""
    version: str = ""
    master_id: str = ""
    master_state: str = ""
    wanted: int = 0
    running: int = 0
    created: datetime.datetime | None = None
    left: tuple[Left, ...] = ()
    made_here: bool = True


@dataclass(frozen=True)
class Listing:
    """What was seen, in which regions, and why the others were not looked at, by region or other place."""

    account: str
    clusters: tuple[Seen, ...]
    others: tuple[Seen, ...]
    regions: tuple[str, ...]
    unseen: Mapping[str, str]


@dataclass
class _Things:
    """What bears one cluster's tags in one region: which kinds there are, what was looked at, as AWS describes it."""

    kinds: set[str] = field(default_factory=set)  # EC2's names of them
    items: dict[str, list[Any]] = field(default_factory=lambda: {kind: [] for kind in _KINDS})
    buckets: list[Made] = field(default_factory=list)

    def are_there(self) -> bool:
        """Whether any is: the tags of what has ended are listed for a while."""
        return bool(self.buckets or any(self.items.values()) or self.kinds - {*_KINDS})


_Place = tuple[str, str]  # region and cluster id


def find_clusters(aws: Aws, config: Config) -> Listing:
    """All clusters of the account. Raises KubeError where no region at all could be looked at."""
    aws.identify()
    unseen: dict[str, str] = {}
    found: dict[_Place, _Things] = {}
    refused: list[BaseException] = []
    regions = _regions(aws, unseen)
    looked = []
    for region in regions:
        try:
            tagged = _in_region(aws.onlooker(region=region))
        except FAILURES as error:
            unseen[region] = _why(error)
            refused.append(error)
        else:
            looked.append(region)
            found |= {(region, cluster_id): things for cluster_id, things in tagged.items()}
    if not looked:
        raise aws.explain(refused[0])
    _add_buckets(aws, found, unseen)
    there = sorted((place for place, things in found.items() if things.are_there()), key=lambda place: place[::-1])
    seen = [_seen(_named(config, place[1]), place[0], found[place]) for place in there]
    return Listing(
        aws.account,
        clusters=tuple(each for each in seen if each.made_here),
        others=tuple(each for each in seen if not each.made_here),
        regions=tuple(looked),
        unseen=unseen,
    )


def _named(config: Config, cluster_id: str) -> Config:
    """The settings as far as the names of a cluster's things follow from its id."""
    return dataclasses.replace(config, kube_aws_instance_prefix=cluster_id)


def _why(error: BaseException) -> str:
    return error_code(error) or "no answer"


def _regions(aws: Aws, unseen: dict[str, str]) -> list[str]:
    """The regions that are enabled for the account; where AWS does not say, the one of this run alone."""
    try:
        listed = aws.ec2.describe_regions(AllRegions=False)["Regions"]
    except FAILURES as error:
        unseen["other regions"] = _why(error)
        return [aws.region]
    return sorted(each["RegionName"] for each in listed if each.get("OptInStatus") != "not-opted-in")


def _in_region(aws: Aws) -> dict[str, _Things]:
    """What bears a cluster's tags, by the cluster's id. One call where nothing does."""
    found = _tagged(aws)
    kinds = set[str]().union(*(things.kinds for things in found.values()))
    keys = [CLUSTER, *(PREFIX + each for each in sorted(found))][:_MOST_KEYS]
    for kind, item in _described(aws, kinds, [{"Name": "tag-key", "Values": keys}]):
        tags = tags_of(item)
        for cluster_id in owners(tags):
            if is_ours(cluster_id, tags):  # what two clusters' tags claim is neither's
                found.setdefault(cluster_id, _Things()).items[kind].append(item)
    return found


def _tagged(aws: Aws) -> dict[str, _Things]:
    """The clusters that tags of EC2's things name, with the kinds of these things."""
    found: dict[str, _Things] = {}
    asked: Any = [{"Name": "key", "Values": [CLUSTER, f"{PREFIX}*"]}]
    for tag in aws.every("describe_tags", "Tags", Filters=asked, PaginationConfig={"PageSize": 1000}):
        for cluster_id in owners({tag["Key"]: tag["Value"]}):
            found.setdefault(cluster_id, _Things()).kinds.add(tag["ResourceType"])
    return found


def _described(aws: Aws, kinds: set[str], keys: list[Any]) -> Iterator[tuple[str, Any]]:
    """What costs money among what has one of the tags, by its kind; groups where there is anything at all."""
    if _INSTANCE in kinds:
        yield from ((_INSTANCE, each) for each in describe_instances(aws, keys, states=ALIVE))
    if _VOLUME in kinds:
        yield from ((_VOLUME, each) for each in aws.every("describe_volumes", "Volumes", Filters=keys))
    if _ADDRESS in kinds:
        yield from ((_ADDRESS, each) for each in aws.every("describe_addresses", "Addresses", Filters=keys))
    if kinds:
        for page in aws.autoscaling.get_paginator("describe_auto_scaling_groups").paginate(Filters=keys):
            yield from ((_GROUP, each) for each in page["AutoScalingGroups"])


def _add_buckets(aws: Aws, found: dict[_Place, _Things], unseen: dict[str, str]) -> None:
    """Put the buckets beside the rest of their clusters; the tags of those of no cluster seen name it."""
    try:
        buckets = {each.name: each for each in made_buckets(aws)}
    except FAILURES as error:
        unseen["buckets"] = _why(error)
        return
    for (region, cluster_id), things in found.items():
        names = names_for(aws.account, region, cluster_id)
        things.buckets = [buckets.pop(name) for name in names if name in buckets]
    for bucket in buckets.values():
        try:
            tags = bucket_tags(aws, bucket.name, bucket.region)
        except FAILURES as error:
            unseen[f"bucket {bucket.name}"] = _why(error)
            continue
        for cluster_id in owners(tags):
            found.setdefault((bucket.region, cluster_id), _Things()).buckets.append(bucket)


def _seen(config: Config, region: str, things: _Things) -> Seen:
    """What a cluster's things say of it."""
    masters = [each for each in things.items[_INSTANCE] if tags_of(each).get("Role") == config.master_name]
    master = min(masters, key=lambda each: each["State"]["Name"] == "shutting-down", default=None)
    disk = next((each for each in things.items[_VOLUME] if is_disk(config, each)), None)
    state = master["State"]["Name"] if master else ""
    gone = state in ("", "shutting-down")
    return Seen(
        cluster_id=config.cluster_id,
        region=region,
        zone=_zone(master, disk, *things.items[_GROUP], *things.items[_INSTANCE], *things.items[_VOLUME]),
        version=next((v for each in (master, disk) if each and (v := tags_of(each).get(VERSION_TAG, ""))), ""),
        master_id=master["InstanceId"] if master else "",
        master_state=state,
        wanted=sum(group["DesiredCapacity"] for group in things.items[_GROUP]),
        running=sum(i["LifecycleState"] == "InService" for group in things.items[_GROUP] for i in group["Instances"]),
        created=_oldest(things),
        left=tuple(_left(config, things)) if gone else (),
        made_here=bool(things.buckets)
        or any(_is_as_made_here(config, tags_of(item)) for listed in things.items.values() for item in listed),
    )


def _is_as_made_here(config: Config, tags: Mapping[str, str]) -> bool:
    """Whether kube_up.py or the original has made it: other tools' clusters have the clusters' two tags as well."""
    ours = tags.get("Role") in (config.master_name, config.node_name) or tags.get("Name") == disk_name(config)
    return ours or BUCKET_TAG in tags


def _zone(*things: Any) -> str:
    """The zone of the first that says it."""
    for each in filter(None, things):
        zones = each.get("AvailabilityZones") or [
            each.get("AvailabilityZone") or each.get("Placement", {}).get("AvailabilityZone")
        ]
        if zones[0]:
            return str(zones[0])
    return ""


def _oldest(things: _Things) -> datetime.datetime | None:
    """When the oldest was made. A bucket's date changes with its policy, so it counts where nothing else has one."""
    dates = [each["LaunchTime"] for each in things.items[_INSTANCE]]
    dates += [each["CreateTime"] for each in things.items[_VOLUME]]
    dates += [each["CreatedTime"] for each in things.items[_GROUP]]
    return min(dates, default=min((each.created for each in things.buckets), default=None))


def _left(config: Config, things: _Things) -> Iterator[Left]:
    """What costs money though no master is there."""
    for instance in things.items[_INSTANCE]:
        if tags_of(instance).get("Role") != config.master_name:
            yield Left(_MINION, instance["InstanceId"])
    for volume in things.items[_VOLUME]:
        if not goes_along(volume):
            yield Left("disk" if is_disk(config, volume) else _CLAIMED, volume["VolumeId"], volume["Size"])
    for address in things.items[_ADDRESS]:
        yield Left("elastic IP", address["PublicIp"])
    for bucket in things.buckets:
        yield Left("bucket", bucket.name)


# --- what is told


def show_clusters(aws: Aws, config: Config) -> None:
    """Tell a person of the account's clusters, or a program."""
    listing = find_clusters(aws, config)
    if aws.console.owes:
        aws.console.give(_document(listing))
    else:
        _say(aws.console, listing)


def _say(console: Console, listing: Listing) -> None:
    """The clusters as a table, the rest in lines below it."""
    where = f"account {listing.account}, {counted(len(listing.regions), 'region')}"
    if listing.clusters:
        console.table(_HEAD, [(_cells(each), _below(each)) for each in listing.clusters])
        console.line()
    console.paragraph(f"{counted(len(listing.clusters), 'cluster') if listing.clusters else 'no clusters'} in {where}")
    if listing.others:
        named = ", ".join(f"{each.cluster_id} in {each.region}" for each in listing.others)
        console.paragraph(f"tagged as clusters too, by other tools, or a rest (network, EBS snapshots): {named}")
    for why in sorted(set(listing.unseen.values())):
        console.paragraph(f"not looked at ({why}): {', '.join(p for p, each in listing.unseen.items() if each == why)}")
    console.paragraph(f"not looked for: {', '.join(_NOT_LOOKED_FOR)}; kube_down.py --dry-run looks for a cluster's")


def _cells(seen: Seen) -> tuple[str, ...]:
    return (
        seen.cluster_id,
        seen.zone or seen.region,
        seen.version or "?",
        f"{seen.running} of {seen.wanted}",
        _age(seen.created),
        seen.master_state or "no master",
    )


def _below(seen: Seen) -> str:
    """What is left without a master; of minions and volumes, which can be many, how many."""
    kinds = [kind for kind in _MANY if sum(each.kind == kind for each in seen.left) > 1]
    many = []
    for kind in kinds:
        those = [each.gib for each in seen.left if each.kind == kind]
        many.append(f"{counted(len(those), kind)}{f' of {sum(those)} GiB' if sum(those) else ''}")
    words = [*many, *(str(each) for each in seen.left if each.kind not in kinds)]
    return f"left: {', '.join(words)}" if words else ""


def _age(since: datetime.datetime | None) -> str:
    """How long ago, in days, hours or minutes; '?' for what is not known."""
    if since is None:
        return "?"
    minutes = int((datetime.datetime.now(datetime.UTC) - since).total_seconds() // 60)
    days, hours = minutes // (24 * 60), minutes // 60
    return f"{days} d" if days > 1 else f"{hours} h" if hours > 1 else f"{max(0, minutes)} min"


def _document(listing: Listing) -> dict[str, Any]:
    """The same for a program: docs/output.md."""
    return {
        "account": listing.account,
        "clusters": [_entry(each) for each in listing.clusters],
        "others": [{"id": each.cluster_id, "region": each.region} for each in listing.others],
        "regions": list(listing.regions),
        "not_looked_for": list(_NOT_LOOKED_FOR),
        "not_looked_at": [{"place": place, "why": why} for place, why in listing.unseen.items()],
    }


def _entry(seen: Seen) -> dict[str, Any]:
    return {
        "id": seen.cluster_id,
        "region": seen.region,
        "zone": seen.zone,
        "version": seen.version,
        "nodes": {"wanted": seen.wanted, "running": seen.running},
        "created": seen.created.isoformat() if seen.created else None,
        "master": {"id": seen.master_id, "state": seen.master_state} if seen.master_id else None,
        "left": [dataclasses.asdict(each) for each in seen.left],
    }
