"""A dead master made anew by AWS itself (KUBE_MASTER_SELF_HEAL): a schedule that launches it, again and again.

The master's interface is the lock. EC2 refuses to launch on it while any master, a stopped one too, has it; once the
last one is gone, the next try makes a new one at the same address, which attaches the disk and goes on. What is tried
is in the master's launch template; whether there is one is what tells a run that there is something to keep or remove,
and where somebody took it away, that KUBE_MASTER_SELF_HEAL=true is remembered.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib import alarms, iam, launchtemplate, master
from lib.aws.changes import became
from lib.aws.client import Aws
from lib.aws.errors import error_code, unless
from lib.aws.tags import Disputed, cluster_tags, refuse_others, sorted_out, tag_list, tag_words, tags_of
from lib.cluster import Cluster

if TYPE_CHECKING:
    from lib.settings.config import Config

EVERY = "rate(3 minutes)"
_MISSING = "ResourceNotFoundException"
_TARGET = "arn:{}:scheduler:::aws-sdk:ec2:runInstances"
# What CreateSchedule answers while the role made a moment ago cannot be assumed yet. AWS has no code for it.
_ROLE_LATE = "must allow aws eventbridge scheduler to assume the role"


def ensure_heal_template(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with what the schedule launches masters from; without KUBE_MASTER_SELF_HEAL all of it is removed.

    Such a master makes its alarms itself, since no run is there to.
    """
    config, found = cluster.config, cluster.templates.get(cluster.config.master_name)
    if config.kube_master_self_heal:
        data = master.launch_data(aws, cluster, MASTER_ALARMS=alarms.for_bootstrap(aws))
        made = launchtemplate.ensure_template(aws, config, config.master_name, data, found=found)
        return cluster.having(Cluster.heal_template_id, made.template_id)
    if found is not None:
        _remove_schedule(aws, config)
        launchtemplate.delete_template(aws, found)
    return cluster


def _remove_schedule(aws: Aws, config: Config) -> None:
    for name in find_schedule_groups(aws, config):
        delete_schedule(aws, name)
        delete_schedule_group(aws, name)
    iam.delete_role(aws, config, config.healer_role)


def pause(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster without anything that could launch a master now; `ensure_schedule` makes the schedule again.

    Without KUBE_MASTER_SELF_HEAL all of it is removed.
    """
    config = cluster.config
    if not config.kube_master_self_heal:
        cluster = ensure_heal_template(aws, cluster)
        rest = {name: each for name, each in cluster.templates.items() if name != config.master_name}
        return cluster.having(Cluster.templates, rest)
    if _find_schedule(aws, config) is not None:
        for name in find_schedule_groups(aws, config):
            delete_schedule(aws, name)
    return cluster


def remove_unremembered(aws: Aws, cluster: Cluster) -> None:
    """Where it is turned off and somebody took the template away: remove the rest, before a run forgets that it was on.

    Only what is remembered tells of the rest then. Where the template is there, `ensure_heal_template` removes all.
    """
    config = cluster.config
    was_on = cluster.layers.remembered.get("KUBE_MASTER_SELF_HEAL", "").lower() == "true"
    if not was_on or config.kube_master_self_heal or config.kube_use_existing_master:
        return
    if not launchtemplate.find_templates(aws, config, config.master_name):
        aws.console.step("Self-healing")
        _remove_schedule(aws, config)


def ensure_schedule(aws: Aws, cluster: Cluster) -> None:
    """Have the master's template launched every few minutes. Nothing without KUBE_MASTER_SELF_HEAL.

    The schedule's role may use the interface, its subnet and its group by id: no document says whether EC2 takes the
    two, which the template names by its interface alone, for what the template names (ec2:IsLaunchTemplateResource).
    """
    config = cluster.config
    if not config.kube_master_self_heal or config.kube_use_existing_master:
        return
    values = {
        "PARTITION": aws.partition,
        "DNS_SUFFIX": aws.dns_suffix,
        "REGION": aws.region,
        "ACCOUNT": aws.account,
        "CLUSTER_ID": config.cluster_id,
        "GROUP": config.healer_name,
        "TEMPLATE": cluster.heal_template_id,
        "MASTER_ROLE": iam.master_role(aws, config),
        "INTERFACE": cluster.interface_id,
        "SUBNET": cluster.subnet_id,
        "SECURITY_GROUP": cluster.groups.master,
    }
    iam.ensure_role(
        aws,
        config,
        config.healer_role,
        trust=iam.policy_document("healer-trust", values),
        policy=iam.policy_document("healer-policy", values),
    )
    _ensure_group(aws, config)
    # A dry run has not taken away what `pause` would have.
    found = None if aws.dry_run and cluster.situation.discarded else _find_schedule(aws, config)
    _ensure_schedule(aws, config, _wanted(aws, config, cluster.heal_template_id), found=found)


# --- the group, which carries the tags: a schedule can have none


def _arn(aws: Aws, name: str) -> str:
    return f"arn:{aws.partition}:scheduler:{aws.region}:{aws.account}:schedule-group/{name}"


def group_tags(aws: Aws, name: str) -> dict[str, str] | None:
    """The tags of the schedule group of that name, None if there is none."""
    answer = unless(_MISSING, lambda: aws.scheduler.list_tags_for_resource(ResourceArn=_arn(aws, name)))
    return None if answer is None else tags_of(answer)


def untag_schedule_group(aws: Aws, name: str, keys: Sequence[str]) -> None:
    """The call that takes these tags off the schedule group of that name."""
    aws.scheduler.untag_resource(ResourceArn=_arn(aws, name), TagKeys=list(keys))


def find_schedule_groups(aws: Aws, config: Config) -> list[str]:
    """The name of the cluster's schedule group, in a list: empty if it is not there, or another's."""
    return [group for group in tagged_schedule_groups(aws, config) if not isinstance(group, Disputed)]


def tagged_schedule_groups(aws: Aws, config: Config) -> list[str | Disputed]:
    """The same, with one in dispute."""
    name = config.healer_name
    return sorted_out(config.cluster_id, name, f"schedule group {name}", group_tags(aws, name) or {})


def _ensure_group(aws: Aws, config: Config) -> None:
    name, token = config.healer_name, aws.token()
    found = group_tags(aws, name)
    if found is not None:
        refuse_others(config.cluster_id, f"schedule group {name}", found)
        aws.console.found(f"schedule group {name}")
        if not cluster_tags(config).items() <= found.items():
            aws.change(
                "tag",
                f"schedule group {name} with {tag_words(found, cluster_tags(config))}",
                lambda: aws.scheduler.tag_resource(ResourceArn=_arn(aws, name), Tags=tag_list(cluster_tags(config))),
            )
        return

    def create() -> str:
        named = {"Name": name, "Tags": tag_list(cluster_tags(config))}
        make = functools.partial(aws.scheduler.create_schedule_group, **named, ClientToken=token)
        _create(make, lambda: group_tags(aws, name))
        return name

    aws.make(f"schedule group {name}", create, retry_if=_is_conflict)


def _create(make: Callable[[], object], find: Callable[[], object | None]) -> None:
    """Make what another run may have made first; where the last one of that name is still being deleted, it raises."""
    try:
        make()
    except ClientError as error:
        if not _is_conflict(error) or find() is None:
            raise


def _is_conflict(error: BaseException) -> bool:
    return error_code(error) == "ConflictException"


def delete_schedule_group(aws: Aws, name: str) -> None:
    """Remove the schedule group, and wait until it is gone: AWS takes its time, and none of that name can be made."""
    aws.remove(
        "delete",
        f"schedule group {name}",
        lambda: aws.scheduler.delete_schedule_group(Name=name),
        retry_if=_is_conflict,
    )
    if not aws.dry_run:
        aws.wait(
            f"schedule group {name} to be gone",
            lambda: True if group_tags(aws, name) is None else None,
            seconds=aws.waits.remove,
        )


# --- the schedule


def _wanted(aws: Aws, config: Config, template_id: str) -> dict[str, Any]:
    """What the schedule does. A try that is refused is not repeated: the next one comes soon enough."""
    run = {
        "LaunchTemplate": {"LaunchTemplateId": template_id, "Version": "$Default"},
        "MinCount": 1,
        "MaxCount": 1,
        # Another one each time: of one that was used before EC2 answers the instance of then, and makes none.
        "ClientToken": "<aws.scheduler.execution-id>",
    }
    return {
        "ScheduleExpression": EVERY,
        "State": "ENABLED",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": _TARGET.format(aws.partition),
            "RoleArn": f"arn:{aws.partition}:iam::{aws.account}:role/{config.healer_role}",
            "Input": json.dumps(run),
            "RetryPolicy": {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0},
        },
    }


def _find_schedule(aws: Aws, config: Config) -> Mapping[str, Any] | None:
    named = {"GroupName": config.healer_name, "Name": config.healer_name}
    return unless(_MISSING, lambda: aws.scheduler.get_schedule(**named))


def _ensure_schedule(aws: Aws, config: Config, wanted: Mapping[str, Any], *, found: Mapping[str, Any] | None) -> None:
    name, token = config.healer_name, aws.token()
    named = {"GroupName": name, "Name": name}
    if found is None:

        def create() -> str:
            make = functools.partial(aws.scheduler.create_schedule, **named, **wanted, ClientToken=token)
            _create(make, lambda: _find_schedule(aws, config))
            return name

        aws.make(f"schedule {name}: a dead master is made anew, {EVERY}", create, retry_if=_may_be_made_later)
        return
    aws.console.found(f"schedule {name}, {found['ScheduleExpression']}")
    changed = _changed(found, wanted)
    if changed:
        aws.change(
            "set",
            f"schedule {name}: {', '.join(changed)}",
            lambda: aws.scheduler.update_schedule(**named, **wanted, ClientToken=aws.token()),
            retry_if=_may_be_made_later,
        )


def _may_be_made_later(error: BaseException) -> bool:
    return _is_conflict(error) or (error_code(error) == "ValidationException" and _ROLE_LATE in str(error).lower())


def _changed(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What somebody changed of the schedule: "State DISABLED → ENABLED"."""
    was, will = ({**it, **it["Target"]} for it in (found, wanted))
    names = [*(name for name in wanted if name != "Target"), *wanted["Target"]]
    return [became(name, was.get(name), will[name]) for name in names if _differs(was.get(name), will[name])]


def _differs(was: Any, will: Any) -> bool:
    """AWS may add defaults of its own to what is a mapping."""
    return not will.items() <= was.items() if isinstance(was, dict) and isinstance(will, dict) else was != will


def delete_schedule(aws: Aws, name: str) -> None:
    """Remove the schedule of that group, which has its name, so that no master comes again."""
    named = {"GroupName": name, "Name": name}
    aws.remove("delete", f"schedule {name}", lambda: aws.scheduler.delete_schedule(**named), retry_if=_is_conflict)


def delete_healer_role(aws: Aws, config: Config, name: str) -> None:
    """Remove the schedule's role; not while its group is still there, for the role is what tells the next run so."""
    if aws.dry_run or not find_schedule_groups(aws, config):
        iam.delete_role(aws, config, name)
