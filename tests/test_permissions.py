"""docs/permissions-policy.json allows every call that lib makes, and nothing that no call needs."""

from __future__ import annotations

import ast
import fnmatch
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from conftest import Box

from sandbox import denials

ROOT = Path(__file__).parent.parent
POLICY = ROOT / "docs" / "permissions-policy.json"
SERVICES = ("autoscaling", "cloudwatch", "ec2", "elb", "elbv2", "iam", "pricing", "s3", "service-quotas", "ssm", "sts")
ATTRIBUTES = {"quotas": "service-quotas"}  # lib.aws.Aws's name where it is not boto3's


def actions(service: str, operation: str) -> set[str]:
    """The IAM actions that a call needs."""
    return set(denials.actions(service, operation))


@functools.cache
def operations(service: str) -> dict[str, str]:
    """boto3's method names of a service, and the operation that each calls."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): str(name) for name in model.operation_names}


def written_calls() -> set[tuple[str, str]]:
    """Service and operation of every `<client>.<method>` in the two scripts and lib."""
    return {
        (service, operations(service)[node.attr])
        for node in nodes()
        if isinstance(node, ast.Attribute)
        for service in [service_of(node.value)]
        if node.attr in operations(service)
    }


def paginated_names() -> set[str]:
    """Every string that is the name of some method: paginators are asked for by name."""
    names = {name for service in SERVICES for name in operations(service)}
    return {n.value for n in nodes() if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value in names}


def nodes() -> Iterator[ast.AST]:
    for path in [ROOT / "kube_up.py", ROOT / "kube_down.py", *(ROOT / "lib").glob("*.py")]:
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def service_of(client: ast.expr) -> str:
    """The service of an expression that is a client: aws.ec2, aws.s3(region), s3. "sts" for what is none."""
    if isinstance(client, ast.Call):
        client = client.func
    name = client.attr if isinstance(client, ast.Attribute) else client.id if isinstance(client, ast.Name) else ""
    service = ATTRIBUTES.get(name, name)
    return service if service in SERVICES else "sts"


@pytest.fixture(scope="module")
def policy() -> list[dict[str, Any]]:
    statements = json.loads(POLICY.read_text(encoding="utf-8"))["Statement"]
    return list(statements)


def allowed(policy: list[dict[str, Any]]) -> set[str]:
    return {action for statement in policy for action in statement["Action"]}


def test_every_call_that_is_written_down_is_allowed(policy: list[dict[str, Any]]) -> None:
    needed = set().union(*(actions(*call) for call in written_calls()))
    assert needed - allowed(policy) == set()


def test_every_paginated_call_is_allowed(policy: list[dict[str, Any]]) -> None:
    for name in paginated_names():
        possible = [actions(s, operations(s)[name]) for s in SERVICES if name in operations(s)]
        assert any(needed <= allowed(policy) for needed in possible), name


def test_nothing_is_allowed_that_no_call_needs(policy: list[dict[str, Any]]) -> None:
    calls = written_calls()
    calls |= {(s, operations(s)[name]) for name in paginated_names() for s in SERVICES if name in operations(s)}
    assert allowed(policy) - set().union(*(actions(*call) for call in calls)) == set()


def test_every_call_of_an_up_a_rerun_and_a_down_is_allowed(sandbox: Box, policy: list[dict[str, Any]]) -> None:
    results = [sandbox.up(), sandbox.up(), sandbox.down()]
    assert [result.code for result in results] == [0, 0, 0]
    needed = {a for result in results for call in result.calls for a in actions(call.service, call.operation)}
    assert needed - allowed(policy) == set()


def test_roles_and_buckets_of_others_are_out_of_reach(policy: list[dict[str, Any]]) -> None:
    for statement in policy:
        changing = [a for a in statement["Action"] if a.startswith(("iam:", "s3:")) and ":Simulate" not in a]
        if changing and "Condition" not in statement:
            for resource in statement["Resource"]:
                assert not fnmatch.fnmatch("arn:aws:iam::123456789012:role/admin", resource)
                assert not fnmatch.fnmatch("arn:aws:s3:::somebodys-bucket", resource)
