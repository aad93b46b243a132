"""What is remembered of a cluster: `settings.env` under its prefix in the bucket, one readable file.

A rerun that forgets NUM_NODES=10 does not shrink the cluster, and anybody with the account's rights can read how it was
made.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from lib import bucket as staging
from lib import extratags, podidentity
from lib.address import find_address, tagged_addresses
from lib.aws import objects
from lib.aws.changes import became
from lib.aws.client import Aws
from lib.aws.tags import BUCKET_TAG, is_ours, tags_of
from lib.cluster import Cluster, Found
from lib.disk import find_disk
from lib.interface import find_interface, settle_address, tagged_interfaces
from lib.node import ownscript, releases
from lib.pki import OBJECT as PKI
from lib.pki import refuse_lost_ca
from lib.run.errors import Damaged, SettingError
from lib.settings.config import region_of
from lib.settings.resolve import resolve, to_remember, with_sizes
from lib.volumes import find_volumes

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

    from lib.aws.objects import Bucket
    from lib.settings.config import Config
    from lib.settings.layers import Layers

OBJECT = "settings.env"
_CLUSTER, _ZONE = "KUBE_AWS_INSTANCE_PREFIX", "KUBE_AWS_ZONE"
_FEW = 3  # settings of those that have changed that a person is told
_HEAD = """\
# Written by kube_up.py: what was set when this cluster was last brought up, and what it resolved to.
# kube_up.py and kube_down.py read it; a variable in the environment or in KUBE_CONFIG_FILE wins over it.
"""
_COUNTED = "# The last line counts the settings: without it this file is cut off.\n"
_END = re.compile(r"^# end, (\d+) settings$", re.MULTILINE)
# What was always written, also by a kube_up.py that wrote no last line.
_ALWAYS = (_ZONE, "KUBERNETES_VERSION", "CLUSTER_IP_RANGE", "SERVICE_CLUSTER_IP_RANGE", "MASTER_INTERNAL_IP")


def find_staging(aws: Aws, config: Config) -> Found:
    """What is there of the cluster to begin with.

    The bucket is looked for where the master's interface or disk says it is, or the elastic IP that outlived them, so
    that forgetting AWS_S3_BUCKET makes no second CA.
    """
    interface = find_interface(aws, config)
    tagged = tags_of(interface).get(BUCKET_TAG, "") if interface else ""
    disk = None if tagged else find_disk(aws, config)
    looked = not tagged
    tagged = tagged or (tags_of(disk).get(BUCKET_TAG, "") if disk else "")
    bucket = staging.find_bucket(aws, config, tagged=tagged)
    if bucket is None and not tagged and (address := find_address(aws, config)):
        tagged = tags_of(address).get(BUCKET_TAG, "")
        bucket = staging.find_bucket(aws, config, tagged=tagged)
    return Found(bucket=bucket, interface=interface, tagged=tagged, disk=disk, looked=looked)


def find_staging_to_remove(aws: Aws, config: Config) -> Found:
    """The same for kube_down.py, for which two interfaces or disks, or one in dispute, are no reason to refuse."""
    things = [*tagged_interfaces(aws, config), *find_volumes(aws, config), *tagged_addresses(aws, config)]
    tagged = [tags_of(each).get(BUCKET_TAG, "") for each in things if is_ours(config.cluster_id, tags_of(each))]
    named = next(filter(None, tagged), "")
    bucket = staging.find_bucket(aws, config, tagged=named)
    return Found(bucket=bucket, interface=None, tagged=named, disk=None, looked=False)


def refuse_another_bucket(aws: Aws, config: Config, found: Found) -> None:
    """Raises SettingError for an AWS_S3_BUCKET that is not the cluster's.

    A run with it would know nothing of the cluster, and make it a second CA. Where its own bucket is gone, another one
    will do that has the CA.
    """
    if not _is_another(config, found):
        return
    has_ca = found.bucket is not None and objects.read_object(aws, found.bucket, PKI) is not None
    if staging.is_there(aws, config, found.tagged) and not (has_ca and _lacks_ca(aws, config, found.tagged)):
        raise _another_bucket(config, found)
    if not has_ca:
        raise SettingError(
            "AWS_S3_BUCKET",
            f"the cluster's bucket {found.tagged} is gone, and {config.aws_s3_bucket} does not hold the cluster's CA",
            "leave it out, or put the CA there first: docs/recovery.md, The bucket is lost",
        )


def _is_another(config: Config, found: Found) -> bool:
    """Whether a bucket is asked for, and the cluster says that its state is in another."""
    return bool(config.aws_s3_bucket and found.tagged) and found.tagged != config.aws_s3_bucket


def _lacks_ca(aws: Aws, config: Config, name: str) -> bool:
    """Whether a bucket was made in the place of one that was lost, and is empty yet."""
    own = staging.find_named(aws, config, name)
    return own is not None and objects.read_object(aws, own, PKI) is None


def refuse_to_leave_a_bucket(aws: Aws, config: Config, found: Found) -> None:
    """Raises SettingError where down would remove the cluster and leave its bucket, with the CA's key and snapshots."""
    if _is_another(config, found) and staging.is_there(aws, config, found.tagged):
        raise _another_bucket(config, found)


def _another_bucket(config: Config, found: Found) -> SettingError:
    problem = f"the cluster's state is in {found.tagged}, not in {config.aws_s3_bucket}"
    return SettingError("AWS_S3_BUCKET", problem, "leave it out")


def read_settings(aws: Aws, config: Config, bucket: Bucket | None, *, was_put: bool = False) -> dict[str, str]:
    """What is remembered, {} for a cluster that is not there yet. `was_put`: what is made after it is there.

    Raises Damaged for an object that is empty or cut off, holds something else, or is another cluster's: a run must not
    take the defaults for what the cluster was made with.
    """
    content = objects.read_object(aws, bucket, OBJECT, was_put=was_put) if bucket else None
    if bucket is None or content is None:
        return {}
    try:
        values = _parsed(text := content.decode())
        _refuse_another_clusters(config, values)
        _refuse_cut_off(text, values)
    except ValueError as wrong:
        raise Damaged(bucket.url(OBJECT), "what is remembered of the cluster", str(wrong)) from wrong
    return values


def refuse_lost_settings(aws: Aws, config: Config, layers: Layers, found: Found) -> None:
    """Raises SettingError for a run that would give a cluster the defaults in place of settings that are lost.

    One that is told how many minions there are to be goes on, and is warned; and whether pods have rights, where they
    had: the settings alone would tell kube_down.py.
    """
    if found.interface is None or found.bucket is None or layers.remembered:
        return
    lost = f"{found.bucket.url(OBJECT)}, what is remembered of the cluster, is gone"
    another_group = layers.asked("KUBE_USE_EXISTING_MASTER")
    if not layers.asked("NUM_NODES") and not another_group:
        right = (
            "put it back (docs/recovery.md, The bucket is lost), or give all settings that the cluster has, this one "
        )
        raise SettingError("NUM_NODES", f"is not set, and {lost}", f"{right}at least: the others get their defaults")
    if layers.asked(podidentity.ENABLE) is None and not another_group:
        podidentity.refuse_to_forget(aws, config, lost)
    aws.console.warn(f"{lost}: what this run is not told is set to the defaults (docs/recovery.md, The bucket is lost)")


def with_remembered(aws: Aws, layers: Layers, *, patient: bool = False) -> tuple[Layers, Found]:
    """The layers with what is remembered of the cluster, and what is there of it, for what makes nothing of it.

    `patient`: settings that must have been put are asked for again where S3 does not show them yet.
    """
    asked = resolve(layers, check=False)
    found = find_staging(aws, asked)
    remembered = read_settings(aws, asked, found.bucket, was_put=patient and bool(found.tagged))
    layers = layers.with_remembered(remembered, place=place(found.bucket))
    return (with_sizes(layers) if found.interface else layers), found


def find_master_disk(aws: Aws, config: Config, found: Found) -> VolumeTypeDef | None:
    """The master's disk, looked for where `find_staging` had no need to."""
    return found.disk if found.looked else find_disk(aws, config)


def place(bucket: Bucket | None) -> str:
    """Where the settings are, as s3://bucket/key; '' before there is a bucket."""
    return bucket.url(OBJECT) if bucket else ""


def _parsed(text: str) -> dict[str, str]:
    """The settings. Raises ValueError for text that cannot have been written by `remember`, or not to its end."""
    wrong = next((line.original.string for line in parse_stream(io.StringIO(text)) if line.error), None)
    if wrong is not None:
        raise ValueError(f"{wrong.strip()[:40]!r} is no setting")
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    found = {name: value for name, value in values.items() if value is not None}
    if not found or len(found) < len(values):
        raise ValueError("it holds no settings" if not found else "it holds more than settings")
    return found


def _refuse_another_clusters(config: Config, values: Mapping[str, str]) -> None:
    """Raises ValueError where the settings name another cluster or region than the place that they were read from."""
    cluster, zone = values.get(_CLUSTER, config.cluster_id), values.get(_ZONE, config.kube_aws_zone)
    if cluster != config.cluster_id or region_of(zone) != config.region:
        raise ValueError(f"it is of cluster {cluster} in {zone}")


def _refuse_cut_off(text: str, values: Mapping[str, str]) -> None:
    """Raises ValueError where settings are missing that were written: a cut at a line's end leaves what can be read."""
    end = _END.search(text)
    if end and int(end[1]) > len(values):
        raise ValueError(f"it holds {len(values)} of {end[1]} settings")
    if not end and _COUNTED in text:
        raise ValueError(f"it is cut off after {len(values)} settings")
    lost = [name for name in _ALWAYS if not values.get(name)]
    if lost:
        raise ValueError(f"it lacks {', '.join(lost)}")


def remember(aws: Aws, cluster: Cluster) -> None:
    """Write down what the cluster is made from; a run that is about one more group only remembers sums alone.

    What only the settings of the last run tell of tags is done before. Settings that are lost with the cluster's CA are
    not written anew: whoever puts the one back can put back the other, and a run without a CA comes to nothing.
    """
    if not cluster.config.kube_use_existing_master:
        if _ZONE not in cluster.layers.remembered:  # a version may be known of a running master
            refuse_lost_ca(aws, cluster)
        extratags.follow_change(aws, cluster)
    _write(aws, cluster)


def _write(aws: Aws, cluster: Cluster) -> None:
    bucket, known = cluster.bucket, cluster.layers.remembered
    if not cluster.config.kube_use_existing_master:
        ownscript.remember_script(aws, bucket, cluster.node_script)
        _remember(aws, bucket, to_remember(cluster.layers, cluster.config), known=known)
    releases.remember_sums(aws, bucket, cluster.sums, known=cluster.known_sums)


def follow_subnet(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the range that its subnet has, and the master's address in it; both are remembered.

    Raises SettingError for a MASTER_INTERNAL_IP outside it.
    """
    config = settle_address(
        cluster.config,
        cidr=cluster.subnet["CidrBlock"],
        interface=cluster.found.interface,
        given=cluster.layers.source("MASTER_INTERNAL_IP") != "default",
    )
    if config == cluster.config:
        return cluster
    moved = dataclasses.replace(cluster, config=config)
    _write(aws, moved)
    return moved


def _remember(aws: Aws, bucket: Bucket, wanted: Mapping[str, str], *, known: Mapping[str, str]) -> None:
    """Write the settings where they differ from what is known to be there."""
    if dict(wanted) == dict(known):
        aws.console.found(f"settings {bucket.name}/{bucket.key(OBJECT)}")
        return
    lines = "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(wanted.items()))
    words = f"settings ({_changes(known, wanted)})" if known else "settings"
    end = f"# end, {len(wanted)} settings\n"
    objects.put_object(aws, bucket, OBJECT, (_HEAD + _COUNTED + lines + end).encode(), words=words)


def _changes(known: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    names = [name for name in sorted({**known, **wanted}) if known.get(name) != wanted.get(name)]
    told = [became(name, known.get(name) or "unset", wanted.get(name) or "unset") for name in names[:_FEW]]
    return ", ".join([*told, *([f"{len(names) - _FEW} more"] if len(names) > _FEW else [])])


def _quoted(value: str) -> str:
    """As python-dotenv reads it back: single quotes keep everything but themselves and the backslash."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
