"""What Route 53 refuses of a change batch, and that it makes all of one or nothing.

moto looks at neither: it takes a record twice, deletes one by its name and type alone, and makes a batch as far as it
comes. Words: botocore's model of ChangeResourceRecordSets, and what people have shown of its answers (aws-cli 704,
hashicorp/terraform 9732 and 18509, boto 2887).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from sandbox.backend import cloud
from sandbox.calls import Call, Refusal
from sandbox.world import World

Key = tuple[str, str, str]  # name, type, set identifier
_ALONE = "CNAME"
_TEXT = re.compile(r'"([^"\\]|\\.)*"( "([^"\\]|\\.)*")*')


def zones() -> dict[str, Any]:
    """moto's zones of the partitions that a call has touched, by their id."""
    from moto.route53.models import route53_backends

    return {
        key: zone for backend in list(route53_backends[cloud.ACCOUNT].values()) for key, zone in backend.zones.items()
    }


def _refused(words: str) -> Refusal:
    return Refusal("InvalidChangeBatch", f"[{words}]")


def change(_world: World, call: Call) -> None:
    """ChangeResourceRecordSets: every change of the batch holds, one after the other, or none is made."""
    zone = zones().get(call.params["HostedZoneId"].rpartition("/")[2])
    if zone is None:
        raise Refusal("NoSuchHostedZone", f"No hosted zone found with ID: {call.params['HostedZoneId']}", 404)
    domain = f"{zone.name.rstrip('.')}."
    there = {_key(each): each for each in map(record, zone.rrsets)}
    for each in call.params["ChangeBatch"]["Changes"]:
        asked = each["ResourceRecordSet"]
        words = f"[name='{_key(asked)[0]}', type='{asked['Type']}']"
        if not f".{_key(asked)[0]}".endswith(f".{domain}"):
            raise _refused(f"RRSet with DNS name {_key(asked)[0]} is not permitted in zone {domain}")
        if each["Action"] == "DELETE":
            _delete(there, asked, words)
        else:
            _put(there, each["Action"], asked, words, domain)
    _forget(zone, call)


def _forget(zone: Any, call: Call) -> None:
    """moto deletes what it has noted as put, with these values: which record it is was settled above."""
    for each in call.params["ChangeBatch"]["Changes"]:
        if each["Action"] == "DELETE":
            noted = {"Action": "UPSERT", "ResourceRecordSet": dict(each["ResourceRecordSet"])}
            zone.rr_changes.append(noted)
        elif each["Action"] == "CREATE":
            gone = _key(each["ResourceRecordSet"])
            zone.rr_changes[:] = [it for it in zone.rr_changes if _key(it["ResourceRecordSet"]) != gone]


def record(found: Any) -> dict[str, Any]:
    """One of moto's records as boto3 shows it."""
    shown = {"Name": found.name, "Type": found.type, "SetIdentifier": found.set_identifier, "TTL": found.ttl}
    values = [{"Value": value} for value in found.records or ()]
    return {key: value for key, value in shown.items() if value is not None} | {"ResourceRecords": values}


def _key(each: Mapping[str, Any]) -> Key:
    return f"{each['Name'].rstrip('.').lower()}.", each["Type"], each.get("SetIdentifier") or ""


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def values(each: Mapping[str, Any]) -> tuple[int, list[str]]:
        return int(each.get("TTL") or 0), sorted(it["Value"] for it in each.get("ResourceRecords") or ())

    return values(one) == values(other)


def _delete(there: dict[Key, dict[str, Any]], asked: Mapping[str, Any], words: str) -> None:
    if _key(asked) not in there:
        raise _refused(f"Tried to delete resource record set {words} but it was not found")
    if not _same(there.pop(_key(asked)), asked):
        words = f"{words} but the values provided do not match the current values"
        raise _refused(f"Tried to delete resource record set {words}")


def _put(there: dict[Key, dict[str, Any]], action: str, asked: Mapping[str, Any], words: str, domain: str) -> None:
    if action == "CREATE" and _key(asked) in there:
        raise _refused(f"Tried to create resource record set {words} but it already exists")
    name, kind, _ = _key(asked)
    for other_name, other, _ in there:
        if other_name == name and other != kind and _ALONE in (other, kind):
            raise _refused(
                f"RRSet of type {kind} with DNS name {name} is not permitted because a conflicting RRSet of type "
                f"{other} with the same DNS name already exists in zone {domain}"
            )
    _check_values(asked)
    there[_key(asked)] = dict(asked)


def _check_values(asked: Mapping[str, Any]) -> None:
    for each in asked.get("ResourceRecords") or ():
        if asked["Type"] == "TXT" and not _TEXT.fullmatch(each["Value"]):
            words = "Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should be enclosed in "
            raise _refused(f"{words}quotation marks) encountered with '{each['Value']}''")
        if asked["Type"] == "A":
            _check_address(each["Value"])


def _check_address(text: str) -> None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        words = "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"
        raise _refused(f"{words} encountered with '{text}''") from None


def list_records(_world: World, call: Call) -> None:
    """ListResourceRecordSets: a type to begin with needs a name."""
    if call.params.get("StartRecordType") and not call.params.get("StartRecordName"):
        raise Refusal("InvalidInput", "Cannot specify StartRecordType without StartRecordName")


def zones_of_vpc(_world: World, call: Call) -> None:
    """ListHostedZonesByVPC: of a VPC that is there, in the region that is named."""
    region, vpc_id = call.params["VPCRegion"], call.params["VPCId"]
    if vpc_id not in cloud.ec2(region).vpcs:
        raise Refusal("InvalidInput", f"The VPC {vpc_id} in region {region} does not exist")
