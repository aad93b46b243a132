"""Which of two counts, where two runs at once have made one thing each that AWS has no name or token to be one by.

Who has made a thing puts its id into the bucket, unless there is one; who finds another's id there removes its own and
goes on with the other. It is no lock: nobody waits for it, and one of a thing that is gone is replaced.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lib.aws.changes import backoff
from lib.aws.errors import LOST, ErrorKind, classify, error_code
from lib.aws.explain import BUSY
from lib.run.errors import KubeError

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.objects import Bucket

FOLDER = "claims/"
ID_FORM = re.compile(r"[a-z]+-[0-9a-f]{8,17}|[0-9]{1,3}(\.[0-9]{1,3}){3}")  # an elastic IP is claimed by its address
_ATTEMPTS = 8
_YOUNG = 60.0  # seconds after which what was claimed shows, if it is there at all
_LOOKS = (0.0, 1.0, 2.0, 4.0)  # seconds before each look for what was claimed a moment ago


class Claims:
    """The claims of one cluster, in its bucket."""

    def __init__(self, aws: Aws, bucket: Bucket) -> None:
        self._aws, self._bucket = aws, bucket

    def claimed(self, kind: str) -> str:
        """The id that was claimed of a kind, '' for none."""
        return self._read(kind)[0]

    def place(self, kind: str) -> str:
        """The claim's object, as s3://bucket/key."""
        return f"s3://{self._bucket.name}/{self._key(kind)}"

    def claim(self, kind: str, made: str, is_there: Callable[[str], bool]) -> str:
        """The id that counts of a kind: `made`, or what another run has claimed before and `is_there` still."""
        for attempt in range(1, _ATTEMPTS + 1):
            if self._put(kind, made, last=attempt == _ATTEMPTS, IfNoneMatch="*"):
                return made
            first, etag, young = self._read(kind)
            if first == made or (first and self._is_there(first, is_there, young=young)):
                return first
            if etag and self._put(kind, made, last=attempt == _ATTEMPTS, IfMatch=etag):
                return made
            self._aws.clock.sleep(backoff(attempt))
        raise KubeError(f"the claim of {made} could not be put into {self._bucket.name}", hint=BUSY)

    def _is_there(self, first: str, is_there: Callable[[str], bool], *, young: bool) -> bool:
        for pause in _LOOKS if young else _LOOKS[:1]:
            self._aws.clock.sleep(pause)
            if is_there(first):
                return True
        return False

    def _put(self, kind: str, made: str, *, last: bool, **condition: str) -> bool:
        """Whether it was put: S3 decides, by the condition. Where the answer is lost, what is there tells.

        Raises what AWS or the network says where this is the `last` attempt.
        """
        try:
            self._aws.s3(self._bucket.region).put_object(
                Bucket=self._bucket.name,
                Key=self._key(kind),
                Body=made.encode(),
                ServerSideEncryption="AES256",
                ExpectedBucketOwner=self._bucket.owner,
                **condition,  # type: ignore[arg-type]
            )
        except (ClientError, *LOST) as error:
            decided = error_code(error) in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
            if not decided and (last or classify(error) is not ErrorKind.LOST):
                raise
            self._aws.retries += not decided
            return False
        return True

    def _read(self, kind: str) -> tuple[str, str, bool]:
        """The id, the object's ETag, and whether it was put a moment ago; two empty ones where there is none.

        An object that holds no id claims nothing.
        """
        try:
            answer = self._aws.s3(self._bucket.region).get_object(
                Bucket=self._bucket.name, Key=self._key(kind), ExpectedBucketOwner=self._bucket.owner
            )
        except ClientError as error:
            if error_code(error) != "NoSuchKey":
                raise
            return "", "", False
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        now = email.utils.parsedate_to_datetime(date) if date else answer["LastModified"]
        age = (now - answer["LastModified"]).total_seconds()
        claimed = answer["Body"].read().decode(errors="replace")
        return claimed if ID_FORM.fullmatch(claimed) else "", answer["ETag"], age < _YOUNG

    def _key(self, kind: str) -> str:
        return self._bucket.key(FOLDER + kind.replace(" ", "-"))
