"""A customer's KMS key as the region's default for disks, which the user or Auto Scaling may not use.

EC2 answers first and asks KMS afterwards: a disk vanishes that it has promised, an instance ends while it is pending.
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html, "Client.InternalError"
"""

from __future__ import annotations

from typing import Any

from sandbox.backend import cloud
from sandbox.backend.wire import result_answer
from sandbox.calls import Answer, Call
from sandbox.faults import note

WHO = ("user", "autoscaling")
CODE = "Client.InternalError"
_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"


def arn(region: str) -> str:
    """The key that is the region's default."""
    return f"arn:{cloud.partition(region)}:kms:{region}:{cloud.ACCOUNT}:key/{_ID}"


class NoKey:
    """Those of `WHO` that are given have no right to the key."""

    def __init__(self, *who: str) -> None:
        self._who = who

    def before(self, call: Call) -> Answer | None:
        """Say which key is the default."""
        if call.operation != "GetEbsDefaultKmsKeyId":
            return None
        return result_answer(call, {"KmsKeyId": arn(call.region)})

    def after(self, call: Call, answer: Answer) -> Answer:
        """Take back the disk that was made a moment ago."""
        if (
            call.operation == "CreateVolume"
            and call.params.get("Encrypted")
            and not answer.refused
            and self._hits("user")
        ):
            note(call, "key denied")
            cloud.forget_newest_volume(call.region)
        return answer

    def starts(self, instance: Any) -> tuple[str, str] | None:
        """End an instance instead of starting it, where whoever launched it may not use the key of its disks."""
        if not self._hits("autoscaling" if cloud.is_of_group(instance) else "user"):
            return None
        if not cloud.has_encrypted_disk(instance):
            return None
        return CODE, f"{CODE}: Client error on launch"

    def _hits(self, who: str) -> bool:
        return who in self._who
