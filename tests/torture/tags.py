"""Tags taken off, or given to another cluster: by hand, one or both of a thing's, or one of each of two things'."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from conftest import REGION
from helpers import ID, OWNED, SharedBox, bucket_of, must, neighbour, part, settle

from sandbox.backend.wire import result_answer
from sandbox.calls import Answer, Call
from torture.stage import Stage, same

_OTHERS_KEY = "kubernetes.io/cluster/other"
OURS = {"KubernetesCluster": ID, OWNED: "owned"}


@dataclass(frozen=True)
class Thing:
    """Something of the cluster's that bears tags: its kind, its name there, and how its tags are set and taken off."""

    kind: str
    name: str
    put: Callable[[Mapping[str, str]], object]
    drop: Callable[[str], object]


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


# The kinds of EC2's, as the inventory calls them; what EC2 makes with an instance goes with it.
EC2 = (
    "vpcs",
    "subnets",
    "security groups",
    "route tables",
    "internet gateways",
    "dhcp options",
    "interfaces",
    "addresses",
    "volumes",
    "instances",
    "launch templates",
)
KINDS = (*EC2, "key pairs", "groups", "roles", "instance profiles", "buckets", "alarms")
LEFT = ("alarms",)  # a rerun does not compare their tags: hands.LEFT_OUT says why


def _ec2_ids(box: SharedBox, kind: str) -> list[str]:
    found = part(box, kind)
    if kind == "interfaces":  # the master's: a minion's goes with it
        return [key for key, each in found.items() if each["tags"].get("Role")]
    if kind == "volumes":
        return [key for key, each in found.items() if each["tags"].get("Name") == f"{ID}-master-pd"]
    if kind == "instances":
        return [key for key, each in found.items() if each["tags"].get("Name") == f"{ID}-master"]
    return sorted(key for key, each in found.items() if OURS.items() & each["tags"].items())[:1]


def _of_ec2(box: SharedBox, kind: str, name: str, ec2_id: str) -> Thing:
    ec2 = box.client("ec2")
    return Thing(
        kind,
        name,
        lambda tags: ec2.create_tags(Resources=[ec2_id], Tags=_pairs(tags)),
        lambda key: ec2.delete_tags(Resources=[ec2_id], Tags=[{"Key": key}]),
    )


def thing(box: SharedBox, kind: str) -> Thing:
    """One of that kind of the finished cluster's."""
    if kind in EC2:
        each = _ec2_ids(box, kind)[0]
        return _of_ec2(box, kind, each, each)
    if kind == "key pairs":
        pair = box.client("ec2").describe_key_pairs()["KeyPairs"][0]
        return _of_ec2(box, kind, pair["KeyName"], pair["KeyPairId"])
    if kind == "groups":
        return _group(box)
    if kind == "buckets":
        return _bucket(box)
    if kind == "alarms":
        return _alarm(box)
    return _of_iam(box, kind)


def _group(box: SharedBox) -> Thing:
    scaling, name = box.client("autoscaling"), next(iter(part(box, "groups")))
    of: dict[str, Any] = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
    more: dict[str, Any] = {"PropagateAtLaunch": True}
    return Thing(
        "groups",
        name,
        lambda tags: scaling.create_or_update_tags(Tags=[{**of, **more, **pair} for pair in _pairs(tags)]),
        lambda key: scaling.delete_tags(Tags=[{**of, "Key": key}]),
    )


def _bucket(box: SharedBox) -> Thing:
    s3, name = box.client("s3"), bucket_of(box)

    def now() -> dict[str, str]:
        return dict(box.inventory()["s3"][name]["tags"])

    def write(tags: Mapping[str, str]) -> None:
        if tags:
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": _pairs(tags)})
        else:
            s3.delete_bucket_tagging(Bucket=name)

    def drop(key: str) -> None:
        write({name: value for name, value in now().items() if name != key})

    return Thing("buckets", name, lambda tags: write(now() | dict(tags)), drop)


def _alarm(box: SharedBox) -> Thing:
    watch, name = box.client("cloudwatch"), f"{ID}-master-recover"
    arn = watch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["AlarmArn"]
    return Thing(
        "alarms",
        name,
        lambda tags: watch.tag_resource(ResourceARN=arn, Tags=_pairs(tags)),
        lambda key: watch.untag_resource(ResourceARN=arn, TagKeys=[key]),
    )


def _of_iam(box: SharedBox, kind: str) -> Thing:
    iam, name = box.client("iam"), next(iter(box.inventory()["iam"][kind]))
    if kind == "roles":
        return Thing(
            kind,
            name,
            lambda tags: iam.tag_role(RoleName=name, Tags=_pairs(tags)),
            lambda key: iam.untag_role(RoleName=name, TagKeys=[key]),
        )
    return Thing(
        kind,
        name,
        lambda tags: iam.tag_instance_profile(InstanceProfileName=name, Tags=_pairs(tags)),
        lambda key: iam.untag_instance_profile(InstanceProfileName=name, TagKeys=[key]),
    )


# --- the cases: one tag off one thing, one each off two things, and a thing that another cluster has a tag on as well

LOST = [(kind, tag) for kind in KINDS for tag in OURS]
PAIRS = [
    (first, second, *lost)
    for first, second in itertools.combinations(KINDS, 2)
    for lost in (tuple(OURS), tuple(reversed(OURS)))
]
HOW: Mapping[str, Mapping[str, str]] = {
    "the first tag": {"KubernetesCluster": "other"},
    "the other's besides": {_OTHERS_KEY: "owned"},
    "wholly": {"KubernetesCluster": "other", _OTHERS_KEY: "owned"},
}
GIVEN = [(kind, how) for kind in KINDS for how in HOW]


def lost(stage: Stage, number: int) -> None:
    """A tag is taken off: up gives it back, but to LEFT, and makes nothing twice; down, without it, leaves nothing."""
    kind, tag = LOST[number - 1]
    _taken_off(stage, [(kind, tag)])


def two_lost(stage: Stage, number: int) -> None:
    """The same with one tag of each of two things."""
    first, second, one, other = PAIRS[number - 1]
    _taken_off(stage, [(first, one), (second, other)])


def _taken_off(stage: Stage, off: list[tuple[str, str]]) -> None:
    stage.whole_cluster()
    _drop(stage.box, off)
    must(stage.box.up())
    for its, tag in ((thing(stage.box, kind), tag) for kind, tag in off if kind in LEFT):
        assert tag not in _entry(stage.box, its), f"{its.kind} get {tag} back: they are no exception any more"
        its.put({tag: OURS[tag]})
    stage.check_whole(f"{off} off, then up")
    _drop(stage.box, off)
    must(stage.box.down())
    stage.check_gone(f"{off} off, then down")


def _drop(box: SharedBox, off: list[tuple[str, str]]) -> None:
    for kind, tag in off:
        thing(box, kind).drop(tag)


def given(stage: Stage, number: int) -> None:
    """Another cluster has a tag on a thing of ours: neither up nor down touches it, and whoever needs it says so."""
    kind, how = GIVEN[number - 1]
    stage.whole_cluster()
    box = stage.box
    its = thing(box, kind)
    its.put(HOW[how])
    if how == "wholly":
        its.drop(OWNED)
    before, counts = _entry(box, its), _counts(box)
    up = box.up()
    assert _entry(box, its) == before, f"{kind} given {how}: up made {before} into {_entry(box, its)}"
    if up.code:
        assert its.name in up.err, f"{kind} given {how}: up does not name it\n{up.err}"
        assert _counts(box) == counts, f"{kind} given {how}: up refuses, and has made something"
    assert "Traceback" not in up.err
    down = box.down()
    settle(box)
    assert _entry(box, its) == before, f"{kind} given {how}: down made {before} into {_entry(box, its)}"
    if how != "wholly":
        assert down.code == 1, f"{kind} given {how}: down ended with {down.code}"
        assert its.name in down.err, f"{kind} given {how}: down does not name it\n{down.err}"
    _give_back(its, how)
    if box.inventory() != {}:
        must(box.down())
    stage.check_gone(f"{kind} given {how}, and given back", kubeconfig_as=None)


def _give_back(its: Thing, how: str) -> None:
    its.put(OURS)
    if _OTHERS_KEY in HOW[how]:
        its.drop(_OTHERS_KEY)


def _counts(box: SharedBox) -> Mapping[str, int]:
    """How many things there are of each kind."""
    found = box.inventory()
    return {kind: len(things) for place in ("iam", REGION) for kind, things in found.get(place, {}).items()}


def _entry(box: SharedBox, its: Thing) -> Any:
    """The thing's tags, and that it is there; None where it is not."""
    found = box.inventory()
    places = {"roles": "iam", "instance profiles": "iam", "buckets": "s3"}
    things = found.get(places.get(its.kind, REGION), {})
    listed = things if its.kind == "buckets" else things.get(its.kind, {})
    if isinstance(listed, list):
        return its.name in listed
    entry = listed.get(its.name)
    return None if entry is None else entry["tags"]


# --- an AWS, or what stands in for it, that does not mind a filter

UNFILTERED = (
    "DescribeVpcs",
    "DescribeSubnets",
    "DescribeInternetGateways",
    "DescribeRouteTables",
    "DescribeSecurityGroups",
    "DescribeDhcpOptions",
    "DescribeAddresses",
    "DescribeNetworkInterfaces",
    "DescribeVolumes",
    "DescribeInstances",
    "DescribeLaunchTemplates",
    "DescribeKeyPairs",
)


def unfiltered(stage: Stage, number: int) -> None:
    """One call's filters are ignored: what others have stays as it was, all the same."""
    stage.empty()
    box = stage.box
    neighbour(box)
    before = box.inventory()
    ignore_filters(box, UNFILTERED[number - 1])
    must(box.up())
    again = must(box.up())
    assert again.changing == [], f"another up changes {again.changing}"
    must(box.down())
    same(box.inventory(), before, f"filters of {UNFILTERED[number - 1]} ignored")


def ignore_filters(box: SharedBox, operation: str) -> None:
    """Have an EC2 that answers with all that there is, whatever its filters say."""

    def answer(call: Call) -> Answer | None:
        if call.operation != operation or "Filters" not in call.params:
            return None
        box.aws.hooks.before.remove(answer)
        describe = getattr(box.client("ec2", call.region), re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower())
        asked = {name: value for name, value in call.params.items() if name != "Filters"}
        found: Any = describe(**asked)
        box.aws.hooks.before.append(answer)
        return result_answer(call, found)

    box.aws.hooks.before.append(answer)
