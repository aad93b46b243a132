"""The minions: a launch template and an auto scaling group in the zone (the original's start-minions)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib import launchtemplate, spotsizes
from lib.aws import keys, tags
from lib.aws.client import Aws
from lib.aws.errors import error_code
from lib.aws.tags import cluster_tags, tag_specification, tag_words, tags_of
from lib.checks import nodegroup
from lib.checks.nodegroup import Size
from lib.cluster import Cluster, Minions
from lib.master import METADATA, root_disk
from lib.node import kubeenv, userdata
from lib.run.errors import Known, KubeError

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef

    from lib.settings.config import Config


SURGE_TAG = "kube-up/replacing-one-of"  # on the group: its size before it got one more for a replacement
_SHOWN = 20  # minions of a group that a dry run lists


def instance_tags(config: Config) -> dict[str, str]:
    """The tags of every minion."""
    return {"Name": config.node_name, "Role": config.node_name, **cluster_tags(config)}


def find_launch_templates(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with its launch templates that are there, by name: one call for the master's and the group's."""
    names = (cluster.config.master_name, cluster.group_name)
    return cluster.having(Cluster.templates, launchtemplate.find_templates(aws, cluster.config, *names))


def ensure_minions(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the minions' launch template and group, at least of the wanted size.

    Does not wait for its instances, nor takes any away (lib/roll.py).
    """
    config, name, data = cluster.config, cluster.group_name, _launch_data(aws, cluster)
    found = cluster.templates.get(name)
    template = launchtemplate.ensure_template(aws, config, name, data, found=found)
    _ensure_group(aws, config, name, template_id=template.template_id, subnet_id=cluster.subnet_id)
    return cluster.having(Cluster.minions, Minions(name, template, data))


def minion_user_data(aws: Aws, cluster: Cluster) -> bytes:
    """What a minion boots from. Raises UserDataTooLarge."""
    env = kubeenv.minion_env(aws, cluster.config, cluster.facts, join_token=cluster.join_token)
    return userdata.render("minion", env | cluster.downloads(cluster.images.node))


def _launch_data(aws: Aws, cluster: Cluster) -> dict[str, Any]:
    """What a minion is launched from, as EC2 takes it."""
    config, image = cluster.config, cluster.images.node
    disk = root_disk(image, size=config.node_root_disk_size, kind=config.node_root_disk_type)
    data: dict[str, Any] = {
        "ImageId": image.image_id,
        "IamInstanceProfile": {"Name": cluster.profiles["minion"]},
        "KeyName": cluster.key_name,
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "AssociatePublicIpAddress": config.kube_enable_node_public_ip,
                "Groups": [cluster.groups.minion],
                "DeleteOnTermination": True,
            }
        ],
        "BlockDeviceMappings": disk,
        "MetadataOptions": METADATA,
        # By their addresses, also where a brought subnet names its hosts by their ids. A launch with an interface that
        # is there, as the master's, takes no heed of it. (API reference, RunInstances)
        "PrivateDnsNameOptions": {"HostnameType": "ip-name"},
        "UserData": base64.b64encode(minion_user_data(aws, cluster)).decode(),
        "TagSpecifications": [
            *tag_specification("instance", instance_tags(config)),
            *tag_specification("volume", {"Name": f"{config.node_name}-root", **cluster_tags(config)}),
            *tag_specification("network-interface", {"Name": config.node_name, **cluster_tags(config)}),
        ],
    }
    return data | spotsizes.template_part(config)


def find_group(aws: Aws, name: str) -> AutoScalingGroupTypeDef | None:
    """The group of that name with its instances, None if there is none."""
    found = aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return found[0] if found else None


def _ensure_group(aws: Aws, config: Config, name: str, *, template_id: str, subnet_id: str) -> None:
    """The group, from the template, in the subnet, at least of the wanted size. Does not wait for its instances.

    It grows here. What it has too much of is taken away by lib/roll.py, which drains nodes first.
    """
    found = find_group(aws, name)
    if found and found.get("Status"):  # it is there only while it is being deleted
        wait_gone(aws, found)
        found = None
    if found is None:
        _make_group(aws, config, name, template_id=template_id, subnet_id=subnet_id)
        return
    tags.refuse_others(config.cluster_id, f"group {name}", tags_of(found))
    aws.console.found(f"group {name} of {found['DesiredCapacity']}")
    for instance in found["Instances"][:_SHOWN] if aws.dry_run else []:
        aws.console.found(f"minion {instance['InstanceId']} {instance['InstanceType']} ({instance['LifecycleState']})")
    _repair_group(aws, config, found, template_id=template_id, subnet_id=subnet_id)
    _repair_group_tags(aws, config, found)


def _group_tags(name: str, wanted: Mapping[str, str]) -> list[Any]:
    return [
        {
            "ResourceId": name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": True,
        }
        for key, value in wanted.items()
    ]


def tag_group(aws: Aws, name: str, wanted: Mapping[str, str]) -> None:
    """Put these tags on a group, for its instances too. It is the call alone, and says nothing."""
    aws.autoscaling.create_or_update_tags(Tags=_group_tags(name, wanted))


def untag_group(aws: Aws, name: str, keys: Sequence[str]) -> None:
    """The call that takes these tags off a group."""
    gone: Any = [{"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": key} for key in keys]
    aws.autoscaling.delete_tags(Tags=gone)


def _settings(config: Config, size: Size, *, template_id: str, subnet_id: str) -> dict[str, Any]:
    return {
        **spotsizes.launched_from(config, template_id),
        "MinSize": size.least,
        "MaxSize": size.most,
        "DesiredCapacity": size.desired,
        "VPCZoneIdentifier": subnet_id,
    }


def _make_group(aws: Aws, config: Config, name: str, *, template_id: str, subnet_id: str) -> None:
    settings = _settings(config, nodegroup.wanted_size(config), template_id=template_id, subnet_id=subnet_id)

    def create() -> str:
        try:
            aws.autoscaling.create_auto_scaling_group(
                AutoScalingGroupName=name, Tags=_group_tags(name, instance_tags(config)), **settings
            )
        except ClientError as error:
            if error_code(error) != "AlreadyExists":  # by a call whose answer was lost, or by another run
                raise
        return name

    aws.make(
        f"group {name} of {settings['DesiredCapacity']} {' or '.join(config.node_sizes)}",
        create,
        retry_if=_may_be_made_later,
    )


def _may_be_made_later(error: BaseException) -> bool:
    """Whether Auto Scaling does not yet see the template or profile made a moment ago. It has one code for all."""
    text = str(error).lower()
    return error_code(error) == "ValidationError" and ("does not exist" in text or "iaminstanceprofile" in text)


def _repair_group(
    aws: Aws, config: Config, found: AutoScalingGroupTypeDef, *, template_id: str, subnet_id: str
) -> None:
    size = nodegroup.grown(config, found["DesiredCapacity"])
    wanted = _settings(config, size, template_id=template_id, subnet_id=subnet_id)
    _set_group(aws, found["AutoScalingGroupName"], spotsizes.as_far_as(found, wanted), wanted)
    _warn_of_suspended(aws, found)


def _warn_of_suspended(aws: Aws, found: AutoScalingGroupTypeDef) -> None:
    """Say what somebody has stopped the group from doing: it may be on purpose, so it stays."""
    stopped = _suspended(found)
    if stopped:
        name = found["AutoScalingGroupName"]
        aws.console.differs(f"group {name} is suspended from {', '.join(stopped)}: {_resume(aws, name)}")


def _suspended(found: AutoScalingGroupTypeDef) -> list[str]:
    return [process["ProcessName"] for process in found.get("SuspendedProcesses", [])]


def _resume(aws: Aws, name: str) -> str:
    return f"aws autoscaling resume-processes --region {aws.region} --auto-scaling-group-name {name}"


def _refuse_suspended(aws: Aws, group: AutoScalingGroupTypeDef) -> None:
    """Raises KubeError for a group that lacks a minion and may not launch one: no wait would end."""
    name, there = group["AutoScalingGroupName"], len(living(group))
    if there < group["DesiredCapacity"] and "Launch" in _suspended(group):
        raise KubeError(
            f"group {name} has {there} of {group['DesiredCapacity']} minions and is suspended from Launch",
            hint=f"{_resume(aws, name)}; then run the same command again",
        )


def set_size(aws: Aws, found: AutoScalingGroupTypeDef, size: Size) -> None:
    """Give the group these bounds and this size, where it has others."""
    wanted = {"MinSize": size.least, "MaxSize": size.most, "DesiredCapacity": size.desired}
    _set_group(aws, found["AutoScalingGroupName"], {key: found.get(key) for key in wanted}, wanted)


def _set_group(aws: Aws, name: str, actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    changed: Any = {key: value for key, value in wanted.items() if actual[key] != value}
    if changed:
        words = ", ".join(spotsizes.group_words(key, actual[key], value) for key, value in changed.items())
        aws.change(
            "set",
            f"group {name}: {words}",
            lambda: aws.autoscaling.update_auto_scaling_group(AutoScalingGroupName=name, **changed),
            retry_if=_may_be_made_later,
        )


def _repair_group_tags(aws: Aws, config: Config, found: AutoScalingGroupTypeDef) -> None:
    name = found["AutoScalingGroupName"]
    actual = {(tag["Key"], tag.get("Value"), tag.get("PropagateAtLaunch")) for tag in found["Tags"]}
    there = {tag["Key"]: tag.get("Value", "") for tag in found["Tags"]}
    wanted = _group_tags(name, instance_tags(config))
    missing = [t for t in wanted if (t["Key"], t["Value"], t["PropagateAtLaunch"]) not in actual]
    if missing:
        words = tag_words(there, {t["Key"]: t["Value"] for t in missing}) or "its tags for its instances too"
        aws.change("tag", f"group {name} with {words}", lambda: aws.autoscaling.create_or_update_tags(Tags=missing))


# --- one more for a while, in a group whose size is not ours alone to say (lib/roll.py)


def surge_tag(group: AutoScalingGroupTypeDef) -> str | None:
    """What the tag says that the group's size is without the one more, None where it is not set."""
    return next((tag.get("Value", "") for tag in group["Tags"] if tag["Key"] == SURGE_TAG), None)


def _surge_tag_id(name: str) -> dict[str, Any]:
    return {"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": SURGE_TAG}


def mark_surge(aws: Aws, group: AutoScalingGroupTypeDef) -> None:
    """Say on the group how large it is before it gets one more."""
    name, before = group["AutoScalingGroupName"], group["DesiredCapacity"]
    if surge_tag(group) != str(before):
        words = f"group {name} with {SURGE_TAG}={before}"
        tag: Any = {**_surge_tag_id(name), "Value": str(before), "PropagateAtLaunch": False}
        aws.change("tag", words, lambda: aws.autoscaling.create_or_update_tags(Tags=[tag]))


def unmark_surge(aws: Aws, group: AutoScalingGroupTypeDef) -> None:
    """Take that off again."""
    name, before = group["AutoScalingGroupName"], surge_tag(group)
    if before is not None:
        tag: Any = _surge_tag_id(name)
        words = f"tag {SURGE_TAG}={before} of group {name}"
        aws.remove("delete", words, lambda: aws.autoscaling.delete_tags(Tags=[tag]))


def wait_in_service(aws: Aws, config: Config, name: str) -> AutoScalingGroupTypeDef | None:
    """The group, once as many minions run as it should have. Raises WaitExpired with the group's last failure.

    In a dry run the group as it is, None where there is none. Raises KubeError where it is suspended from launching,
    and where its instances end one after another for want of their disks' key.
    """
    if aws.dry_run:
        return find_group(aws, name)
    seen = {"text": ""}
    before: list[_Failure | None] = []  # what was there when this wait began may be mended by now

    def complete() -> AutoScalingGroupTypeDef | None:
        group = find_group(aws, name)
        if group is None:  # AWS has not yet spread word of it, or somebody took it away
            seen["text"] = "the group is not to be seen"
            return None
        running = [i for i in group["Instances"] if i["LifecycleState"] == "InService"]
        if len(running) >= group["DesiredCapacity"]:
            return group
        _refuse_suspended(aws, group)
        failure = _failure(aws, name)
        seen["text"] = f"{len(running)} of {group['DesiredCapacity']} run{f'; {failure}' if failure else ''}"
        before[:] = before or [failure]
        if failure and failure not in before and any(code in failure.words for code in keys.NO_KEY):
            hint = keys.key_advice(aws, who=keys.AUTO_SCALING)
            raise KubeError(f"the minions of {name} end as they start: {failure}", hint=hint)
        return None

    return aws.wait(
        f"the minions of {name} to run",
        complete,
        seconds=config.kube_wait_instance_seconds,
        progress=lambda: seen["text"],
        at_end=lambda: Known(f"{seen['text']}\nnext: {_look_at(aws, name)}"),
    )


def wait_empty(aws: Aws, config: Config, name: str) -> None:
    """Return once the group has no instances. Raises WaitExpired. Waits for nothing in a dry run."""
    left: list[str] = []

    def empty() -> bool | None:
        group = find_group(aws, name)
        left[:] = [instance["InstanceId"] for instance in group["Instances"]] if group else []
        return None if left else True

    if not aws.dry_run:
        aws.wait(
            f"the minions of {name} to be gone",
            empty,
            seconds=config.kube_wait_instance_seconds,
            progress=lambda: f"{len(left)} left",
            at_end=lambda: Known(f"still there: {', '.join(left[:10])}; run the same command again"),
        )


def living(group: AutoScalingGroupTypeDef) -> list[Any]:
    """The group's instances but for those that are on their way out."""
    return [i for i in group["Instances"] if not i["LifecycleState"].startswith("Terminat")]


def end_minion(aws: Aws, name: str, instance_id: str, *, why: str) -> None:
    """End an instance of the group for good: the group becomes one smaller by it.

    Where the answer is lost, the group is looked at before the call is repeated, which could make it smaller by two.
    """
    seen = {"asked": False}

    def end() -> None:
        if seen["asked"]:
            group = find_group(aws, name)
            if group is None or instance_id not in {i["InstanceId"] for i in living(group)}:
                return
        seen["asked"] = True
        try:
            aws.autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=instance_id, ShouldDecrementDesiredCapacity=True
            )
        except ClientError as error:  # Auto Scaling has one code for all that it refuses
            if error_code(error) != "ValidationError" or "No managed instance found" not in str(error):
                raise

    aws.remove(
        "remove",
        f"minion {instance_id} ({why})",
        end,
        retry_on=["ScalingActivityInProgress", "ResourceContention"],
    )


@dataclass(frozen=True)
class _Failure:
    """A launch that failed, by its id, and why, in Auto Scaling's own words."""

    activity: str
    words: str

    def __str__(self) -> str:
        return self.words


def _failure(aws: Aws, name: str) -> _Failure | None:
    """The last launch of the group, if it failed; None where it did not, or none has ended."""
    activities = aws.autoscaling.describe_scaling_activities(AutoScalingGroupName=name, MaxRecords=20)["Activities"]
    ended = [activity for activity in activities if activity["StatusCode"] in ("Failed", "Cancelled", "Successful")]
    if not ended or ended[0]["StatusCode"] == "Successful":
        return None
    return _Failure(ended[0]["ActivityId"], " ".join(ended[0].get("StatusMessage", "it failed").split()))


def _look_at(aws: Aws, name: str) -> str:
    return f"aws autoscaling describe-scaling-activities --region {aws.region} --auto-scaling-group-name {name}"


def tagged_groups(aws: Aws, config: Config) -> list[AutoScalingGroupTypeDef]:
    """Every group with a tag of the cluster's, in all zones. Groups are few, so one call asks for both tags."""
    keys: Any = [{"Name": "tag-key", "Values": list(tags.of(config.cluster_id))}]
    pages = aws.autoscaling.get_paginator("describe_auto_scaling_groups").paginate(Filters=keys)
    found = [group for page in pages for group in page["AutoScalingGroups"]]
    return [group for group in found if tags.bears_one(config.cluster_id, tags_of(group))]


def own_groups(aws: Aws, config: Config) -> list[AutoScalingGroupTypeDef]:
    """Every group of the cluster's, in all zones."""
    return [group for group in tagged_groups(aws, config) if tags.is_ours(config.cluster_id, tags_of(group))]


def delete_group(aws: Aws, group: AutoScalingGroupTypeDef) -> None:
    """Remove the group and, with it, its instances. Does not wait for them."""
    name = group["AutoScalingGroupName"]
    if group.get("Status"):
        aws.console.say(f"group {name} is being deleted")
        return
    aws.remove(
        "delete",
        f"group {name} of {len(group['Instances'])}",
        lambda: aws.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True),
        done_on=["ValidationError"],  # Auto Scaling's only word for a group that is not there
        retry_on=["ScalingActivityInProgress", "ResourceInUse"],
    )


def wait_gone(aws: Aws, group: AutoScalingGroupTypeDef) -> None:
    """Return once the group is gone. Raises WaitExpired."""
    name = group["AutoScalingGroupName"]
    if not aws.dry_run:
        aws.wait(
            f"the group {name} to be gone",
            lambda: True if find_group(aws, name) is None else None,
            seconds=aws.waits.remove,
        )
