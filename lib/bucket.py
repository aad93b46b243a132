"""The staging bucket: private, encrypted, versioned; under <region>/<cluster id>/ what a rerun and the master need.

Every call carries ExpectedBucketOwner, since strangers can compute the bucket's name and could have taken it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.aws.changes import Planned
from lib.aws.claims import Claims
from lib.aws.client import Aws
from lib.aws.errors import error_code, unless
from lib.aws.objects import SHOWN_SECONDS, SNAPSHOT, Bucket, object_keys
from lib.aws.tags import cluster_tags, is_ours, other_owner, refuse_others, tag_list, tag_words, tags_of
from lib.cluster import Cluster
from lib.run.errors import KubeError, SettingError
from lib.run.words import counted

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from lib.settings.config import Config

PRIVATE = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
LETTING_GO = "OperationAborted"  # S3 is still deleting the bucket of that name, or changing it
ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
# All else that is put there: what was overwritten or deleted can be had back for a day, and old secrets go after it.
SHORT_LIVED = ("pki.tar", "join-token", "settings.env", "downloads.sha256", "addons/", "claims/")


_STAGING, _ISSUER = _OURS = "kubernetes-staging-", "kubernetes-oidc-"
_BOTH = "kubernetes-"


def default_name(aws: Aws, config: Config) -> str:
    """kubernetes-staging-<md5 of account, region, cluster id>: the same on every machine with this account's rights."""
    return name_for(aws.account, aws.region, config.cluster_id)


def name_for(account: str, region: str, cluster_id: str) -> str:
    """That name for any cluster."""
    return names_for(account, region, cluster_id)[0]


def names_for(account: str, region: str, cluster_id: str) -> tuple[str, ...]:
    """The names of both buckets that up may make for a cluster: the staging bucket's, and the public one's."""
    seed = f"{account} {region} {cluster_id}"
    digest = hashlib.md5(seed.encode(), usedforsecurity=False).hexdigest()
    return tuple(start + digest for start in _OURS)


def issuer_name(aws: Aws, config: Config) -> str:
    """The same for the public bucket of lib/podidentity.py."""
    return names_for(aws.account, aws.region, config.cluster_id)[1]


def find_bucket(aws: Aws, config: Config, *, tagged: str = "") -> Bucket | None:
    """The cluster's bucket: AWS_S3_BUCKET, else the one tagged on its master, else the computed name; or None.

    Raises SettingError when it is another account's.
    """
    name = config.aws_s3_bucket or tagged or default_name(aws, config)
    found = find_named(aws, config, name)
    if found is None and not config.aws_s3_bucket and name != default_name(aws, config):
        return find_named(aws, config, default_name(aws, config))  # made in the place of one that is gone
    return found


def find_named(aws: Aws, config: Config, name: str, *, option: str = "AWS_S3_BUCKET") -> Bucket | None:
    """The bucket of that name, None if there is none. Raises SettingError, of `option`, for another account's."""
    try:
        answer = aws.s3(config.aws_s3_region).head_bucket(Bucket=name, ExpectedBucketOwner=aws.account)
        region = answer.get("BucketRegion") or config.aws_s3_region
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return None
        if status != 301:
            raise _refused(error, name, aws.account, option) from error
        region = error.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"]
    return _bucket(aws, config, name=name, region=region)


def is_there(aws: Aws, config: Config, name: str) -> bool:
    """Whether there is a bucket of that name, whoever may use it."""
    try:
        aws.s3(config.aws_s3_region).head_bucket(Bucket=name, ExpectedBucketOwner=aws.account)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] != 404
    return True


def _bucket(aws: Aws, config: Config, *, name: str, region: str) -> Bucket:
    computed = name == default_name(aws, config)
    prefix = f"{aws.region}/{config.cluster_id}/"
    found = Bucket(name=name, region=region, prefix=prefix, owner=aws.account, ours=True, computed=computed)
    tags = _tags(aws, found)
    ours = not other_owner(config.cluster_id, tags) if computed else is_ours(config.cluster_id, tags)
    return dataclasses.replace(found, ours=ours, tags=tags)


def _refused(error: ClientError, name: str, account: str, option: str) -> Exception:
    if error_code(error) in ("403", "AccessDenied"):
        return SettingError(
            option,
            f"the bucket {name} is not account {account}'s, or this user may not use it",
            "name a bucket of your own, or ask for s3:ListBucket on it",
        )
    return error


def ensure_bucket(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with its bucket, where claims are put from then on."""
    bucket = _ensure(aws, cluster.config, cluster.found.bucket)
    aws.claims = None if bucket.planned else Claims(aws, bucket)
    return cluster.having(Cluster.bucket, bucket)


def _ensure(aws: Aws, config: Config, found: Bucket | None) -> Bucket:
    """The bucket, made where `find_bucket` found none; a brought one is left as it is.

    Ours is kept private and encrypted; that it is versioned is `ensure_versions`', which comes after what is put there.
    """
    if found and found.computed:
        refuse_others(config.cluster_id, f"bucket {found.name}", found.tags)
    if found and not found.ours:
        aws.console.found(f"bucket {found.name}, yours")
        return _tell_brought(aws, config, found)
    if found:
        aws.console.found(f"bucket {found.name}")
    bucket = found or make_bucket(aws, config, computed_bucket(aws, config))
    _repair(aws, config, bucket, fresh=not found)
    return dataclasses.replace(bucket, versioned=True)


def _tell_brought(aws: Aws, config: Config, bucket: Bucket) -> Bucket:
    """Say what a brought bucket means for snapshots: it is changed in nothing, so it must be versioned already."""
    if not config.kube_etcd_snapshot_hours:
        return bucket
    if not _versioned(aws, bucket):
        aws.console.warn(
            f"no snapshots of etcd are taken, since your bucket {bucket.name} is not versioned: each would overwrite "
            "the last. Turn versioning on; KUBE_ETCD_SNAPSHOT_HOURS=0 says that none are wanted"
        )
        return bucket
    aws.console.say(
        f"your bucket's lifecycle rules are left alone: all snapshots of etcd stay in {bucket.name}/{bucket.prefix} "
        "until a rule of yours or kube_down.py removes them"
    )
    return dataclasses.replace(bucket, versioned=True)


def computed_bucket(aws: Aws, config: Config) -> Bucket:
    """The bucket that up makes where none is found."""
    name = config.aws_s3_bucket or default_name(aws, config)
    return Bucket(
        name=name,
        region=config.aws_s3_region,
        prefix=f"{aws.region}/{config.cluster_id}/",
        owner=aws.account,
        ours=True,
        computed=name == default_name(aws, config),
    )


def make_bucket(aws: Aws, config: Config, wanted: Bucket) -> Bucket:
    """Make a bucket that is not there, tagged for the cluster."""
    name, region = wanted.name, wanted.region
    configuration: dict[str, Any] = {"Tags": tag_list(cluster_tags(config))}
    if region != "us-east-1":  # the one region that is said by saying nothing
        configuration["LocationConstraint"] = region
    s3 = aws.s3(region)

    def create() -> str:
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=name, CreateBucketConfiguration=configuration)  # type: ignore[arg-type]
        return name

    made = aws.make(f"bucket {name} in {region}", create, retry_if=lambda error: error_code(error) == LETTING_GO)
    return dataclasses.replace(wanted, planned=isinstance(made, Planned))


def ensure_public_access(aws: Aws, bucket: Bucket, wanted: Any, words: str, *, fresh: bool) -> None:
    """Have a bucket's block of public access as `wanted`; `words` say from what to what."""
    s3, name, owner = aws.s3(bucket.region), bucket.name, bucket.owner
    found = public_access_of_new(aws, bucket) if fresh else public_access(s3, bucket)
    if found != wanted:
        aws.change(
            "set",
            f"{name}: public access {words}",
            lambda: s3.put_public_access_block(
                Bucket=name, PublicAccessBlockConfiguration=wanted, ExpectedBucketOwner=owner
            ),
            retry_on=[LETTING_GO],
        )


def _repair(aws: Aws, config: Config, bucket: Bucket, *, fresh: bool) -> None:
    """Keep our bucket private, encrypted and tagged.

    A fresh one is all three when it is made (S3's defaults since April 2023, and tags within the call), so it is only
    looked at: an organization may deny what asks for it once more.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    """
    if bucket.planned:
        return
    s3, name, owner = aws.s3(bucket.region), bucket.name, bucket.owner
    ensure_public_access(aws, bucket, PRIVATE, "not all blocked → blocked", fresh=fresh)
    if fresh:
        return  # encrypted as all are, and tagged when it was made; S3 may not know it everywhere yet
    if not _encrypted(s3, bucket):
        rules: Any = ENCRYPTION
        aws.change(
            "set",
            f"{name}: encryption by default none → AES256",
            lambda: s3.put_bucket_encryption(
                Bucket=name, ServerSideEncryptionConfiguration=rules, ExpectedBucketOwner=owner
            ),
        )
    repair_tags(aws, config, bucket)


def repair_tags(aws: Aws, config: Config, bucket: Bucket) -> None:
    """Put back the tags of ours that our bucket has lost."""
    if not cluster_tags(config).items() <= bucket.tags.items():
        s3 = aws.s3(bucket.region)
        tagging: Any = {"TagSet": tag_list({**bucket.tags, **cluster_tags(config)})}
        aws.change(
            "tag",
            f"bucket {bucket.name} with {tag_words(bucket.tags, cluster_tags(config))}",
            lambda: s3.put_bucket_tagging(Bucket=bucket.name, Tagging=tagging, ExpectedBucketOwner=bucket.owner),
        )


def ensure_versions(aws: Aws, cluster: Cluster) -> None:
    """Keep our bucket versioned, with our lifecycle rules; somebody's own on it stay. A brought one is left alone.

    It comes after the last object of a run: for up to 15 minutes after versions are first kept, S3 may answer 404 for
    what is put after that.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
    """
    config, bucket = cluster.config, cluster.bucket
    if not bucket.ours:
        return
    s3, name, owner, fresh = aws.s3(bucket.region), bucket.name, bucket.owner, bucket.planned
    if fresh or not _versioned(aws, bucket):
        aws.change(
            "set",
            f"{name}: versions not kept → kept",
            lambda: s3.put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Enabled"}, ExpectedBucketOwner=owner
            ),
            retry_on=[LETTING_GO],
        )
    wanted = lifecycle_rules(config, bucket)
    found = [] if fresh else _lifecycle(s3, bucket)
    if any(rule not in found for rule in wanted):
        mine = {rule["ID"] for rule in wanted}
        rules: Any = [*(rule for rule in found if rule.get("ID") not in mine), *wanted]
        aws.change(
            "set",
            _kept_words(name, found, wanted),
            lambda: s3.put_bucket_lifecycle_configuration(
                Bucket=name, LifecycleConfiguration={"Rules": rules}, ExpectedBucketOwner=owner
            ),
            retry_on=[LETTING_GO],
        )


def lifecycle_rules(config: Config, bucket: Bucket) -> list[dict[str, Any]]:
    """What becomes of versions that are not the newest any more, one rule for each object, or folder, of ours.

    By number for snapshots: S3 takes NewerNoncurrentVersions from 1 to 100, and only with NoncurrentDays, so what is
    younger than a day stays in any case.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_NoncurrentVersionExpiration.html
    """
    kept = {"NoncurrentDays": 1, "NewerNoncurrentVersions": config.kube_etcd_snapshots_kept}
    ends = {SNAPSHOT: kept, **{name: {"NoncurrentDays": 1} for name in SHORT_LIVED}}
    return [
        {
            "ID": f"kube-up {bucket.key(name)}",
            "Filter": {"Prefix": bucket.key(name)},
            "Status": "Enabled",
            "NoncurrentVersionExpiration": end,
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        }
        for name, end in ends.items()
    ]


def _kept_words(name: str, found: Sequence[Any], wanted: Sequence[Mapping[str, Any]]) -> str:
    """How many snapshots the bucket is to keep, and how many it keeps now; or which rules were changed otherwise."""
    first = wanted[0]
    number = first["NoncurrentVersionExpiration"]["NewerNoncurrentVersions"]
    mine = [rule.get("NoncurrentVersionExpiration", {}) for rule in found if rule.get("ID") == first["ID"]]
    if not mine:
        return f"{name} to keep {number} snapshots of etcd beside the newest"
    now = mine[0].get("NewerNoncurrentVersions", "all")
    if now != number:
        return f"{name}: snapshots of etcd kept beside the newest {now} → {number}"
    changed = [str(rule["ID"]).rpartition(" ")[2] for rule in wanted if rule not in found]
    return f"{name}: lifecycle of {', '.join(changed)} as it was made"


def _versioned(aws: Aws, bucket: Bucket) -> bool:
    answer = aws.s3(bucket.region).get_bucket_versioning(Bucket=bucket.name, ExpectedBucketOwner=bucket.owner)
    return answer.get("Status") == "Enabled"


def _lifecycle(s3: S3Client, bucket: Bucket) -> list[Any]:
    answer = unless(
        "NoSuchLifecycleConfiguration",
        lambda: s3.get_bucket_lifecycle_configuration(Bucket=bucket.name, ExpectedBucketOwner=bucket.owner),
    )
    return answer["Rules"] if answer else []


def public_access(s3: S3Client, bucket: Bucket) -> Any:
    """How the bucket's public access is blocked, None where it is not at all."""
    return unless(
        "NoSuchPublicAccessBlockConfiguration",
        lambda: s3.get_public_access_block(Bucket=bucket.name, ExpectedBucketOwner=bucket.owner)[
            "PublicAccessBlockConfiguration"
        ],
    )


def public_access_of_new(aws: Aws, bucket: Bucket) -> Any:
    """The same of a bucket that S3 may not show yet."""

    def look() -> Any:
        try:
            return public_access(aws.s3(bucket.region), bucket) or {}
        except ClientError as error:
            if error_code(error) != "NoSuchBucket":
                raise
            return None

    return aws.wait(f"bucket {bucket.name} to be there", look, seconds=SHOWN_SECONDS)


def _encrypted(s3: S3Client, bucket: Bucket) -> bool:
    answer = unless(
        "ServerSideEncryptionConfigurationNotFoundError",
        lambda: s3.get_bucket_encryption(Bucket=bucket.name, ExpectedBucketOwner=bucket.owner),
    )
    return answer is not None


def _tags(aws: Aws, bucket: Bucket) -> dict[str, str]:
    return bucket_tags(aws, bucket.name, bucket.region)


def bucket_tags(aws: Aws, name: str, region: str) -> dict[str, str]:
    """The tags of one of the account's buckets."""
    answer = unless(
        "NoSuchTagSet", lambda: aws.s3(region).get_bucket_tagging(Bucket=name, ExpectedBucketOwner=aws.account)
    )
    return tags_of(answer or {})


@dataclass(frozen=True)
class Made:
    """A bucket of the account that is named as those are that up makes, for whichever cluster."""

    name: str
    region: str
    created: datetime.datetime


def made_buckets(aws: Aws) -> list[Made]:
    """All such buckets, in all regions: one call."""
    pages = aws.s3().get_paginator("list_buckets").paginate(Prefix=_BOTH)
    found = [bucket for page in pages for bucket in page.get("Buckets", [])]
    return [
        Made(bucket["Name"], bucket["BucketRegion"], bucket["CreationDate"])
        for bucket in found
        if bucket["Name"].startswith(_OURS)
    ]


def listed(aws: Aws, bucket: Bucket, start: str) -> Iterator[tuple[str, str]]:
    """The objects whose names, below the cluster's prefix, begin with `start`: name and ETag.

    The ETag of what `put_object` wrote is the content's MD5.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if bucket.planned:
        return
    pages = (
        aws.s3(bucket.region)
        .get_paginator("list_objects_v2")
        .paginate(Bucket=bucket.name, Prefix=bucket.key(start), ExpectedBucketOwner=bucket.owner)
    )
    for page in pages:
        for found in page.get("Contents", []):
            yield found["Key"].removeprefix(bucket.prefix), found["ETag"].strip('"')


def empty_bucket(aws: Aws, bucket: Bucket, *, names: Collection[str] = ()) -> None:
    """Remove the cluster's objects, all versions of them, and nobody else's; with `names` these alone."""
    wanted = {bucket.key(name) for name in names}
    keys = [each for each in object_keys(aws, bucket) if not names or each["Key"] in wanted]
    for start in range(0, len(keys), 1000):
        some = keys[start : start + 1000]
        aws.remove(
            "empty",
            f"{bucket.name}/{bucket.prefix} of {counted(len(some), 'object')}",
            functools.partial(_delete_objects, aws, bucket, some),
        )


def _delete_objects(aws: Aws, bucket: Bucket, some: list[Any]) -> None:
    answer = aws.s3(bucket.region).delete_objects(
        Bucket=bucket.name, Delete={"Objects": some, "Quiet": True}, ExpectedBucketOwner=bucket.owner
    )
    for failed in answer.get("Errors", []):  # S3 answers 200 although it refused some of them
        raise KubeError(
            f"{bucket.name}/{failed.get('Key')} cannot be removed: {failed.get('Code')} {failed.get('Message')}"
        )


def delete_bucket(aws: Aws, bucket: Bucket) -> None:
    """Remove our bucket; one that still holds another cluster's objects stays, and is said. A brought one stays."""
    if not bucket.ours:
        return
    try:
        aws.remove(
            "delete",
            f"bucket {bucket.name}",
            lambda: aws.s3(bucket.region).delete_bucket(Bucket=bucket.name, ExpectedBucketOwner=bucket.owner),
        )
    except KubeError as refused:
        if getattr(refused, "code", "") != "BucketNotEmpty":
            raise
        aws.console.warn(
            f"bucket {bucket.name} holds objects of others, or old versions of them, and stays: "
            f"aws s3api list-object-versions --bucket {bucket.name} lists them"
        )
