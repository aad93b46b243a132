"""Two clusters in one account: each is as if it were alone there."""

from __future__ import annotations

from helpers import must, refused_untouched

from torture.stage import Stage, same, without

Settings = dict[str, object]

HERE: Settings = {}
SECOND: Settings = {"KUBE_AWS_INSTANCE_PREFIX": "second", "KUBE_VPC_CIDR_BASE": "172.21"}
# Of one name, two living clusters cannot have one context in one kubeconfig: an up refuses that.
ABROAD: Settings = {"KUBE_AWS_ZONE": "eu-central-1a", "KUBE_CONFIG_CONTEXT": "abroad"}
PAIRS: list[tuple[str, Settings, Settings]] = [
    ("one region, two names", HERE, SECOND),
    ("one region, two names, the same addresses", HERE, SECOND | {"KUBE_VPC_CIDR_BASE": "172.20"}),
    ("one region, one name begins with the other", HERE, SECOND | {"KUBE_AWS_INSTANCE_PREFIX": "kubernetes-2"}),
    ("two regions, one name", HERE, ABROAD),
    ("two regions, two names", HERE, ABROAD | SECOND),
]
ELSEWHERE: Settings = {"KUBE_AWS_ZONE": "us-east-1a"}


def side_by_side(stage: Stage, number: int) -> None:
    """Down of one (odd numbers the first, even the second) leaves the other's inventory byte for byte."""
    _, first, second = PAIRS[(number - 1) // 2]
    gone, kept = (first, second) if number % 2 else (second, first)
    stage.empty()
    box = stage.box
    must(box.up(**gone))
    alone = box.inventory()
    must(box.up(**kept))
    others = without(box.inventory(), alone)
    refused_untouched(box, box.down(**{**gone, **ELSEWHERE}), 1, "nothing was touched")
    same(without(box.inventory(), alone), others, "after a down in another region")
    must(box.down(**gone))
    same(box.inventory(), others, "the other cluster, after down of the first")
    changed = [call.operation for call in must(box.up(**kept)).calls if call.changes]
    assert not changed, f"up of the other changes something: {changed}"
    must(box.down(**kept))
    stage.check_gone("after both downs", kubeconfig_as=None)
