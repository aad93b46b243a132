"""The rules about the master's release, data and instance: a table of situations, and what holds in all of them."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from spread import spread

from lib.checks import fate
from lib.checks.fate import numbers
from lib.checks.situation import UNSEEN, Asked, Begin, Disk, Fate, Instance, Look, Refuse, Situation, Snapshot
from lib.run.errors import SettingError

OLDEST, OLD, PATCH, NEW, NEXT = "1.35.4", "1.36.3", "1.36.9", "1.37.2", "1.38.0"
MASTER, OTHER, DISK = "i-1", "i-2", "vol-1"
A, B = "snapshot-a", "snapshot-b"
MASTER_THERE = Instance(MASTER, size="t3.medium", version=OLD, disk_id=DISK)
DISK_THERE = Disk(DISK, version=OLD, zone="us-west-2a", gib=20, holders=(MASTER,))
TAKEN = tuple(
    Snapshot(version, datetime.datetime(2026, 11, day, tzinfo=datetime.UTC), 2**20) for version, day in ((A, 9), (B, 8))
)


@dataclass(frozen=True)
class World:
    """What a run would see if it looked."""

    instance: Instance | None = MASTER_THERE
    snapshots: tuple[Snapshot, ...] = TAKEN
    releases: Mapping[str, str] = field(default_factory=lambda: {A: OLD, B: OLD})
    untagged: tuple[str, ...] = ()
    unreadable: str = ""
    named: bool = False
    ca: bool = True
    well: bool = False

    def show(self, known: Situation, look: Look) -> Situation:
        if look.at == "release":
            return dataclasses.replace(known, releases={**known.releases, look.of: self.releases[look.of]})
        return dataclasses.replace(known, **{look.at: getattr(self, look.at)})


def asked(**more: Any) -> Asked:
    return Asked(
        "kubernetes",
        "kubernetes-master-pd",
        **{"version": OLD, "zone": "us-west-2a", "disk_gib": 20, "size": "t3.medium", **more},
    )


def situation(*, disk: Disk | None = DISK_THERE, remembered: str = OLD, **more: Any) -> Situation:
    whole: dict[str, Any] = {
        name: more.pop(name) for name in ("there", "no_snapshots", "discarded", "instance") if name in more
    }
    whole |= {"place": "s3://bucket/etcd", "ca_place": "s3://bucket/pki.tar"}
    return Situation(asked(**more), remembered=remembered, disk=disk, **whole)


def begun(known: Situation, world: World) -> tuple[Begin | Refuse, Situation, list[str]]:
    """What is decided, what is known by then, and what was looked at for it."""
    looks: list[str] = []
    while isinstance(found := fate.begin(known), Look):
        looks.append(found.at)
        known = world.show(known, found)
    return found, known, looks


def said(found: Begin | Refuse | Fate) -> str:
    return str(found.error) if isinstance(found, Refuse) else "; ".join(each.words for each in found.said)


def up(version: str) -> dict[str, Any]:
    return {"version": version, "says_version": version}


def none(**more: Any) -> dict[str, Any]:
    """A disk that is gone."""
    return {"disk": None, **more}


def on(version: str = OLD, **more: Any) -> dict[str, Any]:
    """A disk that says that version, or else."""
    return {"disk": dataclasses.replace(DISK_THERE, version=version, **more)}


GROUP = {"group": True, "disk": None}
RESTORED = on("", snapshot=A, holders=())
BOTH = ["snapshots", "release", "release"]
NEW_DISK = ["snapshots", "instance", "untagged"]
DEAD = World(instance=None)
GONE = World(instance=dataclasses.replace(MASTER_THERE, state="shutting-down"))
NO_SNAPSHOTS = World(instance=None, snapshots=())
LAG = "the upgrade from 1.35.4 to 1.36.3 is not done, and 1.37.2 would skip a minor release; leave it out, which goes"
STAYS = "leave it out to keep what is on the disk, or "
END = "say KUBE_DISCARD_DISK=vol-1 too, which throws that away for ever"
DISCARDED = {"restore": "latest", "discard": DISK}
LOSES = "disk vol-1 is removed for ever, with all that came after the snapshot of 2026-11-09 00:00 UTC"
LOOKED = ["snapshots", "instance", "ca", "release", "unreadable"]
LIST = (
    "snapshot-a of 2026-11-09 00:00 UTC, Kubernetes 1.36.3, 1.0 MiB; "
    "snapshot-b of 2026-11-08 00:00 UTC, Kubernetes 1.36.3, 1.0 MiB"
)
UNTOLD = "the snapshot snapshot-a of 2026-11-09 00:00 UTC does not say of which release of Kubernetes it is"

# name, what is known of it at first, what would be seen, what is looked at, what it ends with: the snapshot of a run
# that may begin, or the variable of a refusal (1 for one that is no setting's); and words that are said.
BEGINS: list[tuple[str, Mapping[str, Any], World, list[str], str | int, str]] = [
    # the release of a cluster that has its disk
    ("nothing is asked", {}, World(), [], "", ""),
    ("the same is asked", up(OLD), World(), [], "", ""),
    ("a patch", up(PATCH), World(), [], "", ""),
    ("a minor release", up(NEW), World(), [], "", ""),
    ("a minor release skipped", up(NEXT), World(), [], fate.VERSION, "1.38.0 would skip a minor release; upgrade to a"),
    ("an older patch", up("1.36.2"), World(), [], fate.VERSION, "has 1.36.3, and a control plane cannot go down to"),
    (
        "an empty one",
        {"version": NEW, "says_version": ""},
        World(),
        [],
        fate.VERSION,
        "is empty, which stands for 1.37",
    ),
    ("gone on with", {**on(), "remembered": NEW, "version": NEW}, World(), [], "", ""),
    ("on top of another", {**on(OLDEST), **up(NEW)}, World(), [], fate.VERSION, LAG),
    ("old settings put back", on(NEW), World(), [], fate.VERSION, "has 1.37.2, and a control plane cannot go down"),
    ("settings lost", {"remembered": ""}, World(), [], fate.VERSION, "is not remembered, and the disk has 1.36.3; say"),
    ("settings and tags lost", {**on(""), "remembered": ""}, World(), [], fate.VERSION, "say the one that it had"),
    ("settings lost, and it is said", {**up(OLD), "remembered": ""}, World(), [], "", ""),
    ("nothing but the number is known", {**on(""), **up(OLD), "remembered": ""}, DEAD, ["instance"], "", ""),
    ("the disk is silent", {**on(""), **up(NEW)}, World(), ["instance"], "", ""),
    (
        "the disk is silent, and the master is older",
        {**on(""), **up(NEW)},
        World(instance=dataclasses.replace(MASTER_THERE, version=OLDEST)),
        ["instance"],
        fate.VERSION,
        LAG,
    ),
    ("something else is on the tag", {**on("mine"), **up(NEW)}, World(), [], "", ""),
    # an upgrade that is called off
    ("called off early", {**up(OLD), "remembered": NEW}, World(), ["instance"], "", "1.37.2 is called off: no run has"),
    (
        "called off, and its master does not answer",
        {**up(OLD), "remembered": NEW},
        World(instance=dataclasses.replace(MASTER_THERE, version=NEW)),
        ["instance", "well"],
        "",
        "the upgrade to 1.37.2 is called off",
    ),
    (
        "called off, and it is done",
        {**up(OLD), "remembered": NEW},
        World(instance=dataclasses.replace(MASTER_THERE, version=NEW), well=True),
        ["instance", "well"],
        fate.VERSION,
        "the cluster has 1.37.2, and a control plane cannot go down to 1.36.3",
    ),
    # a disk that is there
    ("in another zone", {"zone": "us-west-2b"}, World(), [], "KUBE_AWS_ZONE", "vol-1 is in us-west-2a, and a disk"),
    ("larger than asked", {"disk_gib": 10}, World(), [], "MASTER_DISK_SIZE", "the master's disk has 20 GiB"),
    ("none, and it is there", {"restore": "none"}, World(), [], "", ""),
    ("latest, and it is there", {"restore": "latest"}, World(), ["snapshots", "instance"], fate.RESTORE, STAYS + END),
    (
        "latest, no master",
        {"restore": "latest", **on(holders=())},
        DEAD,
        ["snapshots", "instance"],
        fate.RESTORE,
        STAYS + END,
    ),
    (
        "latest, and it is another's",
        {"restore": "latest", **on(holders=(OTHER,))},
        DEAD,
        ["snapshots", "instance"],
        fate.RESTORE,
        f"{STAYS}aws ec2 detach-volume --volume-id vol-1 --instance-id i-2, then "
        f"aws ec2 wait volume-available --volume-ids vol-1, then {END}",
    ),
    (
        "latest, and its master is on its way out",
        {"restore": "latest"},
        GONE,
        ["snapshots", "instance"],
        fate.RESTORE,
        STAYS + END,
    ),
    (
        "latest, and it heals itself",
        {"restore": "latest", "self_heal": True},
        World(),
        ["snapshots", "instance"],
        fate.RESTORE,
        STAYS + END,
    ),
    (
        "latest, it heals itself, and nobody is there",
        {"restore": "latest", "self_heal": True, **on(holders=())},
        DEAD,
        ["snapshots", "instance"],
        fate.RESTORE,
        STAYS + END,
    ),
    (
        "which?",
        {"restore": "which"},
        World(),
        BOTH,
        fate.RESTORE,
        f"has no version which; say latest, or one of: {LIST}",
    ),
    ("latest of none", {"restore": "latest"}, NO_SNAPSHOTS, ["snapshots"], fate.RESTORE, "there is no snapshot s3://"),
    # a disk that is there, and is to be thrown away
    ("thrown away", DISCARDED, World(), LOOKED, A, f"{LOSES}; master i-1 is replaced; the API does not answer until"),
    ("thrown away for a certain one", {**DISCARDED, "restore": B}, World(), LOOKED, B, "snapshot of 2026-11-08 00:00"),
    ("thrown away, no master", {**DISCARDED, **on(holders=())}, DEAD, LOOKED, A, LOSES),
    ("thrown away, its master ends", DISCARDED, GONE, LOOKED, A, LOSES),
    ("thrown away, it heals itself", {**DISCARDED, "self_heal": True}, World(), LOOKED, A, LOSES),
    ("thrown away, once restored", {**DISCARDED, **on(snapshot=B)}, World(), LOOKED, A, LOSES),
    ("thrown away, still to be restored", {**DISCARDED, **on("", snapshot=B)}, World(), LOOKED, A, LOSES),
    ("thrown away, and back by a release", {**DISCARDED, **on(NEW), "remembered": NEW}, World(), LOOKED, A, LOSES),
    (
        "thrown away, and another's",
        {**DISCARDED, **on(holders=(MASTER, OTHER))},
        World(),
        ["snapshots", "instance"],
        fate.DISCARD,
        "disk vol-1 is attached to i-2, which is not the master; detach it first: "
        "aws ec2 detach-volume --volume-id vol-1 --instance-id i-2, then this again",
    ),
    ("thrown away for none", {**DISCARDED, "restore": "none"}, World(), [], fate.DISCARD, "goes with KUBE_RESTORE_"),
    (
        "thrown away, and no more",
        {"discard": DISK},
        World(),
        [],
        fate.DISCARD,
        "goes with KUBE_RESTORE_SNAPSHOT=latest",
    ),
    ("thrown away for which?", {**DISCARDED, "restore": "which"}, World(), BOTH, fate.RESTORE, "has no version which"),
    ("thrown away, of none", DISCARDED, NO_SNAPSHOTS, ["snapshots"], fate.RESTORE, "there is no snapshot s3://"),
    (
        "thrown away for one that cannot be read",
        DISCARDED,
        World(unreadable="InvalidObjectState"),
        LOOKED,
        1,
        "the snapshot snapshot-a of 2026-11-09 00:00 UTC cannot be read (InvalidObjectState), and disk vol-1 stays",
    ),
    ("thrown away without the CA", DISCARDED, World(ca=False), LOOKED[:3], 1, "the cluster's CA, is gone"),
    (
        "thrown away, by another release",
        {**DISCARDED, **up(NEW)},
        World(),
        LOOKED[:4],
        fate.VERSION,
        "and the new master would be of 1.37.2; say KUBERNETES_VERSION=1.36.3 too",
    ),
    ("thrown away in another zone", {**DISCARDED, "zone": "us-west-2b"}, World(), [], "KUBE_AWS_ZONE", "cannot move"),
    (
        "thrown away by a group",
        {**GROUP, "discard": DISK},
        World(),
        [],
        fate.DISCARD,
        "goes with KUBE_RESTORE_SNAPSHOT",
    ),
    (
        "another disk, which is there",
        {"restore": "latest", "discard": "vol-2"},
        World(named=True),
        ["named"],
        fate.DISCARD,
        "disk vol-2 is not the master's, which is vol-1; leave it out, or name the one that is meant",
    ),
    (
        "another disk, which is gone",
        {"restore": "latest", "discard": "vol-2"},
        World(),
        ["named", "snapshots", "instance"],
        fate.RESTORE,
        STAYS + END,
    ),
    (
        "thrown away already, and one waits",
        {**RESTORED, "restore": "latest", "discard": "vol-2"},
        World(),
        ["named", "snapshots", "release"],
        A,
        "KUBE_DISCARD_DISK: disk vol-2 is gone already; disk vol-1 made from snapshot snapshot-a of",
    ),
    (
        "thrown away already, and none is made",
        none(**DISCARDED),
        DEAD,
        [*NEW_DISK, "ca", "release", "named"],
        A,
        "disk vol-1 is gone already; snapshot snapshot-a of",
    ),
    (
        "thrown away already, and its master came back",
        none(**DISCARDED),
        World(),
        [*NEW_DISK, "ca", "release", "named"],
        A,
        "disk vol-1 is gone already",
    ),
    (
        "a disk of somebody's, and none is there",
        none(restore="latest", discard="vol-2"),
        World(instance=None, named=True),
        [*NEW_DISK, "ca", "release", "named"],
        fate.DISCARD,
        "disk vol-2 is not the master's; leave it out",
    ),
    # a disk that is made from a snapshot
    ("a restore goes on", RESTORED, World(), ["snapshots", "release"], A, ""),
    ("its own", {**RESTORED, "restore": A}, World(), ["snapshots", "release"], A, "made from snapshot snapshot-a of"),
    (
        "latest means its own",
        {**on("", snapshot=B, holders=()), "restore": "latest"},
        World(),
        ["snapshots", "release"],
        B,
        "it is not restored again, and there is 1 newer, the newest snapshot-a of",
    ),
    ("another one", {**RESTORED, "restore": B}, World(), ["snapshots", "instance"], fate.RESTORE, STAYS),
    (
        "by another release",
        {**RESTORED, **up(NEW)},
        World(),
        ["snapshots", "release"],
        fate.VERSION,
        "say KUBERNETES_VERSION=1.36.3 too, and upgrade once a run has seen the API of the restored master",
    ),
    ("long ago", on(snapshot=A), World(), [], A, ""),
    ("its snapshot is gone", RESTORED, NO_SNAPSHOTS, ["snapshots"], A, ""),
    # a disk that is gone, or never was
    ("a cluster begins", none(there=False, remembered=""), NO_SNAPSHOTS, ["snapshots"], "", ""),
    ("gone, without a snapshot", none(), NO_SNAPSHOTS, NEW_DISK, "", ""),
    (
        "gone, and nobody said which",
        none(),
        DEAD,
        ["snapshots", "instance", "untagged", "release", "release"],
        fate.RESTORE,
        "the master's disk is gone, and s3://bucket/etcd has 2 snapshots of etcd, the newest of 2026-11-09 00:00 UTC; "
        f"say latest to restore it on a new disk, or another's id ({LIST}), or none to begin with an empty cluster",
    ),
    (
        "gone, nobody said which, and its master lives",
        none(),
        World(),
        ["snapshots", "instance", "untagged", "release", "release"],
        fate.RESTORE,
        "with an empty cluster; and say KUBE_REPLACE_MASTER=i-1 too",
    ),
    ("gone, none", none(restore="none"), DEAD, NEW_DISK, "", ""),
    (
        "gone, latest",
        none(restore="latest"),
        DEAD,
        [*NEW_DISK, "ca", "release"],
        A,
        "Kubernetes 1.36.3, 1.0 MiB: the n",
    ),
    ("gone, a certain one", none(restore=B), DEAD, [*NEW_DISK, "ca", "release"], B, "the new disk is made from it"),
    ("gone, latest of none", none(restore="latest"), NO_SNAPSHOTS, NEW_DISK, fate.RESTORE, "there is no snapshot"),
    (
        "gone, and its master lives",
        none(restore="latest"),
        World(),
        NEW_DISK,
        fate.REPLACE,
        "the master's disk is gone, and the master i-1 (running), which knows vol-1, is there; say KUBE_REPLACE",
    ),
    (
        "gone, another named",
        none(restore="latest", replace=OTHER),
        World(),
        NEW_DISK,
        fate.REPLACE,
        "say KUBE_REPLACE_",
    ),
    (
        "gone, its master named",
        none(restore=A, replace=MASTER),
        World(),
        [*NEW_DISK, "ca", "release"],
        A,
        "the new disk is made from it",
    ),
    (
        "gone, its master ends",
        none(restore="latest"),
        GONE,
        [*NEW_DISK, "ca", "release"],
        A,
        "the new disk is made from it",
    ),
    (
        "only its tags are gone",
        none(),
        World(untagged=("vol-9",)),
        NEW_DISK,
        fate.RESTORE,
        "the master's disk vol-9 is there, and has lost the cluster's tags; give them back, and say nothing of"
        " snapshots: aws ec2 create-tags --resources vol-9 --tags Key=KubernetesCluster,Value=kubernetes Key=Name,",
    ),
    (
        "gone, with the CA",
        none(restore=A),
        World(instance=None, ca=False),
        [*NEW_DISK, "ca"],
        1,
        "the cluster's CA, is g",
    ),
    (
        "gone, of another minor release",
        none(restore=A, **up(NEW)),
        DEAD,
        [*NEW_DISK, "ca", "release"],
        fate.VERSION,
        "and the new master would be of 1.37.2; say KUBERNETES_VERSION=1.36.3 too, and upgrade afterwards, or restore",
    ),
    (
        "gone, of a newer patch",
        none(restore=A),
        World(instance=None, releases={A: PATCH, B: OLD}),
        [*NEW_DISK, "ca", "release"],
        fate.VERSION,
        "say KUBERNETES_VERSION=1.36.9 too",
    ),
    (
        "gone, of a release that nobody knows",
        none(restore=A),
        World(instance=None, releases={A: "", B: ""}),
        [*NEW_DISK, "ca", "release"],
        A,
        UNTOLD,
    ),
    # KUBE_USE_EXISTING_MASTER
    ("a group", GROUP, World(), ["instance"], "", ""),
    ("a group, and a snapshot", {**GROUP, "restore": "latest"}, World(), [], fate.RESTORE, "leaves the master alone"),
    ("a group of another release", {**GROUP, **up(NEW)}, World(), ["instance"], fate.VERSION, "the cluster has 1.36.3"),
    (
        "a group before its master",
        {**GROUP, "version": NEW, "remembered": NEW},
        World(),
        ["instance"],
        1,
        "would be newer",
    ),
]


@pytest.mark.parametrize(
    ("known", "world", "looks", "ends", "words"), [row[1:] for row in BEGINS], ids=[row[0] for row in BEGINS]
)
def test_whether_a_run_may_begin(
    known: Mapping[str, Any], world: World, looks: list[str], ends: str | int, words: str
) -> None:
    found, _, looked = begun(situation(**known), world)
    if isinstance(found, Refuse):
        assert ends == (found.error.variable if isinstance(found.error, SettingError) else found.error.exit_code)
    else:
        assert ends == found.restore
        assert bool(found.said) is bool(words)
    assert words in said(found)
    assert looked == looks


AWAY = "the API does not answer until the master is back"


def sized(size: str) -> dict[str, Any]:
    return {"size": size, "says_size": True}


def made(**more: Any) -> Instance:
    return dataclasses.replace(MASTER_THERE, **more)


GIVEN_UP: dict[str, Any] = {**none(**DISCARDED), "discarded": DISK_THERE, "instance": MASTER_THERE}

# name, what is known of it, the instance, what becomes of it (was, becomes where that matters), words
FATES: list[tuple[str, Mapping[str, Any], Instance | None, tuple[str, ...], str]] = [
    ("a cluster begins", {"disk": None}, None, ("make",), ""),
    ("dead", {}, None, ("make",), ""),
    ("dead, on a disk that waits", RESTORED, None, ("restore",), ""),
    ("dead, on one that was restored", on(snapshot=A, holders=()), None, ("make",), ""),
    ("as it is", {}, made(), ("keep",), ""),
    ("it says nothing of itself", {}, made(version="", disk_id=""), ("keep",), ""),
    ("named", {"replace": MASTER}, made(), ("replace",), AWAY),
    ("named, and stopped", {"replace": MASTER}, made(state="stopped"), ("replace",), ""),
    (
        "another named",
        {"replace": OTHER},
        made(),
        ("keep",),
        "KUBE_REPLACE_MASTER: i-2 is not the master, which is i-1",
    ),
    (
        "for another disk",
        {},
        made(disk_id="vol-0"),
        ("replace",),
        "master i-1 was made for disk vol-0, and is replaced",
    ),
    ("for none, and one waits", RESTORED, made(disk_id=""), ("replace",), "master i-1 was made for another disk"),
    ("upgraded", up(NEW), made(), ("upgrade", OLD, NEW), "takes a snapshot of etcd and upgrades what is on the disk"),
    (
        "upgraded, without a snapshot",
        {**up(NEW), "no_snapshots": "KUBE_ETCD_SNAPSHOT_HOURS=0"},
        made(),
        ("upgrade", OLD, NEW),
        "upgrades what is on the disk, and takes no snapshot of etcd before: KUBE_ETCD_SNAPSHOT_HOURS=0",
    ),
    ("upgraded, by what the disk says", up(NEW), made(version=""), ("upgrade", OLD, NEW), "master i-1 is replaced"),
    ("upgraded already", {**up(NEW), "remembered": NEW}, made(version=NEW), ("keep",), ""),
    ("gone on with", {**up(NEW), "remembered": NEW}, made(), ("upgrade", OLD, NEW), "master i-1 is replaced"),
    (
        "called off",
        {**up(OLD), "remembered": NEW},
        made(version=NEW),
        ("call off", NEW, OLD),
        "the new one goes on with what is on the disk",
    ),
    ("upgraded, not replaced twice", {**up(NEW), "replace": MASTER}, made(), ("upgrade", OLD, NEW), "1.36.3 → 1.37.2"),
    ("another size", sized("m6i.large"), made(), ("resize", "t3.medium", "m6i.large"), AWAY),
    ("another size, and stopped", sized("m6i.large"), made(state="stopped"), ("resize", "t3.medium", "m6i.large"), ""),
    ("another size, and named", {**sized("m7g.large"), "replace": MASTER}, made(), ("replace",), AWAY),
    ("another architecture", sized("m7g.large"), made(), ("refuse",), "KUBE_REPLACE_MASTER=i-1 python kube_up.py"),
    (
        "another size that nobody asked for",
        {"size": "m6i.large"},
        made(),
        ("keep",),
        "master i-1 is t3.medium, and not m6i.large: MASTER_SIZE=m6i.large python kube_up.py stops it for that; "
        "MASTER_SIZE=t3.medium leaves it so for good",
    ),
    ("one of another architecture", {"size": "m7g.large"}, made(), ("keep",), "KUBE_REPLACE_MASTER=i-1 python kube_up"),
    ("ended with its disk", GIVEN_UP, None, ("replace",), ""),
    ("to be ended with its disk", GIVEN_UP, made(), ("replace",), ""),
    ("came as its disk went", GIVEN_UP, made(instance_id=OTHER), ("replace",), "master i-2 was made for disk vol-1"),
    ("dead, and its disk went", {**GIVEN_UP, "instance": None}, None, ("make",), ""),
    ("where a resize was stopped", {"size": "m6i.large"}, made(state="stopped"), ("resize",), ""),
]


@pytest.mark.parametrize(("known", "it", "becomes", "words"), [row[1:] for row in FATES], ids=[row[0] for row in FATES])
def test_what_becomes_of_the_master(
    known: Mapping[str, Any], it: Instance | None, becomes: tuple[str, ...], words: str
) -> None:
    found = fate.decide(situation(**known), it, disk_id="vol-new" if "discarded" in known else DISK)
    if isinstance(found, Refuse):
        assert (becomes, words in found.error.hint) == (("refuse",), True)
        return
    assert (found.what, found.was, found.becomes)[: len(becomes)] == becomes
    assert words in said(found)
    assert bool(found.said) is bool(words)


def test_only_the_release_that_was_set_up_is_confirmed() -> None:
    known = situation(**up(NEW))
    assert fate.answered(known, "1.37.2+build", instance_id=MASTER) is None
    found = fate.answered(known, OLD, instance_id=MASTER)
    assert found
    assert said(found) == "the API of i-1 is Kubernetes 1.36.3, and not 1.37.2"
    assert found.error.hint.startswith("KUBE_REPLACE_MASTER=i-1 ")


# --- what holds in every situation


def everything() -> Iterator[tuple[Situation, World]]:
    """Every situation of these, whether it makes sense or not."""
    versions, there = (OLD, PATCH, NEW), ("", OLDEST, OLD, NEW)
    disks = [None, *(dataclasses.replace(DISK_THERE, version=v, snapshot=s) for v in there for s in ("", A))]
    instances = [None, *(made(version=v, disk_id=d, state=s) for v in there for d in ("", DISK) for s in STATES)]
    says = [{"version": v, "says_version": s} for v in versions for s in (None, "", v)]
    for disk, it, asks, remembered in itertools.product(disks, instances, says, ("", OLD, NEW)):
        for more, group, well in itertools.product(CHOICES, (False, True), (False, True)):
            taken = World(instance=it, well=well, releases={A: OLD, B: ""})
            yield situation(disk=None if group else disk, remembered=remembered, group=group, **asks, **more), taken


STATES = ("running", "shutting-down")
SIZED = {"size": "m6i.large", "says_size": True}
CHOICES: list[dict[str, Any]] = [
    {},
    {"restore": "latest"},
    {"replace": MASTER, "restore": A},
    DISCARDED,
    {"size": "m6i.large"},
    SIZED,
]


PARTS = 5  # and no number of choices is a multiple of it: each part has all choices of each thing


@pytest.mark.parametrize("part", spread(range(PARTS), 1))
def test_in_every_situation(part: int) -> None:
    for known, world in itertools.islice(everything(), part, None, PARTS):
        found, known, _ = begun(known, world)
        if isinstance(found, Refuse):
            _is_a_refusal_that_helps(found)
            continue
        if found.loses:
            _a_disk_is_thrown_away_only_by_its_id_and_for_a_snapshot(known, found)
            known = known.without_disk()
        _never_down_and_never_two_minors(known)
        if known.asked.group:
            _never_newer_than_the_api(known, world)
            continue
        _nothing_is_restored_over_data_or_by_another_release(known, found, world)
        it = world.instance if world.instance and world.instance.state != "shutting-down" else None
        becomes = fate.decide(known, it, disk_id=known.disk.disk_id if known.disk else "new")
        if isinstance(becomes, Refuse):
            assert "KUBE_REPLACE_MASTER=" in becomes.error.hint
        else:
            _nothing_ends_without_a_reason(known, it, becomes, told=said(found if found.loses else becomes))


def _is_a_refusal_that_helps(found: Refuse) -> None:
    if isinstance(found.error, SettingError):
        assert found.error.variable in (fate.VERSION, fate.RESTORE, fate.REPLACE, fate.DISCARD)
        assert found.error.problem
        assert found.error.right
    else:
        assert found.error.hint


def _a_disk_is_thrown_away_only_by_its_id_and_for_a_snapshot(known: Situation, found: Begin) -> None:
    assert known.disk
    assert known.disk.disk_id == known.asked.discard
    assert found.restore in (A, B)
    assert known.unreadable == ""
    assert found.loses in said(found)


def _never_down_and_never_two_minors(known: Situation) -> None:
    has, wanted = numbers(known.confirmed), numbers(known.asked.version)
    if has:
        assert has <= wanted
        assert wanted[:2] <= (has[0], has[1] + 1)


def _never_newer_than_the_api(known: Situation, world: World) -> None:
    assert known.asked.version == known.remembered
    if world.instance and world.instance.version:
        assert numbers(world.instance.version) >= numbers(known.asked.version)


def _nothing_is_restored_over_data_or_by_another_release(known: Situation, found: Begin, world: World) -> None:
    made_from = known.disk.snapshot if known.disk else found.restore
    assert found.restore == made_from
    if found.restore and not known.confirmed and world.releases[found.restore]:
        has, wanted = numbers(world.releases[found.restore]), numbers(known.asked.version)
        assert has[:2] == wanted[:2]
        assert has <= wanted


def _nothing_ends_without_a_reason(known: Situation, it: Instance | None, becomes: Fate, *, told: str) -> None:
    if it is None:
        assert becomes.what in ("make", "restore")
    elif becomes.ends:
        of_another = it.version not in ("", known.asked.version) or known.confirmed not in ("", known.asked.version)
        assert AWAY in told
        assert of_another or it.instance_id == known.asked.replace or becomes.what == "replace"
        if becomes.what == "replace" and it.instance_id != known.asked.replace:
            assert it.disk_id != (known.disk.disk_id if known.disk else "new")
    else:
        assert becomes.what in ("keep", "resize")
        assert (becomes.what == "resize") is (it.size != known.asked.size and known.asked.says_size)
        assert becomes.what == "keep" or AWAY in said(becomes)


def test_what_was_not_looked_at_is_told_from_what_is_not_there() -> None:
    assert situation().instance is UNSEEN
    assert situation().living is None
