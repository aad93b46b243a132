"""What S3 and IAM refuse, or do late, and moto does not."""

from __future__ import annotations

import json
from typing import Any

from sandbox import policies
from sandbox.backend import cloud
from sandbox.calls import Call, Refusal
from sandbox.world import World

PRIVATE = (None, "", "private", "bucket-owner-full-control", "bucket-owner-read")


def profile_made(world: World, call: Call) -> None:
    """CreateInstanceProfile, AddRoleToInstanceProfile: EC2 knows of it later."""
    world.state.profiles[call.params["InstanceProfileName"]] = world.now + world.delays.profile


def remove_from_profile(_world: World, call: Call) -> None:
    """RemoveRoleFromInstanceProfile of a role that is not in it; moto fails over that."""
    profile = next(
        (p for p in cloud.iam(call.region).instance_profiles.values() if p.name == call.params["InstanceProfileName"]),
        None,
    )
    role = call.params["RoleName"]
    if profile is not None and role not in [each.name for each in profile.roles]:
        raise Refusal("NoSuchEntity", f"The role with name {role} is not in instance profile {profile.name}.", 404)


def owner(_world: World, call: Call) -> None:
    """ExpectedBucketOwner must be the bucket's owner.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
    """
    expected = call.params.get("ExpectedBucketOwner")
    if expected and expected != cloud.ACCOUNT:
        raise Refusal("AccessDenied", "Access Denied", 403)


def region_of_bucket(_world: World, call: Call) -> None:
    """A call signed for another region than the bucket's is sent away."""
    bucket = cloud.s3(call.region).buckets.get(call.params.get("Bucket"))
    if bucket is None or call.operation in ("CreateBucket", "GetBucketLocation", "ListBuckets"):
        return
    if bucket.region_name != call.region:
        raise WrongRegion(bucket.region_name)


class WrongRegion(Refusal):
    """S3's redirect, with the right region in a header, which boto3 follows."""

    def __init__(self, region: str) -> None:
        super().__init__(
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint. "
            "Please send all future requests to this endpoint.",
            301,
        )
        self.headers = [("x-amz-bucket-region", region)]


def no_acls(_world: World, call: Call) -> None:
    """New buckets have object ownership enforced: no access control lists.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    """
    if call.params.get("ACL") not in PRIVATE:
        if call.operation == "CreateBucket":
            raise Refusal(
                "InvalidBucketAclWithObjectOwnership",
                "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
            )
        raise Refusal("AccessControlListNotSupported", "The bucket does not allow ACLs")


def bucket_made(_world: World, call: Call) -> None:
    """A new bucket is encrypted, blocks public access, has its owner enforced (defaults since 2023), and its tags.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    """
    from moto.s3.models import PublicAccessBlock

    bucket = cloud.s3(call.region).buckets[call.params["Bucket"]]
    bucket.public_access_block = PublicAccessBlock(True, True, True, True)
    bucket.ownership_rule = "BucketOwnerEnforced"
    bucket.encryption = {
        "Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "false"}
    }
    tags = call.params.get("CreateBucketConfiguration", {}).get("Tags", [])
    if tags:
        cloud.s3(call.region).put_bucket_tagging(call.params["Bucket"], {tag["Key"]: tag["Value"] for tag in tags})


def no_public_policy(_world: World, call: Call) -> None:
    """A policy for everybody is refused while public access is blocked."""
    bucket = cloud.s3(call.region).buckets.get(call.params.get("Bucket"))
    if blocked(bucket, "block_public_policy") and is_public(call.params.get("Policy", "{}")):
        raise Refusal(
            "AccessDenied",
            "User is not authorized to perform: s3:PutBucketPolicy because public policies are prevented by the "
            "BlockPublicPolicy setting in S3 Block Public Access.",
            403,
        )


def anonymous(_world: World, call: Call) -> None:
    """Who signs nothing may read what a policy lets everybody read; all else here is nobody's to ask for."""
    bucket = cloud.s3(call.region).buckets.get(call.params.get("Bucket"))
    if not call.anonymous or bucket is None:
        return
    if call.operation != "GetObject" or read_by_anybody(bucket, call.params["Key"]) is None:
        raise Refusal("AccessDenied", "Access Denied", 403)


def blocked(bucket: Any, setting: str) -> bool:
    """Whether a setting of S3 Block Public Access is on, for the bucket or for the account."""
    blocks = [getattr(bucket, "public_access_block", None), cloud.account_block(bucket.region_name)]
    return any(block and str(getattr(block, setting)).lower() == "true" for block in blocks)


def read_by_anybody(bucket: Any, key: str) -> bytes | None:
    """What anybody may read of a bucket, None where that is nothing."""
    if blocked(bucket, "restrict_public_buckets") or not bucket.policy:
        return None
    policy = json.loads(bucket.policy.decode())
    public = [each for each in policy["Statement"] if each.get("Principal") in ("*", {"AWS": "*"})]
    statements = [{name: it for name, it in each.items() if name != "Principal"} for each in public]
    found = bucket.keys.get(key)
    if found is None or not policies.may(statements, "s3:GetObject", f"{bucket.arn}/{key}", {}):
        return None
    content: bytes = found.value
    return content


def is_public(policy: str) -> bool:
    """Whether a bucket's policy is for everybody."""
    statements: Any = json.loads(policy).get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    return any(
        statement.get("Effect") == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and not statement.get("Condition")
        for statement in statements
    )
