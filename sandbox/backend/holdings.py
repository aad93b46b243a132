"""What the account holds, read from moto's own state."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sandbox.backend import cloud, records
from sandbox.backend.lifecycle import ENDED
from sandbox.inventory import digest

Entry = dict[str, Any]


def inventory() -> dict[str, Any]:
    """Every region's resources, IAM's and S3's, by kind and id. What a new account has of itself is left out."""
    zones = _hosted_zones()
    found: dict[str, Any] = {"iam": _iam(), "s3": _s3(), "route53": {"hosted zones": zones} if zones else {}}
    for region in cloud.regions_in_use():
        resources = {kind: entries for kind, entries in _region(region).items() if entries}
        if resources:
            found[region] = resources
    return {place: things for place, things in found.items() if things}


def _hosted_zones() -> dict[str, Entry]:
    """Each zone's records as "name type time-to-live values", and the VPCs of a private one."""
    return {
        key: {
            "domain": zone.name,
            "private": bool(zone.private_zone),
            "vpcs": sorted(vpc["vpc_id"] for vpc in zone.vpcs if "vpc_id" in vpc),
            "records": sorted(map(_record, zone.rrsets)),
        }
        for key, zone in records.zones().items()
    }


def _record(found: Any) -> str:
    values = " ".join(sorted(map(str, found.records or ())))
    return f"{found.name} {found.type} {found.ttl} {values}"


def _tags(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()} if hasattr(resource, "get_tags") else {}


def _region(region: str) -> dict[str, Any]:
    backend = cloud.ec2(region)
    default = {vpc.id for vpc in backend.vpcs.values() if vpc.is_default in (True, "true")}
    in_vpc = _VpcParts(backend, default)
    return {
        "vpcs": {vpc.id: _vpc(vpc) for vpc in backend.vpcs.values() if vpc.id not in default},
        "subnets": in_vpc.subnets(),
        "security groups": in_vpc.groups(),
        "route tables": in_vpc.tables(),
        "internet gateways": {
            gateway.id: {"vpc": gateway.vpc.id if gateway.vpc else None, "tags": _tags(gateway)}
            for gateway in backend.internet_gateways.values()
        },
        "dhcp options": {
            options.id: {"options": {k: v for k, v in options._options.items() if v}, "tags": _tags(options)}
            for options in backend.dhcp_options_sets.values()
        },
        "network ACLs": {
            acl.id: {"vpc": acl.vpc_id, "tags": _tags(acl)}
            for acl in backend.network_acls.values()
            if not cloud.is_default(acl)
        },
        "VPC endpoints": {
            endpoint.id: {"vpc": endpoint.vpc_id, "service": endpoint.service_name, "tags": _tags(endpoint)}
            for endpoint in backend.vpc_end_points.values()
            if endpoint.state != "deleted"
        },
        "peering connections": {
            peering.id: {"vpcs": [peering.vpc.id, peering.peer_vpc.id], "tags": _tags(peering)}
            for peering in backend.vpc_pcxs.values()
            if peering._status.code in ("pending-acceptance", "active")
        },
        "NAT gateways": {
            gateway.id: {"subnet": gateway.subnet_id, "tags": _tags(gateway)}
            for gateway in backend.nat_gateways.values()
            if gateway.state != "deleted"
        },
        "VPN gateways": {
            gateway.id: {"vpcs": cloud.attached_vpcs(gateway), "tags": _tags(gateway)}
            for gateway in backend.vpn_gateways.values()
            if gateway.state != "deleted"
        },
        "egress-only internet gateways": {
            gateway.id: {"vpc": gateway.vpc_id, "tags": _tags(gateway)}
            for gateway in backend.egress_only_internet_gateways.values()
        },
        "carrier gateways": {
            gateway.id: {"vpc": gateway.vpc_id, "tags": _tags(gateway)} for gateway in backend.carrier_gateways.values()
        },
        "interfaces": {eni.id: _interface(eni) for eni in backend.enis.values()},
        "addresses": {address.allocation_id: _address(address) for address in backend.addresses},
        "volumes": {volume.id: _volume(volume) for volume in backend.volumes.values()},
        "instances": {
            instance.id: _instance(instance) for instance in cloud.instances(region) if instance.state != "terminated"
        },
        "key pairs": {
            name: {"fingerprint": key.key_fingerprint, "tags": _tags(key)} for name, key in backend.key_pairs.items()
        },
        "launch templates": {template.id: _template(template) for template in backend.launch_templates.values()},
        "snapshots": {s.id: {"tags": _tags(s)} for s in backend.snapshots.values() if not s.from_ami},
        "groups": {name: _group(group) for name, group in cloud.autoscaling(region).autoscaling_groups.items()},
        "launch configurations": sorted(cloud.autoscaling(region).launch_configurations),
        **_others(region),
    }


def _others(region: str) -> dict[str, Any]:
    from moto.cloudwatch.models import cloudwatch_backends
    from moto.elb.models import elb_backends
    from moto.elbv2.models import elbv2_backends

    newer, watch = elbv2_backends[cloud.ACCOUNT][region], cloudwatch_backends[cloud.ACCOUNT][region]
    return {
        "alarms": {
            name: {"tags": watch.list_tags_for_resource(alarm.alarm_arn)}
            for name, alarm in sorted(watch.alarms.items())
        },
        "load balancers": sorted([*elb_backends[cloud.ACCOUNT][region].load_balancers, *newer.load_balancers]),
        "target groups": sorted(newer.target_groups),
        "schedule groups": _schedule_groups(region),
    }


def _schedule_groups(region: str) -> dict[str, Entry]:
    """Each with its schedules; the one that every account has, only with some."""
    backend = cloud.backend("scheduler", region)
    return {
        name: {
            "tags": backend.tagger.get_tag_dict_for_resource(group.arn),
            "schedules": {schedule.name: _schedule(schedule) for schedule in group.schedules.values()},
        }
        for name, group in backend.schedule_groups.items()
        if name != "default" or group.schedules
    }


def _schedule(schedule: Any) -> Entry:
    return {"when": schedule.schedule_expression, "state": schedule.state, "target": schedule.target}


class _VpcParts:
    """Parts of VPCs that somebody made: not of the default VPC, not what EC2 makes with a VPC."""

    def __init__(self, backend: Any, default: set[str]) -> None:
        self._backend, self._default = backend, default

    def _ours(self, parts: Iterable[Any]) -> list[Any]:
        return [part for part in parts if part.vpc_id not in self._default]

    def subnets(self) -> dict[str, Entry]:
        parts = [subnet for subnets in self._backend.subnets.values() for subnet in subnets.values()]
        return {
            subnet.id: {
                "vpc": subnet.vpc_id,
                "cidr": subnet.cidr_block,
                "zone": subnet.availability_zone,
                "public": subnet.map_public_ip_on_launch,
                "tags": _tags(subnet),
            }
            for subnet in self._ours(parts)
        }

    def groups(self) -> dict[str, Entry]:
        parts = [group for groups in self._backend.groups.values() for group in groups.values()]
        return {group.id: _security_group(group) for group in self._ours(parts)}

    def tables(self) -> dict[str, Entry]:
        return {
            table.id: {
                "vpc": table.vpc_id,
                "main": bool(table.main_association_id),
                "subnets": sorted(filter(None, table._associations.values())),
                "routes": sorted(_route(route) for route in table.routes),
                "tags": _tags(table),
            }
            for table in self._ours(self._backend.route_tables.values())
        }


def _vpc(vpc: Any) -> Entry:
    return {
        "cidr": vpc.cidr_block,
        "dhcp options": vpc.dhcp_options.id if vpc.dhcp_options else None,
        "dns": [str(vpc.enable_dns_support).lower(), str(vpc.enable_dns_hostnames).lower()],
        "tags": _tags(vpc),
    }


def _security_group(group: Any) -> Entry:
    return {
        "name": group.name,
        "vpc": group.vpc_id,
        "description": group.description,
        "in": sorted(_rule(rule) for rule in group.ingress_rules),
        "out": sorted(_rule(rule) for rule in group.egress_rules),
        "tags": _tags(group),
    }


def _rule(rule: Any) -> str:
    source = rule.source_group.get("GroupId") or rule.cidr_ipv4 or rule.cidr_ipv6
    return f"{rule.ip_protocol} {rule.from_port}-{rule.to_port} {source}"


def _route(route: Any) -> str:
    target = route.gateway or route.interface or route.instance or route.nat_gateway
    return f"{route.destination_cidr_block} {getattr(target, 'id', 'local')}"


def _interface(eni: Any) -> Entry:
    return {
        "subnet": eni.subnet.id,
        "address": eni.private_ip_address,
        "public address": eni.public_ip,
        "instance": eni.instance.id if eni.instance else None,
        "source/dest check": eni.source_dest_check,
        "delete on termination": bool(eni.delete_on_termination),
        "groups": sorted(group.id for group in eni.group_set),
        "tags": _tags(eni),
    }


def _address(address: Any) -> Entry:
    return {
        "address": address.public_ip,
        "interface": address.eni.id if address.eni else None,
        "tags": _tags(address),
    }


def _volume(volume: Any) -> Entry:
    return {
        "size": int(volume.size),
        "type": volume.volume_type,
        "encrypted": str(volume.encrypted).lower(),
        "zone": volume.zone.name,
        "instance": volume.attachment.instance.id if volume.attachment else None,
        "tags": _tags(volume),
    }


def _instance(instance: Any) -> Entry:
    return {
        "state": "ending" if instance.state in ENDED else instance.state,
        "type": instance.instance_type,
        "image": instance.image_id,
        "zone": instance.placement.zone,
        "key": instance.key_name,
        "profile": (instance.iam_instance_profile or {}).get("Arn"),
        "tokens": instance.metadata_options.http_tokens,
        "protected": str(instance.disable_api_termination).lower(),
        "hop limit": instance.metadata_options.http_put_response_hop_limit,
        "spot": instance.lifecycle,
        "user data": digest(str(instance.user_data)),
        "tags": _tags(instance),
    }


def _template(template: Any) -> Entry:
    version = template.default_version()
    return {
        "name": template.name,
        "default": template.default_version_number,
        "versions": len(template.versions),
        "data": json.loads(
            json.dumps(version.data | {"UserData": digest(str(version.data.get("UserData")))}, default=str)
        ),
        "tags": _tags(template),
    }


def _group(group: Any) -> Entry:
    return {
        "size": [group.min_size, group.desired_capacity, group.max_size],
        "subnets": group.vpc_zone_identifier,
        "template": [group.ec2_launch_template.id, group.launch_template_version]
        if group.ec2_launch_template
        else None,
        **({"policy": group.mixed_instances_policy} if group.mixed_instances_policy else {}),
        "instances": len(group.instance_states),
        "tags": {tag["Key"]: [tag.get("Value"), bool(tag.get("PropagateAtLaunch"))] for tag in group.tags},
    }


def _iam() -> dict[str, Any]:
    backends = cloud.iam_everywhere()
    found = {
        "roles": {role.name: _role(role) for backend in backends for role in backend.roles.values()},
        "instance profiles": {
            profile.name: {"roles": sorted(role.name for role in profile.roles), "tags": _iam_tags(profile)}
            for backend in backends
            for profile in backend.instance_profiles.values()
        },
        "identity providers": {
            arn: {"audiences": provider.client_id_list, "tags": _iam_tags(provider)}
            for backend in backends
            for arn, provider in backend.open_id_providers.items()
        },
        "users": sorted(user for backend in backends for user in backend.users),
        "policies": sorted(
            arn for backend in backends for arn in backend.managed_policies if f":{cloud.ACCOUNT}:" in arn
        ),
    }
    return {kind: things for kind, things in found.items() if things}


def _iam_tags(resource: Any) -> dict[str, str]:
    tags = resource.tags or {}
    return {tag["Key"]: tag["Value"] for tag in (tags.values() if isinstance(tags, dict) else tags)}


def _role(role: Any) -> Entry:
    return {
        "trust": _document(role.assume_role_policy_document),
        "policies": {name: _document(text) for name, text in role.policies.items()},
        "attached": sorted(role.managed_policies),
        **({"boundary": role.permissions_boundary_arn} if role.permissions_boundary_arn else {}),
        "tags": _iam_tags(role),
    }


def _document(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) else text


def _s3() -> dict[str, Any]:
    return {
        name: _bucket(backend, bucket) for backend in cloud.s3_everywhere() for name, bucket in backend.buckets.items()
    }


def _bucket(backend: Any, bucket: Any) -> Entry:
    block = bucket.public_access_block
    return {
        "region": bucket.region_name,
        "public access blocked": bool(block) and all(str(v).lower() == "true" for v in block.to_config_dict().values()),
        "encryption": bucket.encryption,
        "versioning": bucket.versioning_status,
        "lifecycle": getattr(bucket, "asked_rules", []) if bucket.rules else [],
        **({"policy": _document(bucket.policy.decode())} if bucket.policy else {}),
        "tags": dict(backend.tagger.get_tag_dict_for_resource(bucket.arn)),
        "objects": _objects(bucket),
    }


def _objects(bucket: Any) -> dict[str, list[str]]:
    """Every version of every object, oldest first, by its content; a delete marker is "deleted"."""
    versions = [key for name in bucket.keys for key in bucket.keys.getlist(name)]
    found: dict[str, list[str]] = {}
    for key in versions:
        found.setdefault(key.name, []).append(digest(key.value) if hasattr(key, "value") else "deleted")
    return found
