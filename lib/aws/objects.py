"""The cluster's place in a bucket: which it is, and its objects, read, put, made once, listed.

Every call carries ExpectedBucketOwner, since strangers can compute the bucket's name and could have taken it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.aws.changes import Planned
from lib.aws.client import Aws
from lib.aws.errors import error_code
from lib.run.errors import KubeError, WaitExpired

if TYPE_CHECKING:
    from lib.settings.config import Config

SHOWN_SECONDS = 900  # for up to 15 minutes, S3 says, it may answer 404 for what was put
_ASKED_AGAIN_SECONDS = 30  # of an object that may be gone as well
SNAPSHOT = "etcd-snapshot.db.gz"  # of etcd; every version of it is one


@dataclass(frozen=True)
class Bucket:
    """A bucket and the cluster's place in it.

    `ours`: up made it, so down may remove it. `computed`: its name follows from account, region and cluster.
    `tags` are those that it had when it was looked for.
    `versioned`: it keeps what is overwritten, so snapshots of etcd may go there; `ensure_bucket` knows it.
    """

    name: str
    region: str
    prefix: str
    owner: str
    ours: bool
    computed: bool
    planned: bool = False
    versioned: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    def key(self, name: str) -> str:
        """The object's whole key."""
        return self.prefix + name

    def url(self, name: str) -> str:
        """The object as a person types it: s3://<bucket>/<key>"""
        return f"s3://{self.name}/{self.key(name)}"


def why_no_snapshots(config: Config, bucket: Bucket) -> str:
    """Why the master puts no snapshots of etcd into the bucket, '' where it does."""
    if not config.kube_etcd_snapshot_hours:
        return "KUBE_ETCD_SNAPSHOT_HOURS=0"
    return "" if bucket.versioned else f"your bucket {bucket.name} is not versioned"


def read_object(aws: Aws, bucket: Bucket, name: str, *, was_put: bool = False) -> bytes | None:
    """The object's content, None if it is not there. One that is known to have been put is asked for again for a while.

    Raises KubeError where S3 refuses to say.
    """
    if bucket.planned:
        return None
    content = _read(aws, bucket, name)
    if content is None and was_put:
        with contextlib.suppress(WaitExpired):
            return aws.wait(
                f"{bucket.key(name)} in {bucket.name}, which S3 may show late",
                lambda: _read(aws, bucket, name),
                seconds=_ASKED_AGAIN_SECONDS,
            )
    return content


def _read(aws: Aws, bucket: Bucket, name: str) -> bytes | None:
    try:
        answer = aws.s3(bucket.region).get_object(
            Bucket=bucket.name, Key=bucket.key(name), ExpectedBucketOwner=bucket.owner
        )
    except ClientError as error:
        if error_code(error) in ("NoSuchKey", "NoSuchBucket"):
            return None
        if error_code(error) == "AccessDenied":
            raise KubeError(
                f"{bucket.name}/{bucket.key(name)} cannot be read: AccessDenied",
                hint="this user may not s3:GetObject there; without s3:ListBucket on the bucket, S3 says the same of "
                "an object that is not there. docs/permissions.md has both",
            ) from error
        raise
    return answer["Body"].read()


def put_object(aws: Aws, bucket: Bucket, name: str, content: bytes, *, words: str) -> None:
    """Write the object, encrypted, over what is there."""
    aws.change("put", f"{words} into {bucket.name}", lambda: _put(aws, bucket, name, content))


def _put(aws: Aws, bucket: Bucket, name: str, content: bytes, **more: Any) -> None:
    aws.s3(bucket.region).put_object(
        Bucket=bucket.name,
        Key=bucket.key(name),
        Body=content,
        ServerSideEncryption="AES256",
        ExpectedBucketOwner=bucket.owner,
        **more,
    )


def make_object(aws: Aws, bucket: Bucket, name: str, content: bytes, *, words: str) -> bytes:
    """Write the object unless it is there; returns what is there afterwards: ours, or that of whoever was first.

    This is what keeps two runs from making two CAs: S3 decides (IfNoneMatch), not a look beforehand.
    """

    def create() -> str:
        try:
            _put(aws, bucket, name, content, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error) != "PreconditionFailed":
                raise
        return bucket.key(name)

    if isinstance(aws.make(words, create, retry_if=_is_conflict), Planned):
        return content
    what = f"{bucket.key(name)} in {bucket.name}, which was put there"
    return aws.wait(what, lambda: _read(aws, bucket, name), seconds=SHOWN_SECONDS)


def _is_conflict(error: BaseException) -> bool:
    """Whether another write of the object was under way: whose it is now, only a repeat tells (412: the other's).

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    return error_code(error) == "ConditionalRequestConflict"


def object_versions(aws: Aws, bucket: Bucket, start: str) -> Iterator[Any]:
    """Every version of the cluster's objects that begin with `start`, without what only says that one was deleted."""
    for page in _version_pages(aws, bucket, start):
        yield from page.get("Versions", [])


def metadata(aws: Aws, bucket: Bucket, name: str, version: str) -> Mapping[str, str]:
    """What whoever put a version of an object said of it, by names in small letters, without x-amz-meta-."""
    answer = aws.s3(bucket.region).head_object(
        Bucket=bucket.name, Key=bucket.key(name), VersionId=version, ExpectedBucketOwner=bucket.owner
    )
    return answer["Metadata"]


def why_unreadable(aws: Aws, bucket: Bucket, name: str, version: str) -> str:
    """The code with which S3 refuses a version of an object, '' where it gives it: its first byte is asked for.

    One that is in an archive is listed and described as any, and not given.
    """
    try:
        answer = aws.s3(bucket.region).get_object(
            Bucket=bucket.name,
            Key=bucket.key(name),
            VersionId=version,
            Range="bytes=0-0",
            ExpectedBucketOwner=bucket.owner,
        )
        answer["Body"].read()
    except ClientError as error:
        return error_code(error)
    return ""


def object_keys(aws: Aws, bucket: Bucket) -> Iterator[dict[str, str]]:
    """Every object of the cluster, with all its versions, as delete_objects takes them."""
    for page in _version_pages(aws, bucket, ""):
        for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            yield {"Key": version["Key"], "VersionId": version["VersionId"]}


def _version_pages(aws: Aws, bucket: Bucket, start: str) -> Iterator[Any]:
    yield from (
        aws.s3(bucket.region)
        .get_paginator("list_object_versions")
        .paginate(Bucket=bucket.name, Prefix=bucket.key(start), ExpectedBucketOwner=bucket.owner)
    )
