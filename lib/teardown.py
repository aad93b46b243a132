"""What down finds, what keeps something from going, and what is left: the bookkeeping of kube_down.py."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib import (
    address,
    alarms,
    bucket,
    dhcp,
    dns,
    gateway,
    iam,
    interface,
    launchtemplate,
    loadbalancers,
    master,
    minions,
    pki,
    podidentity,
    routetable,
    securitygroups,
    selfheal,
    sshkey,
    subnet,
    upstream,
    volumes,
    vpc,
)
from lib.aws import objects
from lib.aws.client import Aws
from lib.aws.tags import API_NAME_TAG, Disputed, bears_one, is_ours, other_owner, tags_of
from lib.checks import verdict
from lib.disk import MASTER_IP_TAG
from lib.preflight import check_regions
from lib.run.errors import Damaged, KubeError, NothingFound
from lib.run.words import counted
from lib.settings.config import Config
from lib.settings.layers import Layers
from lib.settings.resolve import resolve, resolve_whatever
from lib.state import find_staging_to_remove, read_settings, refuse_to_leave_a_bucket

if TYPE_CHECKING:
    from lib.aws.objects import Bucket
    from lib.loadbalancers import Balancer

_EVERY_VOLUME = "every volume"  # found once for several kinds
_NAMES = "names of roles"
_MADE_BY = ("KUBE_MASTER_SELF_HEAL", podidentity.ENABLE)  # what is not looked for without them
Find = Callable[[Aws, Config, Mapping[str, Any]], Sequence[Any]]


@dataclass(frozen=True)
class Kind:
    """A kind of thing that a cluster is made of: all of them, in words, and whether --keep-disk keeps them.

    `find` is given what was found so far, by field, and may list what is tagged for another cluster too.
    """

    find: Find
    words: Callable[[Any], str]
    kept: bool = False


def _kind(words: str | Callable[[Any], str], find: Find, *, kept: bool = False) -> Any:
    """The field of one kind. `words` may be a format of what AWS describes: "VPC {VpcId}"."""
    said = functools.partial(_format, words) if isinstance(words, str) else words
    return dataclasses.field(default=(), metadata={"kind": Kind(find, said, kept)})


def _addresses(aws: Aws, config: Config, found: Mapping[str, Any]) -> Sequence[Any]:
    untagged = upstream.find_addresses(aws, config, instances=found["instances"], volumes=found[_EVERY_VOLUME])
    return [*address.tagged_addresses(aws, config), *untagged]


def _format(words: str, item: Any) -> str:
    return words.format_map(item) if isinstance(item, Mapping) else words.format(item)


@dataclass(frozen=True)
class Doomed:
    """All of the cluster that is there, as AWS describes it; brought things are not among it.

    The fields that are kinds are the one table of what a cluster is made of, in the order in which it is looked for.
    What kube_down.py has no step for is found again at its end, as left. `disputed` is what has a tag of the cluster's
    and is tagged for another one too, in words: nobody but a person knows whose it is. `spared` is what people made or
    had made, in words: no step removes it. Nor what kube-up.sh made for several clusters: that is `shared`, in words.
    """

    config: Config
    bucket: Bucket | None
    objects: int
    ca_cert: bytes
    brought_tables: Sequence[Any]
    forgotten: bool  # nothing is remembered of the settings that it was made with
    role_names: Sequence[str]
    disputed: Sequence[str]
    spared: Sequence[str]
    shared: Sequence[str]
    vpcs: Sequence[Any] = _kind("VPC {VpcId}", lambda aws, config, _: vpc.tagged_vpcs(aws, config))
    instances: Sequence[Any] = _kind(
        "instance {InstanceId}", lambda aws, config, _: master.tagged_instances(aws, config)
    )
    templates: Sequence[Any] = _kind(
        "launch template {LaunchTemplateId}", lambda aws, config, _: launchtemplate.tagged_templates(aws, config)
    )
    identities: Sequence[iam.Identity] = _kind("{}", lambda aws, config, found: iam.owned(aws, config, found[_NAMES]))
    balancers: Sequence[Balancer] = _kind(
        "load balancer {0.name}", lambda aws, config, _: loadbalancers.find_balancers(aws, config)
    )
    target_groups: Sequence[str] = _kind(
        "target group {}", lambda aws, config, _: loadbalancers.find_target_groups(aws, config)
    )
    groups: Sequence[Any] = _kind(
        "group {AutoScalingGroupName}", lambda aws, config, _: minions.tagged_groups(aws, config)
    )
    alarms: Sequence[str] = _kind(
        "alarm {}", lambda aws, config, found: alarms.find_alarms(aws, config, _master_ids(config, found["instances"]))
    )
    addresses: Sequence[Any] = _kind("elastic IP {PublicIp} {AllocationId}", _addresses, kept=True)
    interfaces: Sequence[Any] = _kind(
        "interface {NetworkInterfaceId}", lambda aws, config, _: interface.tagged_interfaces(aws, config)
    )
    disks: Sequence[Any] = _kind(
        "disk {VolumeId} {Size} GiB",
        lambda _, config, found: _volumes(config, found, volumes.is_disk),
        kept=True,
    )
    api_names: Sequence[dns.Name] = _kind(
        "{}", lambda aws, config, found: dns.find_api_names(aws, config, _api_names(config, found))
    )
    volumes: Sequence[Any] = _kind(
        volumes.describe_volume,
        lambda _, config, found: _volumes(config, found, _goes_with_cluster),
        kept=True,
    )
    security_groups: Sequence[Any] = _kind(
        "security group {GroupId}", lambda aws, config, _: securitygroups.tagged_security_groups(aws, config)
    )
    subnets: Sequence[Any] = _kind("subnet {SubnetId}", lambda aws, config, _: subnet.tagged_subnets(aws, config))
    launch_configurations: Sequence[Any] = _kind(
        "launch configuration {LaunchConfigurationName}",
        lambda aws, config, found: upstream.find_launch_configurations(
            aws, config, groups=found["groups"], security_groups=found["security_groups"]
        ),
    )
    gateways: Sequence[Any] = _kind(
        "internet gateway {InternetGatewayId}",
        lambda aws, config, found: [
            *gateway.tagged_gateways(aws, config),
            *upstream.find_gateways(aws, config, found["vpcs"]),
        ],
    )
    route_tables: Sequence[Any] = _kind(
        "route table {RouteTableId}", lambda aws, config, _: routetable.tagged_route_tables(aws, config)
    )
    dhcp_options: Sequence[Any] = _kind(
        "DHCP options {DhcpOptionsId}", lambda aws, config, _: dhcp.tagged_dhcp_options(aws, config)
    )
    key_pairs: Sequence[Any] = _kind("key pair {KeyName}", lambda aws, config, _: sshkey.tagged_key_pairs(aws, config))
    schedule_groups: Sequence[str] = _kind(
        "schedule group {}", lambda aws, config, found: _schedule_groups(aws, config, found)
    )

    issuers: Sequence[Any] = _kind("{}", lambda aws, config, _: podidentity.seen_issuers(aws, config))

    def words(self, *, keep_disk: bool = False) -> list[str]:
        """Each thing by kind and id, as a person would look it up."""
        words = [*self._words(kept=False), *(f"pods' route {block} in {table}" for table, block in self.pod_routes())]
        return words if keep_disk else words + self.kept_words()

    def kept_words(self) -> list[str]:
        """What --keep-disk keeps."""
        words = self._words(kept=True)
        if self.bucket and (self.bucket.ours or self.objects):
            some = counted(self.objects, "object")
            words.append(f"bucket {self.bucket.name}" if self.bucket.ours else f"{some} in {self.bucket.name}")
        return words

    def _words(self, *, kept: bool) -> list[str]:
        return [kind.words(item) for name, kind in kinds().items() if kind.kept is kept for item in getattr(self, name)]

    def pod_routes(self) -> list[tuple[str, str]]:
        """The pods' routes in a route table that is not ours, as table and range."""
        targets = {each["NetworkInterfaceId"] for each in self.interfaces}
        for instance in self.instances:
            targets |= {instance["InstanceId"], *(n["NetworkInterfaceId"] for n in instance["NetworkInterfaces"])}
        return [
            (table["RouteTableId"], block)
            for table in self.brought_tables
            for block in routetable.own_pod_routes(self.config, table, targets=targets, any_range=self.forgotten)
        ]

    def strays(self) -> list[str]:
        """The instances that go with no group: the master, and what someone took out of one."""
        return [i["InstanceId"] for i in self.instances if self._is_stray(i)]

    def _is_stray(self, instance: Any) -> bool:
        names = {group["AutoScalingGroupName"] for group in self.groups}
        return tags_of(instance).get("aws:autoscaling:groupName") not in names

    def is_newcomer(self, instance: Any) -> bool:
        """Whether it is an instance that goes with no group and that was not there yet."""
        return self._is_stray(instance) and instance["InstanceId"] not in {i["InstanceId"] for i in self.instances}

    def healers(self) -> list[iam.Identity]:
        """The role of the schedule that makes a dead master anew, if it is there."""
        return [each for each in self.identities if each.heals]

    def profiles(self) -> list[iam.Identity]:
        """The instance profiles of master and minions."""
        return [each for each in self.identities if each.is_profile]

    def roles(self, going: Collection[iam.Identity]) -> list[iam.Identity]:
        """The roles of master and minions, but for one whose profile is not `going`: it can be deleted by no wait."""
        staying = {each.name for each in self.profiles() if each not in going}
        return [each for each in self.identities if not (each.is_profile or each.heals or each.name in staying)]

    def protected(self) -> list[str]:
        """The instances that are protected from termination: the master."""
        role = self.config.master_name
        return [i["InstanceId"] for i in self.instances if tags_of(i).get("Role") == role]

    def disks_early(self) -> Sequence[Any]:
        """The master's disk, unless its tag is all that says where the bucket is: then it goes after the bucket."""
        return [] if self._bucket_only_tagged() else self.disks

    def disks_late(self) -> Sequence[Any]:
        """The master's disk where `disks_early` leaves it out."""
        return self.disks if self._bucket_only_tagged() else []

    def _bucket_only_tagged(self) -> bool:
        return bool(self.bucket and not self.bucket.computed)

    def servers(self) -> list[str]:
        """The addresses that the cluster's API can have had, as kubeconfig writes them."""
        hosts = [each["PublicIp"] for each in self.addresses]
        hosts += [each["PrivateIpAddress"] for each in self.interfaces]
        hosts += [each["Association"]["PublicIp"] for each in self.interfaces if each.get("Association")]
        hosts += [tags_of(disk).get(MASTER_IP_TAG, "") for disk in self.disks]
        hosts += [each.name for each in self.api_names]
        hosts += [self.config.master_reserved_ip, self.config.master_internal_ip]
        port = "" if self.config.kube_api_port == 443 else f":{self.config.kube_api_port}"
        return [f"https://{host}{port}" for host in hosts if host]


def look(aws: Aws, layers: Layers) -> Doomed:
    """All of the cluster that is there. Raises NothingFound, with where it looked, for none of it."""
    aws.console.step("Looking")
    check_regions(aws, resolve_whatever(layers)[1], layers)
    aws.identify()
    asked = resolve(layers, check=False)
    found = find_staging_to_remove(aws, asked)
    refuse_to_leave_a_bucket(aws, asked, found)
    layers, staging = layers.with_remembered(_settings(aws, asked, found.bucket)), found.bucket
    had: dict[str, Any] = {name.lower(): True for name in _MADE_BY if layers.remembered.get(name, "").lower() == "true"}
    layers, config = resolve_whatever(layers)
    config = dataclasses.replace(config, **had)  # also where this run is told otherwise
    aws.console.say(
        f"account {aws.account} as {aws.user.rsplit(':', 1)[-1]}, region {aws.region}, cluster {config.cluster_id}"
    )
    forgotten = not layers.remembered
    if forgotten:
        config = podidentity.with_forgotten(aws, config)
    names = iam.find_names(aws, config) if forgotten or _is_other_vpc_name(layers) else iam.names(config)
    doomed = find_all(aws, config, staging, role_names=names, forgotten=forgotten)
    for words in doomed.disputed:
        aws.console.warn(f"{words} has a tag of {config.cluster_id} too: this run does not touch it")
    if not doomed.words() and not doomed.disputed:
        but = f" but what is yours: {', '.join(doomed.spared)}" if doomed.spared else ""
        raise NothingFound(
            f"nothing of cluster {config.cluster_id} in account {aws.account}, {aws.region}{but}; nothing was touched",
            hint="KUBE_AWS_ZONE says which region is meant, KUBE_AWS_INSTANCE_PREFIX which cluster",
        )
    for volume in doomed.volumes:
        aws.console.found(volumes.describe_volume(volume))
    for words in doomed.spared:
        aws.console.found(f"{words}: yours, it stays")
    for words in doomed.shared:
        aws.console.found(f"{words}: kube-up.sh's, other clusters may have it too, it stays")
    return doomed


def _settings(aws: Aws, config: Config, staging: Bucket | None) -> dict[str, str]:
    """What is remembered, {} where that is damaged: what has to go is found by its tags."""
    try:
        return read_settings(aws, config, staging)
    except Damaged as damaged:
        aws.console.warn(f"{damaged}: down goes on without it")
        return {}


def _ca_cert(aws: Aws, staging: Bucket | None) -> bytes:
    """The CA's certificate, b'' where that is damaged: it only tells the cluster's entries in kubeconfig apart."""
    try:
        return pki.find_ca_cert(aws, staging)
    except Damaged:
        return b""


def kinds() -> dict[str, Kind]:
    """The table: the kinds of what a cluster is made of, by the field of Doomed that has them."""
    return {each.name: each.metadata["kind"] for each in dataclasses.fields(Doomed) if "kind" in each.metadata}


def _is_other_vpc_name(layers: Layers) -> bool:
    """Whether down is told another VPC_NAME than the cluster was made with: it is in the names of the roles."""
    name = "VPC_NAME"
    return (layers.remembered.get(name) or layers.defaults[name]) != layers.value(name)


def find_all(aws: Aws, config: Config, staging: Bucket | None, *, role_names: Sequence[str], forgotten: bool) -> Doomed:
    """Everything that carries a tag of the cluster's or was named for it, apart from what another cluster has."""
    found: dict[str, list[Any]] = {_EVERY_VOLUME: volumes.find_volumes(aws, config), _NAMES: list(role_names)}
    disputed: list[str] = []
    for name, kind in kinds().items():
        listed = kind.find(aws, config, found)
        sorted_out = [_disputed(config, kind, item) or item for item in listed]
        found[name] = [item for item in sorted_out if not isinstance(item, Disputed)]
        disputed += [f"{each.words} of cluster {each.owner}" for each in sorted_out if isinstance(each, Disputed)]
    if (
        staging
        and bears_one(config.cluster_id, staging.tags)
        and (owner := other_owner(config.cluster_id, staging.tags))
    ):
        disputed.append(f"bucket {staging.name} of cluster {owner}")
    return Doomed(
        config=config,
        bucket=staging,
        objects=len(list(objects.object_keys(aws, staging))) if staging else 0,
        ca_cert=_ca_cert(aws, staging),
        brought_tables=_brought_tables(aws, config, found),
        forgotten=forgotten,
        role_names=role_names,
        disputed=disputed,
        spared=_spared(aws, config, found),
        shared=upstream.shared(
            config,
            instances=found["instances"],
            configurations=found["launch_configurations"],
            key_pairs=found["key_pairs"],
            identities=found["identities"],
        ),
        **{name: found[name] for name in kinds()},
    )


def _disputed(config: Config, kind: Kind, item: Any) -> Disputed | None:
    """What AWS describes with its tags, in words, where it is another cluster's; None where it is ours."""
    owner = other_owner(config.cluster_id, tags_of(item)) if isinstance(item, Mapping) else ""
    return Disputed(kind.words(item), owner) if owner else None


def _volumes(
    config: Config, found: Mapping[str, Sequence[Any]], chosen: Callable[[Config, Any], bool]
) -> Sequence[Any]:
    return [volume for volume in found[_EVERY_VOLUME] if chosen(config, volume)]


def _goes_with_cluster(config: Config, volume: Any) -> bool:
    return volumes.goes_with_cluster(config, volume) and not volumes.is_disk(config, volume)


def _spared(aws: Aws, config: Config, found: Mapping[str, Sequence[Any]]) -> list[str]:
    """The volumes with the cluster's tags that are of no kind of ours, and all EBS snapshots."""
    ours = [each for each in found[_EVERY_VOLUME] if is_ours(config.cluster_id, tags_of(each))]
    theirs = [each for each in ours if each not in [*found["disks"], *found["volumes"]]]
    snapshots = volumes.find_ebs_snapshots(aws, config)
    return [*map(volumes.describe_volume, theirs), *map(volumes.describe_snapshot, snapshots)]


def _master_ids(config: Config, instances: Sequence[Any]) -> list[str]:
    return [i["InstanceId"] for i in instances if tags_of(i).get("Name") == config.master_name]


def _api_names(config: Config, found: Mapping[str, Sequence[Any]]) -> list[str]:
    """The names that the API may have, also where the settings are lost: what stays of a master says it in a tag."""
    bearing = (each for kind in ("interfaces", "addresses", "disks", "instances") for each in found[kind])
    return [config.kube_api_dns_name, *(tags_of(each).get(API_NAME_TAG, "") for each in bearing)]


def _schedule_groups(aws: Aws, config: Config, found: Mapping[str, Sequence[Any]]) -> Sequence[str | Disputed]:
    """Not asked for where nothing else tells of the self-healing: who never had it needs no rights for it."""
    named = {template["LaunchTemplateName"] for template in found["templates"]}
    has_some = config.master_name in named or any(each.heals for each in found["identities"])
    return selfheal.tagged_schedule_groups(aws, config) if has_some or config.kube_master_self_heal else []


def _brought_tables(aws: Aws, config: Config, found: Mapping[str, Sequence[Any]]) -> list[Mapping[str, Any]]:
    """The route tables of brought subnets: of SUBNET_ID, and of what else the cluster's machines are in.

    So the pods' routes are found though SUBNET_ID was lost with the settings. A subnet that is gone has none.
    """
    used = {config.subnet_id, *(each.get("SubnetId", "") for each in [*found["instances"], *found["interfaces"]])}
    brought = sorted(used - {"", *(each["SubnetId"] for each in found["subnets"])})
    if not brought:
        return []
    subnets = aws.every("describe_subnets", "Subnets", Filters=[{"Name": "subnet-id", "Values": brought}])
    tables = [routetable.table_of_subnet(aws, subnet_id=each["SubnetId"], vpc_id=each["VpcId"]) for each in subnets]
    ours = {each["RouteTableId"] for each in found["route_tables"]}
    return [each for name, each in {each["RouteTableId"]: each for each in tables}.items() if name not in ours]


def say_end(aws: Aws, doomed: Doomed, *, refused: bool, keep_disk: bool) -> None:
    """Look again and say what is left. Raises KubeError when something is, with what is in its way."""
    console, config = aws.console, doomed.config
    console.step("Looking again")
    if aws.dry_run:
        name = doomed.bucket.name if doomed.bucket else bucket.computed_bucket(aws, config).name
        verdict.tell_verdict(aws, config, bucket=name, price=None)
        return
    staging = bucket.find_bucket(aws, config, tagged=doomed.bucket.name if doomed.bucket else "")
    left = find_all(aws, config, staging, role_names=doomed.role_names, forgotten=doomed.forgotten)
    words = left.words(keep_disk=keep_disk)
    if words:
        raise KubeError(
            f"left of cluster {config.cluster_id}: {', '.join(words)}",
            hint="mend what the warnings above name, then run the same command again"
            if refused
            else "it was made while this ran, or AWS takes its time: run the same command again, it finishes",
        )
    kept = left.kept_words() if keep_disk else []
    if left.disputed:
        raise KubeError(
            f"not removed, for two clusters' tags are on it: {', '.join(left.disputed)}",
            hint=f"take off the tags that are not true; if it is {config.cluster_id}'s, run the same command again",
        )
    if kept:
        console.sentence(
            f"Kept for the next kube_up.py: {', '.join(kept)}. kube_down.py without --keep-disk removes it."
        )
    if left.spared:
        console.sentence(f"Yours, and charged for until you delete it: {', '.join(left.spared)}.")
    if doomed.shared:
        console.sentence(f"Left, for other clusters may have it too: {', '.join(doomed.shared)}.")
    again = f", {counted(aws.retries, 'call')} repeated" if aws.retries else ""
    console.sentence(
        f"Cluster {config.cluster_id} is down after {int(console.elapsed)} s{again}: "
        f"nothing{' else' if kept or left.spared or doomed.shared else ''} is left of it."
    )
