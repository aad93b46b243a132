"""KUBE_API_DNS_NAME: a name for the API in a hosted zone, the certificate and kubeconfig; it goes with the cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from conftest import REGION, Box, Result
from helpers import (
    ID,
    answer_with,
    drop_tags,
    empty_bucket,
    kubeconfig,
    master_of,
    master_settings,
    must,
    named,
    only,
    part,
    refused,
    refused_untouched,
    remembered,
)

from sandbox.backend.records import zones
from sandbox.calls import Call
from sandbox.faults import put
from sandbox.faults.denials import Deny

NAME = "api.dev.example.com"
NAMED = {"KUBE_API_DNS_NAME": NAME}
MARK = f'"heritage=kube-up,kube-up/owner={REGION}/{ID}"'
PRIVATE = {"KUBE_ENABLE_MASTER_PUBLIC_IP": "false"}


def make_zone(box: Box, domain: str, *, vpc_id: str = "", reference: str = "") -> str:
    """A hosted zone of the account's; its id."""
    of_vpc: dict[str, Any] = {"VPC": {"VPCRegion": REGION, "VPCId": vpc_id}} if vpc_id else {}
    answer = box.client("route53").create_hosted_zone(
        Name=domain,
        CallerReference=reference or domain,
        HostedZoneConfig={"PrivateZone": bool(vpc_id)},
        **of_vpc,
    )
    return str(answer["HostedZone"]["Id"]).rpartition("/")[2]


def put_record(box: Box, zone: str, kind: str, value: str, *, name: str = NAME, action: str = "CREATE") -> None:
    """Somebody's record."""
    record = {"Name": name, "Type": kind, "TTL": 300, "ResourceRecords": [{"Value": value}]}
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    box.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def records(box: Box, zone: str) -> list[str]:
    """The zone's records, but for those that every zone has."""
    listed = box.inventory()["route53"]["hosted zones"][zone]["records"]
    return [each for each in listed if each.split()[1] not in ("NS", "SOA")]


def expected(address: str, name: str = NAME) -> list[str]:
    return [f"{name}. A 60 {address}", f"{name}. TXT 60 {MARK}"]


def address_of(box: Box) -> str:
    """The master's elastic IP."""
    return str(only(part(box, "addresses").values())["address"])


def server(box: Box) -> str:
    """What kubeconfig has for the API."""
    loaded = yaml.safe_load(kubeconfig(box).read_text(encoding="utf-8"))
    return str(only(loaded["clusters"])["cluster"]["server"])


def of_route53(result: Result) -> list[str]:
    return [each for each in result.operations if each.startswith("route53:")]


@pytest.fixture
def zone(sandbox: Box) -> str:
    """The id of the account's public zone example.com."""
    return make_zone(sandbox, "example.com")


def make_example(box: Box) -> None:
    make_zone(box, "example.com")


def cluster_with_name(box: Box) -> str:
    """A finished cluster whose API has the name; the zone's id."""
    box.cluster(make_example, **NAMED)
    return str(only(box.inventory()["route53"]["hosted zones"]))


# --- up


def test_without_the_option_route_53_is_not_asked(sandbox: Box, zone: str) -> None:
    assert of_route53(must(sandbox.up())) == []
    assert of_route53(must(sandbox.down())) == []
    assert records(sandbox, zone) == []


def test_the_name_is_in_the_zone_the_certificate_and_kubeconfig(sandbox: Box, zone: str) -> None:
    result = must(sandbox.up(**NAMED))
    address = address_of(sandbox)
    assert records(sandbox, zone) == expected(address)
    assert master_settings(sandbox)["MASTER_PUBLIC_IP"] == f"{address}, {NAME}"
    assert server(sandbox).startswith(f"https://{NAME}")
    assert f"name {NAME} in the API's certificate" in result.out
    assert f"  API      {server(sandbox)}, context" in result.out
    assert remembered(sandbox)["KUBE_API_DNS_NAME"] == NAME


def test_a_rerun_changes_nothing(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    before = sandbox.inventory()
    again = must(sandbox.up())
    assert again.changing == []
    assert len(again.calls) <= 46  # 42 of any cluster, and twice the zones and the name's records
    assert sandbox.inventory() == before
    assert f"found   name {NAME} of {address_of(sandbox)} in public zone example.com ({zone})" in again.out


def test_a_dry_run_tells_it(sandbox: Box, zone: str) -> None:
    result = sandbox.up("--dry-run", **NAMED)
    refused_untouched(sandbox, result, 3)  # something is to be changed
    assert f"name {NAME} of (new elastic IP) in public zone example.com ({zone})" in result.out


def test_the_longest_zone_that_fits_is_taken(sandbox: Box, zone: str) -> None:
    longer = make_zone(sandbox, "dev.example.com")
    make_zone(sandbox, "ev.example.com")
    make_zone(sandbox, "api.dev.example.com.org")
    make_zone(sandbox, NAME, vpc_id=sandbox.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"])
    must(sandbox.up(**NAMED))
    assert records(sandbox, longer) == expected(address_of(sandbox))
    assert records(sandbox, zone) == []


def test_a_name_can_be_that_of_its_zone(sandbox: Box) -> None:
    zone = make_zone(sandbox, NAME)
    must(sandbox.up(**NAMED))
    assert records(sandbox, zone) == expected(address_of(sandbox))
    must(sandbox.down())
    assert records(sandbox, zone) == []


def test_a_zone_is_found_among_hundreds(sandbox: Box) -> None:
    for number in range(120):
        make_zone(sandbox, f"number-{number}.org")
    last = make_zone(sandbox, "example.com")
    must(sandbox.up(**NAMED))
    assert records(sandbox, last) == expected(address_of(sandbox))


# --- what is refused


def test_no_zone_is_refused_before_anything_is_changed(sandbox: Box) -> None:
    make_zone(sandbox, "badexample.com")
    said = refused_untouched(sandbox, sandbox.up(**NAMED), 2, "KUBE_API_DNS_NAME", "no public hosted zone", "make one")
    assert len(said.splitlines()) == 1


def test_two_zones_that_fit_equally_are_refused(sandbox: Box, zone: str) -> None:
    other = make_zone(sandbox, "example.com", reference="again")
    said = refused_untouched(sandbox, sandbox.up(**NAMED), 2, "KUBE_API_DNS_NAME", zone, other, "delete the one")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("A", "203.0.113.200"),
        ("AAAA", "2001:db8::1"),
        ("CNAME", "www.example.com"),
        ("TXT", '"v=spf1 -all"'),
        ("TXT", f'"heritage=kube-up,kube-up/owner={REGION}/other"'),
        ("NS", "ns.example.org"),
    ],
)
def test_a_record_that_is_somebody_elses_is_refused_and_stays(sandbox: Box, zone: str, kind: str, value: str) -> None:
    put_record(sandbox, zone, kind, value)
    said = refused_untouched(sandbox, sandbox.up(**NAMED), 2, "KUBE_API_DNS_NAME", f"record {kind} of {NAME}", zone)
    assert len(said.splitlines()) == 1
    assert box_has(sandbox, zone, kind, value)


def box_has(box: Box, zone: str, kind: str, value: str) -> bool:
    listed = box.inventory()["route53"]["hosted zones"][zone]["records"]
    return f"{NAME}. {kind} 300 {value}" in listed


def test_a_record_that_somebody_makes_meanwhile_is_not_overwritten(sandbox: Box, zone: str) -> None:
    def first(call: Call) -> None:
        if call.operation == "ChangeResourceRecordSets":
            record = {"Name": f"{NAME}.", "Type": "A", "TTL": 300, "ResourceRecords": ["203.0.113.200"]}
            zones()[zone].upsert_rrset(record)

    sandbox.aws.hooks.before.append(first)
    refused(sandbox.up(**NAMED), 1, "KUBE_API_DNS_NAME", "203.0.113.200")
    assert records(sandbox, zone) == [f"{NAME}. A 300 203.0.113.200"]


def test_who_lacks_the_rights_is_told_of_them_with_the_option_alone(sandbox: Box) -> None:
    put(sandbox.aws, Deny("route53:*"))
    assert "route53:" not in must(sandbox.up()).err
    refused(sandbox.up(**NAMED), 1, "route53:ListHostedZones")


# --- repair


def test_a_name_that_somebody_changed_is_put_right(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    put_record(sandbox, zone, "A", "203.0.113.200", action="UPSERT")
    result = must(sandbox.up())
    assert result.changing == ["route53:ChangeResourceRecordSets"]
    assert "was 203.0.113.200" in result.out
    assert records(sandbox, zone) == expected(address_of(sandbox))


def test_a_lost_answer_makes_it_once(sandbox: Box, zone: str) -> None:
    answer_with(sandbox, "route53:ChangeResourceRecordSets", "ServiceUnavailable", "try again", status=503, times=1)
    must(sandbox.up(**NAMED))
    assert records(sandbox, zone) == expected(address_of(sandbox))


# --- a master that is there


def test_a_master_that_is_there_gets_it_when_it_is_made_anew(sandbox: Box) -> None:
    sandbox.cluster()
    zone = make_zone(sandbox, "example.com")
    master, old = master_of(sandbox), server(sandbox)
    later = must(sandbox.up(**NAMED))
    assert f"the API's certificate has no {NAME}" in later.err
    assert f"KUBE_REPLACE_MASTER={master}" in later.err
    assert server(sandbox) == old
    assert records(sandbox, zone) == expected(address_of(sandbox))
    assert must(sandbox.up()).changing == []
    must(sandbox.up(KUBE_REPLACE_MASTER=master))
    assert server(sandbox).startswith(f"https://{NAME}")
    again = must(sandbox.up(NODE_LABELS="a=b"))  # which is no matter of the master's
    assert server(sandbox).startswith(f"https://{NAME}")
    assert f"name {NAME} in the API's certificate" in again.out


def test_a_master_with_other_settings_since_has_the_name_all_the_same(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    result = must(sandbox.up(KUBE_EXTRA_PACKAGES="nfs-common"))
    assert "made with other settings" in result.err
    assert server(sandbox).startswith(f"https://{NAME}")
    assert records(sandbox, zone) == expected(address_of(sandbox))


def test_another_name_takes_the_place_of_the_first(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    must(sandbox.up(KUBE_API_DNS_NAME="k8s.example.com"))
    assert records(sandbox, zone) == expected(address_of(sandbox), "k8s.example.com")
    assert NAME not in server(sandbox)
    must(sandbox.up(KUBE_API_DNS_NAME=""))
    assert records(sandbox, zone) == []
    assert of_route53(must(sandbox.up())) == []


def test_a_further_group_leaves_the_name_alone(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    result = must(sandbox.up(KUBE_USE_EXISTING_MASTER="true", NODE_SIZE="t3.large"))
    assert of_route53(result) == []
    assert server(sandbox).startswith(f"https://{NAME}")
    assert records(sandbox, zone) == expected(address_of(sandbox))


# --- a private master


def test_a_private_master_without_a_vpc_is_refused(sandbox: Box, zone: str) -> None:
    words = ("KUBE_API_DNS_NAME", "no private hosted zone of a VPC that is yet to be made", "VPC_ID")
    refused_untouched(sandbox, sandbox.up(**NAMED, **PRIVATE), 2, *words)


def test_a_private_masters_name_is_in_a_zone_of_its_vpc(sandbox: Box, zone: str) -> None:
    must(sandbox.up(**PRIVATE))
    vpc_id, other = only(part(sandbox, "vpcs")), sandbox.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")
    make_zone(sandbox, "dev.example.com", vpc_id=other["Vpc"]["VpcId"])
    refused_untouched(sandbox, sandbox.up(**NAMED), 2, "KUBE_API_DNS_NAME", vpc_id, "associate one")
    private = make_zone(sandbox, "example.com", vpc_id=vpc_id, reference="private")
    must(sandbox.up(**NAMED))
    assert records(sandbox, private) == expected("172.20.0.9")
    assert records(sandbox, zone) == []
    must(sandbox.down())
    assert records(sandbox, private) == []


# --- down


def test_down_removes_the_name_and_nothing_else(sandbox: Box, zone: str) -> None:
    put_record(sandbox, zone, "A", "203.0.113.200", name="www.example.com")
    put_record(sandbox, zone, "TXT", '"theirs"', name=f"below.{NAME}")
    before = sandbox.inventory()
    must(sandbox.up(**NAMED))
    result = must(sandbox.down())
    assert f"delete  name {NAME} in public zone example.com ({zone}) … done" in result.out
    assert result.changing.count("route53:ChangeResourceRecordSets") == 1
    assert sandbox.inventory() == before
    assert kubeconfig(sandbox).read_text(encoding="utf-8").count(NAME) == 0


def test_down_leaves_a_name_that_is_somebody_elses_by_now(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    put_record(sandbox, zone, "TXT", '"mine now"', action="UPSERT")
    must(sandbox.down())
    assert f'{NAME}. TXT 300 "mine now"' in records(sandbox, zone)
    assert len(records(sandbox, zone)) == 2


def test_down_finds_the_name_where_the_settings_are_lost(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    empty_bucket(sandbox, delete=True)
    must(sandbox.down())
    assert records(sandbox, zone) == []


def test_where_the_tags_are_lost_too_down_must_be_told(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    empty_bucket(sandbox, delete=True)
    bearing = [named(sandbox, "interfaces", f"{ID}-master"), named(sandbox, "volumes", f"{ID}-master-pd")]
    for each in [*bearing, master_of(sandbox), only(part(sandbox, "addresses"))]:
        drop_tags(sandbox, each, "KubernetesApiName")
    must(sandbox.down(**NAMED))
    assert records(sandbox, zone) == []


def test_a_lost_answer_of_its_removal_does_no_harm(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    answer_with(sandbox, "route53:ChangeResourceRecordSets", "ServiceUnavailable", "try again", status=503, times=1)
    must(sandbox.down())
    assert records(sandbox, zone) == []


def test_a_dry_run_of_down_tells_it(sandbox: Box) -> None:
    zone = cluster_with_name(sandbox)
    assert f"name {NAME} in public zone example.com" in sandbox.down("--dry-run").out
    assert records(sandbox, zone) == expected(address_of(sandbox))
