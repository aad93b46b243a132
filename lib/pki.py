"""The cluster's certificate authorities and keys, made once on the client (the original's create-certs).

They are one object, pki.tar, laid out as /etc/kubernetes/pki, so that there is never half of them. kubeadm uses what it
finds there and makes the rest.
"""

from __future__ import annotations

import io
import re
import secrets
import string
import tarfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lib import launchtemplate
from lib.aws import objects
from lib.aws.tags import BUCKET_TAG, CA_TAG, tags_of
from lib.cluster import Cluster, Pki
from lib.master import living_master
from lib.node import userdata
from lib.run.errors import Damaged, KubeError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import NetworkInterfaceTypeDef, VolumeTypeDef

    from lib.aws.client import Aws
    from lib.aws.objects import Bucket
    from lib.settings.config import Config

OBJECT = "pki.tar"
TOKEN_OBJECT = "join-token"  # noqa: S105 the name of the object
_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")


def ensure_pki(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with its CA, made in the bucket if there is none.

    Raises KubeError when the object is not a CA, when it is another one than disk or interface say that they were made
    with, and when it is not there although the cluster was made with it: a second CA would be one that neither the
    master nor any minion believes.
    """
    from lib.kube import certificates

    bucket, interface, disk = cluster.bucket, cluster.found.interface, cluster.found.disk
    content = _read_or_refuse(aws, cluster)
    if content is None:
        files = _pack(certificates.make_files())
        content = objects.make_object(aws, bucket, OBJECT, files, words="certificate authorities")
        if aws.dry_run:  # it is made anew in each run until one is kept
            return cluster.having(Cluster.authority, _unpack(bucket, content))
    pki = _unpack(bucket, content)
    if disk:
        _refuse_another(bucket, pki, disk["VolumeId"], tags_of(disk))
    if interface:
        _refuse_another(bucket, pki, interface["NetworkInterfaceId"], tags_of(interface))
    aws.console.found(f"certificate authority {pki.ca_cert_hash[:23]}… until {certificates.ends(pki.ca_cert):%Y-%m-%d}")
    return cluster.having(Cluster.authority, pki)


def refuse_lost_ca(aws: Aws, cluster: Cluster) -> None:
    """Raises KubeError where the CA is not in the bucket, and the cluster was made with one."""
    if cluster.found.interface or cluster.found.disk:
        _read_or_refuse(aws, cluster)


def _read_or_refuse(aws: Aws, cluster: Cluster) -> bytes | None:
    bucket, interface, disk = cluster.bucket, cluster.found.interface, cluster.found.disk
    was_put = bool(disk or (interface and BUCKET_TAG in tags_of(interface)))
    content = objects.read_object(aws, bucket, OBJECT, was_put=was_put)
    if content is None:
        _refuse_a_second(aws, cluster.config, bucket, interface=interface, disk=disk)
    return content


def _refuse_another(bucket: Bucket, pki: Pki, thing: str, tags: Mapping[str, str]) -> None:
    """Raises KubeError where a thing's tags say that it was made with another CA. Without the tag they say nothing."""
    found = pki.ca_cert_hash
    made_with = tags.get(CA_TAG, found)
    if made_with != found:
        raise KubeError(
            f"{bucket.url(OBJECT)} is not this cluster's CA: it has {found}, and {thing} was made with {made_with}",
            hint="put the right one back: docs/recovery.md, The bucket is lost. If it is the right one all the same, "
            f"take the tag {CA_TAG} off {thing}",
        )


def _refuse_a_second(
    aws: Aws,
    config: Config,
    bucket: Bucket,
    *,
    interface: NetworkInterfaceTypeDef | None,
    disk: VolumeTypeDef | None,
) -> None:
    """Disk, interface and master are made after the CA, so where one of them is, there has been one."""
    made_with = ""
    if disk:
        made_with = disk["VolumeId"]
    elif interface and BUCKET_TAG in tags_of(interface):
        made_with = interface["NetworkInterfaceId"]
    elif interface and (master := living_master(aws, config)):  # without the tag it may be of another make
        made_with = master["InstanceId"]
    if made_with:
        place = f"s3://{bucket.name}/{bucket.prefix}{OBJECT}"
        raise KubeError(
            f"{place}, the cluster's CA, is gone, and {made_with} was made with it",
            hint="put it back: docs/recovery.md, The bucket is lost. Or kube_down.py, and begin anew",
        )


def find_ca_cert(aws: Aws, bucket: Bucket | None) -> bytes:
    """The CA's certificate in the bucket, PEM; b'' where there is none. Raises Damaged."""
    found = find_pki(aws, bucket)
    return found.ca_cert if found else b""


def find_pki(aws: Aws, bucket: Bucket | None) -> Pki | None:
    """The cluster's CA in the bucket, None where there is none. Raises Damaged."""
    content = objects.read_object(aws, bucket, OBJECT) if bucket else None
    return None if bucket is None or content is None else _unpack(bucket, content)


def ensure_join_token(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the minions' bootstrap token, made in the bucket if there is none: <6>.<16> of a-z and digits.

    One that was lost is had back from what minions are launched with: a master that runs knows no other. Raises Damaged
    for one of another form, which no minion could join with.
    """
    bucket, there = cluster.bucket, cluster.found.interface is not None
    content = objects.read_object(aws, bucket, TOKEN_OBJECT, was_put=there)
    if content is None:
        known = _token_of_minions(aws, cluster) if there else ""
        words = "join token, lost there, as minions are launched with it," if known else "join token"
        content = objects.make_object(aws, bucket, TOKEN_OBJECT, (known or _new_token()).encode(), words=words)
        if there and not known:
            aws.console.warn(
                "the join token was gone, and is a new one: no minion joins before the master is rebooted, which reads "
                "it as it boots (docs/recovery.md, The bucket is lost)"
            )
    token = content.decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(token):
        raise Damaged(bucket.url(TOKEN_OBJECT), "the minions' join token", "it has not the form of one")
    return cluster.having(Cluster.join_token, token)


def _token_of_minions(aws: Aws, cluster: Cluster) -> str:
    """The join token in the user-data that the minions' group launches with, '' where that does not tell it."""
    template = launchtemplate.find_current(aws, cluster.config, cluster.group_name).get(cluster.group_name)
    token = userdata.settings_of(template.user_data).get("KUBE_JOIN_TOKEN", "") if template else ""
    return token if _TOKEN.fullmatch(token) else ""


def _new_token() -> str:
    letters = string.ascii_lowercase + string.digits
    return ".".join("".join(secrets.choice(letters) for _ in range(length)) for length in (6, 16))


def _pack(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _unpack(bucket: Bucket, content: bytes) -> Pki:
    from lib.kube import certificates

    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            files = {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}  # type: ignore[union-attr]
        certificates.check_files(files)
    except (tarfile.TarError, ValueError) as bad:
        raise Damaged(bucket.url(OBJECT), "the cluster's CA", " ".join(str(bad).split())) from bad
    ca_cert_hash = certificates.public_key_hash(files["ca.crt"])
    return Pki(files["ca.crt"], files["ca.key"], ca_cert_hash, service_account_key=files["sa.pub"])
