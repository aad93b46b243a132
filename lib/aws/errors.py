"""What AWS said no to: an error's code, and of what kind it is. Codes are matched, never texts.

The codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html and, for what all services say,
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonErrors.html; S3 has names of its own for some.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from lib.run.errors import AwsRefusal

T = TypeVar("T")

# No answer, or one that is none: a proxy's page in place of XML, say. What was asked for may have been done.
LOST = (HTTPClientError, NoConnection, ResponseParserError)
FAILURES = (BotoCoreError, ClientError, ResponseParserError)  # all that a call may raise


class ErrorKind(Enum):
    """What an error of AWS's means for whoever made the call."""

    NOT_FOUND = "what the call names is not there, or AWS has not yet spread word of it"
    TAKEN = "what the call would make is there, by its name or address: perhaps another run was first"
    THROTTLED = "AWS did not look at the call at all, so it was not done"
    LOST = "the call may have been done, although no good answer came"
    DENIED = "whoever asks may not"
    UNHEARD = "no further call with the same credentials will be heard either"
    REFUSED = "anything else that AWS says no to"
    OTHER = "no answer of AWS's"


# The list is botocore's standard mode's, plus EC2's own.
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_FAILED = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "RequestTimeout", "ServiceUnavailable", "Unavailable"}
)
_TAKEN = frozenset({"InvalidSubnet.Conflict", "InvalidIPAddress.InUse"})
_NOT_FOUND = frozenset({"NoSuchEntity", "NoSuchBucket", "NoSuchKey", "404", "InvalidPermission.NotFound"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"})
ENDED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
# What also a clock that is wrong is answered with: by S3 in the first word, by others in one of the rest.
CLOCK = frozenset(
    {
        "RequestTimeTooSkewed",
        "RequestExpired",
        "AuthFailure",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
    }
)
# What keys are answered with that AWS does not know, in this region or at all.
UNKNOWN = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
NOT_ENABLED = frozenset({"OptInRequired", "RegionDisabledException", "SubscriptionRequiredException"})
_UNHEARD = (ENDED | CLOCK | UNKNOWN) - {"AuthFailure"}  # which is also said of somebody else's things


def classify(error: BaseException) -> ErrorKind:
    """Of what kind an error is that a call raised, or the AwsRefusal that was made of it."""
    if isinstance(error, LOST):
        return ErrorKind.LOST
    if isinstance(error, ClientError):
        return classify_answer(
            error_code(error), status=int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        )
    return classify_answer(error.code) if isinstance(error, AwsRefusal) else ErrorKind.OTHER


def classify_answer(code: str, *, status: int = 0) -> ErrorKind:
    """The same of an answer by its error code and HTTP status, where that is known."""
    if code in _THROTTLED:
        return ErrorKind.THROTTLED
    if code.startswith("Insufficient"):  # what AWS has not got (capacity) it says with a 500, and has done nothing
        return ErrorKind.REFUSED
    if code in _NOT_FOUND or "NotFound" in code:
        return ErrorKind.NOT_FOUND
    if code in _FAILED or status >= 500:
        return ErrorKind.LOST
    if code.endswith(".Duplicate") or "AlreadyExists" in code or code in _TAKEN:
        return ErrorKind.TAKEN
    if code in _DENIED:
        return ErrorKind.DENIED
    return ErrorKind.UNHEARD if code in _UNHEARD else ErrorKind.REFUSED


def error_code(error: BaseException) -> str:
    """AWS's error code of a ClientError, '' for anything else."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def unless(code: str, call: Callable[[], T]) -> T | None:
    """What the call answers, None where AWS says by `code` that there is no such thing."""
    try:
        return call()
    except ClientError as error:
        if error_code(error) != code:
            raise
        return None
