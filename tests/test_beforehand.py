"""What a run asks right before its first change, and only then: price, quotas, permissions."""

from __future__ import annotations

import email.utils
import json
import os
import re
import time
from typing import Any

import botocore.session
import direct
import pytest
from conftest import REGION, Box, Result
from helpers import answer_with, must, prices, refused_untouched
from spread import spread

from lib.checks.quotas import QUOTAS, quota_of
from lib.checks.quotas import STANDARD as STANDARD_QUOTA
from sandbox.backend import images
from sandbox.backend.answers import simulated
from sandbox.backend.wire import result_answer
from sandbox.calls import Answer, Call, Refusal
from sandbox.faults import refuse

ASKED = {"pricing:GetProducts", "service-quotas:GetServiceQuota", "iam:SimulatePrincipalPolicy"}
PRICES = {"t3.medium": "0.0416", "t3.small": "0.0208", "gp3": "0.08", "VPCPublicIPv4Address": "0.005"}


def product(usage: str, *prices: str) -> str:
    """A product as the Price List writes it."""
    dimensions = {str(n): {"unit": "Hrs", "pricePerUnit": {"USD": price}} for n, price in enumerate(prices)}
    terms = {"OnDemand": {"X.Y": {"priceDimensions": dimensions}}, "Reserved": {"Z": {"priceDimensions": {}}}}
    return json.dumps({"product": {"attributes": {"usagetype": usage}}, "terms": terms})


def price_list(box: Box, prices: dict[str, str] = PRICES, *, page: int = 20) -> list[dict[str, Any]]:
    """Have the Price List answer, in pages of so many; returns the list that its calls' parameters get into."""
    asked: list[dict[str, Any]] = []

    def answer(call: Call) -> Answer | None:
        if call.operation != "GetProducts":
            return None
        asked.append(call.params)
        filters = {each["Field"]: each["Value"] for each in call.params["Filters"]}
        assert filters["regionCode"] == REGION
        name = filters.get("instanceType") or filters.get("volumeApiName") or filters["group"]
        found = [product("USW2-PublicIPv4:IdleAddress", "0.9"), product("USW2-PublicIPv4:InUseAddress", prices[name])]
        found = found if "group" in filters else [product(f"USW2-{name}", "0.0000000000", prices[name])]
        start = int(call.params.get("NextToken", 0))
        more = {"NextToken": str(start + page)} if len(found) > start + page else {}
        return result_answer(call, {"FormatVersion": "aws_v1", "PriceList": found[start : start + page], **more})

    box.aws.hooks.before.append(answer)
    return asked


def would(result: Result) -> Result:
    """The dry run, which found something to do."""
    assert result.code == 3, result.out + result.err
    return result


def price_line(out: str) -> str:
    return next(line.strip() for line in out.splitlines() if line.strip().startswith("price "))


# --- price


def test_the_price_is_told_before_the_first_change(sandbox: Box) -> None:
    price_list(sandbox)
    out = must(sandbox.up(NUM_NODES=4)).out
    # 0.0416 + 4 x 0.0208 + 5 x 0.005 + 156 GiB x 0.08 / 730
    price, parts = "about 0.167 USD an hour, 121.83 a month", "1 t3.medium, 4 t3.small, 156 GiB gp3, 5 public addresses"
    assert f"        price   {price}: {parts}" in out
    assert out.index("price ") < out.index("Staging bucket") < out.index("create ")
    assert f"  price    {price}\n           {parts}; traffic" in out.partition("Cluster kubernetes is up")[2]


def test_a_price_on_a_later_page_is_found(sandbox: Box) -> None:
    asked = price_list(sandbox, page=1)
    assert price_line(would(sandbox.up("--dry-run")).out).startswith("price    about 0.108 USD an hour")
    assert [call["NextToken"] for call in asked if "NextToken" in call] == ["1"]  # of the addresses, which have two


def test_a_price_is_asked_once_a_day(sandbox: Box) -> None:
    asked = price_list(sandbox)
    first = price_line(would(sandbox.up("--dry-run")).out)
    assert len(asked) == 4
    assert price_line(would(sandbox.up("--dry-run")).out) == first
    assert len(asked) == 4
    would(sandbox.up("--dry-run", NODE_SIZE="t3.medium"))
    assert len(asked) == 4
    old = time.time() - 24 * 3600 - 1
    os.utime(prices(sandbox), (old, old))
    would(sandbox.up("--dry-run"))
    assert len(asked) == 8


def test_spot_minions_cost_at_most_what_is_bid(sandbox: Box) -> None:
    price_list(sandbox)
    line = price_line(would(sandbox.up("--dry-run", NUM_NODES=3, NODE_SPOT_PRICE="0.01")).out)
    assert "and at most 0.030 an hour for 3 spot t3.small" in line


@pytest.mark.parametrize(
    ("prices", "why"),
    [({**PRICES, "gp3": "0.0000"}, "does not say it of 92 GiB gp3"), ({**PRICES, "t3.small": "much"}, "2 t3.small")],
)
def test_a_price_that_is_not_told_is_not_made_up(sandbox: Box, prices: dict[str, str], why: str) -> None:
    price_list(sandbox, prices)
    line = price_line(would(sandbox.up("--dry-run")).out)
    assert line.startswith("price    not known (")
    assert why in line
    assert "USD" not in line


def test_where_prices_may_not_be_asked_that_is_said_and_the_run_goes_on(sandbox: Box) -> None:
    answer_with(sandbox, "pricing:GetProducts", "AccessDeniedException", "no")
    assert price_line(must(sandbox.up()).out).startswith("price   not known (AccessDeniedException): 1 t3.medium")


# --- quotas


@pytest.mark.parametrize(
    ("code", "value", "words"),
    [
        (("ec2", "L-1216C47A"), 5.0, ("NUM_NODES", "needs 6 vCPUs", "quota in us-west-2 is 5")),
        (("ec2", "L-0263D0A3"), 0.0, ("MASTER_RESERVED_IP", "0 elastic IPs", "quota is 0")),
        (("vpc", "L-F678F1CE"), 1.0, ("VPC_ID", "1 VPCs", "quota is 1")),
    ],
)
def test_what_the_account_may_not_have_is_refused_before_anything_is_made(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch, code: tuple[str, str], value: float, words: tuple[str, ...]
) -> None:
    monkeypatch.setitem(images.QUOTAS, code, ("a quota", value))
    refused_untouched(sandbox, sandbox.up(), 2, *words)


def test_quotas_count_what_is_missing_and_not_what_is_there(sandbox: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.cluster()
    monkeypatch.setitem(images.QUOTAS, ("ec2", "L-1216C47A"), ("vCPUs", 8.0))
    monkeypatch.setitem(images.QUOTAS, ("ec2", "L-0263D0A3"), ("addresses", 1.0))
    must(sandbox.up(NUM_NODES=3))
    refused_untouched(sandbox, sandbox.up(NUM_NODES=4), 2, "NUM_NODES", "needs 2 vCPUs, 8 are in use")


# EC2's series, by a family's letters before its generation: those that share the standard quota, and those that do not.
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html; Service Quotas counts Macs by the host,
# as "Running Dedicated mac1 Hosts" (L-A8448DC5). cc, cg, cr, gr, hi, hs: no longer sold, or nobody says which quota.
STANDARD = {"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"}
OTHERS = {"cc", "cg", "cr", "dl", "f", "g", "gr", "hi", "hpc", "hs", "inf", "mac", "p", "trn", "u", "vt", "x"}


def test_every_type_that_ec2_has_is_in_the_standard_quota_or_not() -> None:
    model = botocore.session.get_session().get_service_model("ec2")
    sizes = model.shape_for("InstanceType").metadata["enum"]
    series = {size: re.match("[a-z]+", size)[0] for size in sizes}  # type: ignore[index]
    assert set(series.values()) == STANDARD | OTHERS  # decide for a new one
    assert len(sizes) > 1000
    in_standard = {size for size in sizes if quota_of(size, spot=False) == STANDARD_QUOTA}
    assert [size for size in sizes if (size in in_standard) is not (series[size] in STANDARD)] == []
    counted = {letters for size, letters in series.items() if quota_of(size, spot=False)}
    assert counted == {letters for each in QUOTAS for letters in each}


# A type of each series that has a quota of its own, with its vCPUs, and a zone that has it; no zone has one of DL's.
OF_SERIES = {
    "f2.6xlarge": ("L-74FC7D96", "L-88CF9481", 24, "eu-west-2a"),
    "g4dn.xlarge": ("L-DB2E81BA", "L-3819A6DF", 4, "us-west-2a"),
    "vt1.3xlarge": ("L-DB2E81BA", "L-3819A6DF", 12, "us-west-2b"),
    "hpc6a.48xlarge": ("L-F7808C92", "", 96, "us-east-2b"),
    "inf1.xlarge": ("L-1945791B", "L-B5D1601B", 4, "us-west-2a"),
    "m5.large": ("L-1216C47A", "L-34B43A08", 2, "us-west-2a"),
    "p4d.24xlarge": ("L-417A185B", "L-7212CCBC", 96, "ap-south-1a"),
    "trn1.2xlarge": ("L-2C3B7624", "L-6B0D517C", 8, "us-west-2b"),
    "u-3tb1.56xlarge": ("L-43DA4232", "", 224, "us-west-2a"),
    "x2gd.medium": ("L-7295265B", "L-E3A00192", 1, "us-west-2a"),
}


def test_each_series_has_its_own_quota() -> None:
    codes_of_dl = quota_of("dl1.24xlarge", spot=False), quota_of("dl1.24xlarge", spot=True)
    assert codes_of_dl == ("L-6E869C2A", "L-85EED4F7")
    assert {each[:2] for each in OF_SERIES.values()} | {codes_of_dl} == set(QUOTAS.values())
    assert {("ec2", code) for codes in QUOTAS.values() for code in codes if code} <= set(images.QUOTAS)


@pytest.mark.parametrize("spot", [False, True], ids=["on demand", "spot"])
@pytest.mark.parametrize("size", spread(OF_SERIES, 4))
def test_minions_of_each_series_are_counted_in_its_quota(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch, size: str, spot: bool
) -> None:
    on_demand, as_spot, processors, zone = OF_SERIES[size]
    code = as_spot if spot else on_demand
    price = "99" if spot else ""
    given: dict[str, object] = {"NODE_SIZE": size, "NODE_SPOT_PRICE": price, "KUBE_AWS_ZONE": zone}
    others = 0 if spot or code != STANDARD_QUOTA else 2  # the master's
    if code:
        monkeypatch.setitem(images.QUOTAS, ("ec2", code), ("vCPUs", 2.0 * processors + others - 1))
        needs = f"needs {2 * processors + others} {'spot ' if spot else ''}vCPUs"
        refused_untouched(sandbox, sandbox.up("--dry-run", **given), 2, "NUM_NODES", needs, f"raise the quota ({code})")
        monkeypatch.setitem(images.QUOTAS, ("ec2", code), ("vCPUs", 2.0 * processors + others))
    assert sandbox.up("--dry-run", **given).code == 3


# --- permissions


def test_what_the_simulation_denies_is_named(sandbox: Box) -> None:
    def deny(call: Call) -> Answer | None:
        if call.operation != "SimulatePrincipalPolicy":
            return None
        return simulated(call, {"ec2:CreateVpc": "implicitDeny", "iam:CreateRole": "explicitDeny"})

    sandbox.aws.hooks.before.append(deny)
    result = must(sandbox.up())
    assert (
        "warning: IAM's simulation does not allow moto: ec2:CreateVpc, iam:CreateRole; docs/permissions.md"
        in result.err
    )


def test_that_permissions_were_not_checked_is_said(sandbox: Box) -> None:
    answer_with(sandbox, "iam:SimulatePrincipalPolicy", "AccessDenied", "no", status=403)
    assert "permissions were not checked beforehand (SimulatePrincipalPolicy: AccessDenied)" in must(sandbox.up()).out


def as_role(box: Box, name: str, *, path: str = "/") -> set[str]:
    """Let the caller have assumed a role, whose ARN in STS has no path; returns whom a simulation is asked for."""
    asked: set[str] = set()
    service = {"Effect": "Allow", "Principal": {"Service": "sso.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [service]}
    box.client("iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust))

    def before(call: Call) -> Answer | None:
        if call.operation == "SimulatePrincipalPolicy":
            asked.add(call.params["PolicySourceArn"])
        if call.operation != "GetCallerIdentity":
            return None
        arn = f"arn:aws:sts::123456789012:assumed-role/{name}/alice@example.com"
        return result_answer(call, {"UserId": "AROA:alice", "Account": "123456789012", "Arn": arn})

    box.aws.hooks.before.append(before)
    return asked


def test_the_simulation_is_asked_for_a_role_with_a_path(sandbox: Box) -> None:
    """Every role of IAM Identity Center (SSO) has one."""
    name = "AWSReservedSSO_Admin_0123456789abcdef"
    path = "/aws-reserved/sso.amazonaws.com/eu-west-1/"
    asked = as_role(sandbox, name, path=path)
    assert "were not checked" not in must(sandbox.up()).out
    assert asked == {f"arn:aws:iam::123456789012:role{path}{name}"}


def refuse_own_role(box: Box) -> None:
    """Whoever may do all that docs/permissions.md had before it named GetRole of any role."""

    def before(call: Call) -> Answer | None:
        if call.operation == "GetRole" and call.params["RoleName"] == "deployer":
            return refuse(call, "denied", Refusal("AccessDenied", "no", 403))
        return None

    box.aws.hooks.before.append(before)


def test_a_role_that_may_not_look_at_itself_is_taken_for_one_without_a_path(sandbox: Box) -> None:
    asked = as_role(sandbox, "deployer")
    refuse_own_role(sandbox)
    assert "were not checked" not in must(sandbox.up()).out
    assert asked == {"arn:aws:iam::123456789012:role/deployer"}


# --- when


def test_a_rerun_with_nothing_to_do_asks_none_of_it(sandbox: Box) -> None:
    assert set(must(sandbox.up()).operations) >= ASKED
    assert not ASKED & set(must(sandbox.up()).operations)
    assert not ASKED & set(must(sandbox.down()).operations)


@pytest.mark.parametrize(("off", "way"), [(400, "ahead of"), (-90, "behind")])
def test_a_clock_that_is_wrong_is_said(sandbox: Box, monkeypatch: pytest.MonkeyPatch, off: float, way: str) -> None:
    monkeypatch.setattr(direct, "date", lambda: email.utils.formatdate(time.time() - off, usegmt=True))
    said = re.search(rf"this computer's clock is (\d+) s {way} AWS's", would(sandbox.up("--dry-run")).err)
    assert said
    assert abs(off) - 5 <= int(said[1]) <= abs(off) + 5
