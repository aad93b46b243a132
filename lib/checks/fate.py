"""What becomes of the master: all that is known of its release, disk, snapshots and instance, and the rules about it.

The release stands in seven places: what is asked, what is remembered, tags on instance and disk, a snapshot's metadata,
the API's own answer, and what the bootstrap finds on the disk. Here is what each of them counts for:

1. The disk's tag, the last release whose API was seen to answer, is what may be upgraded or gone back from.
2. Where the disk does not say it, what is remembered and what the instance was made for both count.
3. A snapshot is restored by its own minor release, whatever else is known.
4. The API's own answer ends a run that has set up another one, before any minion is made of it (`answered`).
5. What is on the disk has the last word: only the bootstrap sees it, and never goes down either (bootstrap-master.sh).

The rules are those of Kubernetes' version skew policy: a control plane goes up by one minor release at a time, to any
of its patches, and never down, since etcd's data and the objects in it are those of the newer one by then.

Nothing here calls anybody. A rule that needs what was not looked at yet answers with a `Look`, and is asked again with
it: so a run asks AWS and the API only where it matters, and the tables in tests/test_fate.py say when that is.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TypeVar

from lib.aws.tags import CLUSTER
from lib.checks.situation import (
    Asked,
    Begin,
    Disk,
    Fate,
    Instance,
    Look,
    Refuse,
    Said,
    Situation,
    Snapshot,
    Thing,
    Unseen,
)
from lib.run.errors import KubeError, SettingError
from lib.settings import sizes

VERSION, RESTORE, REPLACE = "KUBERNETES_VERSION", "KUBE_RESTORE_SNAPSHOT", "KUBE_REPLACE_MASTER"
DISCARD = "KUBE_DISCARD_DISK"
LATEST, NONE = "latest", "none"
_SHOWN = 5  # snapshots that a refusal names
_ELSE = "upgrade afterwards, or restore another one"
_LATER = "upgrade once a run has seen the API of the restored master (where it is private, a run inside the VPC)"
_DOWN = ("stopping", "stopped")
_T = TypeVar("_T")


class _NeedsError(Exception):
    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.look = look


def _seen(value: _T | Unseen, at: Thing) -> _T:
    if isinstance(value, Unseen):
        raise _NeedsError(Look(at))
    return value


def _release(known: Situation, snapshot: Snapshot) -> str:
    if snapshot.version not in known.releases:
        raise _NeedsError(Look("release", snapshot.version))
    return known.releases[snapshot.version]


def begin(known: Situation) -> Begin | Refuse | Look:
    """Whether the run may begin, decided before anything is changed, of the disk and the instance as they are then."""
    try:
        return _begin(known)
    except _NeedsError as needs:
        return needs.look
    except KubeError as error:
        return Refuse(error)


def _begin(known: Situation) -> Begin:
    asked, disk = known.asked, known.disk
    if asked.discard and asked.restore in ("", NONE):
        problem = f"goes with {RESTORE}={LATEST}, or a version's id: a disk is thrown away for a snapshot alone"
        raise SettingError(DISCARD, problem, "say that too, or leave it out")
    if asked.group:
        _refuse_for_a_group(known)
        return Begin()
    if disk is None:
        begin = _for_a_new_disk(known)
        return dataclasses.replace(begin, said=(*_gone_already(known), *begin.said))
    refuse_misfit(disk, zone=asked.zone, gib=asked.disk_gib)
    if asked.discard == disk.disk_id:
        return _instead_of(known, disk)
    said = _gone_already(known)
    begin = _on_its_disk(known, disk)
    return dataclasses.replace(begin, said=(*said, *begin.said, *_next_release(known)))


# --- which release


def numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, which compare as versions do."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _next_release(known: Situation) -> tuple[Said, ...]:
    """Raises SettingError for a release that a cluster which has data cannot have after the one that it has."""
    wanted, was, has = known.asked.version, known.remembered, known.confirmed
    if wanted == was:
        if has:  # what is remembered may be older than the disk: somebody put an old version of it back
            _refuse_step(has, wanted, begun=was, hint=f"say {has}")
        return ()
    if not known.asked.says_version and not was:
        where = f"and the disk has {has}" if has else "and no master and no disk says which release the cluster has"
        raise SettingError(VERSION, f"is not remembered, {where}", f"say {has or 'the one that it had'}")
    if not known.asked.says_version:
        problem = f"is empty, which stands for {wanted}, and the cluster has {was}"
        raise SettingError(VERSION, problem, f"say {wanted} to upgrade it, or leave it out")
    # Where the disk says nothing, an upgrade that was stopped early is remembered, and its master is still the old one.
    for version in [has] if has else dict.fromkeys((was, _running(known))):
        if version:
            _refuse_step(version, wanted, begun=was)
    return _called_off(known) if has and numbers(wanted) < numbers(was) else ()


def _running(known: Situation) -> str:
    """The release that the instance was made for, '' where there is none, or it does not say."""
    instance = _seen(known.instance, "instance")
    return instance.version if instance else ""


def _called_off(known: Situation) -> tuple[Said, ...]:
    """That the upgrade is given up. Raises SettingError where it is done, though no run was there to see it."""
    begun = known.remembered
    if _running(known) == begun and _seen(known.well, "well"):
        _refuse_step(begun, known.asked.version, begun=begun)
    words = (
        f"the upgrade to {begun} is called off: no run has seen its API answer. Where it has begun to change the disk "
        "after all, the master says so and does not start, and the same upgrade goes on"
    )
    return (Said("say", words),)


def _refuse_for_a_group(known: Situation) -> None:
    """Raises SettingError, and KubeError when the group would get a newer release than the master has."""
    wanted = known.asked.version
    if known.asked.restore:
        raise SettingError(
            RESTORE, "a run with KUBE_USE_EXISTING_MASTER leaves the master alone", "leave one of them out"
        )
    has = _running(known)
    if wanted != known.remembered:
        problem = (
            f"the cluster has {known.remembered or has or 'another release'}, "
            "and a run with KUBE_USE_EXISTING_MASTER leaves the master alone"
        )
        raise SettingError(VERSION, problem, "leave it out, or upgrade without KUBE_USE_EXISTING_MASTER first")
    if has and numbers(has) < numbers(wanted):
        raise KubeError(
            f"the master still has Kubernetes {has}, and minions of {wanted} would be newer",
            hint="finish the upgrade first: the same command without KUBE_USE_EXISTING_MASTER",
        )


def _refuse_step(version: str, wanted: str, *, begun: str, hint: str = "leave it out") -> None:
    has, becomes = numbers(version), numbers(wanted)
    if len(has) < len(becomes):  # somebody wrote something else there
        return
    if becomes < has:
        problem = f"the cluster has {version}, and a control plane cannot go down to {wanted}"
        raise SettingError(VERSION, problem, f"{hint}; docs/upgrading.md says how to go back")
    if becomes[:2] > (has[0], has[1] + 1):
        problem = f"the cluster has {version}, and {wanted} would skip a minor release"
        if numbers(begun) > has:
            problem = f"the upgrade from {version} to {begun} is not done, and {wanted} would skip a minor release"
            raise SettingError(VERSION, problem, "leave it out, which goes on with that one")
        raise SettingError(VERSION, problem, f"upgrade to a release of {has[0]}.{has[1] + 1} first")


def answered(known: Situation, answer: str, *, instance_id: str) -> Refuse | None:
    """A Refuse where the API is of another release than this run has set up: the minions would be newer than it."""
    wanted = known.asked.version
    if numbers(answer)[:3] == numbers(wanted)[:3]:
        return None
    again = f"{REPLACE}={instance_id} python kube_up.py makes it anew"
    return Refuse(KubeError(f"the API of {instance_id} is Kubernetes {answer}, and not {wanted}", hint=again))


# --- which data


def refuse_misfit(disk: Disk, *, zone: str, gib: int) -> None:
    """Raises SettingError for a disk that is in another zone, or larger than asked: it cannot move or shrink."""
    if disk.zone != zone:
        raise SettingError(
            "KUBE_AWS_ZONE",
            f"the master's disk {disk.disk_id} is in {disk.zone}, and a disk cannot move",
            f"set KUBE_AWS_ZONE={disk.zone}",
        )
    if disk.gib > gib:
        raise SettingError(
            "MASTER_DISK_SIZE",
            f"the master's disk has {disk.gib} GiB, and a disk cannot shrink",
            f"give {disk.gib} or more",
        )


def _on_its_disk(known: Situation, disk: Disk) -> Begin:
    """What a disk was made from is written on it, so a rerun without KUBE_RESTORE_SNAPSHOT goes on with the same."""
    asks = known.asked.restore not in ("", NONE)
    may_yet_be = disk.snapshot and not disk.version  # its master may yet have to restore it
    there = _seen(known.snapshots, "snapshots") if asks or may_yet_be else ()
    said: tuple[Said, ...] = ()
    if asks:
        goes_on = disk.snapshot and known.asked.restore == LATEST
        if not goes_on and _wanted(known, there).version != disk.snapshot:
            raise _disk_is_there(known, disk)
        said = (_restored(disk, there),)
    if may_yet_be:
        for snapshot in there:
            if snapshot.version == disk.snapshot:
                _check_release(known, snapshot, hint=_LATER)
    return Begin(disk.snapshot, said)


def _restored(disk: Disk, there: tuple[Snapshot, ...]) -> Said:
    """Which snapshot the disk is made from, which is all that is restored on it, and that there are newer ones.

    Its own master takes the first of these within minutes, so a restore that was stopped must not mean them by latest.
    """
    mine = next((snapshot for snapshot in there if snapshot.version == disk.snapshot), None)
    words = f"disk {disk.disk_id} made from snapshot {mine or disk.snapshot}: it is not restored again"
    newer = there.index(mine) if mine else len(there)
    if not newer:
        return Said("found", words)
    return Said(
        "warn",
        f"{words}, and there {'are' if newer > 1 else 'is'} {newer} newer, the newest {there[0]}; "
        f"to go back to another one name it in {RESTORE}",
    )


def _instead_of(known: Situation, disk: Disk) -> Begin:
    """The disk that KUBE_DISCARD_DISK names is thrown away, and a new one is made from the snapshot.

    Only once all is known that could keep the new one from being made. Whoever else has the disk is not touched.
    """
    wanted, there = _wanted(known, _seen(known.snapshots, "snapshots")), _seen(known.instance, "instance")
    free = _to_free(known, disk)
    if free:
        raise SettingError(
            DISCARD,
            f"disk {disk.disk_id} is attached to {' and '.join(_others(disk, there))}, which is not the master",
            f"detach it first: {', then '.join(free)}, then this again",
        )
    begin = _from(known, wanted)
    if isinstance(known.unreadable, Unseen):
        raise _NeedsError(Look("unreadable", wanted.version))
    if known.unreadable:
        raise KubeError(
            f"the snapshot {wanted} cannot be read ({known.unreadable}), and disk {disk.disk_id} stays",
            hint=f"name another one in {RESTORE}, or have that one made readable",
        )
    loses = f"disk {disk.disk_id} is removed for ever, with all that came after the snapshot of {wanted.when}"
    master = known.living
    replaced = f"; master {master.instance_id} is replaced" if master else ""
    said = (*begin.said, Said("warn", f"{loses}{replaced}"), *(_away(master) if master else ()))
    return dataclasses.replace(begin, said=said, loses=loses)


def _gone_already(known: Situation) -> tuple[Said, ...]:
    """That the disk which is to be thrown away is no more, as a rerun finds it.

    Raises SettingError for one that is there and is not the master's.
    """
    discard, disk = known.asked.discard, known.disk
    if not discard:
        return ()
    if _seen(known.named, "named"):
        problem = f"disk {discard} is not the master's{f', which is {disk.disk_id}' if disk else ''}"
        raise SettingError(DISCARD, problem, "leave it out, or name the one that is meant")
    return (Said("say", f"{DISCARD}: disk {discard} is gone already"),)


def _for_a_new_disk(known: Situation) -> Begin:
    """For a disk that is not there yet. Of a cluster that begins there is nothing to look for."""
    asked, there = known.asked, _seen(known.snapshots, "snapshots")
    waiting = None
    if known.there:
        _seen(known.instance, "instance")
        waiting = known.living
        _refuse_lost_tags(known)
    # One that still waits for the disk that was thrown away is known to be in the way, as is the one that is named.
    if waiting and (waiting.instance_id == asked.replace or (asked.discard and waiting.disk_id == asked.discard)):
        waiting = None
    if there and not asked.restore:
        too = f"; and {_replaced_too(waiting)}" if waiting else ""
        raise SettingError(
            RESTORE,
            f"the master's disk is gone, and {known.place} has {len(there)} snapshot{'s' * (len(there) > 1)} "
            f"of etcd, the newest of {there[0].taken:%Y-%m-%d %H:%M} UTC",
            f"say {LATEST} to restore it on a new disk, or another's id ({_newest(known, there)}), "
            f"or {NONE} to begin with an empty cluster{too}",
        )
    if waiting:
        knows = waiting.disk_id or "no other"
        there_is = f"the master {waiting.instance_id} ({waiting.state}), which knows {knows}, is there"
        raise SettingError(REPLACE, f"the master's disk is gone, and {there_is}", _replaced_too(waiting))
    if asked.restore in ("", NONE):
        return Begin()
    return _from(known, _wanted(known, there))


def _from(known: Situation, wanted: Snapshot) -> Begin:
    """A new disk is made from that snapshot."""
    if not _seen(known.ca, "ca"):
        raise KubeError(
            f"{known.ca_place}, the cluster's CA, is gone, and the snapshot does not hold it",
            hint="put an earlier version of it back: docs/recovery.md, The bucket is lost",
        )
    _check_release(known, wanted, hint=_ELSE)
    said = [Said("found", f"snapshot {_described(known, wanted)}: the new disk is made from it")]
    if not _release(known, wanted):
        words = (
            f"the snapshot {wanted} does not say of which release of Kubernetes it is: "
            f"{known.asked.version} is to read it, which it cannot if that is another minor release"
        )
        said.append(Said("warn", words))
    return Begin(wanted.version, tuple(said))


def _refuse_lost_tags(known: Situation) -> None:
    """Raises SettingError where the master's disk is there after all, without the tags that it is found by."""
    lost = _seen(known.untagged, "untagged")
    if lost:
        tags = f"Key={CLUSTER},Value={known.asked.cluster_id} Key=Name,Value={known.asked.disk_name}"
        of = lost[0] if len(lost) == 1 else "<the one that it is>"
        raise SettingError(
            RESTORE,
            f"the master's disk {' or '.join(lost)} is there, and has lost the cluster's tags",
            f"give them back, and say nothing of snapshots: aws ec2 create-tags --resources {of} --tags {tags}",
        )


def _described(known: Situation, snapshot: Snapshot) -> str:
    release = _release(known, snapshot)
    return f"{snapshot}, {f'Kubernetes {release}' if release else 'release unknown'}, {snapshot.size / 1024**2:.1f} MiB"


def _newest(known: Situation, there: tuple[Snapshot, ...]) -> str:
    """The newest ones, as a refusal names them."""
    return "; ".join(_described(known, each) for each in there[:_SHOWN])


def _check_release(known: Situation, snapshot: Snapshot, *, hint: str) -> None:
    """Raises SettingError for a snapshot of another minor release, or of a newer patch, than the new master gets.

    etcd's format and the objects in it are that release's; it is upgraded once it runs, and never goes down.
    """
    release = _release(known, snapshot)
    has, wanted = numbers(release), numbers(known.asked.version)
    if release and (has[:2] != wanted[:2] or wanted < has):
        raise SettingError(
            VERSION,
            f"the snapshot {snapshot} is of Kubernetes {release}, and the new master would be of {known.asked.version}",
            f"say {VERSION}={release} too, and {hint}",
        )


def _wanted(known: Situation, there: tuple[Snapshot, ...]) -> Snapshot:
    if not there:
        raise SettingError(RESTORE, f"there is no snapshot {known.place}", "leave it out")
    if known.asked.restore == LATEST:
        return there[0]
    named = next((snapshot for snapshot in there if snapshot.version == known.asked.restore), None)
    if named is None:
        raise SettingError(
            RESTORE,
            f"{known.place} has no version {known.asked.restore}",
            f"say {LATEST}, or one of: {_newest(known, there)}",
        )
    return named


def _replaced_too(master: Instance) -> str:
    return f"say {REPLACE}={master.instance_id} too, which makes that master anew with the new disk"


def _disk_is_there(known: Situation, disk: Disk) -> SettingError:
    _seen(known.instance, "instance")
    throw = f"say {DISCARD}={disk.disk_id} too, which throws that away for ever"
    return SettingError(
        RESTORE,
        f"the master's disk {disk.disk_id} is there, and a snapshot is restored on a new one only",
        f"leave it out to keep what is on the disk, or {', then '.join([*_to_free(known, disk), throw])}",
    )


def _others(disk: Disk, master: Instance | None) -> list[str]:
    """The instances that have the disk and are not the master."""
    return sorted(set(disk.holders) - ({master.instance_id} if master else set()))


def _to_free(known: Situation, disk: Disk) -> list[str]:
    """What a person types to have the disk detached from what is not the master: only the master is ended for it."""
    others = _others(disk, _seen(known.instance, "instance"))
    free = [f"aws ec2 detach-volume --volume-id {disk.disk_id} --instance-id {each}" for each in others]
    if free and not known.living:  # one that lives may attach it at once, and is ended anyway
        free.append(f"aws ec2 wait volume-available --volume-ids {disk.disk_id}")
    return free


# --- which instance


def decide(known: Situation, instance: Instance | None, *, disk_id: str) -> Fate | Refuse:
    """What becomes of the instance, decided when it is its turn: it is looked at anew, and `disk_id` is there by now.

    What else is `known` is from before the run, its disk too: a disk that this run has made is none that a master had.
    """
    asked, ended = known.asked, known.living if known.discarded else None
    if ended and (instance is None or instance.instance_id == ended.instance_id):
        return Fate("replace")  # which was said before the disk was thrown away
    if instance is None:
        to_restore = known.disk is not None and known.disk.snapshot and not known.disk.version
        return Fate("restore" if to_restore else "make")
    master, has = instance.instance_id, known.confirmed
    waits = known.disk is not None and known.disk.waits_for_restore
    made_for = instance.disk_id or ("" if waits else disk_id)  # the oldest do not say it
    if made_for != disk_id:  # a schedule or a stopped run made it, before there was this disk
        words = f"master {master} was made for {f'disk {made_for}' if made_for else 'another disk'}, and is replaced"
        return Fate("replace", said=(Said("say", words), *_away(instance)))
    version = instance.version or has or asked.version
    if version != asked.version:
        return _to_another_release(known, instance, version)
    if master == asked.replace:
        return Fate("replace", said=_away(instance))
    return _as_it_is(asked, instance)


def _away(instance: Instance) -> tuple[Said, ...]:
    """That the API is about to be away, where it may be there."""
    if instance.state in _DOWN:
        return ()
    return (Said("say", "the API does not answer until the master is back, which takes minutes; pods run on"),)


def _to_another_release(known: Situation, instance: Instance, version: str) -> Fate:
    wanted = known.asked.version
    words = f"Kubernetes {version} → {wanted}: master {instance.instance_id} is replaced; the new one "
    if known.confirmed == wanted:
        said = Said("say", f"{words}goes on with what is on the disk")
        return Fate("call off", version, wanted, (said, *_away(instance)))
    said = Said("say", f"{words}takes a snapshot of etcd and upgrades what is on the disk")
    if known.no_snapshots:
        without = f"{words}upgrades what is on the disk, and takes no snapshot of etcd before: {known.no_snapshots}"
        said = Said("warn", without)
    return Fate("upgrade", version, wanted, (said, *_away(instance)))


def _as_it_is(asked: Asked, instance: Instance) -> Fate | Refuse:
    """It stays; with the size that is asked for, where it is another one.

    Nothing but MASTER_SIZE itself stops a master that runs. One that is down already may be where a run was stopped.
    """
    master, size = instance.instance_id, instance.size
    said: tuple[Said, ...] = ()
    if asked.replace:
        said = (Said("warn", f"{REPLACE}: {asked.replace} is not the master, which is {master}"),)
    if size == asked.size:
        return Fate("keep", size, size, said)
    another = sizes.architecture(asked.size) != sizes.architecture(size)
    anew = f"{REPLACE}={master} python kube_up.py makes it anew, with its disk and address"
    if not asked.says_size and instance.state not in _DOWN:
        how = anew if another else f"MASTER_SIZE={asked.size} python kube_up.py stops it for that"
        words = f"master {master} is {size}, and not {asked.size}: {how}; MASTER_SIZE={size} leaves it so for good"
        return Fate("keep", size, size, (*said, Said("differs", words)))
    if another:
        words = f"MASTER_SIZE: master {master} is {size}; {asked.size} is of another architecture"
        return Refuse(KubeError(words, hint=anew))
    return Fate("resize", size, asked.size, (*said, *_away(instance)))
