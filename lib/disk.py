"""The master's disk: etcd and /etc/kubernetes live on it (the original's find-master-pd and ensure-master-pd)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.aws import keys
from lib.aws.changes import Planned, Sole, one
from lib.aws.client import Aws
from lib.aws.errors import error_code
from lib.aws.tags import BUCKET_TAG, find_ours, tag_specification, tags_of
from lib.checks import fate
from lib.checks.situation import Disk
from lib.cluster import Cluster
from lib.run.errors import Known, KubeError
from lib.settings.sizes import iops

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

    from lib.settings.config import Config

_USABLE_SECONDS = 300  # a new disk that is empty takes a few
_CHANGING = "IncorrectModificationState"  # an earlier change is not done
MASTER_IP_TAG = "kubernetes.io/master-ip"
# On the disk: the last release whose API answered, or that an empty one was made for. On an instance: its own.
VERSION_TAG = "KubernetesVersion"
RESTORE_TAG = "KubernetesRestore"  # the snapshot of etcd that the disk was made from, by its version in the bucket


def disk_name(config: Config) -> str:
    """<id>-master-pd"""
    return f"{config.cluster_id}-master-pd"


def find_disk(aws: Aws, config: Config) -> VolumeTypeDef | None:
    """The master's disk, None if there is none. Raises Ambiguous for two."""
    there: Any = {"Name": "status", "Values": ["creating", "available", "in-use"]}
    found: list[VolumeTypeDef] = find_ours(
        "master disk",
        lambda filters: aws.every("describe_volumes", "Volumes", Filters=[*filters, there]),
        config.cluster_id,
        _id,
        name=disk_name(config),
        role=config.master_name,
    )
    return one("master disk", found, _id, claimed=aws.claimed)


def _id(volume: VolumeTypeDef) -> str:
    return volume["VolumeId"]


def find_untagged(aws: Aws, config: Config, *, known: str) -> list[str]:
    """The ids of what must be the master's disk and lacks the cluster's tags, so that `find_disk` does not find it.

    `known` is the disk that the master was made for, '' where none is known: it needs no tag at all.
    """
    there: Any = {"Name": "status", "Values": ["creating", "available", "in-use"]}

    def ids(name: str, value: str) -> list[str]:
        found = aws.every("describe_volumes", "Volumes", Filters=[{"Name": name, "Values": [value]}, there])
        return [each["VolumeId"] for each in found if value == known or BUCKET_TAG in tags_of(each)]

    return (ids("volume-id", known) if known else []) or ids("tag:Name", disk_name(config))


def has_volume(aws: Aws, volume_id: str) -> bool:
    """Whether there is a volume of that id, whosever it is; not one that is being deleted."""
    found = aws.every("describe_volumes", "Volumes", Filters=[{"Name": "volume-id", "Values": [volume_id]}])
    return any(each["State"] not in ("deleting", "deleted") for each in found)


def as_disk(found: VolumeTypeDef) -> Disk:
    """What of it counts for a decision."""
    tags = tags_of(found)
    return Disk(
        found["VolumeId"],
        version=tags.get(VERSION_TAG, ""),
        snapshot=tags.get(RESTORE_TAG, ""),
        zone=found["AvailabilityZone"],
        gib=found["Size"],
        holders=tuple(each["InstanceId"] for each in found.get("Attachments", [])),
    )


def ensure_disk(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the master's disk, made encrypted in the zone if there is none, and grown to MASTER_DISK_SIZE.

    A new one says on itself which snapshot the master is to restore on it, so that every later run knows it too.

    Raises SettingError for one in another zone, or larger than asked: a disk cannot move or shrink.
    """
    named = {MASTER_IP_TAG: cluster.public_ip} if cluster.public_ip else {}
    tags = {**cluster.kept_tags, "Name": disk_name(cluster.config), **named}
    still_there = aws.dry_run and cluster.situation.discarded  # what the run would have thrown away by now
    found = cluster.found.disk or (None if still_there else find_disk(aws, cluster.config))
    disk_id = _ensure(aws, cluster.config, found, tags=tags, restore=cluster.restore)
    return cluster.having(Cluster.disk_id, disk_id)


def _ensure(aws: Aws, config: Config, found: VolumeTypeDef | None, *, tags: dict[str, str], restore: str) -> str:
    """The disk's id."""
    if found is None:
        made_for = {RESTORE_TAG: restore} if restore else {VERSION_TAG: config.kubernetes_version}
        return _make_disk(aws, config, tags={**tags, **made_for})
    volume_id = found["VolumeId"]
    aws.console.found(f"disk {volume_id} {found['Size']} GiB {found['VolumeType']} ({found['State']})")
    fate.refuse_misfit(as_disk(found), zone=config.kube_aws_zone, gib=config.master_disk_size)
    aws.repair_tags(volume_id, tags_of(found), tags)
    _repair_size(aws, config, found)
    return volume_id


def confirm_version(aws: Aws, config: Config, disk: Mapping[str, Any] | None) -> None:
    """Write on the disk that the API of the settings' version has answered. Until then an upgrade can be called off."""
    if disk:
        aws.repair_tags(disk["VolumeId"], tags_of(disk), {VERSION_TAG: config.kubernetes_version})


def _repair_size(aws: Aws, config: Config, found: VolumeTypeDef) -> None:
    size, kind = config.master_disk_size, config.master_disk_type
    if found["Size"] < size or found["VolumeType"] != kind:
        aws.change(
            "set",
            f"disk {found['VolumeId']} from {found['Size']} GiB {found['VolumeType']} to {size} GiB {kind}",
            functools.partial(_modify, aws, config, found["VolumeId"]),
            retry_on=[_CHANGING],
        )


def _modify(aws: Aws, config: Config, volume_id: str) -> None:
    """Change the disk. EC2 takes one change at a time, so a lost call's own change must not be asked for again."""
    size, kind = config.master_disk_size, config.master_disk_type
    try:
        aws.ec2.modify_volume(VolumeId=volume_id, Size=size, VolumeType=kind, **_iops(config))  # type: ignore[arg-type]
    except ClientError as error:
        if error_code(error) != _CHANGING:
            raise
        found = aws.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
        if (found["Size"], found["VolumeType"]) != (size, kind):
            raise


def _iops(config: Config) -> dict[str, Any]:
    wanted = iops(config.master_disk_type, config.master_disk_size)
    return {"Iops": wanted} if wanted else {}


def _make_disk(aws: Aws, config: Config, *, tags: dict[str, str]) -> str:
    token = aws.token()

    def create() -> str:
        answer = aws.ec2.create_volume(
            AvailabilityZone=config.kube_aws_zone,
            Size=config.master_disk_size,
            VolumeType=config.master_disk_type,  # type: ignore[arg-type]
            Encrypted=True,
            **_iops(config),
            TagSpecifications=tag_specification("volume", tags),
            ClientToken=token,
        )
        return answer["VolumeId"]

    words = f"disk {disk_name(config)} {config.master_disk_size} GiB {config.master_disk_type}"
    sole = Sole(
        "master disk",
        config.cluster_id,
        lambda: (find_disk(aws, config) or {}).get("VolumeId"),
        find=lambda volume_id: next(
            iter(aws.every("describe_volumes", "Volumes", Filters=[{"Name": "volume-id", "Values": [volume_id]}])), None
        ),
        delete=lambda volume_id: aws.ec2.delete_volume(VolumeId=volume_id),
    )
    volume_id = aws.make(words, create, sole=sole)
    if not isinstance(volume_id, Planned):
        _wait_usable(aws, volume_id)
    return volume_id


def _wait_usable(aws: Aws, volume_id: str) -> None:
    """Return once the new disk can be attached. Raises KubeError for one that EC2 takes back over its key."""
    seen: list[str] = []

    def look() -> bool | None:
        found = aws.every("describe_volumes", "Volumes", Filters=[{"Name": "volume-id", "Values": [volume_id]}])
        if found:
            seen.append(found[0]["State"])
        if seen and (not found or seen[-1] in ("deleting", "deleted", "error")):
            raise KubeError(f"EC2 made the disk {volume_id} and took it back", hint=keys.key_advice(aws))
        return True if found and seen[-1] in ("available", "in-use") else None

    what = f"disk {volume_id} to be available"
    aws.wait(what, look, seconds=_USABLE_SECONDS, at_end=lambda: Known(keys.key_advice(aws)))


def delete_disk(aws: Aws, volume: Mapping[str, Any]) -> None:
    """Remove the master's disk; its instance is gone by then, though AWS may take a moment to see it."""
    volume_id = volume["VolumeId"]
    aws.remove(
        "delete",
        f"disk {volume_id}",
        lambda: aws.ec2.delete_volume(VolumeId=volume_id),
        retry_on=["VolumeInUse"],
    )
