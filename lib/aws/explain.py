"""What a person is told of what AWS says no to, and what to do about it: the words behind its error codes."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from lib.aws.credentials import Source, explain_credentials
from lib.aws.errors import CLOCK, ENDED, LOST, NOT_ENABLED, UNKNOWN, ErrorKind, classify, error_code
from lib.run.errors import AwsRefusal, KubeError

_HELD_BACK = frozenset({"AccountProblem", "AllAccessDisabled", "Blocked", "NotSignedUp", "PendingVerification"})
BUSY = "AWS is busy or in trouble: run the same command again in a while, it goes on where it stopped"
_AGAIN = "run the same command again: it goes on where it stopped"
_SHOWN_FROM = 60.0  # seconds that a clock may be off without a word


@dataclass(frozen=True)
class Caller:
    """Who asks, and where: what the words name. `known_in` is a region that takes the credentials, where one does."""

    source: Source = field(default_factory=Source)
    region: str = ""
    known_in: str = ""


def clock_words(headers: Mapping[str, str]) -> str:
    """How far this computer's clock is from that of AWS's answer, '' where that is little or not known."""
    try:
        ahead = time.time() - email.utils.parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return ""
    way = "ahead of" if ahead > 0 else "behind"
    return f"this computer's clock is {abs(ahead):.0f} s {way} AWS's" if abs(ahead) > _SHOWN_FROM else ""


def denied_action(words: str) -> str:
    """The action that AWS names as denied, '' where it names none: a call may need more than its own."""
    found = re.search(r"not authorized to perform: ([\w-]+:\w+)", words)
    return found[1] if found else ""


def what_to_do(error: ClientError, caller: Caller) -> str:
    """What a person can do about a refusal, by its code."""
    said = error.response.get("Error", {})
    code, operation = str(said.get("Code", "")), error.operation_name
    if classify(error) is ErrorKind.DENIED:
        action = denied_action(str(said.get("Message", ""))) or operation
        return f"ask for the permission to call {action} (docs/permissions.md has the whole policy); then {_AGAIN}"
    if code == "OperationNotPermitted" and (command := _unprotect(operation, str(said.get("Message", "")))):
        return f"somebody protected it: {command} takes that off; then {_AGAIN}"
    return _about_credentials(code, error, caller) or _about_things(code)


def _unprotect(operation: str, words: str) -> str:
    """What a person types to take the protection off the thing that AWS's words name, '' where they name none."""
    if operation == "DeleteLoadBalancer" and (arn := re.search(r"arn:[\w:/.-]+", words)):
        off = "--attributes Key=deletion_protection.enabled,Value=false"
        return f"aws elbv2 modify-load-balancer-attributes --load-balancer-arn {arn[0]} {off}"
    if operation == "TerminateInstances" and (instance := re.search(r"i-[0-9a-f]+", words)):
        return f"aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id {instance[0]}"
    return ""


def _about_credentials(code: str, error: ClientError, caller: Caller) -> str:
    of = f" of {caller.source}" if str(caller.source) else ""
    if code in CLOCK:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        wrong = "this computer's clock is wrong" if code == "RequestTimeTooSkewed" else ""
        if words := clock_words(headers) or wrong:
            return f"{words}: set it (timedatectl set-ntp true), then {_AGAIN}"
    if code in NOT_ENABLED or (code in UNKNOWN and caller.known_in):
        known = f"{caller.known_in} takes the credentials; " if caller.known_in else ""
        enable = f"aws account enable-region --region-name {caller.region}" if caller.region else "enable it"
        return f"{known}the region, or the service there, is not enabled for this account: {enable}"
    if code in _HELD_BACK:
        return "AWS holds this account back: the AWS console, or AWS Support, says what is missing"
    if code in ENDED:
        return f"the credentials{of} have expired, renew them: {caller.source.renew}; then {_AGAIN}"
    if code in CLOCK or code in UNKNOWN:
        return f"the credentials{of} are wrong or have expired, renew them: {caller.source.renew}; then {_AGAIN}"
    return ""


_TODO = {
    "400": "AWS does not say why; most often the credentials have expired: renew them, then run this again",  # to HEAD
    "InsufficientInstanceCapacity": "AWS has no such machine free in this zone now: try again later, or another "
    "MASTER_SIZE or NODE_SIZE",
    "OperationAborted": "S3 is still letting go of that name, which can take an hour: try again later, or set "
    "AWS_S3_BUCKET",
}


def _about_things(code: str) -> str:
    if code.endswith((".Duplicate", ".AlreadyExistsException")):
        return "one of that name is there without the cluster's tags: give it its tags back, or remove it"
    if "LimitExceeded" in code or code == "TooManyBuckets" or code.endswith("QuotaExceeded"):
        return "raise this quota in Service Quotas, or remove what is not needed; then run the same command again"
    if "NotFound" in code or code.startswith("NoSuch"):
        return "what was there is gone, by a kube_down.py that runs perhaps: run the same command again after it"
    return _TODO.get(code, f"mend that, then {_AGAIN}")


def refusal(error: BaseException, words: str = "", caller: Caller | None = None) -> KubeError:
    """One line for what AWS refused: the action, the resource, AWS's own words; and what to do, as its hint."""
    if not isinstance(error, ClientError):
        return KubeError(
            f"AWS did not answer: {' '.join(str(error).split())}",
            hint="check the network, then run the same command again",
        )
    busy = classify(error) in (ErrorKind.THROTTLED, ErrorKind.LOST)
    code, text = error_code(error), " ".join(str(error.response["Error"].get("Message", "")).split())
    return AwsRefusal(
        action=error.operation_name,
        resource=words,
        code=code,
        words=text.split(" Encoded authorization failure message:")[0],
        hint=BUSY if busy else what_to_do(error, caller or Caller()),
    )


def explain(error: BaseException, caller: Caller | None = None) -> KubeError:
    """The KubeError for anything that boto3 raised and no step caught: one line, and what to do.

    Credentials that are missing or not whole, a profile that is not there, a region that is not known: one line each.
    """
    if isinstance(error, (ClientError, *LOST)):
        return refusal(error, caller=caller)
    return explain_credentials(error, (caller or Caller()).source)
