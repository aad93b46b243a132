"""What somebody changed by hand: every property that up sets, of every resource, one at a time, and up again.

Which properties there are is read from the calls that an up makes. Each has a change by hand (torture/hands.py), or a
reason why it has none; one that has neither fails case 0, so that a step cannot set something that no rerun looks at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from conftest import REGION
from helpers import ID, SharedBox, must, settle

from sandbox.calls import Answer, Call
from torture import hands
from torture.stage import Stage, same

# What a call names the thing by that it is about, where that tells two of its kind apart.
_NAMED = ("RoleName", "InstanceProfileName", "AlarmName", "LaunchTemplateName", "Key")
# What tells the parts of a list apart.
_PARTS = ("Key", "ResourceType", "ID", "FromPort", "IpProtocol")
HEALS = {"KUBE_MASTER_SELF_HEAL": "true"}


def drift(stage: Stage, number: int) -> None:
    """Case 0: the tables know every property, and no other. Any other: that change, and what up does about it."""
    if number == 0:
        check_tables(made_properties(stage))
    else:
        _changed(stage, hands.CHANGES[number - 1])


def _changed(stage: Stage, change: hands.Change) -> None:
    """Repaired, and nothing else touched; or said, and nothing at all touched."""
    box, what = stage.box, change.what
    stage.empty()
    box.cluster(**HEALS if change.heals else {})
    settle(box)
    before = described(box)
    stays = change.make(box)
    changed = described(box)
    assert changed != before, f"{what}: nothing was changed by hand, or nothing shows it"
    result = box.up()
    settle(box)
    now = described(box)
    assert "Traceback" not in result.err
    if change.said:
        assert change.said.format(**hands.ids(box)) in result.err, f"{what}: not said\n{result.out}{result.err}"
        assert "nothing to do: everything was there" not in result.out, f"{what}: said, and claimed not to be"
        same(now, changed, f"{what}, which is said")
        return
    must(result)
    if callable(stays):
        stays()
        now = described(box)
    same(now, before, f"{what}, then up")
    assert must(box.up()).changing == [], f"{what}: another up changes something"


# --- which properties there are


def made_properties(stage: Stage) -> set[str]:
    """Every property that an up sets, with and without KUBE_MASTER_SELF_HEAL: "ec2:CreateVpc CidrBlock"."""
    found: set[str] = set()

    def note(call: Call, answer: Answer) -> Answer:
        if call.changes and not answer.refused:
            found.update(properties(call))
        return answer

    for settings in ({}, HEALS):
        stage.empty()
        stage.box.aws.hooks.after.append(note)
        must(stage.box.up(**settings))
        stage.box.aws.hooks.after.remove(note)
    return found


def properties(call: Call) -> Iterator[str]:
    """What a call sets: the call, what it is about where that has a name, and the way to each value."""
    named = next((key for key in _NAMED if key in call.params), "")
    name = re.sub(r"addons/.*", "addons/", str(call.params.get(named, "")).removeprefix(f"{REGION}/{ID}/"))
    for path in _paths({key: value for key, value in call.params.items() if key != named}):
        yield " ".join(part for part in (f"{call.service}:{call.operation}", name, path) if part)


def _paths(value: Any, way: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        told = [key for key in value if key != "Key" or "Value" not in value]  # a tag's is in its way
        for key in told:
            yield from _paths(value[key], f"{way}.{key}" if way else key)
    elif isinstance(value, list) and value:
        for each in value:
            yield from _paths(each, f"{way}[{_part(each)}]")
    else:
        yield way


def _part(each: Any) -> str:
    if not isinstance(each, Mapping):
        return ""
    return next((str(each[key]).removeprefix(f"kube-up {REGION}/{ID}/") for key in _PARTS if key in each), "")


def check_tables(made: Iterable[str]) -> None:
    """Every property has its place in one of the tables, and nothing stands there that is none."""
    made = set(made)
    unknown = sorted(each for each in made if not any(_covers(place, each) for place in _places()))
    assert not unknown, "up sets what has no change by hand and no reason why not:\n" + "\n".join(unknown)
    stale = sorted(place for place in set(_places()) if not any(_covers(place, each) for each in made))
    assert not stale, "no up sets this any more:\n" + "\n".join(stale)


def _places() -> Sequence[str]:
    kept = (*hands.LEFT_OUT, *hands.FIXED, *hands.OF_THE_CALL)
    return [*(place for each in hands.CHANGES for place in each.of), *(place for each in kept for place in each.of)]


def _covers(place: str, made: str) -> bool:
    """Whether a place of the tables means the property; "*" stands for any text."""
    return bool(re.fullmatch(".*".join(map(re.escape, place.split("*"))), made))


# --- all that AWS tells


# What AWS or chance makes anew with each repair, and the time.
_CHANCE = re.compile(
    r".*AssociationId|AttachmentId|.*Time|.*Timestamp|.*Updated.*|ResponseMetadata|NextToken|.*Date|LatestVersionNumber"
)


def described(box: SharedBox) -> dict[str, Any]:
    """Everything of the cluster's as AWS describes it, in far more detail than the inventory."""
    ec2 = box.client("ec2")
    found: dict[str, Any] = {name: getattr(ec2, f"describe_{name}")() for name in _EC2}
    alive = [
        i for r in found["instances"]["Reservations"] for i in r["Instances"] if i["State"]["Name"] != "terminated"
    ]
    found["instances"] = alive
    found["route_tables"] = [each for each in found["route_tables"]["RouteTables"] if not _is_main(each)]
    for vpc in found["vpcs"]["Vpcs"]:
        for name in ("enableDnsSupport", "enableDnsHostnames"):
            asked = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=name)
            found[f"{name} of {vpc['VpcId']}"] = asked
    for instance in alive:
        for name in ("disableApiTermination", "userData"):
            asked = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute=name)
            found[f"{name} of {instance['InstanceId']}"] = asked
    found["groups"] = box.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    plain: dict[str, Any] = _plain({**found, **_watch(box), **_schedules(box), **_iam(box), **_s3(box)})
    return plain


def _is_main(table: Mapping[str, Any]) -> bool:
    """Whether it is the VPC's own, where simulated nodes' routes go while the subnet has no other."""
    return any(association.get("Main") for association in table["Associations"])


_EC2 = (
    "vpcs",
    "subnets",
    "security_groups",
    "route_tables",
    "internet_gateways",
    "dhcp_options",
    "network_interfaces",
    "addresses",
    "volumes",
    "instances",
    "launch_templates",
    "key_pairs",
)


def _watch(box: SharedBox) -> dict[str, Any]:
    watch = box.client("cloudwatch")
    found = watch.describe_alarms()["MetricAlarms"]
    return {
        each["AlarmName"]: each | {"tags": watch.list_tags_for_resource(ResourceARN=each["AlarmArn"])} for each in found
    }


def _schedules(box: SharedBox) -> dict[str, Any]:
    scheduler = box.client("scheduler")
    found: dict[str, Any] = {}
    for group in scheduler.list_schedule_groups()["ScheduleGroups"]:
        found[group["Name"]] = scheduler.list_tags_for_resource(ResourceArn=group["Arn"])
    for each in scheduler.list_schedules()["Schedules"]:
        found[f"schedule {each['Name']}"] = scheduler.get_schedule(Name=each["Name"], GroupName=each["GroupName"])
    return found


def _iam(box: SharedBox) -> dict[str, Any]:
    iam = box.client("iam")
    found: dict[str, Any] = {"profiles": iam.list_instance_profiles()["InstanceProfiles"]}
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        listed = iam.list_role_policies(RoleName=name)["PolicyNames"]
        policies = [iam.get_role_policy(RoleName=name, PolicyName=each) for each in listed]
        found[f"role {name}"] = {**iam.get_role(RoleName=name)["Role"], "policies": policies}
    return found


def _s3(box: SharedBox) -> dict[str, Any]:
    s3 = box.client("s3")
    found: dict[str, Any] = {"buckets": box.inventory().get("s3", {})}
    for name in found["buckets"]:
        block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        found["buckets"][name] |= {"public access": block}
        found["buckets"][name]["objects"] = {  # a repair is one more version
            key: versions[-1] for key, versions in found["buckets"][name]["objects"].items()
        }
    return found


def _plain(thing: Any) -> Any:
    """Without what AWS chooses anew, and every list in one order."""
    if isinstance(thing, Mapping):
        return {key: _plain(value) for key, value in thing.items() if not _CHANCE.fullmatch(key)}
    if isinstance(thing, (list, tuple)):
        return sorted((_plain(each) for each in thing), key=lambda each: json.dumps(each, sort_keys=True, default=str))
    return thing
