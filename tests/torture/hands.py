"""What a hand can change of what up made, property by property; and what of it no rerun compares, with the reason.

`python -m torture.hands` prints the part of docs/reliability.md that is made of it.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from conftest import REGION
from helpers import (
    GROUP,
    ID,
    MASTER_ROLE,
    MINION_ROLE,
    SharedBox,
    bucket_of,
    master_of,
    named,
    only,
    part,
    settle,
    template_data,
)

from sandbox.backend import cloud
from torture.tags import OURS, Thing, thing

Hand = Callable[[SharedBox], object]
HEALER_ROLE = f"kubernetes-healer-{ID}-kubernetes-vpc-{REGION}"
MASTER_GROUP, MINION_GROUP = f"kubernetes-master-{ID}", f"kubernetes-minion-{ID}"
HEAL = f"{ID}-master-heal"
ALARMS = (f"{ID}-master-recover", f"{ID}-master-reboot")


@dataclass(frozen=True)
class Change:
    """One change by hand, and the properties that it is of.

    It is repaired by the next up, or where `said` is given, said in such words ({} are ids) and left as it is. What
    `make` returns puts away what a hand added, which is a person's own and stays. `heals`: of a cluster that heals
    itself.
    """

    what: str
    of: tuple[str, ...]
    make: Hand
    said: str = ""
    heals: bool = False


@dataclass(frozen=True)
class Kept:
    """Properties that have no change by hand in the loop, in words, and why not."""

    what: str
    of: tuple[str, ...]
    why: str


def ids(box: SharedBox) -> dict[str, str]:
    """The ids that words of up's may have."""
    return {
        "master": master_of(box),
        "disk": named(box, "volumes", f"{ID}-master-pd"),
        "master_group": group_id(box, MASTER_GROUP),
    }


def group_id(box: SharedBox, name: str) -> str:
    """A security group's id."""
    return str(only(key for key, each in part(box, "security groups").items() if each["name"] == name))


def table_id(box: SharedBox) -> str:
    """The id of the cluster's own route table."""
    return str(only(key for key, table in part(box, "route tables").items() if not table["main"]))


def interface_id(box: SharedBox) -> str:
    """The id of the master's interface."""
    return named(box, "interfaces", f"{ID}-master")


def _minions_interface(box: SharedBox) -> str:
    return str(next(key for key in part(box, "interfaces") if key != interface_id(box)))


# --- tags: of every thing, every one that up gives it


def _by_id(box: SharedBox, resource: str) -> Thing:
    ec2 = box.client("ec2")
    return Thing(
        "",
        resource,
        lambda tags: ec2.create_tags(Resources=[resource], Tags=[{"Key": k, "Value": v} for k, v in tags.items()]),
        lambda key: ec2.delete_tags(Resources=[resource], Tags=[{"Key": key}]),
    )


def _of_kind(kind: str) -> Callable[[SharedBox], Thing]:
    return lambda box: thing(box, kind)


def _security_group(name: str) -> Callable[[SharedBox], Thing]:
    return lambda box: _by_id(box, group_id(box, name))


def _iam_thing(kind: str, name: str) -> Callable[[SharedBox], Thing]:
    def of(box: SharedBox) -> Thing:
        iam = box.client("iam")
        if kind == "role":
            return Thing(
                "",
                name,
                lambda tags: iam.tag_role(RoleName=name, Tags=[{"Key": k, "Value": v} for k, v in tags.items()]),
                lambda key: iam.untag_role(RoleName=name, TagKeys=[key]),
            )
        return Thing(
            "",
            name,
            lambda tags: iam.tag_instance_profile(
                InstanceProfileName=name, Tags=[{"Key": k, "Value": v} for k, v in tags.items()]
            ),
            lambda key: iam.untag_instance_profile(InstanceProfileName=name, TagKeys=[key]),
        )

    return of


def _schedule_group(box: SharedBox) -> Thing:
    scheduler, arn = box.client("scheduler"), f"arn:aws:scheduler:{REGION}:{cloud.ACCOUNT}:schedule-group/{HEAL}"
    return Thing(
        "",
        HEAL,
        lambda tags: scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": k, "Value": v} for k, v in tags.items()]),
        lambda key: scheduler.untag_resource(ResourceArn=arn, TagKeys=[key]),
    )


_MASTERS = ("Name", "Role", "KubernetesStagingBucket")
_CA = "KubernetesCA"
_MADE_FROM = ("KubernetesVersion", "KubernetesMasterDisk")
# Where its tags stand in the call, the thing, those that are changed, and those that are only taken off: the two that
# say whose it is (changed, they make it another cluster's: the faults "tag-...") and those that a rerun goes by.
_Tagged = tuple[str, Callable[[SharedBox], Thing], tuple[str, ...], tuple[str, ...]]
_TAGGED: tuple[_Tagged, ...] = (
    ("s3:CreateBucket CreateBucketConfiguration.Tags", _of_kind("buckets"), (), ()),
    *((f"iam:CreateRole {name} Tags", _iam_thing("role", name), (), ()) for name in (MASTER_ROLE, MINION_ROLE)),
    *(
        (f"iam:CreateInstanceProfile {name} Tags", _iam_thing("profile", name), (), ())
        for name in (MASTER_ROLE, MINION_ROLE)
    ),
    ("ec2:ImportKeyPair TagSpecifications[key-pair].Tags", _of_kind("key pairs"), ("Name",), ()),
    ("ec2:CreateVpc TagSpecifications[vpc].Tags", _of_kind("vpcs"), ("Name",), ()),
    ("ec2:CreateDhcpOptions TagSpecifications[dhcp-options].Tags", _of_kind("dhcp options"), ("Name",), ()),
    ("ec2:CreateSubnet TagSpecifications[subnet].Tags", _of_kind("subnets"), ("Name",), ()),
    (
        "ec2:CreateInternetGateway TagSpecifications[internet-gateway].Tags",
        _of_kind("internet gateways"),
        ("Name",),
        (),
    ),
    ("ec2:CreateRouteTable TagSpecifications[route-table].Tags", _of_kind("route tables"), ("Name",), ()),
    *(
        ("ec2:CreateSecurityGroup TagSpecifications[security-group].Tags", _security_group(name), ("Name",), ())
        for name in (MASTER_GROUP, MINION_GROUP)
    ),
    ("ec2:CreateNetworkInterface TagSpecifications[network-interface].Tags", _of_kind("interfaces"), _MASTERS, (_CA,)),
    ("ec2:AllocateAddress TagSpecifications[elastic-ip].Tags", _of_kind("addresses"), (*_MASTERS, _CA), ()),
    (
        "ec2:CreateVolume TagSpecifications[volume].Tags",
        _of_kind("volumes"),
        (*_MASTERS, "kubernetes.io/master-ip"),
        ("KubernetesVersion", _CA),
    ),
    ("ec2:RunInstances TagSpecifications[instance].Tags", _of_kind("instances"), ("Name", "Role"), _MADE_FROM),
    (
        f"ec2:CreateLaunchTemplate {GROUP} TagSpecifications[launch-template].Tags",
        _of_kind("launch templates"),
        ("Name",),
        (),
    ),
    ("autoscaling:CreateAutoScalingGroup Tags", _of_kind("groups"), ("Name", "Role"), ()),
)
_TAGGED_TO_HEAL: tuple[_Tagged, ...] = (
    (f"iam:CreateRole {HEALER_ROLE} Tags", _iam_thing("role", HEALER_ROLE), (), ()),
    ("scheduler:CreateScheduleGroup Tags", _schedule_group, (), ()),
    (
        f"ec2:CreateLaunchTemplate {ID}-master TagSpecifications[launch-template].Tags",
        lambda box: _by_id(
            box, only(k for k, each in part(box, "launch templates").items() if each["name"] == f"{ID}-master")
        ),
        ("Name",),
        (),
    ),
)


def _tag_changes(tagged: tuple[_Tagged, ...], *, heals: bool) -> Iterator[Change]:
    for place, find, changed, dropped in tagged:
        words = place.split(" Tags")[0].split(" CreateB")[0]
        for key in changed:
            by = functools.partial(_give_tag, find=find, key=key)
            yield Change(f"{words}: tag {key} changed", (f"{place}[{key}].Value",), by, heals=heals)
        for key in (*OURS, *dropped):
            by = functools.partial(_drop_tag, find=find, key=key)
            yield Change(f"{words}: tag {key} taken off", (f"{place}[{key}].Value",), by, heals=heals)


def _give_tag(box: SharedBox, *, find: Callable[[SharedBox], Thing], key: str) -> None:
    find(box).put({key: "theirs"})


def _drop_tag(box: SharedBox, *, find: Callable[[SharedBox], Thing], key: str) -> None:
    find(box).drop(key)


def user_data_tag_off(box: SharedBox) -> None:
    thing(box, "instances").drop("KubernetesUserData")


def not_propagated(box: SharedBox, *, key: str, value: str) -> None:
    box.client("autoscaling").create_or_update_tags(
        Tags=[
            {
                "ResourceId": GROUP,
                "ResourceType": "auto-scaling-group",
                "Key": key,
                "Value": value,
                "PropagateAtLaunch": False,
            }
        ]
    )


# --- the bucket


def access_let_in(box: SharedBox, *, key: str) -> None:
    s3, bucket = box.client("s3"), bucket_of(box)
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] | {key: False}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)


def versioning_suspended(box: SharedBox) -> None:
    box.client("s3").put_bucket_versioning(Bucket=bucket_of(box), VersioningConfiguration={"Status": "Suspended"})


def rules_changed(box: SharedBox, *, change: Callable[[dict[str, Any]], object], named_: str) -> None:
    s3, bucket = box.client("s3"), bucket_of(box)
    rules: list[Any] = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    change(next(rule for rule in rules if rule["ID"].endswith(f"/{ID}/{named_}")))
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def object_changed(box: SharedBox, *, start: str) -> None:
    keys = [key for key in box.inventory()["s3"][bucket_of(box)]["objects"] if key.startswith(f"{REGION}/{ID}/{start}")]
    box.client("s3").put_object(Bucket=bucket_of(box), Key=keys[0], Body=b"garbled")


RULES = ("etcd-snapshot.db.gz", "pki.tar", "join-token", "settings.env", "downloads.sha256", "addons/", "claims/")
_RULE_CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "Filter.Prefix": lambda rule: rule.update(Filter={"Prefix": "elsewhere"}),
    "Status": lambda rule: rule.update(Status="Disabled"),
    "NoncurrentVersionExpiration.NoncurrentDays": lambda rule: rule["NoncurrentVersionExpiration"].update(
        NoncurrentDays=9
    ),
    "AbortIncompleteMultipartUpload.DaysAfterInitiation": lambda rule: rule["AbortIncompleteMultipartUpload"].update(
        DaysAfterInitiation=9
    ),
}


def _bucket_changes() -> Iterator[Change]:
    for key in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"):
        # S3 makes a bucket so, and up asks for it only where it is not
        yield Change(f"bucket: {key} off", (), functools.partial(access_let_in, key=key))
    yield Change(
        "bucket: versioning suspended", ("s3:PutBucketVersioning VersioningConfiguration.Status",), versioning_suspended
    )
    rules = "s3:PutBucketLifecycleConfiguration LifecycleConfiguration.Rules"
    for name in RULES:
        for key, change in _RULE_CHANGES.items():
            by = functools.partial(rules_changed, change=change, named_=name)
            yield Change(f"bucket: {key} of the rule for {name}", (f"{rules}[{name}].{key}",), by)
    yield Change(
        "bucket: fewer snapshots kept",
        (f"{rules}[etcd-snapshot.db.gz].NoncurrentVersionExpiration.NewerNoncurrentVersions",),
        functools.partial(
            rules_changed,
            change=lambda rule: rule["NoncurrentVersionExpiration"].update(NewerNoncurrentVersions=3),
            named_="etcd-snapshot.db.gz",
        ),
    )
    body = functools.partial(object_changed, start="addons/")
    yield Change(
        "bucket: a manifest garbled", ("s3:PutObject addons/ Body", "s3:PutObject addons/ ContentLength"), body
    )


# --- roles

_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_ANYBODY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}


def trust_changed(box: SharedBox, *, role: str) -> None:
    box.client("iam").update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(_ANYBODY))


def policy_changed(box: SharedBox, *, role: str) -> None:
    box.client("iam").put_role_policy(RoleName=role, PolicyName=role, PolicyDocument=json.dumps(_ALL))


def another_role(box: SharedBox, *, role: str) -> Callable[[], object]:
    iam = box.client("iam")
    iam.remove_role_from_instance_profile(InstanceProfileName=role, RoleName=role)
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName="theirs")
    return lambda: iam.delete_role(RoleName="theirs")


def _role_changes(role: str, *, heals: bool) -> Iterator[Change]:
    by = functools.partial(trust_changed, role=role)
    yield Change(f"{role}: whoever may take it", (f"iam:CreateRole {role} AssumeRolePolicyDocument",), by, heals=heals)
    by = functools.partial(policy_changed, role=role)
    yield Change(f"{role}: its policy", (f"iam:PutRolePolicy {role} PolicyDocument",), by, heals=heals)


def _profile_changes() -> Iterator[Change]:
    for role in (MASTER_ROLE, MINION_ROLE):
        place = f"iam:AddRoleToInstanceProfile {role} InstanceProfileName"
        yield Change(f"{role}: another role in the profile", (place,), functools.partial(another_role, role=role))


# --- the network


def dns_hostnames_off(box: SharedBox) -> None:
    box.client("ec2").modify_vpc_attribute(VpcId=only(part(box, "vpcs")), EnableDnsHostnames={"Value": False})


def dhcp_dissociated(box: SharedBox) -> None:
    box.client("ec2").associate_dhcp_options(DhcpOptionsId="default", VpcId=only(part(box, "vpcs")))


def gateway_detached(box: SharedBox) -> None:
    """AWS refuses it while a public address is in use there; what it was does not matter to the next up."""
    next(iter(cloud.ec2(REGION).internet_gateways.values())).vpc = None


def _association(box: SharedBox) -> str:
    table = box.client("ec2").describe_route_tables(RouteTableIds=[table_id(box)])["RouteTables"][0]
    return str(table["Associations"][0]["RouteTableAssociationId"])


def table_dissociated(box: SharedBox) -> None:
    box.client("ec2").disassociate_route_table(AssociationId=_association(box))


def another_table(box: SharedBox) -> Callable[[], object]:
    ec2, association = box.client("ec2"), _association(box)
    theirs = ec2.create_route_table(VpcId=only(part(box, "vpcs")))["RouteTable"]["RouteTableId"]
    ec2.replace_route_table_association(AssociationId=association, RouteTableId=theirs)
    return lambda: ec2.delete_route_table(RouteTableId=theirs)


def default_route_removed(box: SharedBox) -> None:
    box.client("ec2").delete_route(RouteTableId=table_id(box), DestinationCidrBlock="0.0.0.0/0")


def default_route_elsewhere(box: SharedBox) -> None:
    box.client("ec2").replace_route(
        RouteTableId=table_id(box), DestinationCidrBlock="0.0.0.0/0", NetworkInterfaceId=_minions_interface(box)
    )


def from_group_forbidden(box: SharedBox) -> None:
    _forbid(box, lambda permission: permission["IpProtocol"] == "-1")


def from_groups_on_a_port_only(box: SharedBox) -> Callable[[], object]:
    """The port is a person's own rule then."""
    _forbid(box, lambda permission: permission["IpProtocol"] == "-1")
    group, ec2 = group_id(box, MASTER_GROUP), box.client("ec2")
    port = {"IpProtocol": "udp", "FromPort": 8472, "ToPort": 8472, "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[port])
    return lambda: ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[port])


def _forbid(box: SharedBox, which: Callable[[Any], bool]) -> None:
    ec2 = box.client("ec2")
    for name in (MASTER_GROUP, MINION_GROUP):
        group = group_id(box, name)
        found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
        gone = [each for each in found if which(each)]
        if gone:
            ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=gone)


def rule_changed(box: SharedBox, *, port: int, **changed: Any) -> None:
    """One that follows a setting, as the console changes it: its description stays unless that is what is changed."""
    ec2, group = box.client("ec2"), group_id(box, MASTER_GROUP)
    found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    old = next(each for each in found if each.get("FromPort") == port)
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[old])
    ranges = [
        each | {key: v for key, v in changed.items() if key in ("CidrIp", "Description")} for each in old["IpRanges"]
    ]
    new = {key: changed.get(key, old[key]) for key in ("IpProtocol", "FromPort", "ToPort")} | {"IpRanges": ranges}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[new])


def _rule_changes() -> Iterator[Change]:
    rules = "ec2:AuthorizeSecurityGroupIngress IpPermissions"
    yield Change(
        "security groups: nothing from each other any more",
        (f"{rules}[-1].UserIdGroupPairs[].GroupId",),
        from_group_forbidden,
    )
    yield Change(
        "security groups: a port from each other only", (f"{rules}[-1].IpProtocol",), from_groups_on_a_port_only
    )
    for port in (22, 443):
        ends: dict[str, dict[str, Any]] = {
            "IpProtocol": {"IpProtocol": "udp"},
            "FromPort": {"FromPort": port - 1},
            "ToPort": {"ToPort": port + 1},
            "IpRanges[].CidrIp": {"CidrIp": "203.0.113.0/24"},
        }
        for key, changed in ends.items():
            by = functools.partial(rule_changed, port=port, **changed)
            yield Change(f"security group: {key} of the rule for {port}", (f"{rules}[{port}].{key}",), by)
        yield Change(
            f"security group: description of the rule for {port}",
            (f"{rules}[{port}].IpRanges[].Description",),
            functools.partial(rule_changed, port=port, Description="the office"),
            said="{master_group} has a rule",
        )


# --- the master


def interface_described(box: SharedBox) -> None:
    box.client("ec2").modify_network_interface_attribute(
        NetworkInterfaceId=interface_id(box), Description={"Value": "theirs"}
    )


def interface_in_another_group(box: SharedBox) -> None:
    box.client("ec2").modify_network_interface_attribute(
        NetworkInterfaceId=interface_id(box), Groups=[group_id(box, MINION_GROUP)]
    )


def address_taken_off(box: SharedBox) -> None:
    address = box.client("ec2").describe_addresses()["Addresses"][0]
    box.client("ec2").disassociate_address(AssociationId=address["AssociationId"])


def address_moved(box: SharedBox) -> Callable[[], object]:
    ec2, subnet = box.client("ec2"), only(part(box, "subnets"))
    theirs = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    ec2.associate_address(AllocationId=only(part(box, "addresses")), NetworkInterfaceId=theirs, AllowReassociation=True)
    return lambda: ec2.delete_network_interface(NetworkInterfaceId=theirs)


def disk_changed(box: SharedBox, **changed: Any) -> None:
    box.client("ec2").modify_volume(VolumeId=named(box, "volumes", f"{ID}-master-pd"), **changed)
    settle(box, 10)


def disk_taken_off(box: SharedBox) -> None:
    box.client("ec2").detach_volume(VolumeId=named(box, "volumes", f"{ID}-master-pd"), InstanceId=master_of(box))


def size_changed(box: SharedBox) -> None:
    ec2, master = box.client("ec2"), master_of(box)
    ec2.stop_instances(InstanceIds=[master])
    settle(box)
    ec2.modify_instance_attribute(InstanceId=master, InstanceType={"Value": "t3.large"})
    ec2.start_instances(InstanceIds=[master])
    settle(box)


def options_changed(box: SharedBox, **changed: Any) -> None:
    box.client("ec2").modify_instance_metadata_options(InstanceId=master_of(box), **changed)


def protection_off(box: SharedBox) -> None:
    box.client("ec2").modify_instance_attribute(InstanceId=master_of(box), DisableApiTermination={"Value": False})


def root_disk_outlives(box: SharedBox) -> None:
    box.client("ec2").modify_instance_attribute(
        InstanceId=master_of(box),
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}],
    )


def another_profile(box: SharedBox) -> None:
    """As ReplaceIamInstanceProfileAssociation does, of which the sandbox's instances do not hear."""
    profile = cloud.iam(REGION).get_instance_profile(MINION_ROLE)
    master: Any = cloud.find_instance(REGION, master_of(box))
    master.iam_instance_profile = {"Arn": profile.arn, "Id": profile.id}


def _master_changes() -> Iterator[Change]:
    yield Change("interface: its description", ("ec2:CreateNetworkInterface Description",), interface_described)
    yield Change("interface: another group", ("ec2:CreateNetworkInterface Groups[]",), interface_in_another_group)
    yield Change("elastic IP taken off", ("ec2:AssociateAddress AllocationId",), address_taken_off)
    yield Change("elastic IP on another interface", ("ec2:AssociateAddress NetworkInterfaceId",), address_moved)
    yield Change(
        "disk made larger",
        ("ec2:CreateVolume Size",),
        functools.partial(disk_changed, Size=30),
        said="MASTER_DISK_SIZE: the master's disk has 30 GiB",
    )
    yield Change(
        "disk of another type", ("ec2:CreateVolume VolumeType",), functools.partial(disk_changed, VolumeType="gp2")
    )
    yield Change("disk taken off", (), disk_taken_off, said="aws ec2 reboot-instances")
    yield Change(
        "master of another size",
        ("ec2:RunInstances InstanceType",),
        size_changed,
        said="master {master} is t3.large, and not t3.medium",
    )
    yield Change("master: termination not prevented", ("ec2:RunInstances DisableApiTermination",), protection_off)
    options: dict[str, Any] = {"HttpTokens": "optional", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "disabled"}
    for key, value in options.items():
        yield Change(
            f"master: {key}",
            (f"ec2:RunInstances MetadataOptions.{key}",),
            functools.partial(options_changed, **{key: value}),
            said="{master}'s metadata options were changed",
        )
    yield Change(
        "master: its root disk would stay",
        ("ec2:RunInstances BlockDeviceMappings[].Ebs.DeleteOnTermination",),
        root_disk_outlives,
    )
    yield Change(
        "master: another profile",
        ("ec2:RunInstances IamInstanceProfile.Name",),
        another_profile,
        said="{master} has the instance profile " + MINION_ROLE,
    )
    yield Change(
        "master: tag KubernetesUserData taken off",
        ("ec2:RunInstances TagSpecifications[instance].Tags[KubernetesUserData].Value",),
        user_data_tag_off,
        said="KUBE_REPLACE_MASTER={master}",
    )


# --- minions


def another_version(box: SharedBox, *, name: str) -> None:
    ec2 = box.client("ec2")
    data = template_data(box, name=name) | {"InstanceType": "m5.large"}
    made = ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=data)
    number = made["LaunchTemplateVersion"]["VersionNumber"]
    ec2.modify_launch_template(LaunchTemplateName=name, DefaultVersion=str(number))


def group_changed(box: SharedBox, **changed: Any) -> None:
    box.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=GROUP, **changed)


def another_template(box: SharedBox) -> Callable[[], object]:
    ec2 = box.client("ec2")
    data = {key: value for key, value in template_data(box).items() if key != "TagSpecifications"}
    made = ec2.create_launch_template(LaunchTemplateName="theirs", LaunchTemplateData=data)["LaunchTemplate"]
    group_changed(box, LaunchTemplate={"LaunchTemplateId": made["LaunchTemplateId"], "Version": "$Default"})
    return lambda: ec2.delete_launch_template(LaunchTemplateName="theirs")


def another_subnet(box: SharedBox) -> Callable[[], object]:
    ec2 = box.client("ec2")
    made = ec2.create_subnet(VpcId=only(part(box, "vpcs")), CidrBlock="172.20.9.0/24", AvailabilityZone=f"{REGION}a")[
        "Subnet"
    ]["SubnetId"]
    group_changed(box, VPCZoneIdentifier=made)
    return lambda: ec2.delete_subnet(SubnetId=made)


def _minion_changes() -> Iterator[Change]:
    group = "autoscaling:CreateAutoScalingGroup"
    yield Change("group: another template", (f"{group} LaunchTemplate.LaunchTemplateId",), another_template)
    version = {"LaunchTemplateName": GROUP, "Version": "1"}
    by = functools.partial(group_changed, LaunchTemplate=version)
    yield Change("group: a version by its number", (f"{group} LaunchTemplate.Version",), by)
    yield Change("group: smaller", (f"{group} MinSize",), functools.partial(group_changed, MinSize=0))
    yield Change("group: may be larger", (f"{group} MaxSize",), functools.partial(group_changed, MaxSize=7))
    by = functools.partial(group_changed, MinSize=0, DesiredCapacity=0)
    yield Change("group: none wanted", (f"{group} DesiredCapacity",), by)
    yield Change("group: another subnet", (f"{group} VPCZoneIdentifier",), another_subnet)
    for key, value in {"Name": f"{ID}-minion", "Role": f"{ID}-minion", **OURS}.items():
        by = functools.partial(not_propagated, key=key, value=value)
        yield Change(f"group: {key} not for its instances", (f"{group} Tags[{key}].PropagateAtLaunch",), by)


# --- alarms


def alarm_changed(box: SharedBox, *, name: str, **changed: Any) -> None:
    watch = box.client("cloudwatch")
    found = watch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    told = ("AlarmArn", "AlarmConfigurationUpdatedTimestamp", "Tags")
    kept = {key: value for key, value in found.items() if key not in told and not key.startswith("State")}
    watch.put_metric_alarm(**kept | changed)


_ALARM_CHANGES: dict[str, Any] = {
    "AlarmActions[]": [],
    "ActionsEnabled": False,
    "Namespace": "theirs",
    "MetricName": "theirs",
    "Dimensions[].Value": [{"Name": "InstanceId", "Value": "i-0123456789abcdef0"}],
    "Statistic": "Minimum",
    "Period": 300,
    "EvaluationPeriods": 9,
    "Threshold": 9.0,
    "ComparisonOperator": "LessThanThreshold",
}


def _alarm_changes() -> Iterator[Change]:
    for name in ALARMS:
        for key, value in _ALARM_CHANGES.items():
            by = functools.partial(alarm_changed, name=name, **{key.partition("[")[0]: value})
            yield Change(f"alarm {name}: {key}", (f"cloudwatch:PutMetricAlarm {name} {key}",), by)


# --- the schedule of what heals itself


def schedule_changed(box: SharedBox, **changed: Any) -> None:
    scheduler, target = box.client("scheduler"), changed.pop("target", {})
    named_ = {"GroupName": HEAL, "Name": HEAL}
    found = scheduler.get_schedule(**named_)
    kept = {key: found[key] for key in ("ScheduleExpression", "State", "FlexibleTimeWindow")}
    scheduler.update_schedule(**named_, **kept | changed, Target=found["Target"] | target)


_SCHEDULE_CHANGES: dict[str, dict[str, Any]] = {
    "ScheduleExpression": {"ScheduleExpression": "rate(1 days)"},
    "State": {"State": "DISABLED"},
    "FlexibleTimeWindow.Mode": {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 9}},
    "Target.Arn": {"target": {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances"}},
    "Target.Input": {"target": {"Input": "{}"}},
    "Target.RetryPolicy.MaximumEventAgeInSeconds": {
        "target": {"RetryPolicy": {"MaximumEventAgeInSeconds": 600, "MaximumRetryAttempts": 0}}
    },
    "Target.RetryPolicy.MaximumRetryAttempts": {
        "target": {"RetryPolicy": {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 9}}
    },
}


def schedules_role_changed(box: SharedBox) -> Callable[[], object]:
    iam = box.client("iam")
    trust = json.dumps(iam.get_role(RoleName=HEALER_ROLE)["Role"]["AssumeRolePolicyDocument"])
    arn = iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    settle(box, 30)  # the scheduler sees a role late
    schedule_changed(box, target={"RoleArn": arn})
    return lambda: iam.delete_role(RoleName="theirs")


def _heal_changes() -> Iterator[Change]:
    yield Change(
        "schedule: Target.RoleArn", ("scheduler:CreateSchedule Target.RoleArn",), schedules_role_changed, heals=True
    )
    for key, changed in _SCHEDULE_CHANGES.items():
        by = functools.partial(schedule_changed, **changed)
        yield Change(f"schedule: {key}", (f"scheduler:CreateSchedule {key}",), by, heals=True)


CHANGES: tuple[Change, ...] = (
    *_tag_changes(_TAGGED, heals=False),
    *_bucket_changes(),
    *_role_changes(MASTER_ROLE, heals=False),
    *_role_changes(MINION_ROLE, heals=False),
    *_profile_changes(),
    Change("VPC: no DNS names", ("ec2:ModifyVpcAttribute EnableDnsHostnames.Value",), dns_hostnames_off),
    Change("VPC: AWS's own DHCP options", ("ec2:AssociateDhcpOptions DhcpOptionsId",), dhcp_dissociated),
    Change("gateway detached", ("ec2:AttachInternetGateway VpcId",), gateway_detached),
    Change("route table taken off", ("ec2:AssociateRouteTable SubnetId",), table_dissociated),
    Change("another route table", ("ec2:AssociateRouteTable RouteTableId",), another_table),
    Change("default route removed", ("ec2:CreateRoute DestinationCidrBlock",), default_route_removed),
    Change("default route elsewhere", ("ec2:CreateRoute GatewayId",), default_route_elsewhere),
    *_rule_changes(),
    *_master_changes(),
    Change("template: another default version", (), functools.partial(another_version, name=GROUP)),
    *_minion_changes(),
    *_alarm_changes(),
    *_tag_changes(_TAGGED_TO_HEAL, heals=True),
    *_role_changes(HEALER_ROLE, heals=True),
    Change(
        "master's template: another default version",
        (),
        functools.partial(another_version, name=f"{ID}-master"),
        heals=True,
    ),
    *_heal_changes(),
)

# --- what no rerun compares

_DATA = "ec2:CreateLaunchTemplate * LaunchTemplateData."

LEFT_OUT: tuple[Kept, ...] = (
    Kept(
        "the master's root disk: size, type, tags",
        (
            "ec2:RunInstances BlockDeviceMappings[].Ebs.VolumeSize",
            "ec2:RunInstances BlockDeviceMappings[].Ebs.VolumeType",
            "ec2:RunInstances TagSpecifications[volume].Tags*",
        ),
        "it would be one more call in every run, for a disk that holds nothing and goes with its instance",
    ),
    Kept(
        "the user-data of a living master",
        ("ec2:RunInstances UserData",),
        "it is compared by the tag `KubernetesUserData`; what EC2 has can be changed of a stopped instance only, and "
        "reading it would be one more call in every run",
    ),
    Kept(
        "other values in the master's tags `KubernetesVersion` and `KubernetesMasterDisk`, and in the disk's "
        "`KubernetesVersion`",
        (),
        "a rerun goes by them: whoever writes another release or disk there asks for another master, and that is said. "
        "Taken off, they come back",
    ),
    Kept(
        "other values in the tag `KubernetesCA` of the master's interface and disk",
        (),
        "up refuses: `pki.tar` is held against it. Taken off, it comes back",
    ),
    Kept(
        "what minions that live were given by hand: type, disk, groups, tags, metadata options",
        (f"{_DATA}*",),
        "a version of a launch template never changes, and a minion is compared by the version that it was made from. "
        "To be rid of such a change, end the minion: its group makes another",
    ),
    Kept(
        "the tags of alarms",
        tuple(f"cloudwatch:PutMetricAlarm {name} Tags*" for name in ALARMS),
        "they would be two more calls in every run, and alarms are known by their names",
    ),
    Kept(
        "what stands in the bucket as `settings.env`, `join-token`, `pki.tar`, `downloads.sha256`",
        tuple(
            f"s3:PutObject {name} {key}"
            for name in ("settings.env", "join-token", "pki.tar", "downloads.sha256")
            for key in ("Body", "ContentLength")
        ),
        "that is what a rerun goes by: it follows what is set there, and names what is damaged, and a CA that is "
        "another one than the master's tags say. Another join token, whole, is taken for the cluster's: the next "
        "minions are given it, and the master when it boots. Manifests are compared",
    ),
    Kept(
        "claims in the bucket",
        ("s3:PutObject claims/* Body", "s3:PutObject claims/* ContentLength"),
        "they are read only where two of a thing are found",
    ),
    Kept(
        "the encryption of single objects",
        ("s3:PutObject * ServerSideEncryption",),
        "S3 encrypts every object, and reading with which key would be a call for each",
    ),
)

# --- what no call of AWS's changes of a thing that is there

FIXED: tuple[Kept, ...] = (
    Kept(
        "names, places, ranges and sources that AWS has no call to change",
        (
            "s3:CreateBucket Bucket",
            "s3:CreateBucket CreateBucketConfiguration.LocationConstraint",
            "iam:PutRolePolicy * PolicyName",
            "ec2:ImportKeyPair KeyName",
            "ec2:ImportKeyPair PublicKeyMaterial",
            "ec2:CreateVpc CidrBlock",
            "ec2:CreateDhcpOptions DhcpConfigurations*",
            "ec2:CreateSubnet AvailabilityZone",
            "ec2:CreateSubnet CidrBlock",
            "ec2:CreateSubnet VpcId",
            "ec2:CreateRouteTable VpcId",
            "ec2:CreateSecurityGroup Description",
            "ec2:CreateSecurityGroup GroupName",
            "ec2:CreateSecurityGroup VpcId",
            "ec2:CreateNetworkInterface SubnetId",
            "ec2:CreateNetworkInterface PrivateIpAddress",
            "ec2:AllocateAddress Domain",
            "ec2:CreateVolume AvailabilityZone",
            "ec2:CreateVolume Encrypted",
            "ec2:RunInstances BlockDeviceMappings[].DeviceName",
            "ec2:RunInstances BlockDeviceMappings[].Ebs.Encrypted",
            "ec2:RunInstances ImageId",
            "ec2:RunInstances KeyName",
            "ec2:RunInstances NetworkInterfaces[]*",
            "ec2:CreateLaunchTemplate * VersionDescription",
            "autoscaling:CreateAutoScalingGroup AutoScalingGroupName",
            "cloudwatch:PutMetricAlarm * Dimensions[].Name",  # EC2's actions are refused for any other
        ),
        "",
    ),
)

OF_THE_CALL: tuple[Kept, ...] = (
    Kept(
        "how a call says what it is about, and how it is made",
        (
            "*ClientToken",
            "s3:*ChecksumAlgorithm",
            "s3:*ChecksumCRC32",
            "s3:*ExpectedBucketOwner",
            "s3:*IfNoneMatch",
            "s3:Put* Bucket",
            "s3:PutBucketLifecycleConfiguration LifecycleConfiguration.Rules[*].ID",
            "ec2:* TagSpecifications[*].ResourceType",
            "ec2:ModifyVpcAttribute VpcId",
            "ec2:AssociateDhcpOptions VpcId",
            "ec2:AttachInternetGateway InternetGatewayId",
            "ec2:CreateRoute RouteTableId",
            "ec2:AuthorizeSecurityGroupIngress GroupId",
            "ec2:AssociateAddress AllowReassociation",
            "ec2:RunInstances MinCount",
            "ec2:RunInstances MaxCount",
            "autoscaling:CreateAutoScalingGroup Tags[*].ResourceId",
            "autoscaling:CreateAutoScalingGroup Tags[*].ResourceType",
            "scheduler:CreateScheduleGroup Name",
            "scheduler:CreateSchedule Name",
            "scheduler:CreateSchedule GroupName",
        ),
        "",
    ),
)


def documented() -> str:
    """The rows of docs/reliability.md that say what a rerun does not compare."""
    rows = [f"| {each.what} | {each.why} |" for each in LEFT_OUT]
    return "\n".join(["| not compared | because |", "|---|---|", *rows])


if __name__ == "__main__":
    sys.stdout.write(documented() + "\n")
