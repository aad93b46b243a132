"""What is looked at of the master's side, so that lib/checks/fate.py can decide: as little as a decision needs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from lib import disk as disks
from lib import snapshots
from lib.aws import objects
from lib.aws.tags import tags_of
from lib.checks import fate, lost
from lib.checks.situation import Asked, Begin, Disk, Instance, Look, Refuse, Situation, tell
from lib.disk import VERSION_TAG, find_untagged
from lib.kube.api import Unreachable, is_well, server_url
from lib.kubeconfig import find_proxy
from lib.master import as_instance, find_master
from lib.pki import OBJECT as PKI
from lib.pki import find_ca_cert

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

    from lib.aws.client import Aws
    from lib.cluster import Cluster, Found
    from lib.kube.api import Api
    from lib.settings.config import Config
    from lib.settings.layers import Layers


def with_running(aws: Aws, layers: Layers, config: Config) -> Layers:
    """The layers of a cluster that has a master: where its version is not remembered, its master says it."""
    if layers.remembered.get(fate.VERSION):
        return layers
    master = find_master(aws, config)
    found = tags_of(master).get(VERSION_TAG, "") if master else ""
    return layers.with_remembered({**layers.remembered, fate.VERSION: found}) if found else layers


def beforehand(
    aws: Aws, layers: Layers, config: Config, *, found: Found, disk: VolumeTypeDef | None
) -> tuple[Situation, Begin]:
    """What is known of the master's side once it is decided that the run may begin, and with which data.

    Raises SettingError, KubeError for what is refused.
    """
    known = _first(layers, config, found, disks.as_disk(disk) if disk else None)
    while isinstance(decided := fate.begin(known), Look):
        known = _look(aws, config, found, known, decided)
    if isinstance(decided, Refuse):
        raise decided.error
    lost.refuse_lost(config, was=known.confirmed or known.remembered)
    tell(aws.console, decided.said)
    aws.loses = decided.loses
    return known.without_disk() if decided.loses else known, decided


def _first(layers: Layers, config: Config, found: Found, disk: Disk | None) -> Situation:
    """What a run knows of its settings and of what it has found already."""
    asked = Asked(
        cluster_id=config.cluster_id,
        disk_name=disks.disk_name(config),
        version=config.kubernetes_version,
        says_version=layers.asked(fate.VERSION),
        restore=config.kube_restore_snapshot,
        replace=config.kube_replace_master,
        discard=config.kube_discard_disk,
        group=config.kube_use_existing_master,
        self_heal=config.kube_master_self_heal,
        zone=config.kube_aws_zone,
        disk_gib=config.master_disk_size,
        size=config.master_size,
        says_size=layers.asked("MASTER_SIZE") is not None,
    )
    bucket = found.bucket
    return Situation(
        asked,
        remembered=layers.remembered.get(fate.VERSION, ""),
        there=bool(bucket or found.interface),
        place=bucket.url(objects.SNAPSHOT) if bucket else f"s3://(no bucket)/{objects.SNAPSHOT}",
        ca_place=bucket.url(PKI) if bucket else "",
        disk=disk,
    )


def _look(aws: Aws, config: Config, found: Found, known: Situation, look: Look) -> Situation:
    """The same with what the decision needs."""
    bucket = found.bucket
    match look.at:
        case "instance":
            return dataclasses.replace(known, instance=_instance(aws, config))
        case "snapshots":
            return dataclasses.replace(known, snapshots=tuple(snapshots.find_snapshots(aws, bucket)))
        case "release":
            release = snapshots.release(aws, bucket, look.of)
            return dataclasses.replace(known, releases={**known.releases, look.of: release})
        case "unreadable":
            why = objects.why_unreadable(aws, bucket, objects.SNAPSHOT, look.of) if bucket else "no bucket"
            return dataclasses.replace(known, unreadable=why)
        case "named":
            return dataclasses.replace(known, named=disks.has_volume(aws, config.kube_discard_disk))
        case "untagged":
            made_for = known.living.disk_id if known.living else ""
            return dataclasses.replace(known, untagged=tuple(find_untagged(aws, config, known=made_for)))
        case "ca":
            ca = bucket is not None and objects.read_object(aws, bucket, PKI) is not None
            return dataclasses.replace(known, ca=ca)
        case "well":
            return dataclasses.replace(known, well=_is_well(aws, config, found))


def _instance(aws: Aws, config: Config) -> Instance | None:
    found = find_master(aws, config)
    return as_instance(found) if found else None


def _is_well(aws: Aws, config: Config, found: Found) -> bool:
    """Whether the master's API says so; anybody may ask it that, so no client certificate is made for it."""
    server = server_url(config, found.public_ip)
    return is_well(server, find_ca_cert(aws, found.bucket), proxy=find_proxy(aws, config, server))


def confirm(aws: Aws, cluster: Cluster, api: Api | None) -> None:
    """Write on the disk which release answers; a run that sees another than it has set up ends there.

    A disk that was made empty in this run says it from the beginning, and one that a snapshot is restored on does not.
    Raises KubeError for another release. Nothing where none answers now. In a dry run there may be no API yet: then
    the one that is set up will answer.
    """
    config, master_id = cluster.config, cluster.master.instance_id
    if api is None:
        if cluster.found.disk or cluster.restore:
            disks.confirm_version(aws, config, {"VolumeId": cluster.disk_id, **(cluster.found.disk or {})})
        return
    try:
        refused = fate.answered(cluster.situation, api.version(), instance_id=master_id)
    except Unreachable:
        return
    if refused is None:
        made = disks.find_disk(aws, config) if cluster.restore and not cluster.found.disk else None
        disks.confirm_version(aws, config, cluster.found.disk or made)
    elif aws.dry_run:
        aws.console.warn(str(refused.error))
    else:
        raise refused.error
