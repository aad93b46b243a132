"""KUBE_EXTRA_TAGS that have changed: put on, and taken off, all that is there and is the cluster's.

Every step puts them on what it makes, and back on what it finds; what no step looks at (minions and their disks, the
volumes of claims, groups in other zones, an alarm) has them from here. Only what is remembered tells which were there
before, so that this comes before the settings are written down, and a run that was stopped in it is gone on with. A tag
is taken off only where it has the value that the cluster gave it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib import alarms, iam, minions, podidentity, selfheal, volumes
from lib.aws.errors import ErrorKind, classify
from lib.aws.tags import CLUSTER, PREFIX, bears_one, cluster_tags, is_ours, tag_list, tag_words, tags_of
from lib.cluster import Cluster
from lib.run.words import counted

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.objects import Bucket
    from lib.settings.config import Config

_NAME = "KUBE_EXTRA_TAGS"
_ASKED = 200  # values that a filter of EC2's takes
_TAGGED = 500  # resources in one call; EC2 takes 1,000 and advises fewer (API reference, CreateTags)
# What stays when the cluster goes, and so is its user's, whatever tags it bears.
_STAYS = ("snapshot", "image")


@dataclass(frozen=True)
class _Change:
    """What is to be on everything, and what was there and is to be on nothing any more."""

    wanted: Mapping[str, str]
    gone: Mapping[str, str]

    def lacking(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Those of the wanted that are not there with their value."""
        return {key: value for key, value in self.wanted.items() if tags.get(key) != value}

    def leaving(self, tags: Mapping[str, str]) -> list[str]:
        """The keys of those to be taken off that are there with the value that the cluster gave them."""
        return [key for key, value in self.gone.items() if tags.get(key) == value]


def follow_change(aws: Aws, cluster: Cluster) -> None:
    """Have all that is there bear the tags that are set now, where these are others than are remembered."""
    config, remembered = cluster.config, cluster.layers.remembered
    former, wanted = _as_given(remembered.get(_NAME, "")), dict(config.kube_extra_tags)
    if not remembered or former == wanted:
        return
    change = _Change(wanted, {key: value for key, value in former.items() if key not in wanted})
    aws.console.step("Your tags")
    _retag_ec2(aws, config, change)
    for group in minions.own_groups(aws, config):
        name = group["AutoScalingGroupName"]
        put, take = (functools.partial(call, aws, name) for call in (minions.tag_group, minions.untag_group))
        its_own_step = dataclasses.replace(change, wanted={}) if name == cluster.group_name else change
        _retag(aws, f"group {name}", tags_of(group), its_own_step, put, take)
    for alarm, tags in alarms.own_with_tags(aws, config):
        put, take = (functools.partial(call, aws, alarm) for call in (alarms.tag_alarm, alarms.untag_alarm))
        _retag(aws, f"alarm {alarm['AlarmName']}", tags, change, put, take)
    if change.gone:
        _untag_rest(aws, cluster, change)
    if config.kube_enable_ebs_csi_driver and not config.kube_replace_master:
        aws.console.say(
            "new volumes of claims get them from the EBS driver, which learns them when the master is made anew; the "
            "command stands below"
        )


def _as_given(text: str) -> dict[str, str]:
    """The tags of a text that was right when it was remembered."""
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _retag(
    aws: Aws,
    what: str,
    tags: Mapping[str, str],
    change: _Change,
    put: Callable[[Mapping[str, str]], object],
    take: Callable[[list[str]], object],
) -> None:
    lacking, leaving = change.lacking(tags), change.leaving(tags)
    if lacking:
        aws.change("tag", f"{what} with {tag_words(tags, lacking)}", lambda: put(lacking))
    if leaving:
        aws.remove("delete", f"{_listed(leaving)} of {what}", lambda: take(leaving))


def _listed(keys: Iterable[str]) -> str:
    keys = list(keys)
    return f"tag{'s' if len(keys) > 1 else ''} {', '.join(keys)}"


# --- what is EC2's


def _retag_ec2(aws: Aws, config: Config, change: _Change) -> None:
    """Two or three calls, however much there is: each of the two that change says what it does to how many."""
    found = dict(_ours(aws, config))
    lacking = [each for each, tags in found.items() if change.lacking(tags)]
    for some in _batches(lacking):
        words = f"{counted(len(some), 'thing')} of EC2's with {tag_words({}, change.wanted)}"
        put = functools.partial(aws.ec2.create_tags, Tags=tag_list(change.wanted))
        aws.change("tag", words, functools.partial(_each_that_is_there, put, some))
        aws.tagged.update(dict.fromkeys(some, change.wanted))
    leaving = [each for each, tags in found.items() if change.leaving(tags)]
    for some in _batches(leaving):
        words = f"{_listed(change.gone)} of {counted(len(some), 'thing')} of EC2's"
        take = functools.partial(aws.ec2.delete_tags, Tags=tag_list(change.gone))  # each with its value
        aws.remove("delete", words, functools.partial(_each_that_is_there, take, some))


def _batches(ids: list[str], size: int = _TAGGED) -> Iterator[list[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _each_that_is_there(call: Callable[..., object], ids: list[str]) -> None:
    """All in one call; one by one where one of them has gone since they were listed, such as a minion."""
    try:
        call(Resources=ids)
    except ClientError as error:
        if classify(error) is not ErrorKind.NOT_FOUND:
            raise
        for each in ids if len(ids) > 1 else ():
            _each_that_is_there(call, [each])


def _ours(aws: Aws, config: Config) -> Iterator[tuple[str, dict[str, str]]]:
    """What of EC2's is the cluster's, with all its tags; not what was brought, nor what a person made beside it."""
    keys = [CLUSTER, f"{PREFIX}{config.cluster_id}"]
    brought = {config.vpc_id, config.subnet_id, config.dhcp_option_set_id}
    bearing = {each["ResourceId"]: each["ResourceType"] for each in _tags(aws, "key", keys) if _is_of(config, each)}
    kinds = {each: kind for each, kind in bearing.items() if kind not in _STAYS and each not in brought}
    tags: dict[str, dict[str, str]] = {each: {} for each in kinds}
    for some in _batches(list(kinds), _ASKED):
        for tag in _tags(aws, "resource-id", some):
            tags[tag["ResourceId"]][tag["Key"]] = tag["Value"]
    for each, found in tags.items():
        if is_ours(config.cluster_id, found) and (kinds[each] != "volume" or _goes(config, found)):
            yield each, found


def _tags(aws: Aws, name: str, values: list[str]) -> list[Any]:
    asked: Any = [{"Name": name, "Values": values}]
    return aws.every("describe_tags", "Tags", Filters=asked, PaginationConfig={"PageSize": 1000})


def _is_of(config: Config, tag: Mapping[str, str]) -> bool:
    return bears_one(config.cluster_id, {tag["Key"]: tag["Value"]})


def _goes(config: Config, tags: Mapping[str, str]) -> bool:
    """Whether a volume with these tags goes with the cluster: what a person made with its tag stays theirs."""
    volume: Any = {"Tags": tag_list(tags)}
    return volumes.is_disk(config, volume) or volumes.goes_with_cluster(config, volume)


# --- the rest


def _untag_rest(aws: Aws, cluster: Cluster, change: _Change) -> None:
    """What its own step gives the tags that are set, and takes none off."""
    config = cluster.config
    only_off = dataclasses.replace(change, wanted={})

    def untag(what: str, tags: Mapping[str, str], take: Callable[[list[str]], object]) -> None:
        if is_ours(config.cluster_id, tags):
            _retag(aws, what, tags, only_off, lambda _: None, take)

    for name in (config.master_role, config.minion_role, config.healer_role):
        if role := iam.find_role(aws, name):
            untag(f"role {name}", tags_of(role), functools.partial(_untag_role, aws, name))
        profile = iam.find_profile(aws, name) if name != config.healer_role else None
        if profile:
            untag(f"instance profile {name}", tags_of(profile), functools.partial(_untag_profile, aws, name))
    if config.kube_master_self_heal:
        name = config.healer_name
        take = functools.partial(selfheal.untag_schedule_group, aws, name)
        untag(f"schedule group {name}", selfheal.group_tags(aws, name) or {}, take)
    issuers, provider, its_tags = podidentity.find_tagged(aws, config)
    if provider:
        untag(f"OpenID Connect provider {provider}", its_tags, functools.partial(_untag_provider, aws, provider))
    for bucket in (cluster.bucket, issuers):
        if bucket and bucket.ours and not bucket.planned:
            tags = {**bucket.tags, **(cluster_tags(config) if bucket is cluster.bucket else {})}
            untag(f"bucket {bucket.name}", tags, functools.partial(_untag_bucket, aws, bucket, tags))


def _untag_role(aws: Aws, name: str, keys: list[str]) -> None:
    aws.iam.untag_role(RoleName=name, TagKeys=keys)


def _untag_profile(aws: Aws, name: str, keys: list[str]) -> None:
    aws.iam.untag_instance_profile(InstanceProfileName=name, TagKeys=keys)


def _untag_provider(aws: Aws, arn: str, keys: list[str]) -> None:
    aws.iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=keys)


def _untag_bucket(aws: Aws, bucket: Bucket, tags: Mapping[str, str], keys: list[str]) -> None:
    """S3 has no call that takes one tag off: all that are to stay are put."""
    left: Any = {"TagSet": tag_list({key: value for key, value in tags.items() if key not in keys})}
    aws.s3(bucket.region).put_bucket_tagging(Bucket=bucket.name, Tagging=left, ExpectedBucketOwner=bucket.owner)
