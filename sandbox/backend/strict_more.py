"""More of what AWS refuses and moto allows, call by call as docs/strictness.md lists them. Codes and words are AWS's.

Where a rule's words are not documented, they say no more than the documented rule does.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from moto.core.utils import get_service_model

from sandbox.backend import cloud
from sandbox.calls import Call, Refusal
from sandbox.world import World

VOLUME_SIZES = {  # GiB
    "gp2": (1, 16384),
    "gp3": (1, 65536),
    "io1": (4, 16384),
    "io2": (4, 65536),
    "st1": (125, 16384),
    "sc1": (125, 16384),
    "standard": (1, 1024),
}
DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
DESCRIPTION_WORDS = (
    "Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
)


def _invalid(words: str) -> Refusal:
    return Refusal("InvalidParameterValue", words)


# --- EC2: every call -------------------------------------------------------------------------------------------------


def filters(_world: World, call: Call) -> None:
    """A filter that the call does not have is refused; moto takes it, for some calls, and finds nothing."""
    given = [each.get("Name", "") for each in call.params.get("Filters") or []]
    known = _filter_names(call.operation) if given else frozenset()
    for name in given:
        if known and name not in known and not name.startswith("tag:"):
            raise _invalid(f"The filter '{name}' is invalid")


@functools.cache
def _filter_names(operation: str) -> frozenset[str]:
    """The filters of a call, out of its documentation in botocore, the one place that lists them."""
    shape = get_service_model("ec2").operation_model(operation).input_shape
    return frozenset(re.findall(r"<code>([a-z0-9.-]+)</code>", shape.members["Filters"].documentation))


def tags(_world: World, call: Call) -> None:
    """What no tag may be, in CreateTags and in every create call; and tags for what the call does not make.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
    """
    groups = [call.params.get("Tags") or []] if call.operation == "CreateTags" else []
    for specification in call.params.get("TagSpecifications") or []:
        groups.append(specification.get("Tags") or [])
        _check_resource_type(call.operation, specification.get("ResourceType", ""))
    for group in groups:
        _check_tags(group)


def _check_resource_type(operation: str, kind: str) -> None:
    made = operation.removeprefix("Create").removeprefix("Import").removeprefix("Allocate").lower()
    made = {"address": "elasticip"}.get(made, made)
    if made != kind.replace("-", "") and operation != "RunInstances":
        raise _invalid(f"'{kind}' is not a valid taggable resource type for this operation.")


def _check_tags(group: Sequence[dict[str, str]]) -> None:
    for tag in group:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if key.lower().startswith("aws:"):
            words = "Tag keys starting with 'aws:' are reserved for internal use"
            raise _invalid(f"Value ( {key} ) for parameter key is invalid. {words}")
        if len(key) > 127:
            raise _invalid("Tag key exceeds the maximum length of 127 characters")
        if len(value) > 255:
            raise _invalid("Tag value exceeds the maximum length of 255 characters")
    for key, count in Counter(tag.get("Key", "") for tag in group).items():
        if count > 1:
            raise _invalid(f"Duplicate tag key '{key}' specified.")


# --- EC2: the network ------------------------------------------------------------------------------------------------


def create_security_group(_world: World, call: Call) -> None:
    """Its VPC is there, and name and description are of the characters that EC2 takes."""
    vpc_id = call.params.get("VpcId")
    if vpc_id and vpc_id not in cloud.ec2(call.region).vpcs:
        raise Refusal("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")
    name = call.params.get("GroupName", "")
    if name.startswith("sg-"):
        raise _invalid(f"Invalid group name: {name}. Group names may not be in the format sg-*")
    if not DESCRIPTION.fullmatch(name):
        raise _invalid(f"Value ({name}) for parameter GroupName is invalid.")
    if not DESCRIPTION.fullmatch(call.params.get("Description", "")):
        raise _invalid(f"Invalid security group description. {DESCRIPTION_WORDS}")


def authorize(_world: World, call: Call) -> None:
    """No rule twice in one call, which is another refusal than for one that is there; a rule's description."""
    seen: set[tuple[Any, ...]] = set()
    for permission in call.params.get("IpPermissions") or []:
        ports = tuple(permission.get(key) for key in ("IpProtocol", "FromPort", "ToPort"))
        ranges = permission.get("IpRanges") or []
        sources = [_network(each["CidrIp"]) for each in ranges]
        sources += [pair.get("GroupId") for pair in permission.get("UserIdGroupPairs") or []]
        if any(not DESCRIPTION.fullmatch(each.get("Description") or "") for each in ranges):
            raise _invalid(f"Invalid rule description. {DESCRIPTION_WORDS}")
        for source in sources:
            if (*ports, source) in seen:
                raise _invalid("The same permission must not appear multiple times")
            seen.add((*ports, source))


def _network(cidr: str) -> str:
    """The range as EC2 keeps it, without host bits; what is none is moto's to refuse."""
    try:
        return str(ipaddress.IPv4Network(cidr, strict=False))
    except ValueError:
        return cidr


def create_subnet(_world: World, call: Call) -> None:
    """From /16 to /28."""
    cidr = call.params.get("CidrBlock", "")
    if cidr.partition("/")[2].isdigit() and not 16 <= int(cidr.partition("/")[2]) <= 28:
        raise Refusal("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")


def create_route(_world: World, call: Call) -> None:
    """A route leads to a gateway that is attached to the table's VPC; the local one is there already."""
    backend = cloud.ec2(call.region)
    table = backend.route_tables.get(call.params["RouteTableId"])
    gateway = backend.internet_gateways.get(call.params.get("GatewayId"))
    if table is not None and _is_local(table, call):
        block = call.params["DestinationCidrBlock"]
        raise Refusal("RouteAlreadyExists", f"The route identified by {block} already exists.")
    if table is not None and gateway is not None and (not gateway.vpc or gateway.vpc.id != table.vpc_id):
        raise _invalid(f"route table {table.id} and network gateway {gateway.id} belong to different networks")


def _is_local(table: Any, call: Call) -> bool:
    block = call.params.get("DestinationCidrBlock")
    return any(route.local and route.destination_cidr_block == block for route in table.routes)


def delete_route(_world: World, call: Call) -> None:
    """The local route stays."""
    table = cloud.ec2(call.region).route_tables.get(call.params["RouteTableId"])
    if table is not None and _is_local(table, call):
        raise _invalid(f"cannot remove local route {call.params['DestinationCidrBlock']} in route table {table.id}")


def associate_route_table(_world: World, call: Call) -> None:
    """Table and subnet are of one VPC."""
    backend = cloud.ec2(call.region)
    table = backend.route_tables.get(call.params["RouteTableId"])
    every = (subnet for subnets in backend.subnets.values() for subnet in subnets.values())
    subnet = next((each for each in every if each.id == call.params.get("SubnetId")), None)
    if table is not None and subnet is not None and subnet.vpc_id != table.vpc_id:
        raise _invalid(f"route table {table.id} and subnet {subnet.id} belong to different networks")


def modify_one_attribute(_world: World, call: Call) -> None:
    """ModifyVpcAttribute and ModifyNetworkInterfaceAttribute change one attribute a call."""
    given = set(call.params) - {"VpcId", "NetworkInterfaceId", "DryRun"}
    if len(given) > 1:
        raise Refusal("InvalidParameterCombination", "Fields for multiple attribute types specified")
    for group_id in call.params.get("Groups") or []:
        if cloud.security_group(call.region, group_id) is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")


def allocate_address(_world: World, call: Call) -> None:
    """A certain address can be had back only by who had it; nobody had any here."""
    wanted = call.params.get("Address")
    if wanted:
        raise Refusal("InvalidAddress.NotFound", f"Address '{wanted}' not found.")


# --- EC2: disks and templates ----------------------------------------------------------------------------------------


def create_volume(_world: World, call: Call) -> None:
    """Its zone is there, its type is one, its size is one of that type."""
    zone = call.params.get("AvailabilityZone")
    zones = {each.name for each in cloud.ec2(call.region).describe_availability_zones()}
    if zone and zone not in zones:
        raise Refusal("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
    kind = call.params.get("VolumeType") or "gp2"
    _check_size(kind, call.params.get("Size"))


def _check_size(kind: str, size: int | None) -> None:
    if kind not in VOLUME_SIZES:
        raise _invalid(f"Value ({kind}) for parameter volumeType is invalid.")
    smallest, largest = VOLUME_SIZES[kind]
    if size is not None and size > largest:
        raise _invalid(f"Volume of {size}GiB is too large for volume type {kind}; maximum is {largest}GiB")
    if size is not None and size < smallest:
        raise _invalid(f"Volume of {size}GiB is too small; minimum is {smallest}GiB.")


def modified_volume(world: World, call: Call) -> None:
    """A disk's change has begun; EC2 takes the next when it is done."""
    world.state.modified[call.params["VolumeId"]] = world.now


def modify_volume(world: World, call: Call) -> None:
    """A volume grows and never shrinks."""
    begun = world.state.modified.get(call.params["VolumeId"])
    if begun is not None and world.now - begun < world.delays.modifying:
        raise Refusal(
            "IncorrectModificationState",
            f"Volume {call.params['VolumeId']} cannot be modified in modification state MODIFYING",
        )
    volume = cloud.ec2(call.region).volumes.get(call.params["VolumeId"])
    if volume is None:
        return
    _check_size(call.params.get("VolumeType") or volume.volume_type or "gp2", call.params.get("Size"))
    if call.params.get("Size") and call.params["Size"] < int(volume.size):
        raise _invalid(f"New size cannot be smaller than existing size ({volume.size}GiB)")


def template_name(_world: World, call: Call) -> None:
    """3 to 128 characters of a certain set."""
    name = call.params.get("LaunchTemplateName", "")
    if not re.fullmatch(r"[a-zA-Z0-9().\-/_]{3,128}", name):
        raise Refusal("InvalidLaunchTemplateName.MalformedException", f"The launch template name {name} is not valid.")


def template_source(_world: World, call: Call) -> None:
    """SourceVersion names a version that is there; moto answers 500."""
    from sandbox.backend.launching import find_template

    template, source = find_template(call.region, call.params), call.params.get("SourceVersion")
    if template is not None and source and source.isdigit() and not 1 <= int(source) <= len(template.versions):
        raise Refusal(
            "InvalidLaunchTemplateId.VersionNotFound",
            f"Could not find the specified version {source} for the launch template with ID {template.id}.",
        )


# --- IAM -------------------------------------------------------------------------------------------------------------


def _check_name(field: str, name: str, longest: int) -> None:
    start = f"1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must "
    if len(name) > longest:
        raise Refusal("ValidationError", f"{start}have length less than or equal to {longest}")
    if not re.fullmatch(r"[\w+=,.@-]+", name, re.ASCII):
        raise Refusal("ValidationError", f"{start}satisfy regular expression pattern: [\\w+=,.@-]+")


def create_role(_world: World, call: Call) -> None:
    """Its name, which differs from others' by more than upper and lower case, and whom it trusts."""
    name = call.params["RoleName"]
    _check_name("roleName", name, 64)
    if name.lower() in {role.name.lower() for role in cloud.iam(call.region).roles.values()}:
        raise Refusal("EntityAlreadyExists", f"Role with name {name} already exists.", 409)
    _check_trust(call.params.get("AssumeRolePolicyDocument", ""))


def update_trust(_world: World, call: Call) -> None:
    """UpdateAssumeRolePolicy: whom the role trusts."""
    _check_trust(call.params.get("PolicyDocument", ""))


def _check_trust(text: str) -> None:
    try:
        document = json.loads(text)
        statements = document["Statement"]
    except (ValueError, KeyError, TypeError):
        raise Refusal("MalformedPolicyDocument", "Syntax errors in policy.") from None
    for statement in statements if isinstance(statements, list) else [statements]:
        if "Principal" not in statement:
            raise Refusal("MalformedPolicyDocument", "Missing required field Principal")
        if "Resource" in statement:
            raise Refusal("MalformedPolicyDocument", "Has prohibited field Resource")


def put_role_policy(_world: World, call: Call) -> None:
    """A role's own policies have 10,240 characters together, white space not counted."""
    role = next((role for role in cloud.iam(call.region).roles.values() if role.name == call.params["RoleName"]), None)
    if role is None:
        return
    together = dict(role.policies) | {call.params["PolicyName"]: call.params.get("PolicyDocument", "")}
    if sum(len(re.sub(r"\s", "", str(text))) for text in together.values()) > 10240:
        words = f"Maximum policy size of 10240 bytes exceeded for role {role.name}"
        raise Refusal("LimitExceeded", words, 409)


def create_instance_profile(_world: World, call: Call) -> None:
    """Its name."""
    _check_name("instanceProfileName", call.params["InstanceProfileName"], 128)


# --- S3 --------------------------------------------------------------------------------------------------------------


def bucket_name(_world: World, call: Call) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""
    name = call.params.get("Bucket", "")
    plain = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name)
    reserved = name.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or name.endswith(
        ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
    )
    if not plain or reserved or ".." in name or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", name):
        raise Refusal("InvalidBucketName", "The specified bucket is not valid.")


def put_object(_world: World, call: Call) -> None:
    """The key's length, and the ways of encryption that there are."""
    if len(call.params.get("Key", "").encode()) > 1024:
        raise Refusal("KeyTooLongError", "Your key is too long")
    if call.params.get("ServerSideEncryption") not in (None, "AES256", "aws:kms", "aws:kms:dsse", "aws:fsx"):
        raise Refusal("InvalidArgument", "The encryption method specified is not supported")


def delete_objects(_world: World, call: Call) -> None:
    """1,000 at most."""
    if len((call.params.get("Delete") or {}).get("Objects") or []) > 1000:
        words = "The XML you provided was not well-formed or did not validate against our published schema"
        raise Refusal("MalformedXML", words)


def put_lifecycle(_world: World, call: Call) -> None:
    """How many noncurrent versions may be kept, and that days say from when on.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_NoncurrentVersionExpiration.html
    """
    for rule in call.params.get("LifecycleConfiguration", {}).get("Rules", []):
        ends = rule.get("NoncurrentVersionExpiration")
        if ends is None:
            continue
        if not ends.get("NoncurrentDays"):
            words = "The XML you provided was not well-formed or did not validate against our published schema"
            raise Refusal("MalformedXML", words)
        if not 1 <= ends.get("NewerNoncurrentVersions", 1) <= 100:
            words = "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be between 1 and 100"
            raise Refusal("InvalidArgument", words)


def lifecycle_put(_world: World, call: Call) -> None:
    """moto forgets NewerNoncurrentVersions."""
    cloud.s3(call.region).buckets[call.params["Bucket"]].asked_rules = call.params["LifecycleConfiguration"]["Rules"]


def get_lifecycle(_world: World, call: Call) -> dict[str, Any] | None:
    """The rules as they were put; moto says that there are none."""
    bucket = cloud.s3(call.region).buckets.get(call.params["Bucket"])
    rules = getattr(bucket, "asked_rules", None) if bucket is not None and bucket.rules else None
    return {"Rules": rules} if rules else None


# --- Auto Scaling, load balancers, alarms ----------------------------------------------------------------------------


def group_name(_world: World, call: Call) -> None:
    """Printable ASCII without colons, 255 at most."""
    name = call.params["AutoScalingGroupName"]
    if not re.fullmatch(r"[!-9;-~ ]{1,255}", name):
        raise Refusal("ValidationError", f"Invalid AutoScalingGroup name: {name}")


def group_sizes(_world: World, call: Call) -> None:
    """Least, wanted and most in that order; an update's in place of the group's own."""
    group = cloud.autoscaling(call.region).autoscaling_groups.get(call.params["AutoScalingGroupName"])
    smallest = call.params.get("MinSize", group.min_size if group else 0)
    largest = call.params.get("MaxSize", group.max_size if group else 0)
    wanted = call.params.get("DesiredCapacity")
    if smallest > largest:
        words = f"Max bound, {largest}, must be greater than or equal to min bound, {smallest}"
        raise Refusal("ValidationError", words)
    if wanted is not None and not smallest <= wanted <= largest:
        raise Refusal(
            "ValidationError",
            f"Desired capacity:{wanted} must be between the specified min size:{smallest} and max size:{largest}",
        )


def group_tags(_world: World, call: Call) -> None:
    """CreateOrUpdateTags, DeleteTags: of a group that is there, and no reserved key; moto answers 500 for the first."""
    groups = cloud.autoscaling(call.region).autoscaling_groups
    for tag in call.params.get("Tags") or []:
        name = tag.get("ResourceId", "")
        if name not in groups:
            words = f"AutoScalingGroup name not found - AutoScalingGroup {name} not found"
            raise Refusal("ValidationError", words)
        if tag.get("Key", "").lower().startswith("aws:"):
            raise Refusal("ValidationError", "Tag keys may not start with the reserved prefix aws:")


def balancer_tags(_world: World, call: Call) -> None:
    """DescribeTags of either kind: 20 at once, all of which are there; moto finds no tags of what is not."""
    wanted = [*(call.params.get("ResourceArns") or []), *(call.params.get("LoadBalancerNames") or [])]
    if len(wanted) > 20:
        raise Refusal("ValidationError", "Cannot have more than 20 resource descriptions")
    backend = cloud.backend("elbv2", call.region)
    for arn in call.params.get("ResourceArns") or []:
        if ":loadbalancer/" in arn and arn not in backend.load_balancers:
            raise Refusal("LoadBalancerNotFound", f"One or more load balancers not found: {arn}")
        if ":targetgroup/" in arn and arn not in backend.target_groups:
            raise Refusal("TargetGroupNotFound", "One or more target groups not found")


def delete_balancer(_world: World, call: Call) -> None:
    """Not while its deletion protection is on; moto deletes it."""
    arn = call.params.get("LoadBalancerArn", "")
    found = cloud.backend("elbv2", call.region).load_balancers.get(arn)
    if found and found.attrs.get("deletion_protection.enabled") == "true":
        words = f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
        raise Refusal("OperationNotPermitted", words)


def alarm_actions(_world: World, call: Call) -> None:
    """What AWS does to a machine is of the EC2 namespace's metrics of one; recovery is for no failed instance check."""
    actions = [arn for arn in call.params.get("AlarmActions") or [] if ":automate:" in arn]
    dimensions = {each["Name"] for each in call.params.get("Dimensions") or []}
    recover = any(arn.endswith(":recover") for arn in actions)
    if actions and ("InstanceId" not in dimensions):
        raise Refusal("ValidationError", "EC2 actions need an alarm with the dimension InstanceId")
    if recover and call.params.get("MetricName") == "StatusCheckFailed_Instance":
        raise Refusal("ValidationError", "The recover action is not for the metric StatusCheckFailed_Instance")


def delete_alarms(_world: World, call: Call) -> None:
    """Wrong names among right ones are passed over; nothing but wrong ones is refused."""
    alarms = cloud.backend("cloudwatch", call.region).alarms
    names = call.params.get("AlarmNames") or []
    if names and not any(name in alarms for name in names):
        raise Refusal("ResourceNotFound", f"Unknown alarms: {', '.join(names)}", 404)
