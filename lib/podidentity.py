"""AWS rights for pods (KUBE_ENABLE_POD_IDENTITY): the cluster's API is an issuer of tokens that IAM knows.

The API signs pods' tokens with the cluster's key for service accounts. Two documents at the issuer's address say which
key that is; AWS reads them as anybody would, so they are in a public bucket of their own, with nothing beside them. A
role of IAM's that trusts the OpenID Connect provider of that address is then for the service account that it names.
The documents are those that the API itself serves: k8s.io/kubernetes/pkg/serviceaccount/openidmetadata.go. What AWS
asks of them: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html and
https://github.com/aws/amazon-eks-pod-identity-webhook/blob/master/SELF_HOSTED_SETUP.md
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib import bucket as buckets
from lib import iam
from lib.aws import objects
from lib.aws.client import Aws
from lib.aws.errors import ErrorKind, classify, error_code, unless
from lib.aws.tags import Disputed, cluster_tags, refuse_others, sorted_out, tag_list, tag_words, tags_of
from lib.cluster import Cluster
from lib.run.errors import SettingError

if TYPE_CHECKING:
    from lib.aws.objects import Bucket
    from lib.settings.config import Config

ENABLE, BUCKET = "KUBE_ENABLE_POD_IDENTITY", "KUBE_OIDC_BUCKET"
AUDIENCE = "sts.amazonaws.com"
DISCOVERY, KEYS = ".well-known/openid-configuration", "openid/v1/jwks"
# What is in the way of a public bucket: for one whose policy is yet to be put both, for one that has it the second.
_BLOCKING = ("BlockPublicPolicy", "RestrictPublicBuckets")
_PUBLIC = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": False,
    "RestrictPublicBuckets": False,
}


@dataclass(frozen=True)
class Issuer:
    """What there is of the cluster's issuer: the bucket, None where it is gone, and the provider's ARN, '' for none."""

    url: str
    bucket: Bucket | None
    provider: str

    def __str__(self) -> str:
        return f"issuer {self.url}"


# --- where it is


def _place(aws: Aws, config: Config) -> Bucket:
    """The bucket of the documents, as it is named: ours, or a brought one with a prefix for this cluster."""
    ours = not config.kube_oidc_bucket
    return objects.Bucket(
        name=config.kube_oidc_bucket or buckets.issuer_name(aws, config),
        region=aws.region,
        prefix="" if ours else _prefix(aws, config),
        owner=aws.account,
        ours=ours,
        computed=ours,
    )


def _prefix(aws: Aws, config: Config) -> str:
    """Below which a brought bucket holds this cluster's documents."""
    return f"{aws.region}/{config.cluster_id}/"


def _find_bucket(aws: Aws, config: Config) -> Bucket | None:
    """The same as it is there, None where it is not. Raises SettingError where it is another account's."""
    wanted = _place(aws, config)
    found = buckets.find_named(aws, config, wanted.name, option=ENABLE if wanted.ours else BUCKET)
    return dataclasses.replace(wanted, region=found.region, tags=found.tags) if found else None


def _url(aws: Aws, bucket: Bucket) -> str:
    """The issuer's address: the bucket's at S3, and the prefix."""
    return f"https://{bucket.name}.s3.{bucket.region}.{aws.dns_suffix}/{bucket.prefix}".rstrip("/")


def _arn(aws: Aws, url: str) -> str:
    return f"arn:{aws.partition}:iam::{aws.account}:oidc-provider/{url.removeprefix('https://')}"


def planned_url(aws: Aws, config: Config) -> str:
    """The issuer's address as far as it is known without a call, '' where there is to be none."""
    return _url(aws, _place(aws, config)) if config.kube_enable_pod_identity else ""


# --- what is refused beforehand


def refuse_to_forget(aws: Aws, config: Config, lost: str) -> None:
    """Raises SettingError where the cluster has an issuer that a run is not told of, whose settings are lost.

    Its run would write that there is none, and nothing would ever remove it. `lost` says what is lost.
    """
    there = seen_issuers(aws, with_forgotten(aws, config))
    if there:
        problem = f"is not set, and {lost}, and there is the cluster's {getattr(there[0], 'words', there[0])}"
        raise SettingError(ENABLE, problem, "say true to keep it, false to have it removed")


def check_issuer(aws: Aws, config: Config, *, secrets: str) -> None:
    """Raises SettingError where AWS could not read the issuer's documents, or others the cluster's. Changes nothing.

    `secrets` is the name of the cluster's own bucket, '' where there is none yet.
    """
    if not config.kube_enable_pod_identity:
        return
    _refuse_blocked_account(aws, config)
    if config.kube_oidc_bucket:
        _check_brought(aws, config, secrets)


def _refuse_blocked_account(aws: Aws, config: Config) -> None:
    try:
        block = unless(
            "NoSuchPublicAccessBlockConfiguration",
            lambda: aws.service("s3control").get_public_access_block(AccountId=aws.account),
        )
    except ClientError as error:
        if classify(error) is not ErrorKind.DENIED:
            raise
        aws.console.say(
            f"{ENABLE}: whether the account blocks public buckets is not known, for that needs "
            "s3:GetAccountPublicAccessBlock"
        )
        return
    found = (block or {}).get("PublicAccessBlockConfiguration", {})
    on = [name for name in (_BLOCKING[1:] if config.kube_oidc_bucket else _BLOCKING) if found.get(name)]
    if on:
        raise SettingError(
            ENABLE,
            f"account {aws.account} blocks public buckets ({', '.join(on)}), and AWS reads the issuer's two documents "
            "as anybody would",
            "have that turned off for the account, where your company allows it, or leave it false",
        )


def _check_brought(aws: Aws, config: Config, secrets: str) -> None:
    name = config.kube_oidc_bucket
    if name in (secrets, config.aws_s3_bucket, buckets.default_name(aws, config)):
        raise SettingError(BUCKET, f"{name} holds the cluster's secrets, and this one is public", "give another one")
    found = _find_bucket(aws, config)
    if found is None:
        raise SettingError(BUCKET, f"there is no bucket {name}", "make it first, or leave it empty: one is made")
    s3 = aws.s3(found.region)
    status = unless(
        "NoSuchBucketPolicy",
        lambda: s3.get_bucket_policy_status(Bucket=name, ExpectedBucketOwner=found.owner)["PolicyStatus"],
    )
    restricted = (buckets.public_access(s3, found) or {}).get("RestrictPublicBuckets")
    if restricted or not (status and status.get("IsPublic")):
        raise SettingError(
            BUCKET,
            f"{name} is not public, and AWS reads the issuer's two documents as anybody would",
            f"give it a policy that lets everybody s3:GetObject on {name}/{found.prefix}*, or leave it empty",
        )


# --- made


def ensure_issuer(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with its issuer's address, '' where it has none: documents, bucket and provider made or repaired.

    A run of one group leaves them alone.
    """
    config = cluster.config
    if not config.kube_enable_pod_identity:
        return cluster.having(Cluster.issuer, "")
    found = _find_bucket(aws, config)
    url = _url(aws, found or _place(aws, config))
    if config.kube_use_existing_master:
        return cluster.having(Cluster.issuer, url)
    bucket = _ensure_bucket(aws, config, found)
    _ensure_documents(aws, bucket, _documents(url, cluster.authority.service_account_key))
    # After the documents: AWS looks at the address when a provider is made.
    _ensure_provider(aws, config, url)
    return cluster.having(Cluster.issuer, url)


def _documents(url: str, public_key: bytes) -> dict[str, bytes]:
    """The two documents by their names below the address."""
    from lib.kube import certificates

    keys = certificates.key_set(public_key)
    discovery = {
        "issuer": url,
        "jwks_uri": f"{url}/{KEYS}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key["alg"] for key in keys["keys"]}),
    }
    return {name: json.dumps(it).encode() for name, it in ((DISCOVERY, discovery), (KEYS, keys))}


def _ensure_bucket(aws: Aws, config: Config, found: Bucket | None) -> Bucket:
    """The bucket, public for these documents alone where it is ours; a brought one is left as it is."""
    if found and not found.ours:
        aws.console.found(f"bucket {found.name}, yours")
        return found
    if found:
        refuse_others(config.cluster_id, f"bucket {found.name}", found.tags)
        aws.console.found(f"bucket {found.name}")
    bucket = found or buckets.make_bucket(aws, config, _place(aws, config))
    if bucket.planned:
        return bucket
    if found:
        buckets.repair_tags(aws, config, bucket)
    _open(aws, bucket, fresh=not found)
    return bucket


def _open(aws: Aws, bucket: Bucket, *, fresh: bool) -> None:
    """Let everybody read the two documents, and nothing else."""
    s3, name, owner = aws.s3(bucket.region), bucket.name, bucket.owner
    buckets.ensure_public_access(aws, bucket, _PUBLIC, "blocked → by policies allowed", fresh=fresh)
    wanted = iam.policy_document("issuer-policy", {"PARTITION": aws.partition, "BUCKET": bucket.name})
    policy = (
        None
        if fresh
        else unless("NoSuchBucketPolicy", lambda: s3.get_bucket_policy(Bucket=name, ExpectedBucketOwner=owner))
    )
    there = json.loads(policy["Policy"]) if policy else {}
    if there != wanted:
        aws.change(
            "set",
            f"{name}: policy" + (f" {iam.differs(there, wanted)}" if there else ""),
            lambda: s3.put_bucket_policy(Bucket=name, Policy=json.dumps(wanted), ExpectedBucketOwner=owner),
            retry_on=[buckets.LETTING_GO],
            retry_if=_may_be_open_later,
        )


def _may_be_open_later(error: BaseException) -> bool:
    """Whether S3 does not know everywhere yet that public policies are allowed. It has one code for all denials."""
    return error_code(error) == "AccessDenied" and "blockpublicpolicy" in str(error).lower()


def _ensure_documents(aws: Aws, bucket: Bucket, documents: Mapping[str, bytes]) -> None:
    there = dict(buckets.listed(aws, bucket, ""))
    for name, content in documents.items():
        if there.get(name) != hashlib.md5(content, usedforsecurity=False).hexdigest():
            objects.put_object(aws, bucket, name, content, words=f"issuer's {name}")


def _find_provider(aws: Aws, arn: str) -> Mapping[str, Any] | None:
    return unless("NoSuchEntity", lambda: aws.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn))


def _ensure_provider(aws: Aws, config: Config, url: str) -> None:
    arn, tags = _arn(aws, url), cluster_tags(config)
    found = _find_provider(aws, arn)
    if found is None:
        aws.make(
            f"OpenID Connect provider {url}",
            lambda: aws.iam.create_open_id_connect_provider(Url=url, ClientIDList=[AUDIENCE], Tags=tag_list(tags))[
                "OpenIDConnectProviderArn"
            ],
            look=lambda: arn if _find_provider(aws, arn) else None,
        )
        return
    refuse_others(config.cluster_id, f"OpenID Connect provider {url}", tags_of(found))
    aws.console.found(f"OpenID Connect provider {url}")
    if AUDIENCE not in found.get("ClientIDList", []):
        aws.console.differs(
            f"OpenID Connect provider {url} has not the audience {AUDIENCE}, which pods' tokens are for: aws iam "
            f"add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {arn} --client-id {AUDIENCE}"
        )
    if not tags.items() <= tags_of(found).items():
        aws.change(
            "tag",
            f"OpenID Connect provider {url} with {tag_words(tags_of(found), tags)}",
            lambda: aws.iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=tag_list(tags)),
        )


def find_tagged(aws: Aws, config: Config) -> tuple[Bucket | None, str, dict[str, str]]:
    """Our bucket as it is there, and the provider's ARN with its tags; None, '' and {} for what is not there."""
    if not config.kube_enable_pod_identity:
        return None, "", {}
    bucket = _find_bucket(aws, config)
    arn = _arn(aws, _url(aws, bucket or _place(aws, config)))
    provider = _find_provider(aws, arn)
    return bucket if bucket and bucket.ours else None, arn if provider else "", tags_of(provider or {})


# --- removed


def find_issuers(aws: Aws, config: Config) -> list[Issuer | Disputed]:
    """What there is of the cluster's issuer, in a list: empty where there is none, or it is another's by its tags.

    Not looked for without KUBE_ENABLE_POD_IDENTITY: who never had it needs no rights for it.
    """
    if not config.kube_enable_pod_identity:
        return []
    bucket = _find_bucket(aws, config)
    url = _url(aws, bucket or _place(aws, config))
    arn = _arn(aws, url)
    provider = _find_provider(aws, arn)
    owned = sorted_out(config.cluster_id, arn, f"OpenID Connect provider {url}", tags_of(provider or {}))
    if bucket and bucket.ours:
        owned += sorted_out(config.cluster_id, bucket.name, f"bucket {bucket.name}", bucket.tags)
    there = bucket if bucket and (bucket.name in owned or _holds_documents(aws, bucket)) else None
    disputed: list[Issuer | Disputed] = [it for it in owned if isinstance(it, Disputed)]
    found = Issuer(url, there, arn if arn in owned else "")
    return disputed or ([found] if found.bucket or found.provider else [])


def with_forgotten(aws: Aws, config: Config) -> Config:
    """The settings that an issuer is looked for with where the cluster's are lost: IAM's list says in which bucket.

    Where that may not be asked for it is said, and it is looked for in a bucket of ours alone.
    """
    config = dataclasses.replace(config, kube_enable_pod_identity=True)
    if config.kube_oidc_bucket:
        return config
    try:
        known = aws.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    except ClientError as error:
        if classify(error) is not ErrorKind.DENIED:
            raise
        aws.console.warn(f"not looked for: an issuer in a {BUCKET}, for that needs {error.operation_name}")
        return config
    brought = re.compile(rf":oidc-provider/(.+)\.s3\.[a-z0-9-]+\.{re.escape(aws.dns_suffix)}/{_prefix(aws, config)}")
    found = next((match for each in known if (match := brought.search(f"{each['Arn']}/"))), None)
    return dataclasses.replace(config, kube_oidc_bucket=found[1]) if found else config


def seen_issuers(aws: Aws, config: Config) -> list[Issuer | Disputed]:
    """The same; none where they may not be looked for, which is said."""
    try:
        return find_issuers(aws, config)
    except ClientError as error:
        if classify(error) is not ErrorKind.DENIED:
            raise
        aws.console.warn(f"not looked for: the issuer of {ENABLE}, for that needs {error.operation_name}")
        return []


def _holds_documents(aws: Aws, bucket: Bucket) -> bool:
    """Whether a brought bucket has any of the documents."""
    documents = {bucket.key(DISCOVERY), bucket.key(KEYS)}
    return not bucket.ours and any(each["Key"] in documents for each in objects.object_keys(aws, bucket))


def delete_issuer(aws: Aws, issuer: Issuer) -> None:
    """Remove provider and documents, and the bucket where it is ours. Roles that trust the provider stay."""
    if issuer.provider:
        aws.remove(
            "delete",
            f"OpenID Connect provider {issuer.url}",
            lambda: aws.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=issuer.provider),
        )
    if issuer.bucket:
        buckets.empty_bucket(aws, issuer.bucket, names=() if issuer.bucket.ours else (DISCOVERY, KEYS))
        buckets.delete_bucket(aws, issuer.bucket)


def remove_former(aws: Aws, cluster: Cluster) -> None:
    """Remove the issuer that the cluster had where it is to have another or none, before a run forgets it.

    Where the settings are lost, it is looked for if this run is told what it is to have.
    """
    config, was = cluster.config, cluster.layers.remembered
    lost = "KUBE_AWS_ZONE" not in was and cluster.found.interface is not None
    lost = lost and cluster.layers.asked(ENABLE) is not None
    had, place = lost or was.get(ENABLE, "").lower() == "true", was.get(BUCKET, "")
    if not had or config.kube_use_existing_master:
        return
    former = dataclasses.replace(config, kube_enable_pod_identity=True, kube_oidc_bucket=place)
    if lost:
        former = with_forgotten(aws, former)
    if not config.kube_enable_pod_identity or former.kube_oidc_bucket != config.kube_oidc_bucket:
        for issuer in (seen_issuers if lost else find_issuers)(aws, former):
            if isinstance(issuer, Issuer):
                delete_issuer(aws, issuer)
