"""The same command again: nothing to do on a finished cluster, and what has drifted is put back."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, Box, Result
from helpers import (
    GROUP,
    ID,
    MASTER_ROLE,
    MINION_ROLE,
    OWNED,
    TAGS,
    SharedBox,
    answer_with,
    bucket_of,
    drop_tags,
    kill_master,
    kubeconfig,
    master_of,
    must,
    named,
    only,
    part,
    read_object,
    refused,
    refused_untouched,
    settle,
    shape,
    shared_box,
    stop_after,
    tagged,
    template_data,
    user_data,
)
from spread import spread

from sandbox.calls import Answer, Call, Refusal, refusal_answer

pytestmark = pytest.mark.story

SIZES = {"MASTER_SIZE": "t3.medium", "NODE_SIZE": "t3.small"}


class Finished(SharedBox):
    """A box with a finished cluster, which every test leaves as finished as it was."""

    whole: str

    def make(self) -> None:
        """Begin anew."""
        self.aws.reset()
        for name in (".kube", ".local"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        self.cluster()
        self.whole = shape(self)


@pytest.fixture(scope="module")
def base(_server: Any, tmp_path_factory: pytest.TempPathFactory, ssh_key: Any) -> Iterator[Finished]:
    with shared_box(Finished, _server, tmp_path_factory.mktemp("rerun") / "home", ssh_key) as box:
        box.make()
        yield box


@pytest.fixture
def finished(base: Finished) -> Iterator[Finished]:
    """A finished cluster; made anew after a test that left it otherwise."""
    settle(base, 2)
    if shape(base) != base.whole:
        base.make()
    yield base
    base.aws.hooks.before.clear()


def group_id(box: Box, name: str) -> str:
    """A security group's id."""
    return str(only(key for key, group in part(box, "security groups").items() if group["name"] == name))


def table_id(box: Box) -> str:
    """The cluster's own route table."""
    return str(only(key for key, table in part(box, "route tables").items() if not table["main"]))


def interface_id(box: Box) -> str:
    """The master's interface."""
    return named(box, "interfaces", f"{ID}-master")


# --- nothing to do


def test_on_a_finished_cluster_nothing_is_changed_and_that_is_said(finished: Finished) -> None:
    before, written = finished.inventory(), kubeconfig(finished).stat()
    result = must(finished.up())
    assert [call.operation for call in result.calls if call.changes] == []
    assert len(result.calls) <= 42
    assert "nothing to do" in result.out
    assert finished.inventory() == before
    now = kubeconfig(finished).stat()
    assert (now.st_mtime_ns, now.st_ino) == (written.st_mtime_ns, written.st_ino)


def test_what_was_found_is_said_as_plainly_as_what_is_made(finished: Finished) -> None:
    out = must(finished.up()).out
    for kind in ("vpcs", "subnets", "internet gateways", "dhcp options", "launch templates"):
        assert f"found   {WORDS[kind]} {only(part(finished, kind))}" in out
    assert f"found   master {master_of(finished)}" in out


WORDS = {
    "vpcs": "VPC",
    "subnets": "subnet",
    "internet gateways": "internet gateway",
    "dhcp options": "DHCP options",
    "launch templates": "launch template",
}


# --- drift


def rule_removed(box: Box) -> None:
    permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    group = group_id(box, f"kubernetes-master-{ID}")
    box.client("ec2").revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])


def all_rules_removed(box: Box) -> None:
    for role in ("master", "minion"):
        group = group_id(box, f"kubernetes-{role}-{ID}")
        found = box.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        box.client("ec2").revoke_security_group_ingress(GroupId=group, IpPermissions=found["IpPermissions"])


def policy_changed(box: Box) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    box.client("iam").put_role_policy(RoleName=MASTER_ROLE, PolicyName=MASTER_ROLE, PolicyDocument=json.dumps(document))


def policy_removed(box: Box) -> None:
    box.client("iam").delete_role_policy(RoleName=MASTER_ROLE, PolicyName=MASTER_ROLE)


def policy_given_to_minions(box: Box) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    box.client("iam").put_role_policy(RoleName=MINION_ROLE, PolicyName=MINION_ROLE, PolicyDocument=json.dumps(document))


def trust_changed(box: Box) -> None:
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
    box.client("iam").update_assume_role_policy(RoleName=MASTER_ROLE, PolicyDocument=json.dumps(trust))


def role_out_of_profile(box: Box) -> None:
    box.client("iam").remove_role_from_instance_profile(InstanceProfileName=MINION_ROLE, RoleName=MINION_ROLE)


def another_role_in_profile(box: Box) -> None:
    role_out_of_profile(box)
    trust = '{"Version": "2012-10-17", "Statement": []}'
    box.client("iam").create_role(RoleName="theirs", AssumeRolePolicyDocument=trust)
    box.client("iam").add_role_to_instance_profile(InstanceProfileName=MINION_ROLE, RoleName="theirs")


def protection_taken_off(box: Box) -> None:
    box.client("ec2").modify_instance_attribute(InstanceId=master_of(box), DisableApiTermination={"Value": False})


def default_route_removed(box: Box) -> None:
    box.client("ec2").delete_route(RouteTableId=table_id(box), DestinationCidrBlock="0.0.0.0/0")


def default_route_elsewhere(box: Box) -> None:
    minion = next(key for key in part(box, "interfaces") if key != interface_id(box))
    box.client("ec2").replace_route(
        RouteTableId=table_id(box), DestinationCidrBlock="0.0.0.0/0", NetworkInterfaceId=minion
    )


def table_dissociated(box: Box) -> None:
    table = box.client("ec2").describe_route_tables(RouteTableIds=[table_id(box)])["RouteTables"][0]
    association = table["Associations"][0]["RouteTableAssociationId"]
    box.client("ec2").disassociate_route_table(AssociationId=association)


def dns_hostnames_off(box: Box) -> None:
    box.client("ec2").modify_vpc_attribute(VpcId=only(part(box, "vpcs")), EnableDnsHostnames={"Value": False})


def dns_support_off(box: Box) -> None:
    box.client("ec2").modify_vpc_attribute(VpcId=only(part(box, "vpcs")), EnableDnsSupport={"Value": False})


def dhcp_dissociated(box: Box) -> None:
    box.client("ec2").associate_dhcp_options(DhcpOptionsId="default", VpcId=only(part(box, "vpcs")))


def public_access_let_in(box: Box) -> None:
    box.client("s3").delete_public_access_block(Bucket=bucket_of(box))


def bucket_encryption_removed(box: Box) -> None:
    box.client("s3").delete_bucket_encryption(Bucket=bucket_of(box))


def settings_removed(box: Box) -> None:
    s3, place = box.client("s3"), {"Bucket": bucket_of(box), "Key": f"{REGION}/{ID}/settings.env"}
    s3.delete_object(
        **place, VersionId=s3.head_object(**place).get("VersionId", "null")
    )  # for good, not only marked as deleted


def versioning_suspended(box: Box) -> None:
    box.client("s3").put_bucket_versioning(Bucket=bucket_of(box), VersioningConfiguration={"Status": "Suspended"})


def lifecycle_removed(box: Box) -> None:
    box.client("s3").delete_bucket_lifecycle(Bucket=bucket_of(box))


def group_deleted(box: Box) -> None:
    box.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
    settle(box)


def group_half_deleted(box: Box) -> None:
    box.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)


def group_resized(box: Box) -> None:
    box.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=GROUP, MinSize=1, DesiredCapacity=1, MaxSize=7
    )


def group_on_another_version(box: Box) -> None:
    template = {"LaunchTemplateName": GROUP, "Version": "1"}
    box.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=GROUP, LaunchTemplate=template)


def group_tags_removed(box: Box) -> None:
    gone = [{"ResourceId": GROUP, "ResourceType": "auto-scaling-group", "Key": key} for key in ("Name", OWNED)]
    box.client("autoscaling").delete_tags(Tags=gone)


def address_disassociated(box: Box) -> None:
    address = box.client("ec2").describe_addresses()["Addresses"][0]
    box.client("ec2").disassociate_address(AssociationId=address["AssociationId"])


def address_moved(box: Box) -> None:
    minion = next(key for key in part(box, "interfaces") if key != interface_id(box))
    address = only(part(box, "addresses"))
    box.client("ec2").associate_address(AllocationId=address, NetworkInterfaceId=minion, AllowReassociation=True)


def interface_in_another_group(box: Box) -> None:
    minions = group_id(box, f"kubernetes-minion-{ID}")
    box.client("ec2").modify_network_interface_attribute(NetworkInterfaceId=interface_id(box), Groups=[minions])


def master_stopped(box: Box) -> None:
    box.client("ec2").stop_instances(InstanceIds=[master_of(box)])
    settle(box)


def master_stopping(box: Box) -> None:
    box.client("ec2").stop_instances(InstanceIds=[master_of(box)])


def minion_terminated(box: Box) -> None:
    minion = next(key for key in part(box, "instances") if key != master_of(box))
    box.client("ec2").terminate_instances(InstanceIds=[minion])


def key_pair_removed(box: Box) -> None:
    box.client("ec2").delete_key_pair(KeyName=only(part(box, "key pairs")))


def lifecycle_changed(box: Box) -> None:
    s3, bucket = box.client("s3"), bucket_of(box)
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    for rule in rules:
        rule["NoncurrentVersionExpiration"] |= {"NewerNoncurrentVersions": 3} if "etcd" in rule["ID"] else {}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def vpc_renamed(box: Box) -> None:
    tag = {"Key": "Name", "Value": "theirs"}
    box.client("ec2").create_tags(Resources=[only(part(box, "vpcs"))], Tags=[tag])


def alarm_slowed(box: Box) -> None:
    cloudwatch = box.client("cloudwatch")
    alarm = cloudwatch.describe_alarms(AlarmNames=[f"{ID}-master-recover"])["MetricAlarms"][0]
    told = ("AlarmArn", "AlarmConfigurationUpdatedTimestamp", "Period")
    kept = {key: value for key, value in alarm.items() if key not in told and not key.startswith("State")}
    cloudwatch.put_metric_alarm(**kept, Period=300)


def rule_follows_its_setting_no_more(box: Box) -> None:
    ec2, group = box.client("ec2"), group_id(box, f"kubernetes-master-{ID}")
    rule = {"IpProtocol": "udp", "FromPort": 20, "ToPort": 22}
    ranges = [{"CidrIp": "0.0.0.0/0", "Description": "SSH_CIDR"}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule | {"IpRanges": ranges}])


def interface_described(box: Box) -> None:
    box.client("ec2").modify_network_interface_attribute(
        NetworkInterfaceId=interface_id(box), Description={"Value": "theirs"}
    )


def root_disk_kept(box: Box) -> None:
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}
    box.client("ec2").modify_instance_attribute(InstanceId=master_of(box), BlockDeviceMappings=[mapping])


def lifecycle_of_secrets_off(box: Box) -> None:
    s3, bucket = box.client("s3"), bucket_of(box)
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    for rule in rules:
        rule["Status"] = "Disabled" if rule["ID"].endswith("pki.tar") else rule["Status"]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


# What somebody did, what mends it, and how a dry run names it: what it is, and what it would be.
Drift = tuple[Callable[[Box], None], set[str], str]
DRIFTS: list[Drift] = [
    (rule_removed, {"ec2:AuthorizeSecurityGroupIngress"}, r"would allow \S+ from \S+ to sg-\w+"),
    (all_rules_removed, {"ec2:AuthorizeSecurityGroupIngress"}, r"would allow .*tcp/22 from 0.0.0.0/0.* to sg-\w+"),
    (
        policy_changed,
        {"iam:PutRolePolicy"},
        rf"set policy of {MASTER_ROLE}: statement 1 → gone; ReadOwnPrefix was gone; ",
    ),
    (policy_removed, {"iam:PutRolePolicy"}, rf"would set policy of {MASTER_ROLE}\n"),
    (
        policy_given_to_minions,
        {"iam:PutRolePolicy"},
        rf"would set policy of {MINION_ROLE}: statement 1 → gone; PullFromEcr was gone\n",
    ),
    (
        trust_changed,
        {"iam:UpdateAssumeRolePolicy"},
        r"trust statement 1 Principal \* → .*ec2.amazonaws.com",
    ),
    (role_out_of_profile, {"iam:AddRoleToInstanceProfile"}, rf"would add role {MINION_ROLE} to its instance profile"),
    (protection_taken_off, {"ec2:ModifyInstanceAttribute"}, r"would protect i-\w+ from termination"),
    (default_route_removed, {"ec2:CreateRoute"}, r"would route 0.0.0.0/0 to igw-\w+ in rtb-"),
    (default_route_elsewhere, {"ec2:ReplaceRoute"}, r"would route 0.0.0.0/0 eni-\w+ → igw-\w+ in rtb-"),
    (table_dissociated, {"ec2:AssociateRouteTable"}, r"would attach rtb-\w+ to subnet-"),
    (dns_hostnames_off, {"ec2:ModifyVpcAttribute"}, r"would set vpc-\w+: enableDnsHostnames false → true"),
    (dns_support_off, {"ec2:ModifyVpcAttribute"}, r"would set vpc-\w+: enableDnsSupport false → true"),
    (dhcp_dissociated, {"ec2:AssociateDhcpOptions"}, r"would set vpc-\w+: DHCP options default → dopt-"),
    (public_access_let_in, {"s3:PutPublicAccessBlock"}, r"would set \S+: public access not all blocked → blocked"),
    (bucket_encryption_removed, {"s3:PutBucketEncryption"}, r"would set \S+: encryption by default none → AES256"),
    (settings_removed, {"s3:PutObject"}, r"would put \S*settings\S* .*into "),
    (versioning_suspended, {"s3:PutBucketVersioning"}, r"would set \S+: versions not kept → kept"),
    (
        lifecycle_removed,
        {"s3:PutBucketLifecycleConfiguration"},
        r"would set \S+ to keep 28 snapshots of etcd beside the newest\n",
    ),
    (lifecycle_changed, {"s3:PutBucketLifecycleConfiguration"}, r"snapshots of etcd kept beside the newest 3 → 28\n"),
    (
        lifecycle_of_secrets_off,
        {"s3:PutBucketLifecycleConfiguration"},
        r"would set \S+: lifecycle of us-west-2/kubernetes/pki.tar as it was made\n",
    ),
    (group_deleted, {"autoscaling:CreateAutoScalingGroup"}, rf"would create group {GROUP}"),
    (group_half_deleted, {"autoscaling:CreateAutoScalingGroup"}, rf"would create group {GROUP}"),
    (group_resized, {"autoscaling:UpdateAutoScalingGroup"}, rf"would set group {GROUP}: .*DesiredCapacity 1 → 2"),
    (
        group_on_another_version,
        {"autoscaling:UpdateAutoScalingGroup"},
        rf"would set group {GROUP}: LaunchTemplate .* → ",
    ),
    (group_tags_removed, {"autoscaling:CreateOrUpdateTags"}, rf"would tag group {GROUP} with .*Name=kubernetes-minion"),
    (address_disassociated, {"ec2:AssociateAddress"}, r"would attach 127\S+ to eni-"),
    (address_moved, {"ec2:AssociateAddress"}, r"would attach 127\S+ to eni-"),
    (
        interface_in_another_group,
        {"ec2:ModifyNetworkInterfaceAttribute"},
        r"would set eni-\w+: security group sg-\S+, sg-\w+ → sg-\w+\n",
    ),
    (master_stopped, {"ec2:StartInstances"}, r"(?s)t3.medium \(stopped\).*would start master i-"),
    (master_stopping, {"ec2:StartInstances"}, r"(?s)t3.medium \(stopping\).*would start master i-"),
    (key_pair_removed, {"ec2:ImportKeyPair"}, r"would create key pair from "),
    (
        rule_follows_its_setting_no_more,
        {"ec2:RevokeSecurityGroupIngress"},
        r"would forbid udp/20-22 from 0.0.0.0/0 to sg-",
    ),
    (
        interface_described,
        {"ec2:ModifyNetworkInterfaceAttribute"},
        r"would set eni-\w+: description theirs → kubernetes-master: the master's fixed address\n",
    ),
    (root_disk_kept, {"ec2:ModifyInstanceAttribute"}, r"would set i-\w+: its root disk stays → goes with it\n"),
    (vpc_renamed, {"ec2:CreateTags"}, r"would tag vpc-\w+ with Name: theirs → kubernetes-vpc\n"),
    (
        alarm_slowed,
        {"cloudwatch:PutMetricAlarm"},
        r"would set alarm \S+-recover of i-\w+: Period 300 → 60",
    ),
]


TOGETHER = 8  # so far apart that no two at once are about the same thing


def drifts_said_and_repaired(box: Finished, drifts: Sequence[Drift]) -> None:
    for drift, _, _ in drifts:
        drift(box)
    repairs = set().union(*(repair for _, repair, _ in drifts))
    would = box.up("--dry-run")
    assert (would.code, would.changing) == (3 if repairs else 0, []), would.out + would.err
    for drift, _, said in drifts:
        assert re.search(said, would.out), (drift.__name__, would.out)
    result = must(box.up())
    assert set(result.changing) == repairs
    settle(box, 2)
    assert shape(box) == box.whole


@pytest.mark.parametrize("first", spread(range(TOGETHER), 4))
def test_drifts_are_said_by_a_dry_run_and_repaired_together(finished: Finished, first: int) -> None:
    drifts_said_and_repaired(finished, DRIFTS[first::TOGETHER])


def test_a_minion_that_ended_is_its_groups_to_replace(finished: Finished) -> None:
    drifts_said_and_repaired(finished, [(minion_terminated, set(), "Nothing to do")])


@pytest.mark.torture
@pytest.mark.parametrize("drift", DRIFTS, ids=[drift.__name__ for drift, *_ in DRIFTS])
def test_drift_is_said_by_a_dry_run_and_repaired(finished: Finished, drift: Drift) -> None:
    drifts_said_and_repaired(finished, [drift])


# --- tags


TAGGED = ["vpcs", "subnets", "internet gateways", "dhcp options", "addresses"]


@pytest.mark.parametrize("lost", ["Name", OWNED])
def test_lost_tags_come_back_on_everything_of_ec2s(finished: Finished, lost: str) -> None:
    resources = [only(part(finished, kind)) for kind in TAGGED]
    resources += [g for g, group in part(finished, "security groups").items() if group["name"] != "default"]
    resources += [table_id(finished), interface_id(finished), master_of(finished)]
    resources += [named(finished, "volumes", f"{ID}-master-pd")]
    resources += [only(finished.client("ec2").describe_key_pairs()["KeyPairs"])["KeyPairId"]]
    for resource in resources:
        drop_tags(finished, resource, lost)
    assert shape(finished) != finished.whole
    result = must(finished.up())
    assert set(result.changing) == {"ec2:CreateTags"}
    assert shape(finished) == finished.whole
    assert must(finished.up()).changing == []


def test_lost_tags_come_back_on_roles_profiles_and_the_bucket(finished: Finished) -> None:
    iam = finished.client("iam")
    iam.untag_role(RoleName=MASTER_ROLE, TagKeys=[OWNED])
    iam.untag_instance_profile(InstanceProfileName=MINION_ROLE, TagKeys=["KubernetesCluster"])
    finished.client("s3").delete_bucket_tagging(Bucket=bucket_of(finished))
    result = must(finished.up())
    assert set(result.changing) == {"iam:TagRole", "iam:TagInstanceProfile", "s3:PutBucketTagging"}
    assert shape(finished) == finished.whole


def test_a_persons_own_tags_stay(finished: Finished) -> None:
    vpc = only(part(finished, "vpcs"))
    finished.client("ec2").create_tags(Resources=[vpc], Tags=[{"Key": "cost-centre", "Value": "42"}])
    finished.client("s3").put_bucket_tagging(
        Bucket=bucket_of(finished), Tagging={"TagSet": [{"Key": "cost-centre", "Value": "42"}]}
    )
    must(finished.up())
    assert part(finished, "vpcs")[vpc]["tags"]["cost-centre"] == "42"
    assert finished.inventory()["s3"][bucket_of(finished)]["tags"] == {"cost-centre": "42", **TAGS}


# --- machines


def test_a_terminated_master_comes_back_at_its_address_with_its_disk_and_ca(finished: Finished) -> None:
    old, text = master_of(finished), kubeconfig(finished).read_text()
    kept = {kind: set(part(finished, kind)) for kind in ("addresses",)}
    disk, interface = named(finished, "volumes", f"{ID}-master-pd"), interface_id(finished)
    pki = read_object(finished, f"{REGION}/{ID}/pki.tar")
    kill_master(finished)
    settle(finished)
    result = must(finished.up())
    new = master_of(finished)
    assert new != old
    assert result.changing == ["ec2:RunInstances", *["cloudwatch:PutMetricAlarm"] * 2]
    found = part(finished, "interfaces")[interface]
    assert (found["instance"], found["address"]) == (new, "172.20.0.9")
    assert set(part(finished, "addresses")) == kept["addresses"]
    assert only(part(finished, "addresses").values())["interface"] == interface
    assert part(finished, "volumes")[disk]["instance"] == new
    assert read_object(finished, f"{REGION}/{ID}/pki.tar") == pki
    assert kubeconfig(finished).read_text() == text


def test_a_master_that_is_just_ending_is_waited_for_and_made_anew(finished: Finished) -> None:
    old = master_of(finished)
    kill_master(finished)
    result = must(finished.up())
    assert result.changing == ["ec2:RunInstances", *["cloudwatch:PutMetricAlarm"] * 2]
    assert master_of(finished) != old


def test_a_master_that_somebody_renamed_is_still_the_master(finished: Finished) -> None:
    master = master_of(finished)
    finished.client("ec2").create_tags(Resources=[master], Tags=[{"Key": "Name", "Value": "my favourite"}])
    result = must(finished.up())
    assert "ec2:RunInstances" not in result.operations
    assert len(part(finished, "instances")) == 3


def test_a_template_with_another_default_version_is_put_back(finished: Finished) -> None:
    ec2 = finished.client("ec2")
    number = ec2.create_launch_template_version(
        LaunchTemplateName=GROUP, LaunchTemplateData=template_data(finished) | {"InstanceType": "m5.large"}
    )["LaunchTemplateVersion"]["VersionNumber"]
    ec2.modify_launch_template(LaunchTemplateName=GROUP, DefaultVersion=str(number))
    result = must(finished.up())
    assert result.changing == ["ec2:ModifyLaunchTemplate"]
    assert template_data(finished)["InstanceType"] == "t3.small"


def test_a_deleted_template_is_made_again_and_given_to_the_group(finished: Finished) -> None:
    finished.client("ec2").delete_launch_template(LaunchTemplateName=GROUP)
    result = must(finished.up())
    assert result.changing[:2] == ["ec2:CreateLaunchTemplate", "autoscaling:UpdateAutoScalingGroup"]
    assert "autoscaling:TerminateInstanceInAutoScalingGroup" in result.changing  # what they were made from is not known
    template = only(part(finished, "launch templates"))
    assert part(finished, "groups")[GROUP]["template"][0] == template


def test_another_size_for_minions_is_a_new_version_and_old_ones_are_replaced(finished: Finished) -> None:
    result = must(finished.up(NODE_SIZE="t3.large"))
    assert {"s3:PutObject", "ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate"} < set(result.changing)
    assert template_data(finished)["InstanceType"] == "t3.large"
    settle(finished)
    assert {i["type"] for i in part(finished, "instances").values()} == {"t3.medium", "t3.large"}
    back = must(finished.up(NODE_SIZE=""))
    assert "ec2:CreateLaunchTemplateVersion" not in back.changing  # the old version is still there


def test_another_size_for_the_master_is_given_to_the_same_instance(finished: Finished) -> None:
    master = master_of(finished)
    result = must(finished.up(MASTER_SIZE="m6i.large"))
    assert f"master {master}: size t3.medium → m6i.large" in result.out
    assert [call for call in result.changing if call.startswith("ec2:")] == [
        "ec2:StopInstances",
        "ec2:ModifyInstanceAttribute",
        "ec2:StartInstances",
    ]
    assert master_of(finished) == master
    assert part(finished, "instances")[master]["type"] == "m6i.large"
    assert must(finished.up()).changing == []


def test_a_size_of_another_architecture_needs_another_instance(finished: Finished) -> None:
    master = master_of(finished)
    result = finished.up(MASTER_SIZE="t4g.medium")
    assert result.code == 1
    assert f"KUBE_REPLACE_MASTER={master}" in result.err
    must(finished.up(MASTER_SIZE="t4g.medium", KUBE_REPLACE_MASTER=master))
    assert part(finished, "instances")[master_of(finished)]["type"] == "t4g.medium"


def test_the_named_master_is_replaced_once(finished: Finished) -> None:
    old, interface = master_of(finished), interface_id(finished)
    result = must(finished.up(KUBE_REPLACE_MASTER=old))
    assert result.changing == [
        "ec2:ModifyInstanceAttribute",
        "ec2:TerminateInstances",
        "ec2:RunInstances",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:PutMetricAlarm",
    ]
    new = master_of(finished)
    assert new != old
    assert part(finished, "interfaces")[interface]["instance"] == new
    assert must(finished.up(KUBE_REPLACE_MASTER=old)).changing == []
    assert master_of(finished) == new


def test_a_master_is_protected_from_termination_and_watched(finished: Finished) -> None:
    master = master_of(finished)
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        finished.client("ec2").terminate_instances(InstanceIds=[master])
    alarms = finished.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {(a["AlarmName"], a["MetricName"], *a["AlarmActions"]) for a in alarms} == {
        (f"{ID}-master-{action}", f"StatusCheckFailed_{check}", f"arn:aws:automate:{REGION}:ec2:{action}")
        for action, check in (("recover", "System"), ("reboot", "Instance"))
    }
    assert {d["Value"] for a in alarms for d in a["Dimensions"]} == {master}


def test_an_alarm_that_somebody_removed_or_switched_off_is_put_back(finished: Finished) -> None:
    cloudwatch = finished.client("cloudwatch")
    cloudwatch.delete_alarms(AlarmNames=[f"{ID}-master-recover"])
    cloudwatch.disable_alarm_actions(AlarmNames=[f"{ID}-master-reboot"])
    assert must(finished.up()).changing == ["cloudwatch:PutMetricAlarm"] * 2
    assert must(finished.up()).changing == []


def test_more_minions_are_only_more_minions(finished: Finished) -> None:
    result = must(finished.up(NUM_NODES=3, **SIZES))
    assert set(result.changing) == {"s3:PutObject", "autoscaling:UpdateAutoScalingGroup"}
    assert len(part(finished, "instances")) == 4


def test_the_disk_grows_with_its_setting(finished: Finished) -> None:
    disk = named(finished, "volumes", f"{ID}-master-pd")
    result = must(finished.up(MASTER_DISK_SIZE=50))
    assert set(result.changing) == {"s3:PutObject", "ec2:ModifyVolume"}
    assert part(finished, "volumes")[disk]["size"] == 50
    refused_untouched(finished, finished.up(MASTER_DISK_SIZE=30), 2, "MASTER_DISK_SIZE", "50", "smaller")


def test_a_lost_kubeconfig_is_written_again_for_the_same_ca(finished: Finished) -> None:
    before = kubeconfig(finished).read_text()
    kubeconfig(finished).unlink()
    result = must(finished.up())
    assert result.changing == []

    def authority(text: str) -> str:
        return text.split("certificate-authority-data:")[1].split()[0]

    assert authority(kubeconfig(finished).read_text()) == authority(before)


def test_a_new_join_token_reaches_new_minions(finished: Finished) -> None:
    place = {"Bucket": bucket_of(finished), "Key": f"{REGION}/{ID}/join-token"}
    finished.client("s3").put_object(**place, Body=b"newone.0123456789abcdef\n")
    result = must(finished.up())
    token = read_object(finished, f"{REGION}/{ID}/join-token").decode().strip()
    assert token == "newone.0123456789abcdef"
    assert {"ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate"} < set(result.changing)
    raw = base64.b64decode(template_data(finished)["UserData"])
    assert token in gzip.decompress(raw).decode()
    assert token not in user_data(finished, master_of(finished))


# --- rules that follow a setting


def test_another_ssh_cidr_replaces_the_rule_and_leaves_a_persons_own(finished: Finished) -> None:
    group = group_id(finished, f"kubernetes-master-{ID}")
    own = [{"CidrIp": "198.51.100.0/24", "Description": "the office"}]
    ports = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    finished.client("ec2").authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[ports | {"IpRanges": own}, ports | {"FromPort": 80, "ToPort": 80, "IpRanges": own}],
    )
    result = must(finished.up(SSH_CIDR="203.0.113.7/32,192.0.2.0/24"))
    assert set(result.changing) == {
        "s3:PutObject",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupIngress",
    }
    rules = part(finished, "security groups")[group]["in"]
    assert {"tcp 22-22 203.0.113.7/32", "tcp 22-22 192.0.2.0/24", "tcp 22-22 198.51.100.0/24"} <= set(rules)
    assert "tcp 80-80 198.51.100.0/24" in rules
    assert "tcp 22-22 0.0.0.0/0" not in rules
    assert "tcp 443-443 0.0.0.0/0" in rules or "KUBE_API_PORT" in finished.environ
    assert must(finished.up()).changing == []  # the ranges are remembered


def test_another_http_api_cidr_reaches_the_masters_group_alone(finished: Finished) -> None:
    result = must(finished.up(HTTP_API_CIDR="127.0.0.0/8"))
    assert "HTTP_API_CIDR=0.0.0.0/0" not in result.err
    groups = {group["name"]: group["in"] for group in part(finished, "security groups").values()}
    assert any(rule.endswith("127.0.0.0/8") for rule in groups[f"kubernetes-master-{ID}"])
    assert not any(rule.endswith("127.0.0.0/8") for rule in groups[f"kubernetes-minion-{ID}"])


# --- two of something


def second_vpc(box: Box) -> str:
    made = box.client("ec2").create_vpc(
        CidrBlock="172.20.0.0/16", TagSpecifications=tagged("vpc", Name="kubernetes-vpc")
    )
    return str(made["Vpc"]["VpcId"])


def second_gateway(box: Box) -> str:
    made = box.client("ec2").create_internet_gateway(TagSpecifications=tagged("internet-gateway"))
    return str(made["InternetGateway"]["InternetGatewayId"])


def second_table(box: Box) -> str:
    made = box.client("ec2").create_route_table(VpcId=only(part(box, "vpcs")), TagSpecifications=tagged("route-table"))
    return str(made["RouteTable"]["RouteTableId"])


def second_interface(box: Box) -> str:
    made = box.client("ec2").create_network_interface(
        SubnetId=only(part(box, "subnets")), TagSpecifications=tagged("network-interface", Name=f"{ID}-master")
    )
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def second_address(box: Box) -> str:
    made = box.client("ec2").allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", Name=f"{ID}-master"))
    return str(made["AllocationId"])


def second_disk(box: Box) -> str:
    made = box.client("ec2").create_volume(
        Size=20, AvailabilityZone=f"{REGION}a", TagSpecifications=tagged("volume", Name=f"{ID}-master-pd")
    )
    return str(made["VolumeId"])


def second_dhcp_options(box: Box) -> str:
    made = box.client("ec2").create_dhcp_options(
        DhcpConfigurations=[{"Key": "domain-name", "Values": ["example.com"]}],
        TagSpecifications=tagged("dhcp-options", Name="kubernetes-dhcp-option-set"),
    )
    return str(made["DhcpOptions"]["DhcpOptionsId"])


def second_master(box: Box) -> str:
    made = box.client("ec2").run_instances(
        ImageId=template_data(box)["ImageId"],
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        SubnetId=only(part(box, "subnets")),
        TagSpecifications=tagged("instance", Name=f"{ID}-master"),
    )
    return str(made["Instances"][0]["InstanceId"])


SECONDS: list[tuple[Callable[[Box], str], str]] = [
    (second_interface, "interfaces"),
    (second_disk, "volumes"),
    (second_master, "instances"),
]
CLAIMED: list[tuple[Callable[[Box], str], str]] = [
    (second_vpc, "vpcs"),
    (second_gateway, "internet gateways"),
    (second_table, "route tables"),
    (second_address, "addresses"),
    (second_dhcp_options, "dhcp options"),
]


@pytest.mark.parametrize(("second", "kind"), spread(CLAIMED, 2, ids=[second.__name__ for second, _ in CLAIMED]))
def test_of_two_the_one_that_this_cluster_claimed_counts_and_both_are_named(
    finished: Finished, second: Callable[[Box], str], kind: str
) -> None:
    first = {key for key in part(finished, kind) if _counts(finished, kind, key)}
    extra = second(finished)
    result = must(finished.up())
    assert result.changing == []
    warning = only(line for line in result.err.splitlines() if "was claimed first" in line)
    assert f"{only(first)}" in warning.split("; ")[1]
    assert extra in warning


@pytest.mark.parametrize(("second", "kind"), SECONDS, ids=[second.__name__ for second, _ in SECONDS])
def test_two_of_what_must_be_one_are_refused_with_both_ids(
    finished: Finished, second: Callable[[Box], str], kind: str
) -> None:
    first = {key for key in part(finished, kind) if _counts(finished, kind, key)}
    extra = second(finished)
    refused_untouched(finished, finished.up(), 1, only(first), extra)


def _counts(box: Box, kind: str, key: str) -> bool:
    name = part(box, kind)[key]["tags"].get("Name", "")
    return kind not in ("interfaces", "volumes", "instances", "route tables") or name in (
        f"{ID}-master",
        f"{ID}-master-pd",
        ID,
    )


# --- going on after a stop


STOPS = [
    *("s3:CreateBucket", "iam:CreateRole", "ec2:CreateVpc", "ec2:CreateRouteTable", "ec2:AllocateAddress"),
    *("ec2:RunInstances", "ec2:CreateLaunchTemplate", "autoscaling:CreateAutoScalingGroup"),
]


@pytest.mark.parametrize("last", spread(STOPS, 2))
def test_after_any_stop_the_same_command_goes_on(base: Finished, sandbox: Box, last: str) -> None:
    stop_after(sandbox, last)
    assert sandbox.up().code == 130
    sandbox.aws.hooks.after.clear()
    must(sandbox.up())
    settle(sandbox, 2)
    assert shape(sandbox) == base.whole


def test_a_stop_says_what_exists_and_that_a_rerun_goes_on(sandbox: Box) -> None:
    stop_after(sandbox, "ec2:CreateVpc")
    result: Result = sandbox.up()
    said = refused(result, 130, "Ctrl-C", "goes on")
    assert only(sandbox.inventory()["s3"]) in said


def test_settings_that_s3_shows_late_are_waited_for(finished: Finished) -> None:
    """Just after versions are first kept, S3 may answer 404 for what was put."""
    answer_with(finished, "s3:GetObject", "NoSuchKey", "The specified key does not exist.", status=404, times=1)
    assert must(finished.up()).changing == []


def test_a_conflict_of_two_writes_is_no_answer(sandbox: Box) -> None:
    """409: another write was under way, and only a repeat tells whose it is."""
    left = ["once"]

    def conflict(call: Call) -> Answer | None:
        if call.operation == "PutObject" and "IfNoneMatch" in call.params and left:
            left.clear()
            return refusal_answer(call, Refusal("ConditionalRequestConflict", "a conflicting operation", 409))
        return None

    sandbox.aws.hooks.before.append(conflict)
    must(sandbox.up())
    assert not left
    assert must(sandbox.up()).changing == []


# --- what is said and stays


def egress_closed(box: Box) -> None:
    out = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    box.client("ec2").revoke_security_group_egress(GroupId=group_id(box, f"kubernetes-minion-{ID}"), IpPermissions=out)


def disk_taken_off(box: Box) -> None:
    settle(box)
    disk = named(box, "volumes", f"{ID}-master-pd")
    box.client("ec2").detach_volume(VolumeId=disk, InstanceId=master_of(box))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (egress_closed, "does not let all out: aws ec2 authorize-security-group-egress"),
        (disk_taken_off, "aws ec2 reboot-instances"),
    ],
)
def test_what_only_its_owner_can_decide_is_said(sandbox: Box, change: Callable[[Box], None], words: str) -> None:
    sandbox.cluster()
    assert words not in must(sandbox.up()).err
    change(sandbox)
    result = must(sandbox.up())
    assert words in result.err
    assert result.changing == []
    assert "(nothing to do, but for what the warnings name)" in result.out
    assert "Nothing to do, but for what the warnings name." in sandbox.up("--dry-run").out


def test_another_role_in_a_profile_makes_place_for_ours(sandbox: Box) -> None:
    sandbox.cluster()
    whole = sandbox.inventory()["iam"]
    another_role_in_profile(sandbox)
    must(sandbox.up())
    left = sandbox.inventory()["iam"]
    assert left["roles"].pop("theirs") is not None
    assert left == whole


@pytest.mark.parametrize(
    ("protocol", "ports", "options"),
    [
        ("tcp", {"FromPort": 22, "ToPort": 22}, "--protocol tcp --port 22-22"),
        ("tcp", {"FromPort": 0, "ToPort": 65535}, "--protocol tcp --port 0-65535"),
        ("-1", {}, "--protocol all"),
    ],
)
def test_a_rule_that_is_wider_than_its_setting_is_said_where_it_is_not_ups_to_take(
    sandbox: Box, protocol: str, ports: dict[str, int], options: str
) -> None:
    sandbox.cluster(SSH_CIDR="10.0.0.0/8")
    ec2, groups = sandbox.client("ec2"), part(sandbox, "security groups")
    group = next(key for key, each in groups.items() if each["name"] == f"kubernetes-master-{ID}")
    for cidr in ("0.0.0.0/0", "10.1.0.0/16"):
        permission = {"IpProtocol": protocol, **ports, "IpRanges": [{"CidrIp": cidr, "Description": "ssh for all"}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    result = must(sandbox.up())
    assert f"{group} kubernetes-master-{ID} lets 0.0.0.0/0, the whole internet, reach port 22" in result.err
    assert f"aws ec2 revoke-security-group-ingress --region {REGION} --group-id {group} {options}" in result.err
    assert "10.1.0.0/16" not in result.err  # somebody's own, and no wider
    assert result.changing == []


def test_a_rule_that_is_described_otherwise_is_said_with_what_makes_it_follow_its_setting(sandbox: Box) -> None:
    """Typed as it is said: a change of the setting takes the rule away again."""
    sandbox.cluster()
    ec2, group = sandbox.client("ec2"), group_id(sandbox, f"kubernetes-master-{ID}")
    theirs = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "x"}],
    }
    ec2.update_security_group_rule_descriptions_ingress(GroupId=group, IpPermissions=[theirs])
    said = must(sandbox.up()).err
    narrow = sandbox.up("--dry-run", SSH_CIDR="10.0.0.0/8")
    assert f"{group} kubernetes-master-{ID} lets 0.0.0.0/0, the whole internet, reach port 22" in narrow.err
    _, command = said.split("is set to: aws ", 1)
    words = shlex.split(command.split(" makes it follow")[0])
    assert words[:2] == ["ec2", "update-security-group-rule-descriptions-ingress"]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert (given["--region"], given["--group-id"]) == (REGION, group)
    permissions = json.loads(given["--ip-permissions"])
    ec2.update_security_group_rule_descriptions_ingress(GroupId=given["--group-id"], IpPermissions=permissions)
    assert "described as" not in must(sandbox.up()).err
    after = must(sandbox.up(SSH_CIDR="10.0.0.0/8"))
    assert "whole internet, reach port 22" not in after.err
    rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert "0.0.0.0/0" not in str([rule for rule in rules if rule.get("FromPort") == 22])
