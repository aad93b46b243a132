"""IAM as a company gives it: a permissions boundary, instance profiles that are brought, policies for minions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Box, Result
from helpers import (
    MASTER_ROLE,
    MINION_ROLE,
    TAGS,
    master_of,
    must,
    only,
    part,
    refused,
    refused_untouched,
    remembered,
    template_data,
    watched,
)

from lib.iam import joined
from lib.settings.config import OPTIONS
from sandbox.faults import denials

HEALER_ROLE = MASTER_ROLE.replace("master", "healer")
SSM = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
READ = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
NO_USERS = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]}


def policy(box: Box, name: str = "boundary") -> str:
    """A policy of the account's; its ARN."""
    made = box.client("iam").create_policy(PolicyName=name, PolicyDocument=json.dumps(NO_USERS))
    return str(made["Policy"]["Arn"])


def profile(box: Box, name: str, *, allows: Any = None, tags: dict[str, str] | None = None) -> str:
    """An instance profile with a role, which has a path, as companies' do; its name."""
    iam, listed = box.client("iam"), [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
    iam.create_role(RoleName=f"{name}-role", Path="/company/", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName=f"{name}-role", PolicyName="own", PolicyDocument=json.dumps(allows or NO_USERS))
    iam.create_instance_profile(InstanceProfileName=name, Path="/company/", Tags=listed)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=f"{name}-role")
    return name


def roles(box: Box) -> dict[str, Any]:
    found: dict[str, Any] = box.inventory().get("iam", {}).get("roles", {})
    return found


def boundaries(box: Box) -> dict[str, str]:
    return {name: role.get("boundary", "") for name, role in roles(box).items()}


def attached(box: Box) -> list[str]:
    found: list[str] = roles(box)[MINION_ROLE]["attached"]
    return found


def unchanged(result: Result) -> Result:
    assert must(result).changing == []
    return result


# --- the boundary


def test_every_role_has_the_boundary_from_its_beginning(sandbox: Box) -> None:
    arn = policy(sandbox)
    given = {"KUBE_IAM_PERMISSIONS_BOUNDARY": arn, "KUBE_MASTER_SELF_HEAL": "true"}
    with watched(sandbox) as calls:
        must(sandbox.up(**given))
    made = [call for call in calls if call.operation == "CreateRole"]
    assert {call.params["RoleName"]: call.params.get("PermissionsBoundary") for call in made} == dict.fromkeys(
        (MASTER_ROLE, MINION_ROLE, HEALER_ROLE), arn
    )
    assert boundaries(sandbox) == dict.fromkeys((MASTER_ROLE, MINION_ROLE, HEALER_ROLE), arn)
    unchanged(sandbox.up())
    must(sandbox.down())
    assert sandbox.inventory() == {"iam": {"policies": [arn]}}


def test_a_boundary_is_changed_and_taken_off_by_a_rerun(sandbox: Box) -> None:
    sandbox.cluster()
    first, second = policy(sandbox, "first"), policy(sandbox, "second")
    for arn, was in ((first, "none"), (second, first)):
        dry = sandbox.up("--dry-run", KUBE_IAM_PERMISSIONS_BOUNDARY=arn)
        assert (dry.code, dry.changing) == (3, [])
        words = f"role {MASTER_ROLE}: permissions boundary {was} → {arn}"
        assert words in dry.out
        assert words in must(sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=arn)).out
        assert boundaries(sandbox) == dict.fromkeys((MASTER_ROLE, MINION_ROLE), arn)
        unchanged(sandbox.up())
    dry = sandbox.up("--dry-run", KUBE_IAM_PERMISSIONS_BOUNDARY="")
    assert (dry.code, dry.changing) == (3, [])
    assert f"permissions boundary {second} from role {MINION_ROLE}" in dry.out
    must(sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=""))
    assert boundaries(sandbox) == dict.fromkeys((MASTER_ROLE, MINION_ROLE), "")
    unchanged(sandbox.up())


def test_a_boundary_that_is_not_ours_stays(sandbox: Box) -> None:
    sandbox.cluster()
    theirs, ours = policy(sandbox, "theirs"), policy(sandbox, "ours")
    sandbox.client("iam").put_role_permissions_boundary(RoleName=MASTER_ROLE, PermissionsBoundary=theirs)
    unchanged(sandbox.up())
    must(sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=ours))
    sandbox.client("iam").put_role_permissions_boundary(RoleName=MASTER_ROLE, PermissionsBoundary=theirs)
    must(sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=""))
    assert boundaries(sandbox) == {MASTER_ROLE: theirs, MINION_ROLE: ""}


def test_a_run_that_may_not_take_the_boundary_off_tries_again_the_next_time(sandbox: Box) -> None:
    sandbox.cluster()
    arn = policy(sandbox)
    must(sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=arn))
    deny = denials.Deny("iam:DeleteRolePermissionsBoundary")
    sandbox.aws.hooks.before.append(deny.before)
    refused(sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=""), 1, "iam:DeleteRolePermissionsBoundary")
    sandbox.aws.hooks.before.remove(deny.before)
    must(sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=""))
    assert set(boundaries(sandbox).values()) == {""}


@pytest.mark.parametrize("right", ["iam:CreateRole", "iam:PutRolePermissionsBoundary"])
def test_a_boundary_that_is_refused_is_said(sandbox: Box, right: str) -> None:
    if right == "iam:PutRolePermissionsBoundary":
        sandbox.cluster()
    arn = policy(sandbox)
    sandbox.aws.hooks.before.append(denials.Deny(right).before)
    said = refused(sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=arn), 1, right)
    assert MASTER_ROLE in said


def test_a_boundary_that_is_not_there_is_refused_before_anything_is_made(sandbox: Box) -> None:
    arn = "arn:aws:iam::123456789012:policy/nobodys"
    refused_untouched(sandbox, sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=arn), 2, "KUBE_IAM_PERMISSIONS_BOUNDARY", arn)
    sandbox.aws.hooks.before.append(denials.Deny("iam:GetPolicy").before)
    assert "was not looked at, for that needs iam:GetPolicy" in sandbox.up(KUBE_IAM_PERMISSIONS_BOUNDARY=arn).out


# --- profiles


def test_brought_profiles_are_used_and_never_touched(sandbox: Box) -> None:
    given = {"MASTER_IAM_PROFILE": profile(sandbox, "masters"), "NODE_IAM_PROFILE": profile(sandbox, "nodes")}
    before = sandbox.inventory()
    result = must(sandbox.up(**given))
    assert [call.operation for call in result.calls if call.changes and call.service == "iam"] == []
    assert "instance profile masters, yours" in result.out
    instance = sandbox.client("ec2").describe_instances(InstanceIds=[master_of(sandbox)])["Reservations"][0]
    assert instance["Instances"][0]["IamInstanceProfile"]["Arn"].endswith("instance-profile/company/masters")
    assert template_data(sandbox)["IamInstanceProfile"] == {"Name": "nodes"}
    unchanged(sandbox.up())
    must(sandbox.down())
    assert sandbox.inventory() == before


def test_a_cluster_changes_to_brought_profiles_and_back(sandbox: Box) -> None:
    sandbox.cluster()
    given = {"MASTER_IAM_PROFILE": profile(sandbox, "masters"), "NODE_IAM_PROFILE": profile(sandbox, "nodes")}
    changed = must(sandbox.up(**given))
    assert f"has the instance profile {MASTER_ROLE}, not masters" in changed.out + changed.err
    assert template_data(sandbox)["IamInstanceProfile"] == {"Name": "nodes"}
    must(sandbox.up(KUBE_REPLACE_MASTER=master_of(sandbox)))
    unchanged(sandbox.up())
    must(sandbox.up(**dict.fromkeys(given, "")))
    assert template_data(sandbox)["IamInstanceProfile"] == {"Name": MINION_ROLE}
    must(sandbox.down())
    assert set(roles(sandbox)) == {"masters-role", "nodes-role"}


def test_the_schedule_passes_the_brought_role(sandbox: Box) -> None:
    name = profile(sandbox, "masters")
    must(sandbox.up(MASTER_IAM_PROFILE=name, KUBE_MASTER_SELF_HEAL="true"))
    passed = [s["Resource"] for s in only(roles(sandbox)[HEALER_ROLE]["policies"].values())["Statement"]]
    assert "arn:aws:iam::123456789012:role/company/masters-role" in passed


def test_what_cannot_be_used_is_refused_before_anything_is_made(sandbox: Box) -> None:
    refused_untouched(sandbox, sandbox.up(NODE_IAM_PROFILE="nobodys"), 2, "NODE_IAM_PROFILE: account", "nobodys")
    sandbox.client("iam").create_instance_profile(InstanceProfileName="empty")
    refused_untouched(sandbox, sandbox.up(NODE_IAM_PROFILE="empty"), 2, "NODE_IAM_PROFILE: empty has no role")
    for name, tags in (("ours", TAGS), ("theirs", {"KubernetesCluster": "other"})):
        owner = tags["KubernetesCluster"]
        brought = profile(sandbox, name, tags=tags)
        refused_untouched(sandbox, sandbox.up(MASTER_IAM_PROFILE=brought), 2, f"{name} is tagged as cluster {owner}'s")


def values(box: Box) -> dict[str, str]:
    """What fills the placeholders of templates/iam, in any way that is one cluster's."""
    names = ("BUCKET", "PREFIX", "SNAPSHOT", "DISK", "BROUGHT_ROUTE_TABLE", "BROUGHT_VPC", "MASTER_NAME")
    known = {"PARTITION": "aws", "DNS_SUFFIX": "amazonaws.com", "REGION": "us-west-2", "ACCOUNT": "123456789012"}
    return {**dict.fromkeys(names, "*"), **known, "CLUSTER_ID": "kubernetes"}


def test_what_a_brought_role_lacks_is_said(sandbox: Box) -> None:
    whole = joined(["master-policy", "ecr-policy"], values(sandbox))
    less = json.loads(json.dumps(whole))
    for statement in less["Statement"]:
        if "ec2:AttachVolume" in statement["Action"]:
            statement["Action"] = "ec2:DetachVolume"
    good, poor = profile(sandbox, "good", allows=whole), profile(sandbox, "poor", allows=less)
    result = sandbox.up("--dry-run", MASTER_IAM_PROFILE=poor, NODE_IAM_PROFILE=good)
    said = [line for line in result.err.splitlines() if "IAM_PROFILE" in line]
    assert said == [
        "warning: MASTER_IAM_PROFILE: IAM's simulation does not allow poor: ec2:AttachVolume, "
        "ec2:ModifyVolume; the policies that kube_up.py would write are in templates/iam"
    ]
    assert (
        "IAM_PROFILE"
        not in sandbox.up("--dry-run", MASTER_IAM_PROFILE=good, NODE_IAM_PROFILE=poor).err.replace(
            "NODE_IAM_PROFILE: IAM's simulation does not allow poor", ""
        )
        or poor not in must(sandbox.up(MASTER_IAM_PROFILE=good, NODE_IAM_PROFILE=good)).err
    )


def test_the_caller_is_asked_only_for_what_is_needed_with_brought_profiles(sandbox: Box) -> None:
    given = {"MASTER_IAM_PROFILE": profile(sandbox, "masters"), "NODE_IAM_PROFILE": profile(sandbox, "nodes")}
    with watched(sandbox, reads=True) as calls:
        must(sandbox.up(**given))
    asked = [call.params for call in calls if call.operation == "SimulatePrincipalPolicy"]
    own = [each for each in asked if ":role/" not in each["PolicySourceArn"]]
    assert not [each for each in own if "iam:CreateRole" in each["ActionNames"] and "healer" not in str(each)]
    passing = only(each for each in own if each["ActionNames"] == ["iam:PassRole"])
    start = "arn:aws:iam::123456789012:role/company/"
    assert {f"{start}masters-role", f"{start}nodes-role"} <= set(passing["ResourceArns"])


# --- policies of minions


def test_policies_are_attached_and_what_is_left_out_is_detached(sandbox: Box) -> None:
    theirs = policy(sandbox, "theirs")
    must(sandbox.up(KUBE_NODE_POLICIES=f"{SSM}, {READ}"))
    assert attached(sandbox) == sorted([SSM, READ])
    sandbox.client("iam").attach_role_policy(RoleName=MINION_ROLE, PolicyArn=theirs)
    unchanged(sandbox.up())
    dry = sandbox.up("--dry-run", KUBE_NODE_POLICIES=SSM)
    assert (dry.code, dry.changing) == (3, [])
    assert f"policy AmazonS3ReadOnlyAccess from {MINION_ROLE}" in dry.out
    must(sandbox.up(KUBE_NODE_POLICIES=SSM))
    assert attached(sandbox) == sorted([SSM, theirs])
    sandbox.client("iam").detach_role_policy(RoleName=MINION_ROLE, PolicyArn=SSM)
    assert f"policy AmazonSSMManagedInstanceCore to {MINION_ROLE}" in must(sandbox.up()).out
    must(sandbox.up(KUBE_NODE_POLICIES=""))
    assert attached(sandbox) == [theirs]
    assert "KUBE_NODE_POLICIES" not in remembered(sandbox)
    must(sandbox.down())
    assert sandbox.inventory() == {"iam": {"policies": [theirs]}}


def test_more_policies_than_the_account_allows_are_said(sandbox: Box) -> None:
    many = " ".join(policy(sandbox, f"p{number}") for number in range(11))
    refused(sandbox.up(KUBE_NODE_POLICIES=many), 1, "PoliciesPerRole: 10")


def test_a_run_of_one_more_group_takes_nothing_off(sandbox: Box) -> None:
    sandbox.cluster()
    arn = policy(sandbox)
    must(sandbox.up(KUBE_NODE_POLICIES=SSM, KUBE_IAM_PERMISSIONS_BOUNDARY=arn))
    before = roles(sandbox)
    more = {"KUBE_USE_EXISTING_MASTER": "true", "NODE_SIZE": "t3.large", "NUM_NODES": 1}
    must(sandbox.up(**more, KUBE_NODE_POLICIES="", KUBE_IAM_PERMISSIONS_BOUNDARY=""))
    assert roles(sandbox) == before


def test_a_run_of_one_more_group_puts_nothing_on_what_all_groups_share(sandbox: Box) -> None:
    """Such a run remembers nothing: what it had put on role, network and bucket was never taken off again."""
    has = {"KUBE_EXTRA_TAGS": "team=a", "KUBE_NODE_POLICIES": SSM, "KUBE_LOAD_BALANCER_CIDR": "172.20.0.0/16"}
    has |= {"SSH_CIDR": "198.51.100.0/24", "HTTP_API_CIDR": "198.51.100.0/24,127.0.0.0/8"}
    sandbox.cluster(**has)
    more = {"KUBE_USE_EXISTING_MASTER": "true", "NODE_SIZE": "t3.large", "NUM_NODES": 1}
    others = {
        "KUBE_EXTRA_TAGS": "team=b",
        "KUBE_NODE_POLICIES": READ,
        "KUBE_LOAD_BALANCER_CIDR": "10.0.0.0/8",
        "KUBE_IAM_PERMISSIONS_BOUNDARY": policy(sandbox),
        "SSH_CIDR": "203.0.113.7/32",
        "HTTP_API_CIDR": "203.0.113.8/32",
        "DHCP_OPTION_SET_ID": "dopt-0123456789abcdef0",
    }
    assert set(others) == {name for name, declared in OPTIONS.items() if declared.of_all_groups}
    for name, value in others.items():
        said = refused_untouched(sandbox, sandbox.up(**more, **{name: value}), 2, f"error: {name}: is of the whole")
        assert f"has {has.get(name, 'none')}, " in said
    groups = part(sandbox, "security groups")
    must(sandbox.up(**more, **has))
    unchanged(sandbox.up())
    must(sandbox.up(**more, **dict.fromkeys(has, "")))
    assert part(sandbox, "security groups") == groups
    unchanged(sandbox.up())


def test_by_default_nothing_of_it_is_asked_or_made(sandbox: Box) -> None:
    asked = {"GetPolicy", "AttachRolePolicy", "ListAttachedRolePolicies", "PutRolePermissionsBoundary"}
    with watched(sandbox, reads=True) as calls:
        must(sandbox.up())
        must(sandbox.up())
    assert not asked & {call.operation for call in calls}
    assert [call for call in calls if "PermissionsBoundary" in call.params] == []
