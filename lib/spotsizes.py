"""Which instance types minions are launched as, and as spot or not: by their template, or by their group's policy.

With NODE_SPOT_SIZES the group has a mixed instances policy, which says types and price in the template's place: Auto
Scaling refuses a policy beside a template that asks for spot instances itself (kubernetes/kops pull request 7066).
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_MixedInstancesPolicy.html
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from lib.aws.changes import became
from lib.aws.instances import RUNNING, describe_instances
from lib.aws.tags import tag_filters
from lib.run.errors import SettingError

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config
    from lib.settings.layers import Layers

_POLICY = "MixedInstancesPolicy"
_PRICE = "SpotMaxPrice"


def template_part(config: Config) -> dict[str, Any]:
    """What the launch template says of type and price; nothing where the policy does.

    So another type or price in the policy outdates no minion. A template need not say a type (EC2 API reference,
    RequestLaunchTemplateData), and a policy's overrides say it in its place (Auto Scaling API reference,
    LaunchTemplateOverrides). Where a run is stopped before the group has its policy, what the group launches meanwhile
    from a template without a type is of none of the sizes, or refused: the next run replaces it.
    """
    if config.node_spot_sizes:
        return {}
    kind = {"InstanceType": config.node_size}
    if not config.node_spot_price:
        return kind
    spot = {"MaxPrice": config.node_spot_price, "SpotInstanceType": "one-time"}
    return kind | {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": spot}}


def launched_from(config: Config, template_id: str) -> dict[str, Any]:
    """What the group is told to launch from: the template, or the policy around it; of the two it takes one."""
    template = {"LaunchTemplateId": template_id, "Version": "$Default"}
    if not config.node_spot_sizes:
        return {"LaunchTemplate": template}
    policy = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": template,
            # NODE_SIZE first: by the first one the cluster autoscaler reckons what a new minion would hold.
            "Overrides": [{"InstanceType": kind} for kind in config.node_sizes],
        },
        "InstancesDistribution": {
            "OnDemandBaseCapacity": 0,
            "OnDemandPercentageAboveBaseCapacity": 0,
            "SpotAllocationStrategy": "price-capacity-optimized",
            _PRICE: config.node_spot_price,
        },
    }
    return {_POLICY: policy}


def wanted_kinds(config: Config) -> tuple[str, ...]:
    """The types by which a minion is judged, none where the template says its type."""
    return config.node_sizes if config.node_spot_sizes else ()


def kinds_of(group: Mapping[str, Any]) -> tuple[str, ...]:
    """The types that a group's policy names, none where it has no policy."""
    overrides = group.get(_POLICY, {}).get("LaunchTemplate", {}).get("Overrides", [])
    return tuple(each["InstanceType"] for each in overrides if "InstanceType" in each)


def as_far_as(found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What AWS describes, as far as `wanted` says anything of it: AWS adds names and defaults of its own."""
    there = found or {}
    return {
        key: as_far_as(there.get(key), value) if isinstance(value, Mapping) else _as_written(key, there.get(key), value)
        for key, value in wanted.items()
    }


def _as_written(key: str, there: Any, wanted: Any) -> Any:
    """The value that is there; a price that is the same number as the wanted one is written as that."""
    try:
        return wanted if key == _PRICE and there and Decimal(there) == Decimal(wanted) else there
    except InvalidOperation:
        return there


def group_words(key: str, old: Any, new: Any) -> str:
    """What becomes of a part of the group; of a policy that is there what is to be another, and no more."""
    if key != _POLICY:
        return became(key, old, new)
    before, after = _leaves(old), _leaves(new)
    if not any(before.values()):
        return became(key, None, after["Overrides"])
    return ", ".join(became(name, before[name], value) for name, value in after.items() if before[name] != value)


def _leaves(policy: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in policy.items():
        found |= _leaves(value) if isinstance(value, Mapping) else {key: value}
    return found


def refuse_from_on_demand(aws: Aws, config: Config, layers: Layers) -> None:
    """Raises SettingError for a group with on-demand minions that is to get NODE_SPOT_SIZES.

    Auto Scaling would itself replace minions that are not as a group's new policy wants them bought, and drain none
    (API reference, UpdateAutoScalingGroup). They are looked for where the sizes are new: a run before that was given
    the price alone may have been stopped. What a run with KUBE_USE_EXISTING_MASTER set before is not remembered, so its
    group is always looked at.
    """
    if not config.node_spot_sizes or not layers.remembered:
        return
    known = layers.remembered.get("NODE_SPOT_SIZES") and layers.remembered.get("NODE_SPOT_PRICE")
    if known and not config.kube_use_existing_master:
        return
    on_demand = _on_demand(aws, config)
    if on_demand:
        first = "alone" if layers.asked("NODE_SPOT_SIZES") else "with NODE_SPOT_SIZES="
        raise SettingError(
            "NODE_SPOT_SIZES",
            f"minion {on_demand[0]} is on-demand, and AWS would replace such by itself, without draining them",
            f"give NODE_SPOT_PRICE {first} first, which replaces them one by one, and the sizes in a second run",
        )


def _on_demand(aws: Aws, config: Config) -> list[str]:
    """The ids of the minions of the run's group that are there and are no spot instances."""
    there = describe_instances(aws, tag_filters({"aws:autoscaling:groupName": config.group_name}), states=RUNNING)
    return sorted(each["InstanceId"] for each in there if each.get("InstanceLifecycle") != "spot")
