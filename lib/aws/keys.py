"""The KMS key that the region encrypts disks with, where no other is named: whose it is, and what it needs.

Disks here name none, so they take that default: AWS's own, which everybody in the account may use through EBS, or one
that somebody has put there, whose policy and the caller's must allow it. CreateVolume answers before KMS is asked.
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.aws.errors import FAILURES

if TYPE_CHECKING:
    from lib.aws.client import Aws

AUTO_SCALING = "the role AWSServiceRoleForAutoScaling"
_OF_AWS = "alias/aws/ebs"
# How an instance ends that could not have its disks: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
NO_KEY = ("Client.InternalError", "Client.InvalidKMSKey.InvalidState")


def find_own_key(aws: Aws) -> str:
    """The region's default key where it is a customer's; '' where it is AWS's, or AWS does not tell."""
    try:
        key = aws.ec2.get_ebs_default_kms_key_id()["KmsKeyId"]
    except (*FAILURES, KeyError):
        return ""
    return "" if key.endswith(_OF_AWS) else key


def tell_key(aws: Aws) -> None:
    """Say that disks will be encrypted with a customer's key, since it fails late and without words of its own."""
    if key := find_own_key(aws):
        aws.console.say(
            f"disks are encrypted with this region's default key {key}, a customer's: this user, the Auto Scaling "
            "service's role and the master's must be let by it (docs/permissions.md)"
        )


def key_advice(aws: Aws, *, who: str = "this user") -> str:
    """What to look at where EC2 has taken back a disk, or an instance for the sake of its disks, that `who` made."""
    key = find_own_key(aws) or "of this region's default, if it is a customer's"
    return (
        f"that is how EC2 says that the KMS key of a disk may not be used or is disabled; look at the key {key}: its "
        f"policy, or one of {who}, must allow {who} kms:CreateGrant, kms:Decrypt and "
        "kms:GenerateDataKeyWithoutPlaintext (docs/permissions.md). Then run the same command again"
    )
