"""Volumes of PersistentVolumes: made by the EBS CSI driver, listed and removed by down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.disk import disk_name
from lib.tags import find_borne, tags_of

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

    from lib.aws import Aws
    from lib.config import Config

_CLAIM = "kubernetes.io/created-for/pvc/"


def find_volumes(aws: Aws, config: Config) -> list[VolumeTypeDef]:
    """Every volume with a tag of the cluster's, but for the master's disk and the root disks of instances."""
    return [volume for volume in _find(aws, config) if not _is_disk(config, volume)]


def find_disks(aws: Aws, config: Config) -> list[VolumeTypeDef]:
    """The master's disk, and whatever else bears its name or role and a tag of the cluster's."""
    return [volume for volume in _find(aws, config) if _is_disk(config, volume)]


def _is_disk(config: Config, volume: VolumeTypeDef) -> bool:
    tags = tags_of(volume)
    return tags.get("Name") == disk_name(config) or tags.get("Role") == config.master_name


def _find(aws: Aws, config: Config) -> list[VolumeTypeDef]:
    there: Any = {"Name": "status", "Values": ["creating", "available", "in-use"]}
    found: list[VolumeTypeDef] = find_borne(
        lambda filters: aws.every("describe_volumes", "Volumes", Filters=[*filters, there]),
        config.cluster_id,
        lambda volume: volume["VolumeId"],
    )
    return [volume for volume in found if not _goes_along(volume)]


def _goes_along(volume: VolumeTypeDef) -> bool:
    """Whether EC2 removes it with its instance."""
    return any(attachment.get("DeleteOnTermination") for attachment in volume.get("Attachments", []))


def describe(volume: VolumeTypeDef) -> str:
    """The volume as a person knows it: its claim and size."""
    tags = tags_of(volume)
    claim = tags.get(f"{_CLAIM}name", "")
    of = f" of claim {tags.get(f'{_CLAIM}namespace', '?')}/{claim}" if claim else ""
    return f"volume {volume['VolumeId']} {volume['Size']} GiB{of}"


def delete_volume(aws: Aws, volume: VolumeTypeDef) -> None:
    """Remove a volume; its instance is gone by then, though AWS may take a moment to see it."""
    aws.remove(
        "delete",
        describe(volume),
        lambda: aws.ec2.delete_volume(VolumeId=volume["VolumeId"]),
        retry_on=["VolumeInUse"],
    )
