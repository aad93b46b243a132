"""What down finds, what keeps something from going, and what is left: the bookkeeping of kube_down.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib import (
    alarms,
    bucket,
    iam,
    interface,
    loadbalancers,
    master,
    minions,
    pki,
    routetable,
    securitygroups,
    selfheal,
    sshkey,
    volumes,
)
from lib.aws import Aws, tag_filters, tags_of
from lib.config import Config, Layers, resolve, resolve_whatever
from lib.disk import MASTER_IP_TAG, disk_name
from lib.errors import KubeError, NothingFound
from lib.preflight import check_regions
from lib.state import find_staging, read_settings, refuse_to_leave_a_bucket

if TYPE_CHECKING:
    from lib.bucket import Bucket
    from lib.loadbalancers import Balancer
    from lib.removal import Removal


@dataclass(frozen=True)
class Doomed:
    """All of the cluster that is there, as AWS describes it; brought things are not among it."""

    config: Config
    bucket: Bucket | None
    objects: int
    ca_cert: bytes
    balancers: Sequence[Balancer]
    target_groups: Sequence[str]
    groups: Sequence[Any]
    templates: Sequence[Any]
    instances: Sequence[Any]
    alarms: Sequence[str]
    addresses: Sequence[Any]
    interfaces: Sequence[Any]
    disks: Sequence[Any]
    volumes: Sequence[Any]
    spared: Sequence[str]  # what people made or had made: no step removes it
    security_groups: Sequence[Any]
    subnets: Sequence[Any]
    gateways: Sequence[Any]
    route_tables: Sequence[Any]
    brought_table: Any
    vpcs: Sequence[Any]
    dhcp_options: Sequence[Any]
    key_pairs: Sequence[Any]
    profiles: Sequence[str]
    schedule_groups: Sequence[str]

    def words(self, *, keep_disk: bool = False) -> list[str]:
        """Each thing by kind and id, as a person would look it up."""
        words = [f"load balancer {balancer.name}" for balancer in self.balancers]
        words += [f"target group {arn}" for arn in self.target_groups]
        words += [f"group {group['AutoScalingGroupName']}" for group in self.groups]
        words += [*self.alarms, *self.profiles, *(f"schedule group {name}" for name in self.schedule_groups)]
        for kind, items, key in self._by_id():
            words += [f"{kind} {item[key]}" for item in items]
        words += [f"pods' route {block} in {table_id}" for table_id, block in self.pod_routes()]
        return words if keep_disk else words + self.kept_words()

    def kept_words(self) -> list[str]:
        """What --keep-disk keeps."""
        words = [f"elastic IP {each['PublicIp']} {each['AllocationId']}" for each in self.addresses]
        words += [f"disk {disk['VolumeId']} {disk['Size']} GiB" for disk in self.disks]
        words += [volumes.describe(volume) for volume in self.volumes]
        if self.bucket and (self.bucket.ours or self.objects):
            words.append(
                f"bucket {self.bucket.name}" if self.bucket.ours else f"{self.objects} objects in {self.bucket.name}"
            )
        return words

    def _by_id(self) -> list[tuple[str, Sequence[Any], str]]:
        return [
            ("launch template", self.templates, "LaunchTemplateId"),
            ("instance", self.instances, "InstanceId"),
            ("interface", self.interfaces, "NetworkInterfaceId"),
            ("security group", self.security_groups, "GroupId"),
            ("subnet", self.subnets, "SubnetId"),
            ("internet gateway", self.gateways, "InternetGatewayId"),
            ("route table", self.route_tables, "RouteTableId"),
            ("VPC", self.vpcs, "VpcId"),
            ("DHCP options", self.dhcp_options, "DhcpOptionsId"),
            ("key pair", self.key_pairs, "KeyName"),
        ]

    def pod_routes(self) -> list[tuple[str, str]]:
        """The pods' routes in a route table that is not ours, as table and range."""
        if not self.brought_table:
            return []
        targets = {each["NetworkInterfaceId"] for each in self.interfaces}
        for instance in self.instances:
            targets |= {instance["InstanceId"], *(n["NetworkInterfaceId"] for n in instance["NetworkInterfaces"])}
        blocks = routetable.own_pod_routes(self.config, self.brought_table, targets=targets)
        return [(self.brought_table["RouteTableId"], block) for block in blocks]

    def strays(self) -> list[str]:
        """The instances that go with no group: the master, and what someone took out of one."""
        return [i["InstanceId"] for i in self.instances if self._is_stray(i)]

    def _is_stray(self, instance: Any) -> bool:
        names = {group["AutoScalingGroupName"] for group in self.groups}
        return tags_of(instance).get("aws:autoscaling:groupName") not in names

    def is_newcomer(self, instance: Any) -> bool:
        """Whether it is an instance that goes with no group and that was not there yet."""
        return self._is_stray(instance) and instance["InstanceId"] not in {i["InstanceId"] for i in self.instances}

    def healers(self) -> list[str]:
        """The role of the schedule that makes a dead master anew, if it is there."""
        role = self.config.healer_role
        return [role] if f"role {role}" in self.profiles else []

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
        hosts += [self.config.master_reserved_ip, self.config.master_internal_ip]
        port = "" if self.config.kube_api_port == 443 else f":{self.config.kube_api_port}"
        return [f"https://{host}{port}" for host in hosts if host]


def look(aws: Aws, layers: Layers) -> Doomed:
    """All of the cluster that is there. Raises NothingFound, with where it looked, for none of it."""
    check_regions(aws, resolve_whatever(layers)[1])
    aws.identify()
    asked = resolve(layers, check=False)
    found = find_staging(aws, asked)
    refuse_to_leave_a_bucket(aws, asked, found)
    layers, staging = layers.with_remembered(read_settings(aws, found.bucket)), found.bucket
    had_schedule = layers.remembered.get("KUBE_MASTER_SELF_HEAL", "").lower() == "true"
    layers, config = resolve_whatever(layers)
    if had_schedule:  # also where this run is told otherwise
        config = dataclasses.replace(config, kube_master_self_heal=True)
    aws.console.say(
        f"account {aws.account} as {aws.user.rsplit(':', 1)[-1]}, region {aws.region}, cluster {config.cluster_id}"
    )
    doomed = find_all(aws, config, staging)
    if not doomed.words():
        but = f" but what is yours: {', '.join(doomed.spared)}" if doomed.spared else ""
        raise NothingFound(
            f"nothing of cluster {config.cluster_id} in account {aws.account}, {aws.region}{but}; nothing was touched",
            hint="KUBE_AWS_ZONE says which region is meant, KUBE_AWS_INSTANCE_PREFIX which cluster",
        )
    for volume in doomed.volumes:
        aws.console.found(volumes.describe(volume))
    for words in doomed.spared:
        aws.console.found(f"{words}: yours, it stays")
    return doomed


def find_all(aws: Aws, config: Config, staging: Bucket | None) -> Doomed:
    """Everything that carries the cluster's tag or was named for it."""
    vpcs = _owned(aws, config, "describe_vpcs", "Vpcs")
    if vpcs and (name := tags_of(vpcs[0]).get("Name")):
        config = dataclasses.replace(config, vpc_name=name)  # the roles' names end in it
    instances = master.own_instances(aws, config)
    templates, profiles = minions.own_templates(aws, config), iam.owned(aws, config)
    every_volume = volumes.find_volumes(aws, config)
    disks = [volume for volume in every_volume if tags_of(volume).get("Name") == disk_name(config)]
    ours = [volume for volume in every_volume if volumes.goes_with_cluster(config, volume)]
    return Doomed(
        config=config,
        bucket=staging,
        objects=len(list(bucket.object_keys(aws, staging))) if staging else 0,
        ca_cert=pki.find_ca_cert(aws, staging),
        balancers=loadbalancers.find_balancers(aws, config),
        target_groups=loadbalancers.find_target_groups(aws, config),
        groups=minions.own_groups(aws, config),
        templates=templates,
        instances=instances,
        alarms=alarms.find_alarms(
            aws, config, [i["InstanceId"] for i in instances if tags_of(i).get("Name") == config.master_name]
        ),
        addresses=_owned(aws, config, "describe_addresses", "Addresses"),
        interfaces=interface.own_interfaces(aws, config),
        disks=disks,
        volumes=[volume for volume in ours if volume not in disks],
        spared=[volumes.describe(volume) for volume in every_volume if volume not in [*disks, *ours]]
        + [volumes.describe_snapshot(snapshot) for snapshot in volumes.find_snapshots(aws, config)],
        security_groups=securitygroups.own_groups(aws, config),
        subnets=_owned(aws, config, "describe_subnets", "Subnets"),
        gateways=_owned(aws, config, "describe_internet_gateways", "InternetGateways"),
        route_tables=_owned(aws, config, "describe_route_tables", "RouteTables"),
        brought_table=_brought_table(aws, config),
        vpcs=vpcs,
        dhcp_options=_owned(aws, config, "describe_dhcp_options", "DhcpOptions"),
        key_pairs=sshkey.own_key_pairs(aws, config),
        profiles=profiles,
        schedule_groups=_schedule_groups(aws, config, templates=templates, profiles=profiles),
    )


def look_at_instances(aws: Aws, doomed: Doomed) -> Doomed:
    """The same with the instances that are there now: a schedule may have launched a master since."""
    return dataclasses.replace(doomed, instances=master.own_instances(aws, doomed.config))


def _schedule_groups(aws: Aws, config: Config, *, templates: Sequence[Any], profiles: Sequence[str]) -> Sequence[str]:
    """Not asked for where nothing else tells of the self-healing: who never had it needs no rights for it."""
    named = {template["LaunchTemplateName"] for template in templates}
    has_some = config.master_name in named or f"role {config.healer_role}" in profiles
    return selfheal.find_groups(aws, config) if has_some or config.kube_master_self_heal else []


def _owned(aws: Aws, config: Config, operation: str, key: str) -> list[Any]:
    """What a describe call lists with the cluster's tag, all pages of it."""
    filters = tag_filters({f"kubernetes.io/cluster/{config.cluster_id}": "owned"})
    if aws.ec2.can_paginate(operation):
        pages: Any = aws.ec2.get_paginator(operation).paginate(Filters=filters)  # type: ignore[call-overload]
        return [item for page in pages for item in page[key]]
    return list(getattr(aws.ec2, operation)(Filters=filters)[key])


def _brought_table(aws: Aws, config: Config) -> Mapping[str, Any] | None:
    """The route table of a brought subnet, None where the cluster has its own or the subnet is gone."""
    if not config.subnet_id:
        return None
    found = aws.every("describe_subnets", "Subnets", Filters=[{"Name": "subnet-id", "Values": [config.subnet_id]}])
    if not found:
        return None
    return routetable.table_of_subnet(aws, subnet_id=config.subnet_id, vpc_id=found[0]["VpcId"])


def say_end(aws: Aws, doomed: Doomed, removal: Removal, *, keep_disk: bool) -> None:
    """Look again and say what is left. Raises KubeError when something is, with what is in its way."""
    console, config = aws.console, doomed.config
    if aws.dry_run:
        console.planned_all(aws.changes)
        return
    left = find_all(aws, config, bucket.find_bucket(aws, config, tagged=doomed.bucket.name if doomed.bucket else ""))
    words = left.words(keep_disk=keep_disk)
    if words:
        raise KubeError(
            f"left of cluster {config.cluster_id}: {', '.join(words)}",
            hint="mend what the warnings above name, then run the same command again"
            if removal.refused
            else "it was made while this ran, or AWS takes its time: run the same command again, it finishes",
        )
    kept = left.kept_words() if keep_disk else []
    if kept:
        console.line(f"Kept for the next kube_up.py: {', '.join(kept)}. kube_down.py without --keep-disk removes it.")
    if left.spared:
        console.line(f"Yours, and charged for until you delete it: {', '.join(left.spared)}.")
    again = f", {aws.retries} calls repeated" if aws.retries else ""
    console.line(
        f"Cluster {config.cluster_id} is down after {int(console.elapsed)} s{again}: "
        f"nothing{' else' if kept or left.spared else ''} is left of it."
    )
