"""Volumes of PersistentVolumes: made by the EBS CSI driver, listed and removed by down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.aws import tag_filters, tags_of

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

    from lib.aws import Aws
    from lib.config import Config

_CLAIM = "kubernetes.io/created-for/pvc/"


def find_volumes(aws: Aws, config: Config) -> list[VolumeTypeDef]:
    """Every volume that the cluster owns, the master's disk among them, but for the root disks of instances."""
    filters = [
        *tag_filters({f"kubernetes.io/cluster/{config.cluster_id}": "owned"}),
        {"Name": "status", "Values": ["creating", "available", "in-use"]},
    ]
    pages = aws.ec2.get_paginator("describe_volumes").paginate(Filters=filters)
    found = [volume for page in pages for volume in page["Volumes"]]
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
