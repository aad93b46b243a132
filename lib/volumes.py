"""Volumes and snapshots with the cluster's tag: what claims made goes with the cluster, what people made stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.aws.tags import find_borne, is_ours, tags_of
from lib.disk import disk_name

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SnapshotTypeDef, VolumeTypeDef

    from lib.aws.client import Aws
    from lib.settings.config import Config

# The EBS CSI driver writes it on a volume that it makes for a claim, and on no other (1.63.1, driver/constants.go).
_CLAIM = "kubernetes.io/created-for/pvc/"


def find_volumes(aws: Aws, config: Config) -> list[VolumeTypeDef]:
    """Every volume with a tag of the cluster's, the master's disk among them, but for the root disks of instances."""
    there: Any = {"Name": "status", "Values": ["creating", "available", "in-use"]}
    found: list[VolumeTypeDef] = find_borne(
        lambda filters: aws.every("describe_volumes", "Volumes", Filters=[*filters, there]),
        config.cluster_id,
        lambda volume: volume["VolumeId"],
    )
    return [volume for volume in found if not goes_along(volume)]


def find_ebs_snapshots(aws: Aws, config: Config) -> list[SnapshotTypeDef]:
    """Every EBS snapshot of the account that is the cluster's by its tags."""
    found: list[SnapshotTypeDef] = find_borne(
        lambda filters: aws.every("describe_snapshots", "Snapshots", Filters=filters, OwnerIds=["self"]),
        config.cluster_id,
        lambda snapshot: snapshot["SnapshotId"],
    )
    return [snapshot for snapshot in found if is_ours(config.cluster_id, tags_of(snapshot))]


def is_disk(config: Config, volume: VolumeTypeDef) -> bool:
    """Whether it is the master's disk, by its name or its role."""
    tags = tags_of(volume)
    return tags.get("Name") == disk_name(config) or tags.get("Role") == config.master_name


def goes_along(volume: VolumeTypeDef) -> bool:
    """Whether EC2 removes it with its instance."""
    return any(attachment.get("DeleteOnTermination") for attachment in volume.get("Attachments", []))


def goes_with_cluster(config: Config, volume: VolumeTypeDef) -> bool:
    """Whether a claim made it, or it is a root disk that outlived its instance. Any other was made by a person."""
    tags = tags_of(volume)
    roots = {f"{config.master_name}-root", f"{config.node_name}-root"}
    return tags.get("Name") in roots or any(key.startswith(_CLAIM) for key in tags)


def describe_volume(volume: VolumeTypeDef) -> str:
    """The volume as a person knows it: its claim and size."""
    tags = tags_of(volume)
    claim = tags.get(f"{_CLAIM}name", "")
    of = f" of claim {tags.get(f'{_CLAIM}namespace', '?')}/{claim}" if claim else ""
    return f"volume {volume['VolumeId']} {volume['Size']} GiB{of}"


def describe_snapshot(snapshot: SnapshotTypeDef) -> str:
    """The snapshot as a person knows it: its volume, its size and when it was taken."""
    taken = f"{snapshot['StartTime']:%Y-%m-%d %H:%M} UTC"
    return f"snapshot {snapshot['SnapshotId']} of {snapshot['VolumeId']}, {snapshot['VolumeSize']} GiB, {taken}"


def delete_volume(aws: Aws, volume: VolumeTypeDef) -> None:
    """Remove a volume; its instance is gone by then, though AWS may take a moment to see it."""
    aws.remove(
        "delete",
        describe_volume(volume),
        lambda: aws.ec2.delete_volume(VolumeId=volume["VolumeId"]),
        retry_on=["VolumeInUse"],
    )
