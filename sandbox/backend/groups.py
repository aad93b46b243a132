"""Auto scaling groups that act by themselves: launch, replace and end instances, and go after the last one."""

from __future__ import annotations

import itertools
from typing import Any

from sandbox.backend import cloud, launching, mixed
from sandbox.backend.lifecycle import ENDED
from sandbox.calls import Call, Refusal
from sandbox.world import Activity, Spec, World

DELETING = "Delete in progress"
_NO_ROOM = ("InsufficientInstanceCapacity", "VcpuLimitExceeded", "Unsupported")
RETRY = 5.0  # seconds between attempts to launch what EC2 refused


def tick(world: World) -> None:
    """Let every group do what its desired size asks for."""
    from moto.autoscaling.models import autoscaling_backends

    for region, backend in list(autoscaling_backends[cloud.ACCOUNT].items()):
        for group in list(backend.autoscaling_groups.values()):
            if world.state.groups_due.get((region, group.name), 0.0) <= world.now:
                _act(world, region, group)


def poke(world: World, region: str, name: str) -> None:
    """The group was told something new: it acts after its own delay, not before the answer."""
    world.state.groups_due[region, name] = world.now + world.delays.group


def _act(world: World, region: str, group: Any) -> None:
    if _drop_ended(world, region, group):
        world.state.groups_due[region, group.name] = world.now + RETRY
        return
    _show_states(world, region, group)
    living = [state for state in group.instance_states if state.instance.state not in ENDED]
    if (region, group.name) in world.state.deleting:
        _end(living)
        _finish_delete(world, region, group)
        return
    desired = int(group.desired_capacity or 0)
    if len(living) < desired and not _suspended(group, "Launch"):
        _launch(world, region, group, desired - len(living))
    elif len(living) > desired:
        _end([state for state in living if not state.protected_from_scale_in][: len(living) - desired])


def _suspended(group: Any, process: str) -> bool:
    return any(suspended["ProcessName"] == process for suspended in group.suspended_processes)


def _drop_ended(world: World, region: str, group: Any) -> bool:
    """A stopped instance counts as unhealthy and is ended; a terminated one leaves the group.

    Returns whether one has failed to start: it is logged, and the next is launched after a while.
    """
    for state in group.instance_states:
        if state.instance.state in ("stopping", "stopped") and state.lifecycle_state != "Standby":
            state.instance.terminate()
    failed = [state for state in group.instance_states if _failed_to_start(state)]
    for state in failed:
        state.lifecycle_state = "Terminating"
        why = f"Termination Reason: {state.instance.state_reason.message}"
        message = f"Instance became unhealthy while waiting for instance to be in InService state. {why}"
        _log(world, region, group, state.instance, "Failed", message)
    group.instance_states = [state for state in group.instance_states if state.instance.state != "terminated"]
    return bool(failed)


def _failed_to_start(state: Any) -> bool:
    instance = state.instance
    return bool(state.lifecycle_state == "Pending" and instance.state in ENDED and instance.state_reason.code)


def _log(world: World, region: str, group: Any, instance: Any, status: str, message: str = "") -> None:
    """Bring the launch of an instance in the group's log to its end."""
    for activity in world.state.activities.get((region, group.name), []):
        if activity.description.endswith(instance.id):
            activity.status, activity.message = status, message


def _show_states(world: World, region: str, group: Any) -> None:
    shown = {"pending": "Pending", "running": "InService", "shutting-down": "Terminating"}
    for state in group.instance_states:
        if state.lifecycle_state == "Pending" and state.instance.state == "running":
            _log(world, region, group, state.instance, "Successful")
        if state.lifecycle_state != "Standby":
            state.lifecycle_state = shown.get(state.instance.state, state.lifecycle_state)


def _end(states: list[Any]) -> None:
    for state in states:
        state.instance.terminate()
        state.lifecycle_state = "Terminating"


def _finish_delete(world: World, region: str, group: Any) -> None:
    if group.instance_states:
        return
    world.state.deleting.discard((region, group.name))
    world.state.groups_due.pop((region, group.name), None)
    world.state.activities.pop((region, group.name), None)
    del cloud.autoscaling(region).autoscaling_groups[group.name]


def _launch(world: World, region: str, group: Any, count: int) -> None:
    log = world.state.activities.setdefault((region, group.name), [])
    try:
        made = _run(world, region, group, count)
    except Refusal as refusal:
        message = f"{refusal.message} Launching EC2 instance failed."
        log.append(Activity(group.name, "Failed", "Launching a new EC2 instance", message))
        world.state.groups_due[region, group.name] = world.now + RETRY
        return
    for instance in made:
        log.append(Activity(group.name, "InProgress", f"Launching a new EC2 instance: {instance.id}", ""))


def _run(world: World, region: str, group: Any, count: int) -> list[Any]:
    from moto.autoscaling.models import InstanceState

    if launching.find_template(region, {"LaunchTemplateId": group.ec2_launch_template.id}) is None:
        gone = f"The specified launch template, with template ID {group.ec2_launch_template.id}, does not exist."
        raise Refusal("InvalidLaunchTemplateId.NotFound", gone)
    spec, version = template_spec(group)
    subnets = [name.strip() for name in (group.vpc_zone_identifier or "").split(",") if name.strip()]
    made = []
    for subnet, share in _shares(subnets, count):
        launch = _with_room(world, region, launching.in_subnet(spec, subnet), group.mixed_instances_policy, share)
        tags = group.get_propagated_tags() | {"aws:autoscaling:groupName": group.name}
        made += launching.run(world, region, launch, share, tags, version)
    for instance in made:
        instance.autoscaling_group = group
        instance.sandbox_template = version | {"LaunchTemplateName": group.ec2_launch_template.name}
        state = InstanceState(instance, "Pending", protected_from_scale_in=group.new_instances_protected_from_scale_in)
        group.instance_states.append(state)
    return made


def _with_room(world: World, region: str, spec: Spec, policy: Any, count: int) -> Spec:
    """What is launched: by a policy its first type that EC2 has room for. Raises the last one's Refusal."""
    choices = mixed.launches(spec, policy) if policy else [spec]
    for launch in choices[:-1]:
        try:
            launching.check(world, region, launch, count)
        except Refusal as refusal:
            if refusal.code not in _NO_ROOM:
                raise
            continue
        return launch
    launching.check(world, region, choices[-1], count)
    return choices[-1]


def _shares(subnets: list[str], count: int) -> list[tuple[str, int]]:
    """How many of the new instances each subnet gets: as even as can be."""
    turns = list(itertools.islice(itertools.cycle(subnets), count))
    return [(subnet, turns.count(subnet)) for subnet in dict.fromkeys(turns)]


def template_spec(group: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the group's template says now (data of its version), and how instances name that version."""
    template = group.ec2_launch_template
    version = template.get_version(group.launch_template_version or "$Default")
    return version.data, {"LaunchTemplateId": template.id, "Version": str(version.number)}


# --- rules -----------------------------------------------------------------------------------------------------------


def before_create(world: World, call: Call) -> None:
    """CreateAutoScalingGroup tries a launch with the template and refuses the group when EC2 would refuse it."""
    name = call.params.get("AutoScalingGroupName", "")
    if call.params.get("LaunchConfigurationName"):
        raise Refusal("ValidationError", "Launch configuration name not found - null")
    if name in cloud.autoscaling(call.region).autoscaling_groups:
        pending = " and is pending delete" if (call.region, name) in world.state.deleting else ""
        raise Refusal(
            "AlreadyExists",
            f"AutoScalingGroup by this name already exists - A group with the name {name} already exists{pending}",
        )
    _try_template(world, call)


def before_update(world: World, call: Call) -> None:
    """A group that is going cannot be changed."""
    name = call.params.get("AutoScalingGroupName", "")
    if (call.region, name) in world.state.deleting:
        raise Refusal("ScalingActivityInProgress", f"AutoScalingGroup {name} is pending delete")
    _try_template(world, call)
    group = cloud.autoscaling(call.region).autoscaling_groups.get(name)
    if group:
        call.params["sandbox:desired"] = group.desired_capacity


def _try_template(world: World, call: Call) -> None:
    policy = call.params.get("MixedInstancesPolicy")
    if policy and call.params.get("LaunchTemplate"):
        words = "Valid requests must contain either LaunchTemplate, LaunchConfigurationName or MixedInstancesPolicy"
        raise Refusal("ValidationError", f"{words} parameter.")
    wanted = mixed.template(policy) if policy else call.params.get("LaunchTemplate")
    if not wanted:
        return
    template = launching.find_template(call.region, wanted)
    if template is None:
        raise Refusal(
            "ValidationError",
            "You must use a valid fully-formed launch template. The specified launch template, with template "
            f"{wanted.get('LaunchTemplateId') or wanted.get('LaunchTemplateName')}, does not exist.",
        )
    if policy:
        mixed.check(policy, template)
    subnets = [name for name in (call.params.get("VPCZoneIdentifier") or "").split(",") if name]
    try:
        version = template.get_version(wanted.get("Version") or "$Default")
        spec = launching.in_subnet(version.data, subnets[0].strip()) if subnets else dict(version.data)
        for launch in mixed.launches(spec, policy) if policy else [spec]:
            launching.check(world, call.region, launch)
    except Refusal as refusal:
        raise Refusal(
            "ValidationError", f"You must use a valid fully-formed launch template. {refusal.message}"
        ) from None


def after_change(world: World, call: Call) -> None:
    """Created or changed: the group acts soon. An update without a wish keeps the old one within the new bounds."""
    name = call.params.get("AutoScalingGroupName", "")
    group = cloud.autoscaling(call.region).autoscaling_groups.get(name)
    if group is None:
        return
    if group.mixed_instances_policy:
        group.mixed_instances_policy["InstancesDistribution"] = mixed.distribution(group.mixed_instances_policy)
    if "sandbox:desired" in call.params and call.params.get("DesiredCapacity") is None:
        kept = int(call.params["sandbox:desired"] or 0)
        group.desired_capacity = min(max(kept, int(group.min_size or 0)), int(group.max_size or 0))
    poke(world, call.region, name)


def delete(world: World, call: Call) -> dict[str, Any]:
    """DeleteAutoScalingGroup: refused while it has instances, unless forced; forced, it lingers until they are gone."""
    name = call.params["AutoScalingGroupName"]
    group = cloud.autoscaling(call.region).autoscaling_groups.get(name)
    if group is None:
        raise Refusal("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    forced = bool(call.params.get("ForceDelete"))
    _drop_ended(world, call.region, group)
    if not forced and group.instance_states:
        raise Refusal(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
            "still in the group.",
        )
    if not forced and int(group.desired_capacity or 0) > 0:
        raise Refusal(
            "ScalingActivityInProgress",
            "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.",
        )
    group.status = DELETING
    group.min_size = group.max_size = group.desired_capacity = 0
    world.state.deleting.add((call.region, name))
    poke(world, call.region, name)
    return {}


def activities(world: World, call: Call) -> dict[str, Any]:
    """DescribeScalingActivities, newest first."""
    from moto.core.utils import utcnow

    name = call.params.get("AutoScalingGroupName")
    shown = []
    for (region, group), log in world.state.activities.items():
        if region == call.region and name in (None, group):
            shown += [_activity(number, activity, utcnow()) for number, activity in enumerate(log)]
    return {"Activities": shown[::-1]}


def _activity(number: int, activity: Activity, time: Any) -> dict[str, Any]:
    return {
        "ActivityId": f"00000000-0000-4000-8000-{number:012d}",
        "AutoScalingGroupName": activity.group,
        "Description": activity.description,
        "Cause": "a difference between desired and actual capacity",
        "StartTime": time,
        "StatusCode": activity.status,
        "StatusMessage": activity.message,
        "Progress": 100,
    }


def terminate_instance(world: World, call: Call) -> dict[str, Any]:
    """TerminateInstanceInAutoScalingGroup."""
    instance = cloud.find_instance(call.region, call.params["InstanceId"])
    group = getattr(instance, "autoscaling_group", None)
    if instance is None or group is None or instance.state in ENDED:
        raise Refusal(
            "ValidationError",
            f"Instance Id not found - No managed instance found for instance ID: {call.params['InstanceId']}",
        )
    if call.params.get("ShouldDecrementDesiredCapacity"):
        if int(group.desired_capacity) <= int(group.min_size):
            raise Refusal(
                "ValidationError",
                f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement "
                "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
                "lower group's min size.",
            )
        group.desired_capacity = int(group.desired_capacity) - 1
    for state in group.instance_states:
        if state.instance is instance:
            state.lifecycle_state = "Terminating"
    instance.terminate()
    poke(world, call.region, group.name)
    return {
        "Activity": _activity(
            0, Activity(group.name, "InProgress", f"Terminating EC2 instance: {instance.id}", ""), instance.launch_time
        )
    }


def refuse_launch_configurations(_world: World, _call: Call) -> None:
    """New accounts cannot make launch configurations.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-configurations.html
    """
    raise Refusal(
        "UnsupportedOperation",
        "The Launch Configuration creation operation is not available in your account. "
        "Use launch templates to create configuration templates for your Auto Scaling groups.",
    )


def before_delete_configuration(_world: World, call: Call) -> None:
    """DeleteLaunchConfiguration: refused for one that is not there, and for one that a group launches from."""
    name, backend = call.params.get("LaunchConfigurationName", ""), cloud.autoscaling(call.region)
    if name not in backend.launch_configurations:
        raise Refusal("ValidationError", "Launch configuration name not found - null")
    if any(group.launch_config_name == name for group in backend.autoscaling_groups.values()):
        raise Refusal("ResourceInUse", f"Cannot delete launch configuration {name} because it is attached to a group")
