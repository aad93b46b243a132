"""The two policies of templates/iam/caller-*.json allow every call that lib makes, and nothing that no call needs."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import house
import pytest
from asked import Asked, Need
from botocore import xform_name
from conftest import Box, Result
from helpers import MASTER_ROLE, SharedBox, drop_tags, lose_settings, master_of, must, only, part, shared_box
from policies import may
from test_down import TAG_LIST, network_load_balancer

from lib.checks import permissions, rights
from lib.settings.resolve import option_names
from sandbox.faults import denials

pytestmark = pytest.mark.story

ROOT = Path(__file__).parent.parent
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
NOTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}
ATTRIBUTES = {"quotas": "service-quotas"}  # lib.aws.Aws's name where it is not boto3's


def actions(service: str, operation: str) -> set[str]:
    """The IAM actions that a call needs."""
    return set(denials.actions(service, operation))


@functools.cache
def operations(service: str) -> dict[str, str]:
    """boto3's method names of a service, and the operation that each calls."""
    model = _botocore().get_service_model(service)
    return {xform_name(name): str(name) for name in model.operation_names}


@functools.cache
def _botocore() -> botocore.session.Session:
    return botocore.session.get_session()


def written_calls(root: Path = ROOT) -> set[tuple[str, str]]:
    """Service and operation of every `<client>.<method>` in the two scripts and lib."""
    known = services(root)
    return {
        (service, operations(service)[node.attr])
        for node in nodes(root)
        if isinstance(node, ast.Attribute)
        for service in [service_of(node.value, known)]
        if node.attr in operations(service)
    }


def paginated_names() -> set[str]:
    """Every string that is the name of some method: paginators are asked for by name."""
    names = {name for service in SERVICES for name in operations(service)}
    return {n.value for n in nodes() if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value in names}


def nodes(root: Path = ROOT) -> Iterator[ast.AST]:
    for path in [root / "kube_up.py", root / "kube_down.py", *(root / "lib").rglob("*.py")]:
        yield from house.nodes(path)


def services(root: Path = ROOT) -> frozenset[str]:
    """The services that lib makes clients of: what lib/aws/client.py asks boto3 for, and others `service` for."""
    return frozenset(
        node.args[0].value
        for node in nodes(root)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("_client", "client", "service")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    )


def service_of(client: ast.expr, known: Collection[str]) -> str:
    """The service of an expression that is a client: aws.ec2, aws.s3(region), s3, aws.service("sns").

    "sts" for what is none.
    """
    if isinstance(client, ast.Call):
        asked = [each.value for each in client.args if isinstance(each, ast.Constant)]
        client = client.func
        if isinstance(client, ast.Attribute) and client.attr == "service" and asked:
            return str(asked[0])
    name = client.attr if isinstance(client, ast.Attribute) else client.id if isinstance(client, ast.Name) else ""
    service = ATTRIBUTES.get(name, name)
    return service if service in known else "sts"


SERVICES = sorted(services())


def unallowed(root: Path = ROOT) -> list[str]:
    """What calls of lib need and the policy does not allow, in words."""
    policy, options = (path.relative_to(ROOT) for path in (permissions.POLICY, permissions.OPTIONS_POLICY))
    allows = allowed(permissions.statements(root / policy, root / options))
    needed = set().union(*(actions(*call) for call in written_calls(root)))
    return [f"{policy} does not allow {action}: then make docs" for action in sorted(needed - allows)]


@pytest.fixture(scope="module")
def policy() -> list[dict[str, Any]]:
    return permissions.statements()


def allowed(policy: list[dict[str, Any]]) -> set[str]:
    return {action for statement in policy for action in statement["Action"]}


def test_every_call_that_is_written_down_is_allowed() -> None:
    assert unallowed() == []


def test_every_paginated_call_is_allowed(policy: list[dict[str, Any]]) -> None:
    for name in paginated_names():
        possible = [actions(s, operations(s)[name]) for s in SERVICES if name in operations(s)]
        assert any(needed <= allowed(policy) for needed in possible), name


def test_nothing_is_allowed_that_no_call_needs(policy: list[dict[str, Any]]) -> None:
    calls = written_calls()
    calls |= {(s, operations(s)[name]) for name in paginated_names() for s in SERVICES if name in operations(s)}
    assert allowed(policy) - set().union(*(actions(*call) for call in calls)) == set()


@pytest.fixture(scope="module")
def life(_server: Any, ssh_key: Path, tmp_path_factory: pytest.TempPathFactory) -> set[Need]:
    """All that a cluster's life asks of IAM: up, rerun, every kind of change, Services' load balancers, down."""
    asked = Asked()
    with shared_box(SharedBox, _server, tmp_path_factory.mktemp("life"), ssh_key) as box:

        def run(script: Callable[..., Result], *argv: str, **settings: object) -> None:
            box.aws.hooks.before.append(asked)
            must(script(*argv, **settings))
            box.aws.hooks.before.remove(asked)

        box.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
        run(box.up, KUBE_API_DNS_NAME="api.example.com")
        run(box.up)
        run(box.up, NUM_NODES=1, MASTER_SIZE="t3.large")
        run(box.up, NODE_SIZE="t3.large", MASTER_DISK_SIZE=30)
        run(box.up, KUBE_REPLACE_MASTER=master_of(box), KUBE_MASTER_SELF_HEAL="true")
        policy = box.client("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps(NOTHING))
        run(box.up, KUBE_IAM_PERMISSIONS_BOUNDARY=policy["Policy"]["Arn"], KUBE_NODE_POLICIES=policy["Policy"]["Arn"])
        tags = {"KUBE_EXTRA_TAGS": "team=a"}
        run(box.up, KUBE_IAM_PERMISSIONS_BOUNDARY="", KUBE_NODE_POLICIES="", KUBE_ENABLE_POD_IDENTITY="true", **tags)
        run(box.up, KUBE_EXTRA_TAGS="")
        spoil(box)
        run(box.up)
        network_load_balancer(box, "a1", TAG_LIST)
        lose_settings(box)
        run(box.down)
    return asked.needs


def spoil(box: Box) -> None:
    """What somebody did by hand, and a rerun repairs: tags, rules, the role's trust."""
    drop_tags(box, only(part(box, "subnets")), "Name")
    provider = only(box.inventory()["iam"]["identity providers"])
    box.client("iam").untag_open_id_connect_provider(OpenIDConnectProviderArn=provider, TagKeys=["KubernetesCluster"])
    box.client("iam").update_assume_role_policy(RoleName=MASTER_ROLE, PolicyDocument=json.dumps(TRUST))
    for group, it in part(box, "security groups").items():
        if it["name"] == "kubernetes-master-kubernetes":
            rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            box.client("ec2").revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])


def test_all_that_a_clusters_life_asks_is_allowed_on_what_it_asks_it(life: set[Need], policy: Any) -> None:
    denied = [need for need in life if not may({"Statement": policy}, need.action, need.resource, need.context)]
    assert denied == []


def test_each_statement_is_needed_by_some_call_of_it(life: set[Need], policy: list[dict[str, Any]]) -> None:
    assert {each["Effect"] for each in policy} == {"Allow"}  # so that each statement allows by itself
    alone = [
        [each["Sid"] for each in policy if may({"Statement": [each]}, n.action, n.resource, n.context)] for n in life
    ]
    needed = {sids[0] for sids in alone if len(sids) == 1}
    assert [each["Sid"] for each in policy if each["Sid"] not in needed] == []


def test_each_resource_of_a_statement_is_some_calls(life: set[Need], policy: list[dict[str, Any]]) -> None:
    """Save the alarms that the original named, which a test of kube_down.py makes."""
    for statement in policy:
        for resource in statement["Resource"] if isinstance(statement["Resource"], list) else ["*"]:
            alone = {"Statement": [{**statement, "Resource": resource}]}
            used = any(may(alone, n.action, n.resource, n.context) for n in life)
            assert used or resource.endswith(":alarm:k8s-i-*"), (statement["Sid"], resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:PutRolePolicy", "arn:aws:iam::123456789012:role/admin"),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/admin"),
        ("iam:AddRoleToInstanceProfile", "arn:aws:iam::123456789012:instance-profile/admin"),
        ("iam:CreateServiceLinkedRole", "arn:aws:iam::123456789012:role/aws-service-role/support.amazonaws.com/X"),
        ("iam:CreateUser", "*"),
        ("s3:DeleteBucket", "arn:aws:s3:::somebodys-bucket"),
        ("s3:GetObject", "arn:aws:s3:::somebodys-bucket/us-west-2/kubernetes/pki.tar"),
        ("ssm:GetParameters", "arn:aws:ssm:us-west-2:123456789012:parameter/password"),
        ("cloudwatch:DeleteAlarms", "arn:aws:cloudwatch:us-west-2:123456789012:alarm:theirs"),
        ("ec2:CreateImage", "*"),
    ],
)
def test_what_is_others_is_out_of_reach(policy: list[dict[str, Any]], action: str, resource: str) -> None:
    context = {"iam:AWSServiceName": "support.amazonaws.com"}
    assert not may({"Statement": policy}, action, resource, context)


@pytest.mark.parametrize("path", [permissions.POLICY, permissions.OPTIONS_POLICY], ids=lambda path: path.stem)
def test_each_policy_fits_into_one_managed_policy(path: Path) -> None:
    assert permissions.size(path) <= 6144  # IAM quotas, "IAM object quotas"


def test_the_second_policy_is_what_an_option_alone_needs() -> None:
    assert {each["Sid"] for each in permissions.statements(permissions.OPTIONS_POLICY)} == set(rights.FOR_AN_OPTION)
    named = {name for names in rights.FOR_AN_OPTION.values() for name in names}
    assert named <= set(option_names())


def test_no_action_stands_in_two_statements(policy: list[dict[str, Any]]) -> None:
    listed = [action for statement in policy for action in statement["Action"]]
    assert sorted(listed) == sorted(set(listed))


def test_the_document_is_what_the_policy_says() -> None:
    document = (ROOT / "docs" / "permissions.md").read_text(encoding="utf-8")
    assert document == permissions.permissions_page(), "run: make docs"


def test_each_statement_has_its_row_in_the_document(policy: list[dict[str, Any]]) -> None:
    rows = re.findall(r"^\| `(\w+)` ", permissions.TEXT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [statement["Sid"] for statement in policy]
