"""KUBE_API_DNS_NAME: a name for the cluster's API in a hosted zone of the account, in Route 53.

Records have no tags, so a TXT record of the same name says whose the name is, as external-dns' do. Both are made in one
batch, and Route 53 makes all of a batch or nothing, so that there never was one without the other. What was made is not
waited for until all name servers have it (GetChange says INSYNC): that takes a minute at most, and a master boots
longer; a run itself asks the API by its address, since a resolver may remember for a while that there was no such name.
Facts: botocore's model of route53, of ChangeResourceRecordSets, ListResourceRecordSets and GetChange;
https://kubernetes-sigs.github.io/external-dns/v0.14.0/registry/registry
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.run.errors import SettingError

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.cluster import Cluster
    from lib.settings.config import Config

SETTING = "KUBE_API_DNS_NAME"
_TTL = 60  # seconds: an elastic IP can become another
# What of a name's records decides where it leads, or whose it is; in the zone above its own, NS leads to another zone.
_KINDS = ("A", "AAAA", "CNAME", "TXT")


@dataclass(frozen=True)
class Zone:
    """A hosted zone of the account: its id, and its domain without the last dot."""

    id: str
    domain: str
    private: bool

    def __str__(self) -> str:
        return f"{'private' if self.private else 'public'} zone {self.domain} ({self.id.rpartition('/')[2]})"


@dataclass(frozen=True)
class Name:
    """A name in a zone whose TXT record says that it is the cluster's."""

    name: str
    zone: Zone

    def __str__(self) -> str:
        return f"name {self.name} in {self.zone}"


# --- the zone


def _fitting(aws: Aws, name: str) -> list[Zone]:
    """The account's zones that a name can be in, but for those that another service of AWS's has made and keeps."""
    pages = aws.service("route53").get_paginator("list_hosted_zones").paginate()
    found = [each for page in pages for each in page["HostedZones"] if "LinkedService" not in each]
    zones = [Zone(each["Id"], each["Name"].rstrip("."), _is_private(each)) for each in found]
    return [zone for zone in zones if f".{name}".endswith(f".{zone.domain}")]


def _is_private(zone: Mapping[str, Any]) -> bool:
    return bool(zone.get("Config", {}).get("PrivateZone"))


def _associated(aws: Aws, vpc_id: str) -> set[str]:
    """The ids, without /hostedzone/, of the private zones that a VPC's resolver answers from."""
    asked: dict[str, str] = {"VPCId": vpc_id, "VPCRegion": aws.region}
    found: set[str] = set()
    while True:  # botocore has no paginator for it
        answer = aws.service("route53").list_hosted_zones_by_vpc(**asked)
        found |= {each["HostedZoneId"] for each in answer["HostedZoneSummaries"]}
        if not answer.get("NextToken"):
            return found
        asked["NextToken"] = answer["NextToken"]


def find_zone(aws: Aws, config: Config, *, vpc_id: str) -> Zone:
    """The zone that the name goes into: the longest that fits, private and of the VPC for a private master.

    `vpc_id` is '' for a VPC that is not there yet. Raises SettingError for none, and for two of one name.
    """
    name, public = config.kube_api_dns_name, config.kube_enable_master_public_ip
    fitting = [zone for zone in _fitting(aws, name) if zone.private is not public]
    if not public:
        of_vpc = _associated(aws, vpc_id) if vpc_id and fitting else set()
        fitting = [zone for zone in fitting if zone.id.rpartition("/")[2] in of_vpc]
    longest = max((len(zone.domain) for zone in fitting), default=0)
    best = [zone for zone in fitting if len(zone.domain) == longest]
    if not best:
        kind = "public hosted zone" if public else f"private hosted zone of {vpc_id or 'a VPC that is yet to be made'}"
        mend = (
            "make one for the domain, or give a name in one that there is"
            if public
            else "associate one with the VPC, which VPC_ID or SUBNET_ID names where the cluster has none yet, or leave "
            "it empty"
        )
        raise SettingError(SETTING, f"account {aws.account} has no {kind} that {name} can be in", mend)
    if len(best) > 1:
        both = " and ".join(map(str, best))
        raise SettingError(SETTING, f"{name} can be in {both}", "delete the one that nobody asks, or give another name")
    return best[0]


# --- the records


def _mark(config: Config) -> str:
    """What the TXT record says. A cluster's id is one of its region."""
    return f'"heritage=kube-up,kube-up/owner={config.region}/{config.cluster_id}"'


def _wanted(config: Config, address: str) -> tuple[dict[str, Any], dict[str, Any]]:
    common = {"Name": f"{config.kube_api_dns_name}.", "TTL": _TTL}
    return (
        {**common, "Type": "A", "ResourceRecords": [{"Value": address}]},
        {**common, "Type": "TXT", "ResourceRecords": [{"Value": _mark(config)}]},
    )


def _records(aws: Aws, zone: Zone, name: str) -> list[Mapping[str, Any]]:
    """The records of a name that count. They are listed by name with the labels reversed, the name's own first."""
    kinds = _KINDS if zone.domain == name else (*_KINDS, "NS")
    pages = aws.service("route53").get_paginator("list_resource_record_sets")
    found: list[Mapping[str, Any]] = []
    for page in pages.paginate(HostedZoneId=zone.id, StartRecordName=name, PaginationConfig={"PageSize": 100}):
        for each in page["ResourceRecordSets"]:
            if each["Name"] != f"{name}.":
                return found
            if each["Type"] in kinds:
                found.append(each)
    return found


def _own(config: Config, records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of a name's records the cluster's: the TXT record that says so, and a simple record A beside it."""
    simple = {each["Type"]: each for each in records if "SetIdentifier" not in each}
    mark = simple.get("TXT")
    if mark is None or [each["Value"] for each in mark.get("ResourceRecords", [])] != [_mark(config)]:
        return []
    return [each for each in (simple.get("A"), mark) if each is not None]


def _own_only(aws: Aws, config: Config, zone: Zone) -> list[Mapping[str, Any]]:
    """The cluster's records of its name. Raises SettingError where there is one that is not the cluster's."""
    name = config.kube_api_dns_name
    records = _records(aws, zone, name)
    own = _own(config, records)
    for each in records:
        if each not in own:
            said = ", ".join(value["Value"] for value in each.get("ResourceRecords", ())) or "an alias"
            raise SettingError(
                SETTING,
                f"{zone} has a record {each['Type']} of {name} ({said}) that is not the cluster's",
                "delete it if nobody needs it, or give another name",
            )
    return own


def check_name(aws: Aws, config: Config, *, vpc_id: str) -> None:
    """Raises SettingError for a name that no zone of the account can have, and for one that is somebody else's."""
    if config.kube_api_dns_name and not config.kube_use_existing_master:
        _own_only(aws, config, find_zone(aws, config, vpc_id=vpc_id))


def ensure_name(aws: Aws, cluster: Cluster) -> None:
    """Have the name lead to the master. Nothing without KUBE_API_DNS_NAME. Raises SettingError as `check_name`."""
    config, address = cluster.config, cluster.public_ip or cluster.config.master_internal_ip
    if not config.kube_api_dns_name:
        return
    zone = find_zone(aws, config, vpc_id=cluster.vpc_id)
    found, wanted = _own_only(aws, config, zone), _wanted(config, address)
    words = f"name {config.kube_api_dns_name} of {address} in {zone}"
    if not found:
        # CREATE, which Route 53 refuses where there is a record by now: of another run's, that is the cluster's too.
        aws.make(
            words,
            lambda: _change(aws, zone, "CREATE", wanted),
            look=lambda: words if _own_only(aws, config, zone) else None,
        )
        return
    differing = [each for each in wanted if not any(each.items() <= there.items() for there in found)]
    if not differing:
        aws.console.found(words)
        return
    was = ", ".join(value["Value"] for value in found[0].get("ResourceRecords", ())) if len(found) > 1 else "none"
    aws.change("set", f"{words}: was {was}", lambda: _change(aws, zone, "UPSERT", differing))


def _change(aws: Aws, zone: Zone, action: str, records: Sequence[Mapping[str, Any]]) -> str:
    """The id of the change."""
    changes = [{"Action": action, "ResourceRecordSet": dict(each)} for each in records]
    answer = aws.service("route53").change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch={"Changes": changes})
    return str(answer["ChangeInfo"]["Id"])


# --- its end


def remove_former_name(aws: Aws, cluster: Cluster) -> None:
    """Remove the name that the cluster had where it is to have another or none, before a run forgets it."""
    config, former = cluster.config, cluster.layers.remembered.get(SETTING, "")
    if former not in ("", config.kube_api_dns_name) and not config.kube_use_existing_master:
        for each in find_api_names(aws, config, [former]):
            delete_name(aws, config, each)


def find_api_names(aws: Aws, config: Config, names: Iterable[str]) -> list[Name]:
    """Those of the names that are the cluster's, in whichever zone: there may be a longer one by now."""
    every = [Name(name, zone) for name in dict.fromkeys(names) if name for zone in _fitting(aws, name)]
    return [each for each in every if _own(config, _records(aws, each.zone, each.name))]


def delete_name(aws: Aws, config: Config, name: Name) -> None:
    """Remove a name's records that are the cluster's, as they are listed: AWS deletes none that differs from that."""

    def delete() -> None:
        own = _own(config, _records(aws, name.zone, name.name))
        if own:  # else they are gone: an answer was lost
            _change(aws, name.zone, "DELETE", own)

    aws.remove("delete", str(name), delete, done_on=["NoSuchHostedZone"], retry_on=["InvalidChangeBatch"])
