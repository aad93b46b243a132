"""What moto does not answer and a run asks before it changes anything."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from typing import Any

from sandbox.backend import cloud
from sandbox.backend.wire import result_answer
from sandbox.calls import Answer, Call, Refusal
from sandbox.world import World

# EC2's names of kinds, by moto's.
KINDS = {
    "vpc-elastic-ip": "elastic-ip",
    "nat-gateway": "natgateway",
    "dedicated_host": "dedicated-host",
    "spot-instance-request": "spot-instances-request",
}
# Of the others an account takes those that somebody enables.
ENABLED = (
    *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
    *("ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1"),
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    *("cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1"),
)


def simulated(call: Call, denied: Mapping[str, str]) -> Answer:
    """What a simulation answers where some actions are denied: action -> implicitDeny or explicitDeny."""
    return result_answer(call, decisions(call, denied))


def decisions(call: Call, denied: Mapping[str, str]) -> dict[str, Any]:
    """The same as a result."""
    results = [
        {"EvalActionName": action, "EvalResourceName": "*", "EvalDecision": denied.get(action, "allowed")}
        for action in call.params.get("ActionNames", [])
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def get_authorization_token(world: World, call: Call) -> dict[str, Any]:
    """ECR's password for 12 hours, as its API reference has it; moto's is the same everywhere and ended in 2015."""
    token = base64.b64encode(f"AWS:{world.ecr_password}".encode()).decode()
    registry = f"https://{cloud.ACCOUNT}.dkr.ecr.{call.region}.{cloud.dns_suffix(call.region)}"
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=12)
    return {"authorizationData": [{"authorizationToken": token, "expiresAt": until, "proxyEndpoint": registry}]}


def describe_regions(_world: World, call: Call) -> dict[str, Any]:
    """The regions that are enabled for a new account; moto lists all that botocore knows, and of some that they are.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    here = [name for name in cloud.all_regions() if cloud.partition(name) == cloud.partition(call.region)]
    named = call.params.get("RegionNames") or []
    if unknown := sorted({*named} - {*here}):
        raise Refusal("InvalidParameterValue", f"Invalid region names provided: {', '.join(unknown)}")
    shown = named or [name for name in here if name in ENABLED or call.params.get("AllRegions")]
    return {
        "Regions": [
            {
                "RegionName": name,
                "Endpoint": f"ec2.{name}.{cloud.dns_suffix(call.region)}",
                "OptInStatus": "opt-in-not-required" if name in ENABLED else "not-opted-in",
            }
            for name in shown
        ]
    }


def describe_tags(_world: World, call: Call) -> dict[str, Any]:
    """The tags of EC2's things; moto has other names for some kinds of these, and keeps the tags of what is deleted.

    "If you delete a resource, any tags for the resource are also deleted." An ended instance is described for a while.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
    """
    ec2 = cloud.ec2(call.region)
    there = _ids(ec2)
    asked = {each["Name"]: [str(value) for value in each["Values"]] for each in call.params.get("Filters") or []}
    kinds = asked.pop("resource-type", None)
    found = [
        {
            "Key": tag["key"],
            "Value": tag["value"],
            "ResourceId": tag["resource_id"],
            "ResourceType": KINDS.get(tag["resource_type"], tag["resource_type"]),
        }
        for tag in ec2.describe_tags(filters=asked)
        if tag["resource_id"] in there.get(tag["resource_type"], {tag["resource_id"]})
    ]
    return {"Tags": [tag for tag in found if kinds is None or tag["ResourceType"] in kinds]}


def _ids(ec2: Any) -> dict[str, set[str]]:
    """What a region has of the kinds that a cluster is made of, by moto's names of them."""
    return {
        "dhcp-options": set(ec2.dhcp_options_sets),
        "instance": {each.id for reservation in ec2.reservations.values() for each in reservation.instances},
        "internet-gateway": set(ec2.internet_gateways),
        "key-pair": {each.id for each in ec2.key_pairs.values()},
        "launch-template": set(ec2.launch_templates),
        "network-interface": set(ec2.enis),
        "route-table": set(ec2.route_tables),
        "security-group": {each for groups in ec2.groups.values() for each in groups},
        "snapshot": set(ec2.snapshots),
        "subnet": {each for subnets in ec2.subnets.values() for each in subnets},
        "volume": set(ec2.volumes),
        "vpc": set(ec2.vpcs),
        "vpc-elastic-ip": {each.allocation_id for each in ec2.addresses},
    }


def list_buckets(_world: World, call: Call) -> dict[str, Any]:
    """The account's buckets. Asked for by prefix, each says its region, which moto does not say.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
    """
    prefix = call.params.get("Prefix") or ""
    found = [bucket for name, bucket in cloud.s3(call.region).buckets.items() if name.startswith(prefix)]
    return {
        "Buckets": [
            {"Name": bucket.name, "CreationDate": bucket.creation_date}
            | ({"BucketRegion": bucket.region_name} if prefix else {})
            for bucket in found
        ]
    }


def get_ebs_default_kms_key_id(_world: World, _call: Call) -> dict[str, Any]:
    """AWS's own key, as in every account that has not chosen another."""
    return {"KmsKeyId": "alias/aws/ebs"}
