"""The master's disk thrown away for a snapshot (KUBE_DISCARD_DISK), with the master that uses it.

Whether it may be lib/checks/fate.py has said before anything was changed, of what was there then. A run that is stopped
in here leaves what any run knows: a master to make anew while the disk is there, a disk to make anew once it is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib import disk as disks
from lib import master, selfheal

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.cluster import Cluster


def discard_disk(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster without the disk that is to be thrown away; nothing where none is.

    Nobody else brings a master back meanwhile, which would take the disk: self-healing is paused first. Returns once
    EC2 does not show the disk any more, so that no later look takes it for the cluster's.
    """
    disk = cluster.situation.discarded
    if disk is None:
        return cluster
    cluster = selfheal.pause(aws, cluster)
    if not aws.dry_run:  # which sees the old one still when it comes to the master, and says there that it is replaced
        with aws.as_one(None):
            master.end_master(aws, cluster.config)
    disks.delete_disk(aws, {"VolumeId": disk.disk_id})
    if not aws.dry_run:
        aws.wait(
            f"disk {disk.disk_id} to be gone",
            lambda: None if disks.has_volume(aws, disk.disk_id) else True,
            seconds=aws.waits.remove,
        )
    return cluster
