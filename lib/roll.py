"""The minions as they should be: those of former settings replaced one by one, those too many taken away.

Where it stands is read from the account and the API in each turn, never kept: a run that was killed anywhere is gone on
with by the next. More than the wanted number means that one can go; the wanted number with one outdated, that one more
is needed first. With the cluster autoscaler the wanted number is the group's own, which may change meanwhile; a tag on
the group says then that one more of it is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lib import minions
from lib.kube import drain
from lib.kube.api import Unreachable
from lib.launchtemplate import Template
from lib.minions import Size
from lib.run.errors import Known, KubeError

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef

    from lib.aws.client import Aws
    from lib.kube.api import Api, Node
    from lib.settings.config import Config

_TOO_MANY = "one too many"


def settle_minions(
    aws: Aws, config: Config, api: Api | None, name: str, *, template: Template, data: Mapping[str, Any]
) -> None:
    """Return once the group `name` has the wanted number of minions, all of them from `template`'s default version.

    `api` is None where it cannot be reached from here. Raises KubeError when something must go and could not.
    """
    group = minions.wait_in_service(aws, config, name)
    if group is None:
        return
    wanted = _wanted(config, group)
    if aws.dry_run:
        _foretell(aws, group, wanted, template, data)
        return
    if api is None:
        _refuse_out_of_reach(config, group, wanted, template)
        return
    while True:
        there, wanted = minions.living(group), _wanted(config, group)
        nodes = _nodes(aws, config, api)
        old = [i for i in there if not template.is_current(i)]
        if len(there) > wanted.desired:
            victim = _victims(there, template, nodes)[0]
            why = template.differs(victim, data) if victim in old else _TOO_MANY
            _remove(aws, config, api, group, victim["InstanceId"], nodes=nodes, wanted=wanted, why=why)
        elif old:
            aws.console.say(f"{len(old)} to be replaced: one more minion first")
            _add_one(aws, config, group, wanted)
        else:
            break
        group = minions.wait_in_service(aws, config, name)
        if group is None:
            return
    minions.unmark_surge(aws, group)
    minions.set_size(aws, group, wanted)
    for instance in there:
        node = nodes.get(instance["InstanceId"])
        if node and drain.is_cordoned_by_us(node):
            drain.uncordon(aws, api, node)


def _wanted(config: Config, group: AutoScalingGroupTypeDef) -> Size:
    """What the group should have now, the one more of a replacement that is under way left out."""
    return minions.wanted_size(config, group["DesiredCapacity"] - minions.surge(group))


def _add_one(aws: Aws, config: Config, group: AutoScalingGroupTypeDef, wanted: Size) -> None:
    if config.kube_enable_cluster_autoscaler:
        minions.mark_surge(aws, group)
    more = wanted.desired + 1
    minions.set_size(aws, group, Size(min(wanted.least, more), max(wanted.most, more), more))


def _foretell(
    aws: Aws, group: AutoScalingGroupTypeDef, wanted: Size, template: Template, data: Mapping[str, Any]
) -> None:
    """What a run that is no dry one would do, as far as the account alone says it."""
    there = minions.living(group)
    order = _victims(there, template, {})
    too_many = max(0, len(there) - wanted.desired)
    for instance in order[:too_many]:
        why = _TOO_MANY if template.is_current(instance) else template.differs(instance, data)
        aws.change("remove", f"minion {instance['InstanceId']} ({why})", lambda: None)
    for instance in order[too_many:]:
        if not template.is_current(instance):
            words = f"minion {instance['InstanceId']} ({template.differs(instance, data)})"
            aws.change("replace", words, lambda: None)


def _refuse_out_of_reach(config: Config, group: AutoScalingGroupTypeDef, wanted: Size, template: Template) -> None:
    """Raises KubeError when minions would have to be drained through an API that this computer cannot reach.

    The template's new version stays the default one, and a minion that dies meanwhile comes of it. That it cannot be
    reached is known only now: earlier in a run the master may be on its way up, or be about to be replaced.
    """
    there = minions.living(group)
    old = sum(not template.is_current(i) for i in there)
    meanwhile = "; until then the old minions stay, and a new one is made from the new settings" if old else ""
    if old or len(there) > wanted.desired:
        raise KubeError(
            f"minions cannot be drained: the API at {config.master_internal_ip} cannot be reached from here, "
            f"and {old} minions are outdated, {max(0, len(there) - wanted.desired)} too many",
            hint=f"run the same command inside the VPC: it goes on there{meanwhile}",
        )


def _victims(there: Sequence[Any], template: Template, nodes: Mapping[str, Node]) -> list[Any]:
    """Who goes first: the outdated; of them what an earlier run began with, then who serves nobody, then the oldest.

    Of the others the youngest, which holds the fewest pods, and which is the one more of a replacement that was
    called off.
    """
    by_age = sorted(there, key=lambda i: (_created(nodes, i), i["InstanceId"]))
    current = [i for i in reversed(by_age) if template.is_current(i)]
    old = [i for i in by_age if not template.is_current(i)]

    def first(instance: Any) -> tuple[bool, bool]:
        node = nodes.get(instance["InstanceId"])
        return not (node and drain.is_cordoned_by_us(node)), bool(node and node.ready)

    return [*sorted(old, key=first), *sorted(current, key=first)]


def _created(nodes: Mapping[str, Node], instance: Any) -> str:
    node = nodes.get(instance["InstanceId"])
    return node.created if node else "9"  # has not joined: the youngest


def _nodes(aws: Aws, config: Config, api: Api) -> dict[str, Node]:
    """The nodes by instance. Raises WaitExpired when the API does not list them for long."""

    def look() -> dict[str, Node] | None:
        try:
            return {node.instance_id: node for node in api.nodes()}
        except Unreachable:
            return None

    return aws.wait("the list of nodes", look, seconds=config.kube_wait_api_seconds)


def _remove(
    aws: Aws,
    config: Config,
    api: Api,
    group: AutoScalingGroupTypeDef,
    instance_id: str,
    *,
    nodes: Mapping[str, Node],
    wanted: Size,
    why: str,
) -> None:
    """Drain the node of an instance and end it, once enough others are Ready; not where the group is resized first."""
    others = {i["InstanceId"] for i in minions.living(group)} - {instance_id}
    node = nodes.get(instance_id)
    if node is not None and node.ready:
        enough = wanted.desired - config.allowed_notready_nodes
        if not _wait_ready(aws, config, api, others, enough=enough, group=group):
            return
    if group["MinSize"] > wanted.least:
        minions.set_size(aws, group, Size(wanted.least, group["MaxSize"], group["DesiredCapacity"]))
    if node is not None:
        drain.cordon(aws, api, node)
        try:
            drain.drain(aws, api, node, seconds=config.kube_drain_seconds)
        except KubeError:
            if not node.unschedulable or drain.is_cordoned_by_us(node):  # whole until the next run
                drain.uncordon(aws, api, node)
            raise
    minions.end_minion(aws, group["AutoScalingGroupName"], instance_id, why=why)
    minions.unmark_surge(aws, group)
    if node is not None:
        drain.forget(aws, api, node)


def _wait_ready(
    aws: Aws, config: Config, api: Api, instances: set[str], *, enough: int, group: AutoScalingGroupTypeDef
) -> bool:
    """True once `enough` of the instances are Ready nodes whose pods can be reached. Raises WaitExpired.

    False when the cluster autoscaler gives the group another size meanwhile: then another number may be enough.
    A pod is evicted only then: its successor on a node that has no route yet would be served requests, and get none.
    """
    seen = {"text": ""}

    def ready() -> bool | None:
        nodes = _nodes(aws, config, api)
        count = sum(node.ready and node.routed for key, node in nodes.items() if key in instances)
        seen["text"] = f"{count} of {enough} Ready"
        if count >= enough:
            return True
        return False if config.kube_enable_cluster_autoscaler and _is_resized(aws, group) else None

    return aws.wait(
        f"{enough} other minions to be Ready",
        ready,
        seconds=config.kube_wait_nodes_seconds,
        progress=lambda: seen["text"],
        at_end=lambda: Known(f"{seen['text']}; no minion is removed before: see kubectl get nodes, then run it again"),
    )


def _is_resized(aws: Aws, group: AutoScalingGroupTypeDef) -> bool:
    now = minions.find_group(aws, group["AutoScalingGroupName"])
    return now is None or now["DesiredCapacity"] != group["DesiredCapacity"]
