"""Mixed instances policies: what a group with one launches, and which ones Auto Scaling refuses.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
"""

from __future__ import annotations

from typing import Any

from sandbox.calls import Refusal
from sandbox.world import Spec

_TYPES = 40  # API reference, LaunchTemplateOverrides
_LEAST_PRICE = 0.001
_STRATEGIES = (
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "lowest-price",
    "price-capacity-optimized",
)
# The words are those that AWS answered with in kubernetes/kops pull request 7066.
_ASKS_ITSELF = (
    "Incompatible launch template: You cannot use a launch template that is set to request Spot Instances "
    "(InstanceMarketOptions) when you configure an Auto Scaling group with a mixed instances policy. Add a different "
    "launch template to the group and try again."
)


def template(policy: dict[str, Any]) -> dict[str, Any]:
    """The launch template of a policy, as a group without a policy names one."""
    found: dict[str, Any] = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
    return found


def check(policy: dict[str, Any], launch_template: Any) -> None:
    """Refuse as Auto Scaling does. A share of on-demand instances beside spot ones is nothing that is played here."""
    if launch_template.get_version(template(policy).get("Version") or "$Default").data.get("InstanceMarketOptions"):
        raise Refusal("InvalidQueryParameter", _ASKS_ITSELF)
    if len(policy["LaunchTemplate"].get("Overrides") or []) > _TYPES:
        raise Refusal("ValidationError", f"You can specify up to {_TYPES} instance types.")
    shares = distribution(policy)
    strategy, price = shares["SpotAllocationStrategy"], shares.get("SpotMaxPrice")
    if strategy not in _STRATEGIES:
        raise Refusal("ValidationError", f"Invalid SpotAllocationStrategy: {strategy}")
    if price and float(price) < _LEAST_PRICE:
        raise Refusal("ValidationError", f"SpotMaxPrice {price} is less than {_LEAST_PRICE}")
    _is_spot(policy)


def distribution(policy: dict[str, Any]) -> dict[str, Any]:
    """A policy's distribution with AWS's defaults, with which it is described."""
    return {
        "OnDemandAllocationStrategy": "prioritized",
        "OnDemandBaseCapacity": 0,
        "OnDemandPercentageAboveBaseCapacity": 100,
        "SpotAllocationStrategy": "lowest-price",
        **(policy.get("InstancesDistribution") or {}),
    }


def _is_spot(policy: dict[str, Any]) -> bool:
    shares = distribution(policy)
    kinds = (shares["OnDemandBaseCapacity"], shares["OnDemandPercentageAboveBaseCapacity"])
    if kinds not in ((0, 0), (0, 100)):
        raise NotImplementedError(f"{kinds[0]} on-demand instances and {kinds[1]} % of the others")
    return kinds == (0, 0)


def launches(spec: Spec, policy: dict[str, Any]) -> list[Spec]:
    """What may be launched by a policy: the template's spec with each of its types, the first first.

    Which pools are cheap or deep nobody knows here, so AWS's choice by price and capacity is the policy's own order.
    """
    market = {}
    if _is_spot(policy):
        price = distribution(policy).get("SpotMaxPrice")
        market = {"MarketType": "spot", "SpotOptions": {"MaxPrice": price} if price else {}}
    found = {**spec, **({"InstanceMarketOptions": market} if market else {})}
    return [{**found, **each} for each in policy["LaunchTemplate"].get("Overrides") or [{}]]
