"""What EC2 looks at before it launches, the same for RunInstances and for a group, and a group's own launch."""

from __future__ import annotations

import base64
import binascii
import copy
import ipaddress
from typing import Any

from sandbox.backend import cloud, patches
from sandbox.calls import Refusal
from sandbox.world import Spec, World

USER_DATA_LIMIT = 16384


def in_subnet(spec: Spec, subnet_id: str) -> Spec:
    """The spec of a launch template, for an instance in this subnet."""
    spec = copy.copy(spec)
    nics = [dict(nic) for nic in spec.get("NetworkInterfaces") or []]
    if nics:
        nics[0]["SubnetId"] = subnet_id
        spec["NetworkInterfaces"] = nics
    else:
        spec["SubnetId"] = subnet_id
    return spec


def from_template(region: str, params: Spec) -> Spec:
    """RunInstances' parameters with what its launch template adds."""
    template = find_template(region, params.get("LaunchTemplate") or {})
    if template is None:
        return params
    version = template.get_version(params["LaunchTemplate"].get("Version") or "$Default")
    return {**version.data, **params}


def find_template(region: str, wanted: Spec) -> Any | None:
    """The launch template of this LaunchTemplateId or LaunchTemplateName, or None."""
    names = {wanted.get("LaunchTemplateId"), wanted.get("LaunchTemplateName")} - {None}
    templates = cloud.ec2(region).launch_templates.values()
    return next((template for template in templates if names & {template.id, template.name}), None)


def check(world: World, region: str, spec: Spec, count: int = 0) -> None:
    """Refuse as EC2 does; `spec` has RunInstances' parameters. `count` is 0 where nothing is to be launched yet."""
    check_user_data(spec.get("UserData"))
    image = _check_image(region, spec.get("ImageId"))
    _check_type(region, spec, image)
    check_profile(world, region, spec.get("IamInstanceProfile") or {})
    _check_key(region, spec.get("KeyName"))
    _check_groups(region, _group_ids(spec))
    _check_interfaces(region, spec)
    _check_disks(spec, image)
    for fault in world.launches:
        fault(region, spec, count)


def check_user_data(encoded: Any) -> None:
    """User data is limited to 16 KB before it is base64-encoded.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
    """
    if encoded is None:
        return
    try:
        size = len(raw_user_data(encoded))
    except (binascii.Error, ValueError):
        raise Refusal("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from None
    if size > USER_DATA_LIMIT:
        raise Refusal("InvalidParameterValue", "User data is limited to 16384 bytes")


def raw_user_data(encoded: Any) -> bytes:
    """The bytes of user data as the instance sees them, from the base64 that the request or moto holds."""
    return base64.b64decode(str(encoded), validate=True)


def user_data(instance: Any) -> bytes:
    """The user data of an instance, empty where it has none. Raises ValueError for what is no base64."""
    return raw_user_data(instance.user_data) if instance.user_data else b""


def _check_image(region: str, image_id: str | None) -> Any:
    if not image_id:
        raise Refusal("MissingParameter", "The request must contain the parameter ImageId")
    image = cloud.ec2(region).amis.get(image_id)
    if image is None:
        if not image_id.startswith("ami-"):
            raise Refusal("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
        raise Refusal("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    return image


def _check_type(region: str, spec: Spec, image: Any) -> None:
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    name = str(spec.get("InstanceType") or "m1.small")
    known = INSTANCE_TYPES.get(name)
    if known is None:
        raise Refusal("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    where = zone(region, spec)
    if where and name not in offered(region, where):
        raise Refusal(
            "Unsupported",
            f"Your requested instance type ({name}) is not supported in your requested Availability Zone ({where}).",
        )
    if image.architecture not in known["ProcessorInfo"]["SupportedArchitectures"]:
        raise Refusal(
            "InvalidParameterValue",
            f"The architecture '{','.join(known['ProcessorInfo']['SupportedArchitectures'])}' of the specified "
            f"instance type does not match the architecture '{image.architecture}' of the specified AMI.",
        )


def processors(kind: str | None) -> int:
    """How many vCPUs an instance of this type has."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    return int(INSTANCE_TYPES[kind or "m1.small"]["VCpuInfo"]["DefaultVCpus"])


def mebibytes(kind: str | None) -> int:
    """How much memory an instance of this type has."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    return int(INSTANCE_TYPES[kind or "m1.small"]["MemoryInfo"]["SizeInMiB"])


def offered(region: str, zone: str) -> set[str]:
    """The instance types offered in a zone."""
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    rows = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    return {row["InstanceType"] for row in rows if row["Location"] == zone}


def zone(region: str, spec: Spec) -> str | None:
    """The zone of the subnet or interface that the spec names, None where it names none."""
    subnet_id = spec.get("SubnetId") or next((nic.get("SubnetId") for nic in _nics(spec)), None)
    backend = cloud.ec2(region)
    if subnet_id:
        return str(_subnet(region, subnet_id).availability_zone)
    for nic in _nics(spec):
        if nic.get("NetworkInterfaceId") in backend.enis:
            return str(backend.enis[nic["NetworkInterfaceId"]].subnet.availability_zone)
    return None


def _subnet(region: str, subnet_id: str) -> Any:
    for subnets in cloud.ec2(region).subnets.values():
        if subnet_id in subnets:
            return subnets[subnet_id]
    raise Refusal("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")


def check_profile(world: World, region: str, wanted: dict[str, str]) -> None:
    """EC2 learns of a new instance profile, and of the role in it, seconds after IAM has made them."""
    name = wanted.get("Name") or wanted.get("Arn", "").rpartition("/")[2]
    if not name:
        return
    profile = cloud.iam(region).instance_profiles.get(name)
    if profile is None or world.state.profiles.get(name, 0.0) > world.now:
        field, words = ("name", "name") if wanted.get("Name") else ("arn", "ARN")
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({wanted.get('Name') or wanted.get('Arn')}) for parameter iamInstanceProfile.{field} is invalid. "
            f"Invalid IAM Instance Profile {words}",
        )
    if not profile.roles:
        raise Refusal("InvalidParameterValue", f'IAM Instance Profile "{profile.arn}" has no associated IAM Roles')


def _check_key(region: str, name: str | None) -> None:
    if name and name not in cloud.ec2(region).key_pairs:
        raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")


def _nics(spec: Spec) -> list[dict[str, Any]]:
    return list(spec.get("NetworkInterfaces") or [])


def _group_ids(spec: Spec) -> list[str]:
    return list(spec.get("SecurityGroupIds") or []) + [
        group for nic in _nics(spec) for group in nic.get("Groups") or []
    ]


def _check_groups(region: str, group_ids: list[str]) -> None:
    for group_id in group_ids:
        if cloud.security_group(region, group_id) is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")


def _check_interfaces(region: str, spec: Spec) -> None:
    nics = _nics(spec)
    if nics and (spec.get("SecurityGroupIds") or spec.get("SubnetId")):
        raise Refusal(
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same "
            "request",
        )
    for nic in nics:
        if nic.get("NetworkInterfaceId"):
            _check_free(region, nic["NetworkInterfaceId"])
    address = spec.get("PrivateIpAddress") or next((nic.get("PrivateIpAddress") for nic in nics), None)
    subnet_id = spec.get("SubnetId") or next((nic.get("SubnetId") for nic in nics), None)
    if subnet_id:
        subnet = _subnet(region, subnet_id)
        check_address(subnet, address)
        if not address and int(subnet.available_ip_address_count) <= 0:
            patches.free_address(subnet)


def _check_free(region: str, interface_id: str) -> None:
    eni = cloud.ec2(region).enis.get(interface_id)
    if eni is None:
        raise Refusal("InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{interface_id}' does not exist")
    if eni.instance is not None or eni.status == "in-use":
        raise Refusal("InvalidNetworkInterface.InUse", f"Interface: [{interface_id}] in use.")


def check_address(subnet: Any, address: str | None) -> None:
    """A private address must be in the subnet, not one of AWS's five, and free."""
    if not address:
        return
    network = subnet.cidr
    ip = ipaddress.ip_address(address)
    if ip not in network:
        raise Refusal("InvalidParameterValue", "Address does not fall within the subnet's address range")
    if ip == network.broadcast_address or int(ip) - int(network.network_address) < 4:
        raise Refusal("InvalidParameterValue", "Address is in subnet's reserved address range")
    if address in patches.taken_addresses(subnet):
        raise Refusal("InvalidIPAddress.InUse", f"Address {address} is in use.")


def _check_disks(spec: Spec, image: Any) -> None:
    for mapping in spec.get("BlockDeviceMappings") or []:
        ebs = mapping.get("Ebs") or {}
        size = ebs.get("VolumeSize")
        if ebs.get("VolumeType") in ("io1", "io2") and not ebs.get("Iops"):
            raise Refusal("MissingParameter", f"The parameter iops must be specified for {ebs['VolumeType']} volumes.")
        least = image.sandbox_size if hasattr(image, "sandbox_size") else 0
        if mapping.get("DeviceName") == image.root_device_name and size and int(size) < least:
            raise Refusal(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{image.ebs_snapshot.id}', expect size >= {least}GB",
            )


def complete_mappings(spec: Spec, image: Any) -> list[dict[str, Any]]:
    """The disks an instance gets: the root disk always, deleted with the instance unless told otherwise."""
    mappings = [copy.deepcopy(mapping) for mapping in spec.get("BlockDeviceMappings") or []]
    names = [mapping.get("DeviceName") for mapping in mappings]
    if image.root_device_name not in names:
        mappings.insert(0, {"DeviceName": image.root_device_name, "Ebs": {}})
    for mapping in mappings:
        ebs = mapping.setdefault("Ebs", {})
        if mapping["DeviceName"] == image.root_device_name:
            ebs.setdefault("DeleteOnTermination", True)
            ebs.setdefault("VolumeSize", getattr(image, "sandbox_size", 8))
    return mappings


def tags_of(spec: Spec, kind: str) -> dict[str, str]:
    """The tags that a spec gives to resources of this kind."""
    return {
        tag["Key"]: tag.get("Value", "")
        for part in spec.get("TagSpecifications") or []
        if part.get("ResourceType") == kind
        for tag in part.get("Tags") or []
    }


def run(_world: World, region: str, spec: Spec, count: int, tags: dict[str, str], version: dict[str, Any]) -> list[Any]:
    """A group's launch of `count` instances; returns moto's instances, pending."""
    backend = cloud.ec2(region)
    image = backend.amis[spec["ImageId"]]
    options = spec.get("InstanceMarketOptions") or {}
    reservation = backend.run_instances(
        spec["ImageId"],
        count,
        spec.get("UserData"),
        [],
        instance_type=spec.get("InstanceType"),
        is_instance_type_default=False,
        region_name=region,
        placement=None,
        subnet_id=spec.get("SubnetId"),
        key_name=spec.get("KeyName"),
        security_group_ids=list(spec.get("SecurityGroupIds") or []),
        nics=_launch_nics(spec),
        tags={"instance": tags_of(spec, "instance") | tags, "volume": tags_of(spec, "volume")},
        instance_market_options=options.get("MarketType", {}),
        metadata_options=spec.get("MetadataOptions") or {},
        block_device_mappings=complete_mappings(spec, image),
        launch_template=version,
        disable_api_termination=bool(spec.get("DisableApiTermination")),
    )
    profile = spec.get("IamInstanceProfile") or {}
    for instance in reservation.instances:
        _finish(backend, instance, spec, profile)
    return list(reservation.instances)


def _launch_nics(spec: Spec) -> list[dict[str, Any]]:
    nics = _nics(spec)
    for nic in nics:
        nic.setdefault("DeviceIndex", 0)
    return nics


def _finish(backend: Any, instance: Any, spec: Spec, profile: dict[str, str]) -> None:
    if profile:
        backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )
    tags = tags_of(spec, "network-interface")
    for nic in instance.nics.values():
        if tags:
            nic.add_tags(tags)
