"""KUBE_MASTER_SELF_HEAL: a dead master comes back by itself, and down leaves nothing that could make one."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bootstrap import Shell
from conftest import REGION, Box, Result
from helpers import (
    ID,
    MASTER_ROLE,
    TAGS,
    answer_with,
    kill_master,
    master_of,
    must,
    named,
    only,
    part,
    refused,
    refused_untouched,
    settings,
    settle,
    shape,
    user_data,
)
from policies import may
from spread import spread
from test_snapshots import made_from, said_first, take_snapshot, typed

from sandbox.backend import cloud
from sandbox.calls import Answer, Call
from sandbox.faults import put
from sandbox.faults.denials import Deny

NAME = f"{ID}-master-heal"
ROLE = f"kubernetes-healer-{ID}-kubernetes-vpc-{REGION}"
HEAL = {"KUBE_MASTER_SELF_HEAL": "true"}
MINUTES = 4 * 60.0


@pytest.fixture
def healing(sandbox: Box) -> Box:
    """A finished cluster that heals itself."""
    sandbox.cluster(**HEAL)
    return sandbox


def schedule(box: Box) -> dict[str, Any]:
    """The one schedule."""
    found: dict[str, Any] = part(box, "schedule groups")[NAME]["schedules"][NAME]
    return found


def template(box: Box) -> str:
    """The master's launch template."""
    return str(only(key for key, it in part(box, "launch templates").items() if it["name"] == f"{ID}-master"))


def masters(box: Box) -> list[str]:
    """Every master that is not on its way out."""
    found = part(box, "instances").items()
    return [key for key, it in found if it["tags"].get("Name") == f"{ID}-master" and it["state"] != "ending"]


def test_it_is_off_by_default(sandbox: Box) -> None:
    result = must(sandbox.up())
    assert not [each for each in result.operations if each.startswith("scheduler:")]
    assert part(sandbox, "schedule groups") == {}
    assert ROLE not in sandbox.inventory()["iam"]["roles"]


def test_a_schedule_launches_the_masters_template_and_a_rerun_changes_nothing(healing: Box) -> None:
    assert part(healing, "schedule groups")[NAME]["tags"] == TAGS
    target = schedule(healing)["target"]
    assert schedule(healing)["when"] == "rate(3 minutes)"
    assert target["Arn"] == "arn:aws:scheduler:::aws-sdk:ec2:runInstances"
    assert target["RetryPolicy"]["MaximumRetryAttempts"] == 0
    assert json.loads(target["Input"]) == {
        "LaunchTemplate": {"LaunchTemplateId": template(healing), "Version": "$Default"},
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": "<aws.scheduler.execution-id>",
    }
    before = healing.inventory()
    again = must(healing.up())
    assert again.changing == []  # it is remembered
    assert len(again.calls) <= 46  # 42 of any cluster, and its alarms, role, schedule and template's data
    assert healing.inventory() == before


def test_a_master_that_lives_is_left_alone(healing: Box) -> None:
    master = master_of(healing)
    for _ in range(3):
        healing.clock.sleep(MINUTES)
    assert masters(healing) == [master]
    tried = healing.aws.world.state.invoked
    assert len(tried) >= 3
    assert set(tried) == {"InvalidNetworkInterface.InUse"}


def test_a_dead_master_comes_back_by_itself_with_address_and_disk(healing: Box) -> None:
    old = kill_master(healing)
    healing.clock.sleep(MINUTES)
    settle(healing)
    new = only(masters(healing))
    assert new != old
    described = healing.client("ec2").describe_instances(InstanceIds=[new])["Reservations"][0]["Instances"][0]
    assert described["PrivateIpAddress"] == "172.20.0.9"
    assert described["State"]["Name"] == "running"
    protected = healing.client("ec2").describe_instance_attribute(InstanceId=new, Attribute="disableApiTermination")
    assert protected["DisableApiTermination"]["Value"] is True
    result = must(healing.up())
    assert "Ready" in result.out
    assert set(result.changing) == {"cloudwatch:PutMetricAlarm"}  # they name an instance
    assert must(healing.up()).changing == []


def makes_alarms(box: Box, instance: str, folder: Path) -> list[str]:
    """Have an instance do what its user-data says of alarms; what it said of that."""
    credentials = '{"AccessKeyId" : "sandbox", "SecretAccessKey" : "sandbox", "Token" : "token"}'
    stubs = f"""
        imds() {{ case $1 in */) echo role ;; *) echo '{credentials}' ;; esac; }}
        curl() {{ command curl --connect-to ::{box.endpoint.removeprefix("http://")} "${{@/https:/http:}}"; }}
        instance={instance}; master_device() {{ :; }}
    """
    ran = Shell("master", settings(user_data(box, instance)), folder).run(stubs, "eval_settings; ask_for_disk")
    assert ran.status == 0, ran.output
    return ran.said


def test_a_master_that_came_back_makes_its_alarms_itself(healing: Box, tmp_path: Path) -> None:
    assert settings(user_data(healing, master_of(healing)))["MASTER_ALARMS"] == ""  # a run makes this one's
    alarms = healing.client("cloudwatch").describe_alarms()["MetricAlarms"]
    kill_master(healing)
    healing.clock.sleep(MINUTES)
    settle(healing)
    new = master_of(healing)
    assert makes_alarms(healing, new, tmp_path) == []
    found = healing.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert [each["Dimensions"] for each in found] == [[{"Name": "InstanceId", "Value": new}]] * len(alarms)
    assert [each["AlarmName"] for each in found] == [each["AlarmName"] for each in alarms]
    assert must(healing.up()).changing == []


def test_a_master_whose_alarms_are_refused_says_so_and_boots(healing: Box, tmp_path: Path) -> None:
    kill_master(healing)
    healing.clock.sleep(MINUTES)
    settle(healing)
    answer_with(healing, "cloudwatch:PutMetricAlarm", "AccessDenied", "not you", status=403)
    said = makes_alarms(healing, master_of(healing), tmp_path)
    assert said == [f"warning: no alarm {ID}-master-recover: AccessDenied: not you"]


def test_the_master_may_set_its_alarms_and_no_others(healing: Box) -> None:
    policy = healing.inventory()["iam"]["roles"][MASTER_ROLE]["policies"][MASTER_ROLE]
    alarm = f"arn:aws:cloudwatch:{REGION}:123456789012:alarm:"
    actions = [{"cloudwatch:AlarmActions": f"arn:aws:automate:{REGION}:ec2:{what}"} for what in ("recover", "reboot")]
    for name in (f"{ID}-master-recover", f"{ID}-master-reboot"):
        assert all(may(policy, "cloudwatch:PutMetricAlarm", alarm + name, action) for action in actions)
    ends = {"cloudwatch:AlarmActions": f"arn:aws:automate:{REGION}:ec2:terminate"}
    assert not may(policy, "cloudwatch:PutMetricAlarm", f"{alarm}{ID}-master-reboot", ends)
    assert not may(policy, "cloudwatch:PutMetricAlarm", f"{alarm}billing", actions[0])
    must(healing.up(KUBE_MASTER_SELF_HEAL="false"))
    policy = healing.inventory()["iam"]["roles"][MASTER_ROLE]["policies"][MASTER_ROLE]
    assert not may(policy, "cloudwatch:PutMetricAlarm", f"{alarm}{ID}-master-reboot", actions[1])


def test_turning_it_on_makes_no_other_master_of_the_one_that_is_there(sandbox: Box) -> None:
    sandbox.cluster()
    result = must(sandbox.up(**HEAL))
    assert "made with other settings" not in result.err
    assert must(sandbox.up()).changing == []


def test_what_comes_back_is_what_an_up_makes(healing: Box) -> None:
    settle(healing)
    before = shape(healing)
    kill_master(healing)
    healing.clock.sleep(MINUTES)
    settle(healing)
    assert shape(healing) == before


def test_a_stopped_master_is_not_replaced_and_up_says_so(healing: Box) -> None:
    master = master_of(healing)
    healing.client("ec2").stop_instances(InstanceIds=[master])
    healing.clock.sleep(MINUTES)
    assert masters(healing) == [master]
    words = "a stopped master keeps its interface, so KUBE_MASTER_SELF_HEAL makes no other in its place"
    dry = healing.up("--dry-run")
    assert dry.code == 3
    assert words in dry.out
    assert words in must(healing.up()).out
    assert masters(healing) == [master]


def spoil(box: Box, what: str) -> None:
    """What somebody may do to it by hand."""
    scheduler, iam = box.client("scheduler"), box.client("iam")
    named = {"GroupName": NAME, "Name": NAME}
    if what == "gone":
        scheduler.delete_schedule(**named)
    elif what == "group gone":
        scheduler.delete_schedule_group(Name=NAME)
    elif what == "disabled":
        found = scheduler.get_schedule(**named)
        same = {key: found[key] for key in ("FlexibleTimeWindow", "Target")}
        scheduler.update_schedule(**named, **same, ScheduleExpression="rate(1 days)", State="DISABLED")
    elif what == "tags":
        arn = f"arn:aws:scheduler:{REGION}:123456789012:schedule-group/{NAME}"
        scheduler.untag_resource(ResourceArn=arn, TagKeys=["KubernetesCluster"])
    elif what == "policy":
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_role_policy(RoleName=ROLE, PolicyName=ROLE, PolicyDocument=json.dumps(everything))
    elif what == "template":
        box.client("ec2").delete_launch_template(LaunchTemplateId=template(box))


@pytest.mark.parametrize("what", spread(["gone", "group gone", "disabled", "tags", "policy", "template"], 2))
def test_drift_is_repaired(healing: Box, what: str) -> None:
    whole = shape(healing)
    spoil(healing, what)
    spoiled = shape(healing)
    assert spoiled != whole
    assert healing.up("--dry-run").code == 3
    assert shape(healing) == spoiled
    must(healing.up())
    assert shape(healing) == whole
    assert must(healing.up()).changing == []


def test_the_role_is_waited_for(sandbox: Box) -> None:
    result = must(sandbox.up(**HEAL))
    refused = [c for c in result.calls if c.operation == "CreateSchedule" and c.error == "ValidationException"]
    assert refused
    assert schedule(sandbox)["state"] == "ENABLED"


def test_rights_for_it_are_asked_for_only_where_it_is_on(sandbox: Box) -> None:
    put(sandbox.aws, Deny("scheduler:*"))
    assert "scheduler:" not in sandbox.up("--dry-run").err
    denied = sandbox.up(**HEAL)
    assert "scheduler:CreateSchedule" in next(line for line in denied.err.splitlines() if "simulation" in line)
    assert denied.code == 1
    assert "scheduler:" in denied.err.splitlines()[-1] + denied.err.splitlines()[-2]


def test_another_refusal_of_the_schedule_is_not_waited_out(sandbox: Box) -> None:
    answer_with(sandbox, "scheduler:CreateSchedule", "ValidationException", "no such target")
    result = sandbox.up(**HEAL)
    assert result.code == 1
    assert "no such target" in result.err
    assert result.operations.count("scheduler:CreateSchedule") == 1


def policy(box: Box) -> dict[str, Any]:
    """What the schedule's role may do."""
    found: dict[str, Any] = box.inventory()["iam"]["roles"][ROLE]["policies"][ROLE]
    return found


def test_the_role_may_launch_that_template_and_pass_that_role(healing: Box) -> None:
    instance = f"arn:aws:ec2:{REGION}:123456789012:instance/*"
    ours = {
        "ec2:LaunchTemplate": f"arn:aws:ec2:{REGION}:123456789012:launch-template/{template(healing)}",
        "ec2:IsLaunchTemplateResource": "true",
    }
    assert may(policy(healing), "ec2:RunInstances", instance, ours)
    assert not may(policy(healing), "ec2:RunInstances", instance, {**ours, "ec2:IsLaunchTemplateResource": "false"})
    assert not may(policy(healing), "ec2:RunInstances", instance, {})
    interface, at = only((n, it) for n, it in part(healing, "interfaces").items() if it["address"] == "172.20.0.9")
    by_id = {"ec2:LaunchTemplate": ours["ec2:LaunchTemplate"]}  # whether AWS takes these for the template's, none says
    for kind, name in (("network-interface", interface), ("subnet", at["subnet"]), ("security-group", at["groups"][0])):
        arn = f"arn:aws:ec2:{REGION}:123456789012:{kind}/"
        assert may(policy(healing), "ec2:RunInstances", arn + name, by_id)
        assert not may(policy(healing), "ec2:RunInstances", arn + name, {})
        assert not may(policy(healing), "ec2:RunInstances", f"{arn}other", by_id)
    to_ec2 = {"iam:PassedToService": "ec2.amazonaws.com"}
    assert may(policy(healing), "iam:PassRole", f"arn:aws:iam::123456789012:role/{MASTER_ROLE}", to_ec2)
    assert not may(policy(healing), "iam:PassRole", "arn:aws:iam::123456789012:role/admin", to_ec2)
    tags = {"ec2:CreateAction": "RunInstances", f"aws:RequestTag/kubernetes.io/cluster/{ID}": "owned"}
    assert may(policy(healing), "ec2:CreateTags", instance, tags)
    assert not may(policy(healing), "ec2:CreateTags", instance, {})
    for action in ("ec2:TerminateInstances", "ec2:AttachVolume", "iam:PutRolePolicy", "s3:GetObject"):
        assert not may(policy(healing), action, "*", {})


def test_off_again_removes_it_all(healing: Box) -> None:
    dry = healing.up("--dry-run", KUBE_MASTER_SELF_HEAL="false")
    assert dry.code == 3
    assert f"schedule {NAME}" in dry.out
    result = must(healing.up(KUBE_MASTER_SELF_HEAL="false"))
    removed = [each for each in result.changing if "Delete" in each]
    assert removed == [
        "scheduler:DeleteSchedule",
        "scheduler:DeleteScheduleGroup",
        "iam:DeleteRolePolicy",
        "iam:DeleteRole",
        "ec2:DeleteLaunchTemplate",
    ]
    again = must(healing.up())
    assert again.changing == []
    assert not [each for each in again.operations if each.startswith("scheduler:")]
    kill_master(healing)
    healing.clock.sleep(MINUTES)
    assert masters(healing) == []


def test_off_again_that_was_refused_is_finished_by_the_next_run(healing: Box) -> None:
    answer_with(healing, "scheduler:DeleteScheduleGroup", "AccessDeniedException", "no", times=1)
    assert healing.up(KUBE_MASTER_SELF_HEAL="false").code == 1
    must(healing.up())
    assert part(healing, "schedule groups") == {}
    assert ROLE not in healing.inventory()["iam"]["roles"]


def test_off_again_removes_the_rest_when_somebody_took_the_template_away(healing: Box) -> None:
    off = {"KUBE_MASTER_SELF_HEAL": "false"}
    spoil(healing, "template")
    dry = healing.up("--dry-run", **off)
    assert dry.code == 3
    assert f"would delete schedule {NAME}" in " ".join(dry.out.split())
    answer_with(healing, "scheduler:DeleteScheduleGroup", "AccessDeniedException", "no", times=1)
    assert healing.up(**off).code == 1
    must(healing.up(**off))
    assert part(healing, "schedule groups") == {}
    assert ROLE not in healing.inventory()["iam"]["roles"]
    again = must(healing.up())
    assert again.changing == []
    assert again.operations.count("ec2:DescribeLaunchTemplates") == 1
    assert not [each for each in again.operations if each.startswith("scheduler:")]


def test_down_removes_the_schedule_first_and_leaves_nothing(healing: Box) -> None:
    result = must(healing.down())
    assert result.changing[:2] == ["scheduler:DeleteSchedule", "scheduler:DeleteScheduleGroup"]
    healing.clock.sleep(MINUTES)
    assert healing.inventory() == {}


def on_call(box: Box, operation: str, do: Callable[[], None], *, number: int = 1) -> None:
    """Have something happen just before AWS does an operation for the so manieth time."""
    left = [number]

    def look(call: Call) -> None:
        if f"{call.service}:{call.operation}" == operation:
            left[0] -= 1
            if left[0] == 0:
                do()

    box.aws.hooks.before.append(look)


def fire(box: Box) -> None:
    """The schedule's turn comes now."""
    due = box.aws.world.state.schedules_due
    due.update(dict.fromkeys(due, 0.0))
    box.aws.tick()


def down_ends_the_newcomer(box: Box) -> None:
    """Down ends the master that the schedule launches meanwhile, and nothing comes of it later."""
    result = must(box.down())
    assert box.aws.world.state.invoked[-1] == "done"
    assert result.operations.count("ec2:TerminateInstances") == 1
    box.clock.sleep(MINUTES)
    assert box.inventory() == {}


def test_down_ends_a_master_that_came_while_the_schedule_was_removed(healing: Box) -> None:
    kill_master(healing)
    settle(healing)
    on_call(healing, "scheduler:DeleteSchedule", lambda: fire(healing))
    down_ends_the_newcomer(healing)


def test_down_ends_a_master_that_comes_of_the_schedules_last_call(healing: Box) -> None:
    kill_master(healing)
    settle(healing)
    group = cloud.backend("scheduler", REGION).schedule_groups[NAME]
    last = copy.deepcopy(group.schedules[NAME])

    def land() -> None:  # what the schedule had asked for before it was removed
        cloud.backend("scheduler", REGION).schedule_groups["late"] = late = copy.copy(group)
        late.schedules = {NAME: last}
        healing.aws.tick()
        del cloud.backend("scheduler", REGION).schedule_groups["late"]

    # the third look at instances is the wait's first: the minions are still ending
    on_call(healing, "ec2:DescribeInstances", land, number=3)
    down_ends_the_newcomer(healing)


def test_down_asks_nothing_more_where_it_never_was_on(sandbox: Box) -> None:
    sandbox.cluster()
    result = must(sandbox.down())
    assert not [each for each in result.operations if each.startswith("scheduler:")]
    before = result.operations[: result.operations.index("autoscaling:DeleteAutoScalingGroup")]
    assert before.count("ec2:DescribeInstances") == 2  # one look, by each of the cluster's two tags


def test_down_that_may_not_remove_the_schedule_says_so_until_it_may(healing: Box) -> None:
    answer_with(healing, "scheduler:DeleteSchedule", "AccessDeniedException", "not you", times=2)
    answer_with(healing, "scheduler:DeleteScheduleGroup", "AccessDeniedException", "not you", times=2)
    for _ in range(2):
        result: Result = healing.down()
        assert result.code == 1
        assert f"schedule group {NAME}" in result.err
    must(healing.down())
    assert healing.inventory() == {}


@pytest.mark.parametrize("told", ["", "false"])
def test_down_removes_a_schedule_of_which_only_what_is_remembered_tells(healing: Box, told: str) -> None:
    spoil(healing, "template")
    iam = healing.client("iam")
    iam.delete_role_policy(RoleName=ROLE, PolicyName=ROLE)
    iam.delete_role(RoleName=ROLE)
    must(healing.down(**({"KUBE_MASTER_SELF_HEAL": told} if told else {})))
    assert healing.inventory() == {}


def test_a_run_for_one_more_group_leaves_the_masters_role_alone(healing: Box) -> None:
    before = healing.inventory()["iam"]["roles"][MASTER_ROLE]
    group = {"KUBE_USE_EXISTING_MASTER": "true", "NODE_SIZE": "t3.large", "NUM_NODES": 1}
    must(healing.up(**group, KUBE_MASTER_SELF_HEAL="false"))
    assert healing.inventory()["iam"]["roles"][MASTER_ROLE] == before


def test_another_clusters_down_leaves_it(healing: Box) -> None:
    other = healing.down(KUBE_AWS_INSTANCE_PREFIX="other")
    assert other.code == 1
    assert schedule(healing)["state"] == "ENABLED"


@pytest.mark.parametrize("change", spread(["upgraded", "replaced"], 1))
def test_a_master_that_is_replaced_is_the_new_one_whoever_makes_it(sandbox: Box, change: str) -> None:
    old_version = {"KUBERNETES_VERSION": "1.36.3"} if change == "upgraded" else {}
    sandbox.cluster(**HEAL, **old_version)
    old = master_of(sandbox)
    wanted = {"KUBERNETES_VERSION": "1.37.2"} if change == "upgraded" else {"KUBE_REPLACE_MASTER": old}
    # the schedule's turn comes just when the interface is free
    due = sandbox.aws.world.state.schedules_due
    sandbox.aws.on_tick.append(lambda: due.update(dict.fromkeys(due, 0.0)))
    try:
        must(sandbox.up(**wanted))
    finally:
        sandbox.aws.on_tick.pop()
    assert only(masters(sandbox)) != old
    assert part(sandbox, "instances")[master_of(sandbox)]["tags"]["KubernetesVersion"] == "1.37.2"
    assert must(sandbox.up()).changing == []


def lose_disk(box: Box) -> str:
    """The master dies and its disk with it, before the schedule's next turn; the id of a snapshot from before."""
    settle(box)
    taken = take_snapshot(box, b"all of it")
    kill_master(box)
    settle(box)
    box.client("ec2").delete_volume(VolumeId=named(box, "volumes", f"{ID}-master-pd"))
    return taken


@pytest.mark.parametrize("asked", ["latest", "none"])
def test_a_lost_disk_is_made_anew_with_the_master_that_waits_for_it(healing: Box, asked: str) -> None:
    taken = lose_disk(healing)
    healing.clock.sleep(MINUTES)
    waiting = only(masters(healing))
    refused_untouched(healing, healing.up(), 2, f"and say KUBE_REPLACE_MASTER={waiting} too")
    refused_untouched(healing, healing.up(KUBE_RESTORE_SNAPSHOT=asked), 2, f"say KUBE_REPLACE_MASTER={waiting} too")
    must(healing.up(KUBE_RESTORE_SNAPSHOT=asked, KUBE_REPLACE_MASTER=waiting))
    assert made_from(healing) == (taken if asked == "latest" else "")
    disk = named(healing, "volumes", f"{ID}-master-pd")
    assert part(healing, "volumes")[disk]["instance"] == master_of(healing) != waiting
    assert must(healing.up()).changing == []


@contextlib.contextmanager
def turn_comes_after(box: Box, operation: str) -> Iterator[None]:
    """The schedule tries at each moment from that call on, not only every three minutes."""
    due, begun = box.aws.world.state.schedules_due, [False]

    def look(call: Call, answer: Answer) -> Answer:
        begun[0] |= f"{call.service}:{call.operation}" == operation and not answer.refused
        return answer

    def hurry() -> None:
        due.update(dict.fromkeys(due if begun[0] else (), 0.0))

    box.aws.hooks.after.append(look)
    box.aws.on_tick.append(hurry)
    try:
        yield
    finally:
        box.aws.on_tick.remove(hurry)
        box.aws.hooks.after.remove(look)


@pytest.mark.parametrize(
    ("waits", "operation"),
    spread(
        [(False, "ec2:CreateVolume"), (True, "ec2:CreateLaunchTemplateVersion"), (True, "ec2:TerminateInstances")], 2
    ),
)
def test_a_schedule_whose_turn_comes_within_a_restore_keeps_no_master_without_a_disk(
    healing: Box, waits: bool, operation: str
) -> None:
    """Whether a master of the old template waits already or comes in the middle, the one at the end has the disk."""
    taken, given = lose_disk(healing), {"KUBE_RESTORE_SNAPSHOT": "latest"}
    if waits:
        healing.clock.sleep(MINUTES)
        given["KUBE_REPLACE_MASTER"] = only(masters(healing))
    tried = len(healing.aws.world.state.invoked)
    with turn_comes_after(healing, operation):
        must(healing.up(**given))
    assert len(healing.aws.world.state.invoked) > tried
    assert made_from(healing) == taken
    settle(healing)
    assert part(healing, "volumes")[named(healing, "volumes", f"{ID}-master-pd")]["instance"] == only(masters(healing))
    assert must(healing.up()).changing == []


@pytest.mark.parametrize("turn", spread(["ec2:DeleteVolume", "scheduler:DeleteSchedule", "ec2:CreateVolume"], 1))
def test_back_to_a_snapshot_while_the_disk_is_there_and_no_schedule_brings_a_master_back(
    healing: Box, turn: str
) -> None:
    """The schedule is away until there is a new master; one that came back by itself before is ended as any."""
    settle(healing)
    taken = take_snapshot(healing, b"before it went wrong")
    given = {"KUBE_RESTORE_SNAPSHOT": "latest"}
    kill_master(healing)
    settle(healing)
    disk = named(healing, "volumes", f"{ID}-master-pd")
    said = refused_untouched(healing, healing.up(**given), 2, f"or say KUBE_DISCARD_DISK={disk} too")
    healing.clock.sleep(MINUTES)
    master = master_of(healing)
    refused_untouched(healing, healing.up(**given), 2, f"or say KUBE_DISCARD_DISK={disk} too")
    with turn_comes_after(healing, turn):
        typed(healing, said_first(said, after="say"))
    assert made_from(healing) == taken
    assert schedule(healing)["state"] == "ENABLED"
    assert only(masters(healing)) != master
    settle(healing)
    new = named(healing, "volumes", f"{ID}-master-pd")
    assert part(healing, "volumes")[new]["instance"] == master_of(healing)
    assert must(healing.up()).changing == []


def test_a_launch_that_was_under_way_while_the_disk_goes_takes_it_and_the_next_run_goes_on(healing: Box) -> None:
    """No deletion of a schedule takes back what it asked EC2 for a moment before."""
    settle(healing)
    taken = take_snapshot(healing, b"before it went wrong")
    disk = named(healing, "volumes", f"{ID}-master-pd")
    given = {"KUBE_RESTORE_SNAPSHOT": "latest", "KUBE_DISCARD_DISK": disk}

    def launch() -> None:
        specification: Any = {"LaunchTemplateId": template(healing), "Version": "$Default"}
        healing.client("ec2").run_instances(LaunchTemplate=specification, MinCount=1, MaxCount=1)
        settle(healing)
        assert part(healing, "volumes")[disk]["instance"] == only(masters(healing))

    on_call(healing, "ec2:DeleteVolume", launch)
    said = refused(healing.up(**given), 1, disk, "VolumeInUse")
    healing.aws.hooks.before.pop()
    assert "Traceback" not in said
    assert disk in part(healing, "volumes")
    must(healing.up(**given))
    assert disk not in part(healing, "volumes")
    assert made_from(healing) == taken
    assert schedule(healing)["state"] == "ENABLED"
    settle(healing)
    assert must(healing.up()).changing == []
