"""Which rule belongs to which call: one table to read, in the order in which rules are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.backend import (
    answers,
    groups,
    identities,
    images,
    prices,
    records,
    schedules,
    strict_ec2,
    strict_more,
    strict_storage,
    webidentity,
)
from sandbox.calls import Call
from sandbox.world import World

# Before moto: refuses by raising, answers in moto's place by returning a result, lets pass by returning None.
Before = Callable[[World, Call], dict[str, Any] | None]
After = Callable[[World, Call], None]

BEFORE: dict[str, list[Before]] = {
    "ec2:DeleteVpc": [strict_ec2.delete_vpc],
    "ec2:DeleteSubnet": [strict_ec2.delete_subnet],
    "ec2:DeleteSecurityGroup": [strict_ec2.delete_security_group],
    "ec2:DeleteInternetGateway": [strict_ec2.delete_internet_gateway],
    "ec2:DetachInternetGateway": [strict_ec2.detach_internet_gateway],
    "ec2:AttachInternetGateway": [strict_ec2.attach_internet_gateway],
    "ec2:DeleteRouteTable": [strict_ec2.delete_route_table],
    "ec2:AssociateRouteTable": [strict_more.associate_route_table, strict_ec2.associate_route_table],
    "ec2:DeleteNetworkInterface": [strict_ec2.delete_network_interface],
    "ec2:DeleteDhcpOptions": [strict_ec2.delete_dhcp_options],
    "ec2:ReleaseAddress": [strict_ec2.release_address],
    "ec2:CreateNetworkInterface": [strict_ec2.create_network_interface],
    "ec2:ModifyNetworkInterfaceAttribute": [strict_more.modify_one_attribute, strict_ec2.modify_network_interface],
    "ec2:AttachNetworkInterface": [strict_ec2.attach_network_interface],
    "ec2:AssociateAddress": [strict_ec2.associate_address],
    "ec2:AttachVolume": [strict_ec2.attach_volume],
    "ec2:RunInstances": [strict_ec2.run_instances],
    "ec2:StartInstances": [strict_ec2.start_instances],
    "ec2:StopInstances": [strict_ec2.stop_instances],
    "ec2:TerminateInstances": [strict_ec2.terminate_instances],
    "ec2:ModifyInstanceAttribute": [strict_ec2.modify_instance],
    "ec2:CreateLaunchTemplate": [strict_more.template_name, strict_ec2.launch_template_data],
    "ec2:CreateLaunchTemplateVersion": [strict_more.template_source, strict_ec2.launch_template_data],
    "ec2:DeleteKeyPair": [strict_ec2.dry_run, strict_ec2.delete_key_pair],
    "ec2:DescribeInstanceTopology": [strict_ec2.topology],
    "ec2:GetConsoleOutput": [strict_ec2.console_output],
    "ec2:AssociateSecurityGroupVpc": [strict_ec2.associate_group_vpc],
    "ec2:DisassociateSecurityGroupVpc": [strict_ec2.disassociate_group_vpc],
    "ec2:DescribeSecurityGroupVpcAssociations": [strict_more.filters, strict_ec2.group_vpcs],
    "ec2:CreateSecurityGroup": [strict_more.create_security_group],
    "ec2:AuthorizeSecurityGroupIngress": [strict_more.authorize],
    "ec2:CreateSubnet": [strict_more.create_subnet],
    "ec2:CreateRoute": [strict_more.create_route],
    "ec2:DeleteRoute": [strict_more.delete_route],
    "ec2:ModifyVpcAttribute": [strict_more.modify_one_attribute],
    "ec2:AllocateAddress": [strict_more.allocate_address],
    "ec2:CreateVolume": [strict_more.create_volume],
    "ec2:ModifyVolume": [strict_more.modify_volume],
    "ec2:DescribeTags": [strict_more.filters, answers.describe_tags],
    "ec2:DescribeRegions": [strict_more.filters, answers.describe_regions],
    "ec2:*": [strict_more.filters, strict_more.tags, strict_ec2.dry_run],
    "autoscaling:CreateLaunchConfiguration": [groups.refuse_launch_configurations],
    "autoscaling:DeleteLaunchConfiguration": [groups.before_delete_configuration],
    "autoscaling:CreateAutoScalingGroup": [strict_more.group_name, strict_more.group_sizes, groups.before_create],
    "autoscaling:UpdateAutoScalingGroup": [strict_more.group_sizes, groups.before_update],
    "autoscaling:DeleteAutoScalingGroup": [groups.delete],
    "autoscaling:DescribeScalingActivities": [groups.activities],
    "autoscaling:TerminateInstanceInAutoScalingGroup": [groups.terminate_instance],
    "iam:CreateRole": [strict_more.create_role, identities.own_policy, identities.boundary],
    "iam:UpdateAssumeRolePolicy": [strict_more.update_trust],
    "iam:GetPolicy": [identities.own_policy],
    "iam:AttachRolePolicy": [identities.own_policy, identities.attach],
    "iam:PutRolePermissionsBoundary": [identities.own_policy, identities.boundary],
    "iam:PutRolePolicy": [strict_more.put_role_policy],
    "iam:CreateInstanceProfile": [strict_more.create_instance_profile],
    "autoscaling:CreateOrUpdateTags": [strict_more.group_tags],
    "autoscaling:DeleteTags": [strict_more.group_tags],
    "elb:DescribeTags": [strict_more.balancer_tags],
    "elbv2:DescribeTags": [strict_more.balancer_tags],
    "elbv2:DeleteLoadBalancer": [strict_more.delete_balancer],
    "cloudwatch:DeleteAlarms": [strict_more.delete_alarms],
    "cloudwatch:PutMetricAlarm": [strict_more.alarm_actions],
    "scheduler:CreateScheduleGroup": [schedules.create_group],
    "scheduler:DeleteScheduleGroup": [schedules.known_group],
    "scheduler:TagResource": [schedules.known_group],
    "scheduler:UntagResource": [schedules.known_group],
    "scheduler:ListTagsForResource": [schedules.known_group],
    "scheduler:CreateSchedule": [schedules.create_schedule],
    "scheduler:UpdateSchedule": [schedules.update_schedule],
    "route53:ChangeResourceRecordSets": [records.change],
    "route53:ListResourceRecordSets": [records.list_records],
    "route53:ListHostedZonesByVPC": [records.zones_of_vpc],
    "iam:SimulatePrincipalPolicy": [identities.simulate],
    "ec2:GetEbsDefaultKmsKeyId": [answers.get_ebs_default_kms_key_id],
    "ecr:GetAuthorizationToken": [answers.get_authorization_token],
    "pricing:GetProducts": [prices.get_products],
    "service-quotas:GetServiceQuota": [images.get_quota],
    "service-quotas:GetAWSDefaultServiceQuota": [images.get_quota],
    "service-quotas:ListServiceQuotas": [images.list_quotas],
    "iam:RemoveRoleFromInstanceProfile": [strict_storage.remove_from_profile],
    "s3:ListBuckets": [answers.list_buckets],
    "s3:CreateBucket": [strict_more.bucket_name, strict_storage.no_acls],
    "s3:PutBucketPolicy": [strict_storage.no_public_policy],
    "sts:AssumeRoleWithWebIdentity": [webidentity.assume],
    "s3:PutObject": [strict_more.put_object],
    "s3:DeleteObjects": [strict_more.delete_objects],
    "s3:PutBucketLifecycleConfiguration": [strict_more.put_lifecycle],
    "s3:GetBucketLifecycleConfiguration": [
        strict_storage.owner,
        strict_storage.region_of_bucket,
        strict_more.get_lifecycle,
    ],
    "s3:*": [strict_storage.anonymous, strict_storage.owner, strict_storage.region_of_bucket, strict_storage.no_acls],
}

AFTER: dict[str, list[After]] = {
    "ec2:ModifyVolume": [strict_more.modified_volume],
    "ec2:RunInstances": [strict_ec2.after_run_instances],
    "ec2:CreateLaunchTemplateVersion": [strict_ec2.after_template_version],
    "ec2:CreateDhcpOptions": [strict_ec2.tag_dhcp_options],
    "ec2:CreateNatGateway": [strict_ec2.described_as_theirs],
    "ec2:CreateVpcEndpoint": [strict_ec2.described_as_theirs],
    "ec2:DeleteSubnet": [strict_ec2.after_delete_subnet],
    "ec2:DeleteNetworkInterface": [strict_ec2.after_delete_network_interface],
    "autoscaling:CreateAutoScalingGroup": [groups.after_change],
    "autoscaling:UpdateAutoScalingGroup": [groups.after_change],
    "autoscaling:SetDesiredCapacity": [groups.after_change],
    "iam:CreateRole": [schedules.role_changed],
    "iam:UpdateAssumeRolePolicy": [schedules.role_changed],
    "iam:CreateInstanceProfile": [strict_storage.profile_made],
    "iam:AddRoleToInstanceProfile": [strict_storage.profile_made],
    "s3:CreateBucket": [strict_storage.bucket_made],
    "s3:PutBucketLifecycleConfiguration": [strict_more.lifecycle_put],
}


def before(call: Call) -> list[Before]:
    """The rules to ask before moto, the service's own last."""
    return [*BEFORE.get(f"{call.service}:{call.operation}", []), *BEFORE.get(f"{call.service}:*", [])]


def after(call: Call) -> list[After]:
    """What to do once moto has said yes."""
    return AFTER.get(f"{call.service}:{call.operation}", [])
