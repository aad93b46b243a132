"""Snapshots of etcd in the bucket, which the master puts there; lib/checks/fate.py chooses one for a new disk.

All are versions of one object, so that the master's role can add one and never take one away. S3 keeps as many as
KUBE_ETCD_SNAPSHOTS_KEPT says, however old: a master that is dead must not lose its last one to a rule about age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.aws import objects
from lib.checks.situation import Snapshot

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.objects import Bucket

KUBERNETES = "kubernetes-version"  # a snapshot's metadata: which release wrote what is in it (bootstrap-master.sh)


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


def release(aws: Aws, bucket: Bucket | None, version: str) -> str:
    """The release of Kubernetes that wrote what is in the snapshot, '' where the snapshot does not say it."""
    return objects.metadata(aws, bucket, objects.SNAPSHOT, version).get(KUBERNETES, "") if bucket else ""
