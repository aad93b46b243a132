"""The minions as they should be: those of former settings replaced one by one, those too many taken away.

What a group needs lib/checks/nodegroup.py says in each turn, of what account and API show then: a run that was killed
anywhere is gone on with by the next, and a dry run tells the same.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lib import minions, spotsizes
from lib.checks import nodegroup
from lib.checks.nodegroup import Minion, Need, Size
from lib.kube import drain
from lib.kube.api import Unreachable
from lib.launchtemplate import Template
from lib.run.errors import Known, KubeError

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef

    from lib.aws.changes import Kind
    from lib.aws.client import Aws
    from lib.kube.api import Api, Node
    from lib.settings.config import Config

_TOO_MANY = "one too many"


def settle_minions(
    aws: Aws, config: Config, api: Api | None, name: str, *, template: Template, data: Mapping[str, Any]
) -> None:
    """Return once the group `name` has the wanted number of minions, all of them from `template`'s default version.

    `api` is None where it cannot be reached from here; in a dry run it is asked once, and nothing is waited for. Raises
    KubeError when something must go and could not.
    """
    group = minions.wait_in_service(aws, config, name)
    if group is None:
        return
    if aws.dry_run:
        _foretell(aws, config, group, _need(config, group, template, _nodes_now(api)), template, data)
        return
    if api is None:
        _refuse_out_of_reach(config, _need(config, group, template, {}))
        return
    first = 0  # of how many this run replaces
    rolled, grown = False, False  # grown: one more came first, so that what goes now is replaced
    while True:
        nodes = _nodes(aws, config, api)
        need = _need(config, group, template, nodes)
        if need.shrink:
            victim = need.shrink[0]
            why = _why(config, group, victim, template, data)
            with aws.as_one("replace" if grown else "remove"):
                _remove(aws, config, api, group, victim.instance_id, nodes=nodes, wanted=need.wanted, why=why)
            rolled, grown = True, False
        elif need.roll:
            first = max(first, need.outdated)
            aws.console.say(f"replacing {first - need.outdated + 1} of {first}: one more minion first")
            with aws.as_one(None):
                _add_one(aws, config, group, need.wanted)
            grown = True
        else:
            break
        group = minions.wait_in_service(aws, config, name)
        if group is None:
            return
    with aws.as_one(None) if rolled else contextlib.nullcontext():
        _settle(aws, api, group, need.wanted, nodes)


def _settle(aws: Aws, api: Api, group: AutoScalingGroupTypeDef, wanted: Size, nodes: Mapping[str, Node]) -> None:
    """What is left to do once all minions are as they should be."""
    minions.unmark_surge(aws, group)
    minions.set_size(aws, group, wanted)
    # What an earlier run began to drain, and nobody replaces any more, gets pods again.
    for instance in minions.living(group):
        node = nodes.get(instance["InstanceId"])
        if node and drain.is_cordoned_by_us(node):
            drain.uncordon(aws, api, node)


def _need(config: Config, group: AutoScalingGroupTypeDef, template: Template, nodes: Mapping[str, Node]) -> Need:
    """What the group needs now; `nodes` by instance, as far as they are known."""
    kinds = spotsizes.wanted_kinds(config)
    there = [
        _as_minion(instance, template.is_current(instance, kinds), nodes.get(instance["InstanceId"]))
        for instance in minions.living(group)
    ]
    return nodegroup.need(config, there, desired=group["DesiredCapacity"], before=minions.surge_tag(group))


def _as_minion(instance: Any, current: bool, node: Node | None) -> Minion:
    if node is None:
        return Minion(instance["InstanceId"], current)
    return Minion(
        instance["InstanceId"], current, created=node.created, ready=node.ready, begun=drain.is_cordoned_by_us(node)
    )


def _why(
    config: Config, group: AutoScalingGroupTypeDef, minion: Minion, template: Template, data: Mapping[str, Any]
) -> str:
    if minion.current:
        return _TOO_MANY
    instance = next(i for i in minions.living(group) if i["InstanceId"] == minion.instance_id)
    return template.differs(instance, data, spotsizes.wanted_kinds(config))


def _add_one(aws: Aws, config: Config, group: AutoScalingGroupTypeDef, wanted: Size) -> None:
    if config.kube_enable_cluster_autoscaler:
        minions.mark_surge(aws, group)
    minions.set_size(aws, group, nodegroup.one_more(wanted))


def _foretell(
    aws: Aws, config: Config, group: AutoScalingGroupTypeDef, need: Need, template: Template, data: Mapping[str, Any]
) -> None:
    """What a run that is no dry one would do."""
    marks = [minions.mark_surge, minions.unmark_surge] if config.kube_enable_cluster_autoscaler else []
    replacing = functools.partial(_all_of, minions.set_size, minions.end_minion, *marks)
    removing = functools.partial(_all_of, minions.end_minion)
    plans: list[tuple[Kind, Sequence[Minion], Callable[[], object]]] = [
        ("remove", need.shrink, removing),
        ("replace", need.roll, replacing),
    ]
    for kind, those, calls in plans:
        for minion in those:
            with aws.as_one(kind):
                aws.change(kind, f"minion {minion.instance_id} ({_why(config, group, minion, template, data)})", calls)


def _all_of(*_: Callable[..., object]) -> None:
    """Stands, in a dry run, for what would be called for one minion: its rights are read from these."""


def _refuse_out_of_reach(config: Config, need: Need) -> None:
    """Raises KubeError when minions would have to be drained through an API that this computer cannot reach.

    The template's new version stays the default one, and a minion that dies meanwhile comes of it. That it cannot be
    reached is known only now: earlier in a run the master may be on its way up, or be about to be replaced.
    """
    old = need.outdated
    meanwhile = "; until then the old minions stay, and a new one is made from the new settings" if old else ""
    if old or need.shrink:
        raise KubeError(
            f"minions cannot be drained: the API at {config.master_internal_ip} cannot be reached from here, "
            f"and {old} minions are outdated, {len(need.shrink)} too many",
            hint=f"run the same command inside the VPC: it goes on there{meanwhile}",
        )


def _nodes_now(api: Api | None) -> dict[str, Node]:
    """The nodes by instance, none where the API does not answer now."""
    try:
        return _by_instance(api) if api else {}
    except Unreachable:
        return {}


def _by_instance(api: Api) -> dict[str, Node]:
    return {node.instance_id: node for node in api.nodes()}


def _nodes(aws: Aws, config: Config, api: Api) -> dict[str, Node]:
    """The nodes by instance. Raises WaitExpired when the API does not list them for long."""

    def look() -> dict[str, Node] | None:
        try:
            return _by_instance(api)
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
    # Auto Scaling ends no instance by name where the group would fall below its least.
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
