"""Whether the lifecycle rules of a brought bucket would take away what a cluster cannot do without.

They are the user's and stay as they are, so that a run can only say it, and says it before it changes anything. What
holds for a rule: https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.aws.errors import FAILURES, error_code, unless
from lib.aws.objects import SNAPSHOT

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.objects import Bucket
    from lib.settings.config import Config

_KIB = 1024
_GIB = 1024**3
# Nothing in them can be read before somebody has it restored. GLACIER_IR is read as any.
_FROZEN = {"GLACIER": "Glacier Flexible Retrieval", "DEEP_ARCHIVE": "Glacier Deep Archive"}
_SMALLEST_MOVED = 128 * _KIB  # that a rule moves, unless it says a size or the bucket that it varies


@dataclass(frozen=True)
class _Kept:
    """An object, or with / at its end a folder of such, that the cluster needs: how small and how large it may be.

    `outlives` what expires it: as an earlier version, in which it is looked for.
    """

    name: str
    least: int
    most: int
    outlives: bool = False


_NEEDED = (
    _Kept("pki.tar", 8 * _KIB, 64 * _KIB),
    _Kept("join-token", 23, 23),
    _Kept("settings.env", 256, 64 * _KIB),
    _Kept("addons/", 256, 64 * _KIB),
    _Kept(SNAPSHOT, 16 * _KIB, 8 * _GIB, outlives=True),
)


_SCRIPT = _Kept("node-script", 1, 16 * _KIB)  # with KUBE_NODE_SCRIPT


def tell_rules(aws: Aws, config: Config, bucket: Bucket) -> None:
    """Warn of each rule of a brought bucket that would take something of the cluster's, or that none could be read."""
    try:
        answer: Mapping[str, Any] | None = unless(
            "NoSuchLifecycleConfiguration",
            lambda: aws.s3(bucket.region).get_bucket_lifecycle_configuration(
                Bucket=bucket.name, ExpectedBucketOwner=bucket.owner
            ),
        )
    except FAILURES as error:
        aws.console.warn(
            f"AWS_S3_BUCKET: whether a lifecycle rule of {bucket.name} will take the cluster's CA away is not known "
            f"(s3:GetLifecycleConfiguration: {error_code(error) or 'no answer'})"
        )
        return
    needed = (*_NEEDED, *([_SCRIPT] if config.kube_node_script else []))
    for words in harms(answer or {}, bucket.prefix, needed):
        aws.console.warn(
            f"AWS_S3_BUCKET: {words}. Keep that rule off {bucket.name}/{bucket.prefix}; what is lost must be put back "
            "by hand (docs/recovery.md, The bucket is lost)"
        )


def harms(configuration: Mapping[str, Any], prefix: str, needed: Sequence[_Kept] = _NEEDED) -> list[str]:
    """What each rule does to the cluster's objects below `prefix`, in words: "rule x expires pki.tar after 30 days"."""
    varies = configuration.get("TransitionDefaultMinimumObjectSize") == "varies_by_storage_class"
    return [
        f"rule {rule.get('ID') or 'without a name'} {does} {', '.join(names)} {when}"
        for rule in configuration.get("Rules", [])
        if rule.get("Status") == "Enabled"
        for does, when, names in _harms(rule, prefix, needed, varies=varies)
    ]


def _harms(
    rule: Mapping[str, Any], prefix: str, needed: Sequence[_Kept], *, varies: bool
) -> Iterator[tuple[str, str, Sequence[str]]]:
    expires = rule.get("Expiration", {})
    if "Days" in expires or "Date" in expires:
        met = [each for each in _met(rule, prefix, needed) if not each.outlives]
        if met:
            yield "expires", _when(expires), [each.name for each in met]
    for moves in rule.get("Transitions", []):
        if moves.get("StorageClass") in _FROZEN:
            small_too = varies or any(key.startswith("ObjectSize") for key in _filter(rule))
            met = [each for each in _met(rule, prefix, needed) if small_too or each.most >= _SMALLEST_MOVED]
            if met:
                place = f"to {_FROZEN[moves['StorageClass']]}, where they cannot be read,"
                yield "moves", f"{place} {_when(moves)}", [each.name for each in met]


def _when(what: Mapping[str, Any]) -> str:
    if "Date" in what:
        return f"on {what['Date']:%Y-%m-%d}"
    days = what.get("Days", 0)
    return f"{days} {'day' if days == 1 else 'days'} after they were put"


def _filter(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a rule is limited to, in one mapping: S3 has three places for it."""
    given = rule.get("Filter", {})
    limits: Mapping[str, Any] = given.get("And", given)
    return {"Prefix": rule.get("Prefix", ""), **limits}


def _met(rule: Mapping[str, Any], prefix: str, needed: Sequence[_Kept]) -> list[_Kept]:
    """The cluster's objects that a rule is about; none bears a tag."""
    limits = _filter(rule)
    if limits.get("Tag") or limits.get("Tags"):
        return []
    over, under = limits.get("ObjectSizeGreaterThan", -1), limits.get("ObjectSizeLessThan", float("inf"))
    begin = limits["Prefix"]
    return [each for each in needed if _is_below(prefix + each.name, begin) and each.most > over and each.least < under]


def _is_below(key: str, begin: str) -> bool:
    """Whether the object, or some object of the folder, has a name that begins so."""
    return key.startswith(begin) or (key.endswith("/") and begin.startswith(key))
