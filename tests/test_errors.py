"""Of what kind an error of AWS's is: one table, which every step goes by."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from lib.aws.errors import ErrorKind, classify, classify_answer
from lib.run.errors import AwsRefusal

BY_CODE = {
    "InvalidVpcID.NotFound": ErrorKind.NOT_FOUND,
    "TargetGroupNotFound": ErrorKind.NOT_FOUND,
    "NoSuchEntity": ErrorKind.NOT_FOUND,
    "InvalidGroup.Duplicate": ErrorKind.TAKEN,
    "EntityAlreadyExists": ErrorKind.TAKEN,
    "InvalidSubnet.Conflict": ErrorKind.TAKEN,
    "RequestLimitExceeded": ErrorKind.THROTTLED,
    "SlowDown": ErrorKind.THROTTLED,
    "InternalError": ErrorKind.LOST,
    "UnauthorizedOperation": ErrorKind.DENIED,
    "ExpiredToken": ErrorKind.UNHEARD,
    "AuthFailure": ErrorKind.REFUSED,  # which is also said of somebody else's things
    "DependencyViolation": ErrorKind.REFUSED,
    "InsufficientInstanceCapacity": ErrorKind.REFUSED,
}


def said(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "RunInstances")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(("code", "kind"), BY_CODE.items())
def test_a_code_says_of_what_kind_an_error_is(code: str, kind: ErrorKind) -> None:
    assert classify(said(code)) is classify_answer(code) is kind
    assert classify(AwsRefusal(action="RunInstances", resource="", code=code, words="", hint="")) is kind


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("", 502, ErrorKind.LOST),
        ("AnythingElse", 500, ErrorKind.LOST),
        ("RequestLimitExceeded", 503, ErrorKind.THROTTLED),
        ("InsufficientInstanceCapacity", 500, ErrorKind.REFUSED),
    ],
)
def test_a_5xx_may_have_been_done_unless_aws_says_that_it_was_not(code: str, status: int, kind: ErrorKind) -> None:
    assert classify(said(code, status)) is kind


def test_no_answer_may_have_been_done_and_what_was_never_asked_is_no_answer() -> None:
    assert classify(EndpointConnectionError(endpoint_url="https://ec2")) is ErrorKind.LOST
    assert classify(NoCredentialsError()) is ErrorKind.OTHER
    assert classify(ValueError()) is ErrorKind.OTHER
