from __future__ import annotations

from conftest import Box


def test_a_new_account_is_empty(sandbox: Box) -> None:
    sandbox.client("ec2").describe_vpcs()
    assert sandbox.inventory() == {}
