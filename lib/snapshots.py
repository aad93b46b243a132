"""Snapshots of etcd in the bucket, which the master puts there, and which of them a new disk is made from.

All are versions of one object, so that the master's role can add one and never take one away. S3 keeps as many as
KUBE_ETCD_SNAPSHOTS_KEPT says, however old: a master that is dead must not lose its last one to a rule about age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib import upgrade
from lib.aws import objects
from lib.aws.tags import tags_of
from lib.disk import RESTORE_TAG, confirmed_version, disk_name, find_untagged
from lib.master import DISK_TAG, find_master, how_to_end, living_master
from lib.pki import OBJECT as PKI
from lib.run.errors import KubeError, SettingError

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_ec2.type_defs import InstanceTypeDef, VolumeTypeDef

    from lib.aws.client import Aws
    from lib.aws.objects import Bucket
    from lib.cluster import Found
    from lib.settings.config import Config

LATEST, NONE = "latest", "none"
KUBERNETES = "kubernetes-version"  # a snapshot's metadata: which release wrote what is in it (bootstrap-master.sh)
_SETTING = "KUBE_RESTORE_SNAPSHOT"
_ELSE = "upgrade afterwards, or restore another one"
_LATER = "upgrade once a run has seen the API of the restored master (where it is private, a run inside the VPC)"
_SHOWN = 5  # snapshots that a refusal names


@dataclass(frozen=True)
class Snapshot:
    """A version of the object; `size` is in bytes, compressed."""

    version: str
    taken: datetime
    size: int

    def __str__(self) -> str:
        return f"{self.version} of {self.taken:%Y-%m-%d %H:%M} UTC"


def find_snapshots(aws: Aws, bucket: Bucket | None) -> list[Snapshot]:
    """The snapshots that are there, the newest first. A deleted object's are among them: S3 has them still."""
    if bucket is None or bucket.planned:
        return []
    found = [
        Snapshot(version["VersionId"], version["LastModified"], version["Size"])
        for version in objects.object_versions(aws, bucket, objects.SNAPSHOT)
        if version["Key"] == bucket.key(objects.SNAPSHOT)
    ]
    return sorted(found, key=lambda snapshot: snapshot.taken, reverse=True)


def choose(aws: Aws, config: Config, found: Found, disk: VolumeTypeDef | None) -> str:
    """The version of the snapshot that the master's disk is, or is to be, made from; '' for none.

    What the disk was made from is written on it, so a rerun without KUBE_RESTORE_SNAPSHOT goes on with the same. Raises
    SettingError where a snapshot is asked for and data would be lost, and where there is a choice that nobody made.
    """
    if config.kube_use_existing_master:
        _refuse_with_existing_master(config)
        return ""
    if disk is None:
        return _for_a_new_disk(aws, config, found)
    made_from = tags_of(disk).get(RESTORE_TAG, "")
    asks = config.kube_restore_snapshot not in ("", NONE)
    may_yet_be = made_from and not confirmed_version(disk)  # its master may yet have to restore it
    there = find_snapshots(aws, found.bucket) if asks or may_yet_be else []
    if asks:
        goes_on = made_from and config.kube_restore_snapshot == LATEST
        wanted = made_from if goes_on else _wanted(aws, config, found.bucket, there).version
        if wanted != made_from:
            raise _disk_is_there(aws, config, disk)
        _tell_restored(aws, disk, made_from, there)
    if may_yet_be:
        for snapshot in there:
            if snapshot.version == made_from:
                _check_release(config, snapshot, _release(aws, found.bucket, snapshot), hint=_LATER)
    return made_from


def _tell_restored(aws: Aws, disk: VolumeTypeDef, made_from: str, there: list[Snapshot]) -> None:
    """Say which snapshot the disk is made from, which is all that is restored on it, and that there are newer ones.

    Its own master takes the first of these within minutes, so a restore that was stopped must not mean them by latest.
    """
    mine = next((snapshot for snapshot in there if snapshot.version == made_from), None)
    words = f"disk {disk['VolumeId']} made from snapshot {mine or made_from}: it is not restored again"
    newer = there.index(mine) if mine else len(there)
    if newer:
        aws.console.warn(
            f"{words}, and there {'are' if newer > 1 else 'is'} {newer} newer, the newest {there[0]}; "
            f"to go back to another one name it in {_SETTING}"
        )
    else:
        aws.console.found(words)


def _refuse_lost_tags(aws: Aws, config: Config, master: InstanceTypeDef | None) -> None:
    """Raises SettingError where the master's disk is there after all, without the tags that it is found by."""
    lost = find_untagged(aws, config, known=tags_of(master).get(DISK_TAG, "") if master else "")
    if lost:
        tags = f"Key=KubernetesCluster,Value={config.cluster_id} Key=Name,Value={disk_name(config)}"
        of = lost[0] if len(lost) == 1 else "<the one that it is>"
        raise SettingError(
            _SETTING,
            f"the master's disk {' or '.join(lost)} is there, and has lost the cluster's tags",
            f"give them back, and say nothing of snapshots: aws ec2 create-tags --resources {of} --tags {tags}",
        )


def _for_a_new_disk(aws: Aws, config: Config, found: Found) -> str:
    """The version for a disk that is not there yet. Of a cluster that begins there is nothing to look for."""
    bucket = found.bucket
    there = find_snapshots(aws, bucket)
    waiting = None
    if bucket or found.interface:
        waiting = living_master(aws, config)
        _refuse_lost_tags(aws, config, waiting)
    if waiting and waiting["InstanceId"] == config.kube_replace_master:
        waiting = None
    if there and not config.kube_restore_snapshot:
        too = f"; and {_replaced_too(waiting)}" if waiting else ""
        raise SettingError(
            _SETTING,
            f"the master's disk is gone, and s3://{_place(bucket)} has {len(there)} snapshot{'s' * (len(there) > 1)} "
            f"of etcd, the newest of {there[0].taken:%Y-%m-%d %H:%M} UTC",
            f"say {LATEST} to restore it on a new disk, or another's id ({_newest(aws, bucket, there)}), "
            f"or {NONE} to begin with an empty cluster{too}",
        )
    if waiting:
        knows = tags_of(waiting).get(DISK_TAG, "no other")
        master = f"the master {waiting['InstanceId']} ({waiting['State']['Name']}), which knows {knows}, is there"
        raise SettingError("KUBE_REPLACE_MASTER", f"the master's disk is gone, and {master}", _replaced_too(waiting))
    if config.kube_restore_snapshot in ("", NONE):
        return ""
    wanted = _wanted(aws, config, bucket, there)
    _check_ca(aws, bucket)
    release = _release(aws, bucket, wanted)
    _check_release(config, wanted, release)
    aws.console.found(f"snapshot {_described(wanted, release)}: the new disk is made from it")
    if not release:
        aws.console.warn(
            f"the snapshot {wanted} does not say of which release of Kubernetes it is: "
            f"{config.kubernetes_version} is to read it, which it cannot if that is another minor release"
        )
    return wanted.version


def _release(aws: Aws, bucket: Bucket | None, snapshot: Snapshot) -> str:
    """The release of Kubernetes that wrote what is in the snapshot, '' where the snapshot does not say it."""
    return objects.metadata(aws, bucket, objects.SNAPSHOT, snapshot.version).get(KUBERNETES, "") if bucket else ""


def _described(snapshot: Snapshot, release: str) -> str:
    return f"{snapshot}, {f'Kubernetes {release}' if release else 'release unknown'}, {snapshot.size / 1024**2:.1f} MiB"


def _newest(aws: Aws, bucket: Bucket | None, there: list[Snapshot]) -> str:
    """The newest ones, as a refusal names them."""
    return "; ".join(_described(each, _release(aws, bucket, each)) for each in there[:_SHOWN])


def _check_release(config: Config, snapshot: Snapshot, release: str, *, hint: str = _ELSE) -> None:
    """Raises SettingError for a snapshot of another minor release, or of a newer patch, than the new master gets.

    etcd's format and the objects in it are that release's; it is upgraded once it runs, and never goes down.
    """
    has, wanted = upgrade.numbers(release), upgrade.numbers(config.kubernetes_version)
    if release and (has[:2] != wanted[:2] or wanted < has):
        raise SettingError(
            upgrade.SETTING,
            f"the snapshot {snapshot} is of Kubernetes {release}, and the new master would be of "
            f"{config.kubernetes_version}",
            f"say KUBERNETES_VERSION={release} too, and {hint}",
        )


def _wanted(aws: Aws, config: Config, bucket: Bucket | None, there: list[Snapshot]) -> Snapshot:
    if not there:
        raise SettingError(_SETTING, f"there is no snapshot s3://{_place(bucket)}", "leave it out")
    if config.kube_restore_snapshot == LATEST:
        return there[0]
    named = next((snapshot for snapshot in there if snapshot.version == config.kube_restore_snapshot), None)
    if named is None:
        raise SettingError(
            _SETTING,
            f"s3://{_place(bucket)} has no version {config.kube_restore_snapshot}",
            f"say {LATEST}, or one of: {_newest(aws, bucket, there)}",
        )
    return named


def _replaced_too(master: InstanceTypeDef) -> str:
    return f"say KUBE_REPLACE_MASTER={master['InstanceId']} too, which makes that master anew with the new disk"


def _check_ca(aws: Aws, bucket: Bucket | None) -> None:
    """Raises KubeError where the CA is gone."""
    if bucket and objects.read_object(aws, bucket, PKI) is None:
        raise KubeError(
            f"s3://{bucket.name}/{bucket.key(PKI)}, the cluster's CA, is gone, and the snapshot does not hold it",
            hint="put an earlier version of it back: docs/recovery.md, The bucket is lost",
        )


def _refuse_with_existing_master(config: Config) -> None:
    if config.kube_restore_snapshot:
        raise SettingError(
            _SETTING, "a run with KUBE_USE_EXISTING_MASTER leaves the master alone", "leave one of them out"
        )


def _disk_is_there(aws: Aws, config: Config, disk: VolumeTypeDef) -> SettingError:
    return SettingError(
        _SETTING,
        f"the master's disk {disk['VolumeId']} is there, and a snapshot is restored on a new one only",
        "leave it out to keep what is on the disk, or throw that away first: "
        + ", then ".join(_how_to_remove(aws, config, disk)),
    )


def _how_to_remove(aws: Aws, config: Config, disk: VolumeTypeDef) -> list[str]:
    """What a person types to have the disk gone; with KUBE_MASTER_SELF_HEAL a new master would take it meanwhile.

    Of the instances that it may be attached to only the master is ended.
    """
    disk_id, master = disk["VolumeId"], find_master(aws, config)
    holders = {each["InstanceId"] for each in disk.get("Attachments", [])}
    of_others = holders - ({master["InstanceId"]} if master else set())
    if master and master["State"]["Name"] == "shutting-down":
        master = None
    free = [f"aws ec2 detach-volume --volume-id {disk_id} --instance-id {each}" for each in sorted(of_others)]
    if free and not master:  # one that lives may attach it at once, and is ended anyway
        free.append(f"aws ec2 wait volume-available --volume-ids {disk_id}")
    if config.kube_master_self_heal and not master:
        return [*free, "KUBE_MASTER_SELF_HEAL=false python kube_up.py, which brings the master back", "this again"]
    end = how_to_end(config, master["InstanceId"]) if master else []
    on = ["this again, with KUBE_MASTER_SELF_HEAL=true"] if config.kube_master_self_heal else []
    return [*free, *end, f"aws ec2 delete-volume --volume-id {disk_id}", *on]


def _place(bucket: Bucket | None) -> str:
    return f"{bucket.name}/{bucket.key(objects.SNAPSHOT)}" if bucket else f"(no bucket)/{objects.SNAPSHOT}"
