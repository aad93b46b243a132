"""What EC2 refuses and moto allows. Codes and words are EC2's own.

https://docs.aws.amazon.com/ec2/latest/devguide/api-error-codes.html
"""

from __future__ import annotations

from typing import Any

from sandbox.backend import cloud, launching
from sandbox.backend.lifecycle import ENDED
from sandbox.calls import Call, Refusal
from sandbox.world import World


def _dependency(kind: str, name: str) -> Refusal:
    return Refusal("DependencyViolation", f"The {kind} '{name}' has dependencies and cannot be deleted.")


# --- deletes ---------------------------------------------------------------------------------------------------------


def delete_vpc(_world: World, call: Call) -> None:
    """Everything in it but what EC2 made with it must be gone."""
    vpc_id = call.params["VpcId"]
    backend = cloud.ec2(call.region)
    in_vpc = [
        *(subnet for subnets in backend.subnets.values() for subnet in subnets.values() if subnet.vpc_id == vpc_id),
        *(gateway for gateway in backend.internet_gateways.values() if gateway.vpc and gateway.vpc.id == vpc_id),
        *(eni for eni in backend.enis.values() if eni.subnet.vpc_id == vpc_id),
        *(table for table in backend.route_tables.values() if table.vpc_id == vpc_id and not _is_main(table)),
        *(group for group in backend.groups.get(vpc_id, {}).values() if group.name != "default"),
        *surroundings_of_vpc(call.region, vpc_id),
        *(_load_balancers(call.region, vpc_id)),
    ]
    if in_vpc:
        raise _dependency("vpc", vpc_id)


def surroundings_of_vpc(region: str, vpc_id: str) -> list[Any]:
    """What is of a VPC and has no interface in it: it goes before the VPC does.

    https://repost.aws/knowledge-center/troubleshoot-dependency-error-delete-vpc
    """
    backend = cloud.ec2(region)
    peerings = [p for p in backend.vpc_pcxs.values() if p._status.code in ("pending-acceptance", "active")]
    return [
        *(each for each in backend.vpc_end_points.values() if each.vpc_id == vpc_id and each.state != "deleted"),
        *(acl for acl in backend.network_acls.values() if acl.vpc_id == vpc_id and not cloud.is_default(acl)),
        *(peering for peering in peerings if vpc_id in (peering.vpc.id, peering.peer_vpc.id)),
        *(gateway for gateway in backend.vpn_gateways.values() if vpc_id in cloud.attached_vpcs(gateway)),
        *(gateway for gateway in backend.egress_only_internet_gateways.values() if gateway.vpc_id == vpc_id),
        *(gateway for gateway in backend.carrier_gateways.values() if gateway.vpc_id == vpc_id),
    ]


def _is_main(table: Any) -> bool:
    return bool(table.main_association_id)


def _load_balancers(region: str, vpc_id: str) -> list[Any]:
    from moto.elb.models import elb_backends
    from moto.elbv2.models import elbv2_backends

    classic: Any = elb_backends[cloud.ACCOUNT][region].load_balancers.values()
    newer: Any = elbv2_backends[cloud.ACCOUNT][region].load_balancers.values()
    return [balancer for balancer in [*classic, *newer] if balancer.vpc_id == vpc_id]


def delete_subnet(_world: World, call: Call) -> None:
    """Not while it holds an interface, of an instance or not."""
    subnet_id = call.params["SubnetId"]
    if cloud.interfaces_of_subnet(call.region, subnet_id):
        raise _dependency("subnet", subnet_id)


def after_delete_subnet(_world: World, call: Call) -> None:
    """A subnet takes its route table association along."""
    for table in cloud.ec2(call.region).route_tables.values():
        for association, subnet in list(table._associations.items()):
            if subnet == call.params["SubnetId"]:
                del table._associations[association]


def delete_security_group(_world: World, call: Call) -> None:
    """Not while an interface, a load balancer or another group's rule uses it."""
    group = _group(call)
    if group is None:
        return
    if group.name == "default":
        raise Refusal("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
    users = [eni for eni in cloud.ec2(call.region).enis.values() if any(g.id == group.id for g in eni.group_set)]
    shared = getattr(group, "sandbox_vpcs", None)
    if users or shared or _referring(call.region, group) or _balancers_with(call.region, group):
        raise Refusal("DependencyViolation", f"resource {group.id} has a dependent object")


def associate_group_vpc(_world: World, call: Call) -> dict[str, Any]:
    """AssociateSecurityGroupVpc, which moto does not have: the group is used in another VPC too, and stays for it."""
    group = _group(call)
    if group is None:
        raise Refusal("InvalidGroup.NotFound", f"The security group '{call.params['GroupId']}' does not exist")
    group.sandbox_vpcs = {*getattr(group, "sandbox_vpcs", ()), call.params["VpcId"]}
    return {"State": "associated"}


def disassociate_group_vpc(_world: World, call: Call) -> dict[str, Any]:
    """DisassociateSecurityGroupVpc."""
    group = _group(call)
    if group is not None:
        group.sandbox_vpcs = set(getattr(group, "sandbox_vpcs", ())) - {call.params["VpcId"]}
    return {"State": "disassociating"}


def group_vpcs(_world: World, call: Call) -> dict[str, Any]:
    """DescribeSecurityGroupVpcAssociations, by group."""
    wanted = [v for each in call.params.get("Filters") or [] if each["Name"] == "group-id" for v in each["Values"]]
    groups = [group for name in wanted if (group := cloud.security_group(call.region, name)) is not None]
    found = [
        {"GroupId": group.id, "VpcId": vpc_id, "State": "associated"}
        for group in groups
        for vpc_id in sorted(getattr(group, "sandbox_vpcs", ()))
    ]
    return {"SecurityGroupVpcAssociations": found}


def described_as_theirs(_world: World, call: Call) -> None:
    """What EC2 says of the interfaces that it makes for NAT gateways and VPC endpoints, whose moto leaves plain.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
    """
    backend = cloud.ec2(call.region)
    for gateway in backend.nat_gateways.values():
        _manage(gateway._eni, "natGateway", f"Interface for NAT Gateway {gateway.id}")
    for endpoint in backend.vpc_end_points.values():
        for name in endpoint.network_interface_ids or []:
            _manage(backend.enis[name], "vpc_endpoint", f"VPC Endpoint Interface {endpoint.id}")


def _manage(eni: Any, kind: str, description: str) -> None:
    eni.interface_type, eni.description, eni.requester_managed = kind, description, True


def _group(call: Call) -> Any | None:
    if call.params.get("GroupId"):
        return cloud.security_group(call.region, call.params["GroupId"])
    return cloud.ec2(call.region).get_security_group_from_name(call.params.get("GroupName", ""))


def _referring(region: str, group: Any) -> list[Any]:
    """Other groups with a rule that names this one."""
    groups = [other for in_vpc in cloud.ec2(region).groups.values() for other in in_vpc.values()]
    return [
        other
        for other in groups
        if other.id != group.id
        and any(rule.source_group.get("GroupId") == group.id for rule in [*other.ingress_rules, *other.egress_rules])
    ]


def _balancers_with(region: str, group: Any) -> list[Any]:
    return [
        balancer
        for balancer in _load_balancers(region, group.vpc_id)
        if group.id in (getattr(balancer, "security_groups", None) or [])
    ]


def delete_internet_gateway(_world: World, call: Call) -> None:
    """Detached first."""
    name = call.params["InternetGatewayId"]
    gateway = cloud.ec2(call.region).internet_gateways.get(name)
    if gateway is not None and gateway.vpc:
        raise _dependency("internetGateway", name)


def detach_internet_gateway(_world: World, call: Call) -> None:
    """Not while public addresses are mapped in the VPC."""
    vpc_id = call.params.get("VpcId")
    gateway = cloud.ec2(call.region).internet_gateways.get(call.params["InternetGatewayId"])
    if gateway is None or not gateway.vpc or gateway.vpc.id != vpc_id:
        return
    if any(eni.public_ip for eni in cloud.ec2(call.region).enis.values() if eni.subnet.vpc_id == vpc_id):
        raise Refusal(
            "DependencyViolation",
            f"Network {vpc_id} has some mapped public address(es). Please unmap those public address(es) before "
            "detaching the gateway.",
        )


def attach_internet_gateway(_world: World, call: Call) -> None:
    """A VPC has one. The same one again is Resource.AlreadyAssociated, as moto has it too."""
    vpc_id, name = call.params.get("VpcId"), call.params.get("InternetGatewayId")
    gateways = cloud.ec2(call.region).internet_gateways.values()
    if any(gateway.vpc and gateway.vpc.id == vpc_id and gateway.id != name for gateway in gateways):
        raise Refusal("InvalidParameterValue", f"Network {vpc_id} already has an internet gateway attached")


def delete_route_table(_world: World, call: Call) -> None:
    """Not the main one, and none that a subnet uses."""
    name = call.params["RouteTableId"]
    table = cloud.ec2(call.region).route_tables.get(name)
    if table is not None and (_is_main(table) or table._associations):
        raise _dependency("routeTable", name)


def associate_route_table(_world: World, call: Call) -> None:
    """A subnet has one table; moto answers with the old association."""
    subnet_id, table_id = call.params.get("SubnetId"), call.params["RouteTableId"]
    for table in cloud.ec2(call.region).route_tables.values():
        if subnet_id and subnet_id in table._associations.values() and table.id != table_id:
            raise Refusal(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {table_id} conflicts with an existing association",
            )


def delete_network_interface(_world: World, call: Call) -> None:
    """Not while an instance has it, nor what AWS itself manages."""
    name = call.params["NetworkInterfaceId"]
    eni = cloud.ec2(call.region).enis.get(name)
    if eni is not None and getattr(eni, "requester_managed", False):
        raise Refusal("OperationNotPermitted", f"You are not allowed to manage '{name}'.")
    if eni is not None and eni.instance is not None:
        raise Refusal("InvalidParameterValue", f"Network interface '{name}' is currently in use.")


def after_delete_network_interface(_world: World, call: Call) -> None:
    """An elastic IP that pointed at the interface is free again; routes to it are black holes."""
    backend = cloud.ec2(call.region)
    for address in backend.addresses:
        if address.eni is not None and address.eni.id == call.params["NetworkInterfaceId"]:
            backend.disassociate_address(association_id=address.association_id)


def delete_dhcp_options(_world: World, call: Call) -> None:
    """Not while a VPC uses them."""
    name = call.params["DhcpOptionsId"]
    if any(vpc.dhcp_options and vpc.dhcp_options.id == name for vpc in cloud.ec2(call.region).vpcs.values()):
        raise _dependency("dhcpOptions", name)


def tag_dhcp_options(_world: World, call: Call) -> None:
    """Tags in the create call, which moto drops for this one resource."""
    newest = next(reversed(cloud.ec2(call.region).dhcp_options_sets.values()))
    newest.add_tags(launching.tags_of(call.params, "dhcp-options"))


def release_address(_world: World, call: Call) -> None:
    """Not while it is associated."""
    for address in cloud.ec2(call.region).addresses:
        named = (
            call.params.get("AllocationId") == address.allocation_id or call.params.get("PublicIp") == address.public_ip
        )
        if named and address.association_id:
            raise Refusal("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")


# --- interfaces, addresses, disks ------------------------------------------------------------------------------------


def create_network_interface(_world: World, call: Call) -> None:
    """Its address must be free and of the subnet, its groups must be there."""
    subnet = launching._subnet(call.region, call.params["SubnetId"])
    wanted = [call.params.get("PrivateIpAddress")]
    wanted += [entry.get("PrivateIpAddress") for entry in call.params.get("PrivateIpAddresses") or []]
    for address in filter(None, wanted):
        launching.check_address(subnet, address)
    for group_id in call.params.get("Groups") or []:
        if cloud.security_group(call.region, group_id) is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")


def modify_network_interface(_world: World, call: Call) -> None:
    """The attachment's DeleteOnTermination, which moto does not know."""
    attachment = call.params.get("Attachment") or {}
    eni = cloud.ec2(call.region).enis.get(call.params["NetworkInterfaceId"])
    if eni is None or "DeleteOnTermination" not in attachment:
        return
    if attachment.get("AttachmentId") != eni.attachment_id:
        raise Refusal(
            "InvalidAttachmentID.NotFound", f"The attachment '{attachment.get('AttachmentId')}' does not exist"
        )
    eni.delete_on_termination = bool(attachment["DeleteOnTermination"])


def attach_network_interface(_world: World, call: Call) -> None:
    """Not while another instance has it."""
    launching._check_free(call.region, call.params["NetworkInterfaceId"])


def associate_address(_world: World, call: Call) -> None:
    """An interface needs an attached gateway in its VPC before an elastic IP can be mapped to it."""
    backend = cloud.ec2(call.region)
    eni = backend.enis.get(call.params.get("NetworkInterfaceId"))
    instance = cloud.find_instance(call.region, call.params.get("InstanceId") or "")
    if instance is not None:
        if instance.state in (*ENDED, "pending"):
            raise Refusal(
                "InvalidInstanceID", f"The pending instance '{instance.id}' is not in a valid state for this operation."
            )
        eni = instance.nics.get(0)
    if eni is None:
        return
    if not any(gateway.vpc and gateway.vpc.id == eni.subnet.vpc_id for gateway in backend.internet_gateways.values()):
        raise Refusal("Gateway.NotAttached", f"Network {eni.subnet.vpc_id} is not attached to any internet gateway")
    _check_reassociation(call, backend, eni)


def _check_reassociation(call: Call, backend: Any, eni: Any) -> None:
    for address in backend.addresses:
        ours = address.allocation_id == call.params.get("AllocationId")
        if call.params.get("AllowReassociation") is False and address.eni is not None:
            if ours and address.eni is not eni:
                raise Refusal(
                    "Resource.AlreadyAssociated",
                    f"resource {address.allocation_id} is already associated with "
                    f"associate-id {address.association_id}",
                )
            if not ours and address.eni is eni:
                raise Refusal(
                    "Resource.AlreadyAssociated",
                    f"resource {eni.id} is already associated with associate-id {address.association_id}",
                )


def attach_volume(_world: World, call: Call) -> None:
    """A volume is in one instance, of its own zone, that has started."""
    backend = cloud.ec2(call.region)
    volume = backend.volumes.get(call.params["VolumeId"])
    instance = cloud.find_instance(call.region, call.params["InstanceId"])
    if volume is None or instance is None:
        return
    if volume.attachment:
        raise Refusal("VolumeInUse", f"{volume.id} is already attached to an instance")
    if instance.state not in ("running", "stopped"):
        raise Refusal("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.zone.name != instance.placement.zone:
        raise Refusal(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
        )


# --- launches --------------------------------------------------------------------------------------------------------


def run_instances(world: World, call: Call) -> None:
    """What EC2 looks at before it launches."""
    count = 0 if call.params.get("DryRun") else int(call.params.get("MaxCount") or 1)
    wanted = call.params.get("LaunchTemplate")
    if wanted and launching.find_template(call.region, wanted) is None:
        named = wanted.get("LaunchTemplateId") or wanted.get("LaunchTemplateName")
        words = f"The specified launch template, with template ID {named}, does not exist."
        raise Refusal("InvalidLaunchTemplateId.NotFound", words)
    launching.check(world, call.region, launching.from_template(call.region, call.params), count)


def after_run_instances(_world: World, call: Call) -> None:
    """What moto's launch leaves out: termination protection, the root disk, tags of the interfaces."""
    spec = launching.from_template(call.region, call.params)
    backend = cloud.ec2(call.region)
    image = backend.amis[spec["ImageId"]]
    for instance in next(reversed(backend.reservations.values())).instances:
        instance.disable_api_termination = bool(spec.get("DisableApiTermination"))
        _root_disk(backend, instance, image, spec)
        tags = launching.tags_of(spec, "network-interface")
        for nic in instance.nics.values():
            if tags:
                nic.add_tags(tags)


def _root_disk(backend: Any, instance: Any, image: Any, spec: dict[str, Any]) -> None:
    wanted = {mapping["DeviceName"]: mapping["Ebs"] for mapping in launching.complete_mappings(spec, image)}
    root = wanted[image.root_device_name]
    names = list(instance.block_device_mapping)
    if image.root_device_name not in names:
        if not spec.get("BlockDeviceMappings"):  # moto's own 8 GiB disk, under a name of its choice
            for name in names:
                device = instance.block_device_mapping.pop(name)
                backend.volumes.pop(device.volume_id, None)
        volume = backend.create_volume(size=root["VolumeSize"], zone_name=instance.placement.zone, volume_type="gp3")
        volume.add_tags(launching.tags_of(spec, "volume"))
        backend.attach_volume(volume.id, instance.id, image.root_device_name, True)
    device = instance.block_device_mapping[image.root_device_name]
    device.delete_on_termination = root["DeleteOnTermination"]
    backend.volumes[device.volume_id].attachment.delete_on_termination = root["DeleteOnTermination"]


def launch_template_data(_world: World, call: Call) -> None:
    """CreateLaunchTemplate and CreateLaunchTemplateVersion look at the user data, and at little else."""
    data = call.params.get("LaunchTemplateData") or {}
    launching.check_user_data(data.get("UserData"))


def after_template_version(_world: World, call: Call) -> None:
    """A new version starts from its source version, where one is named."""
    source = call.params.get("SourceVersion")
    template = launching.find_template(call.region, call.params)
    if source and template is not None:
        newest = template.latest_version()
        given = {name: value for name, value in newest.data.items() if value is not None}
        newest.data = template.get_version(source).data | given


def modify_instance(_world: World, call: Call) -> None:
    """ModifyInstanceAttribute of user data and type: only of a stopped instance."""
    instance = cloud.find_instance(call.region, call.params["InstanceId"])
    at_rest = call.params.get("UserData") or call.params.get("InstanceType")
    if instance is not None and at_rest and instance.state != "stopped":
        raise Refusal("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")


def start_instances(_world: World, call: Call) -> None:
    """Only what is stopped."""
    _states(call, ("stopped", "pending", "running"), "started")


def stop_instances(_world: World, call: Call) -> None:
    """Only what runs."""
    _states(call, ("running", "stopping", "stopped"), "stopped")


def _states(call: Call, good: tuple[str, ...], verb: str) -> None:
    for instance_id in call.params.get("InstanceIds") or []:
        instance = cloud.find_instance(call.region, instance_id)
        if instance is not None and instance.state not in good:
            raise Refusal(
                "IncorrectInstanceState",
                f"The instance '{instance_id}' is not in a state from which it can be {verb}.",
            )


def terminate_instances(_world: World, call: Call) -> None:
    """Termination protection refuses the whole call before any instance goes."""
    for instance_id in call.params.get("InstanceIds") or []:
        instance = cloud.find_instance(call.region, instance_id)
        if instance is not None and instance.disable_api_termination is True:
            raise Refusal(
                "OperationNotPermitted",
                f"The instance '{instance_id}' may not be terminated. Modify its 'disableApiTermination' instance "
                "attribute and try again.",
            )


def delete_key_pair(_world: World, call: Call) -> dict[str, Any] | None:
    """By id too, which moto takes and ignores."""
    key_id = call.params.get("KeyPairId")
    if not key_id:
        return None
    pairs = cloud.ec2(call.region).key_pairs
    for name in [name for name, pair in pairs.items() if pair.id == key_id]:
        del pairs[name]
    return {"Return": True, "KeyPairId": key_id}


def topology(_world: World, call: Call) -> dict[str, Any]:
    """DescribeInstanceTopology, which the cloud controller manager asks for and moto does not have."""
    wanted = call.params.get("InstanceIds") or []
    found = [
        {
            "InstanceId": instance.id,
            "InstanceType": instance.instance_type,
            "AvailabilityZone": instance.placement.zone,
            "ZoneId": instance.nics[0].subnet.availability_zone_id,
            "NetworkNodes": ["nn-11111111111111111", "nn-22222222222222222", "nn-33333333333333333"],
        }
        for instance in cloud.instances(call.region)
        if instance.state == "running" and (not wanted or instance.id in wanted)
    ]
    return {"Instances": found}


def console_output(world: World, call: Call) -> dict[str, Any]:
    """GetConsoleOutput: what the instance's host has said so far."""
    import base64

    from moto.core.utils import utcnow

    instance_id = call.params["InstanceId"]
    if cloud.find_instance(call.region, instance_id) is None:
        raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    lines = world.state.consoles.get(instance_id, [])
    text = world.console(instance_id) or "".join(f"{line}\r\n" for line in lines)
    encoded = base64.b64encode(text.encode()).decode()
    return {"InstanceId": instance_id, "Timestamp": utcnow(), "Output": encoded}


def dry_run(_world: World, call: Call) -> None:
    """DryRun, for the calls of moto's that do not know it."""
    if call.params.get("DryRun"):
        raise Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
