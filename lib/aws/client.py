"""The one way to AWS: clients made once, retries in one place, and the helper through which every changing call goes.

Reads are repeated by botocore's own loop when AWS throttles or fails. A changing call is repeated there only when AWS
throttled it, since then nothing was done; when its answer is lost, `Aws.make` looks before it makes again.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import boto3
import botocore.config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from lib.aws import filters, proxies
from lib.aws.credentials import Credentials
from lib.aws.credentials import explain as explain_credentials
from lib.aws.explain import NOT_ENABLED, UNKNOWN, Caller, clock_words, what_to_do
from lib.aws.tags import of as of_cluster
from lib.aws.tags import refuse_others, tag_list, tag_words, tags_of
from lib.run.clock import Clock
from lib.run.errors import Ambiguous, AwsRefusal, CredentialsError, Known, KubeError, WaitExpired

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.client import AutoScalingClient
    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_elb.client import ElasticLoadBalancingClient
    from mypy_boto3_elbv2.client import ElasticLoadBalancingv2Client
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_pricing.client import PricingClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_service_quotas.client import ServiceQuotasClient
    from mypy_boto3_ssm.client import SSMClient
    from mypy_boto3_sts.client import STSClient

    from lib.run.console import Console
    from lib.run.runlog import RunLog

T = TypeVar("T")
Retry = Callable[[BaseException], bool]


def never(error: BaseException) -> bool:  # noqa: ARG001
    """The `retry_if` that knows no refusal worth waiting out."""
    return False


# AWS refused to look at the call at all, so it was not done. The list is botocore's standard mode's, plus EC2's own.
THROTTLED = frozenset(
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
FAILED = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "RequestTimeout", "ServiceUnavailable", "Unavailable"}
)
BUSY = "AWS is busy or in trouble: run the same command again in a while, it goes on where it stopped"
TAKEN = frozenset({"InvalidSubnet.Conflict", "InvalidIPAddress.InUse"})
# What an id answers while AWS has not yet spread word of it; the same codes as for an id that never was.
NOT_FOUND = frozenset({"NoSuchEntity", "NoSuchBucket", "NoSuchKey", "404", "InvalidPermission.NotFound"})

# No answer, or one that is none: a proxy's page in place of XML, say. What was asked for may have been done.
LOST = (HTTPClientError, NoConnection, ResponseParserError)
FAILURES = (BotoCoreError, ClientError, ResponseParserError)  # all that a call may raise

_TWO = "remove the one that is not the cluster's, or all of it by kube_down.py; was another kube_up.py at work?"
_ATTEMPTS = 12
_FEW_ATTEMPTS = 2  # of who is in a hurry, at what does not answer
_TIMEOUTS = {False: (10, 60), True: (5, 10)}  # seconds to connect, and to answer: in a hurry the second
_TELL_EVERY = 10.0  # seconds between two words about a call that is being repeated
_READING = ("Describe", "Get", "List", "Head", "Simulate")
_LOOKS = (0.0, 1.0, 2.0, 4.0)  # seconds before each look for what a lost call may have made: it may show late


@dataclass(frozen=True)
class Waits:
    """How long calls are repeated, in seconds: KUBE_WAIT_AWS_SECONDS for what is made, KUBE_WAIT_DELETE_SECONDS."""

    make: int
    remove: int


class Planned(str):
    """The id of something that a dry run would make. Nothing is to be found below it, so no find asks AWS."""

    __slots__ = ()


def became(name: str, old: Any, new: Any) -> str:
    """What is to be another, in a person's words: "DesiredCapacity 2 → 3"; of a mapping its values."""
    was, will = (" ".join(map(str, it.values())) if isinstance(it, dict) else str(it) for it in (old, new))
    return f"{name} {was} → {will}"


def unless(code: str, call: Callable[[], T]) -> T | None:
    """What the call answers, None where AWS says by `code` that there is no such thing."""
    try:
        return call()
    except ClientError as error:
        if error_code(error) != code:
            raise
        return None


def error_code(error: BaseException) -> str:
    """AWS's error code of a ClientError, '' for anything else."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_not_found(error: BaseException) -> bool:
    """Whether AWS says that what the call names is not there: InvalidVpcID.NotFound, TargetGroupNotFound, and so on."""
    code = error_code(error)
    return code in NOT_FOUND or "NotFound" in code


def _is_taken(error: BaseException) -> bool:
    """Whether AWS refuses to make what is there already, by its name or address: perhaps another run was first."""
    code = error_code(error)
    return code.endswith(".Duplicate") or "AlreadyExists" in code or code in TAKEN


def is_lost(error: BaseException) -> bool:
    """Whether the call may have been done although no good answer came."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = error_code(error)
        return not _is_refused(code) and (code in FAILED or status >= 500)
    return isinstance(error, LOST)


def _is_refused(code: str) -> bool:
    """Whether AWS says that it did nothing, whatever the status: what it has not got (capacity) it says with a 500."""
    return code in THROTTLED or code.startswith("Insufficient")


def backoff(attempt: int) -> float:
    """Seconds before attempt `attempt` + 1: doubling to 10, with jitter so that two runs do not march in step."""
    return float(min(10.0, 0.25 * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))  # noqa: S311 no secret


def one(
    what: str,
    found: Sequence[T],
    id_of: Callable[[T], str],
    *,
    hint: str = "",
    claimed: Callable[[str, Sequence[str]], str] = lambda *_: "",
) -> T | None:
    """None or the one of `found`. Raises Ambiguous, with their ids, for two of which `claimed` says that neither is it.

    `claimed` is told what it is and their ids.
    """
    if len(found) > 1:
        ids = [id_of(item) for item in found]
        first = claimed(what, ids)
        if not first:
            raise Ambiguous(what, ids, hint=hint or _TWO)
        return found[ids.index(first)]
    return found[0] if found else None


class Claiming(Protocol):
    """Who decides which of two counts (lib/aws/claims.py)."""

    def claimed(self, kind: str) -> str:
        """The id that was claimed of a kind, '' for none."""

    def place(self, kind: str) -> str:
        """Where the claim of a kind is, as a person writes it."""

    def claim(self, kind: str, made: str, is_there: Callable[[str], bool]) -> str:
        """The id that counts of a kind: `made`, or what another run has claimed before and `is_there` still."""


@dataclass(frozen=True)
class Sole:
    """What AWS would let two runs make at once, and of which there must be one.

    `kind` is as `one` is told it; `look` is the id of the cluster's, and raises Ambiguous for two; `find` is what has
    an id, as AWS describes it, None where nothing has; `delete` takes back what was just made.
    """

    kind: str
    cluster_id: str
    look: Callable[[], str | None]
    find: Callable[[str], Mapping[str, Any] | None]
    delete: Callable[[str], object]


def _again(codes: Sequence[str], retry_if: Retry) -> Retry:
    """Whether a refusal is worth a repeat: by its code, or as `retry_if` knows it."""
    return lambda error: error_code(error) in codes or retry_if(error)


class Aws:
    """Clients of one region, and the words, waits and retries that all calls share. Made once, passed on.

    `account`, `partition` and `user` are known after `identify`.
    """

    def __init__(
        self,
        region: str,
        *,
        credentials: Credentials,
        console: Console,
        clock: Clock,
        waits: Waits,
        dry_run: bool = False,
        log: RunLog | None = None,
        environ: Mapping[str, str] | None = None,
        hurried: bool = False,
        session: boto3.Session | None = None,
    ) -> None:
        self.region = region
        self._environ = environ or {}  # for the proxy's variables alone
        self._log = log
        self.hurried = hurried  # what does not answer is soon given up, and nothing is waited for
        self.console = console
        self.clock = clock
        self.waits = waits
        self.dry_run = dry_run
        self.changes = 0
        self.before_change: Callable[[], None] | None = None  # called once, before the first change of the run
        self.made: list[str] = []
        self.retries = 0
        self.claims: Claiming | None = None  # once the bucket is there
        self._sole: list[tuple[Sole, str]] = []  # each with the id that this run goes on with
        self._warned: set[str] = set()
        self.account = self.partition = self.user = ""
        self._credentials = credentials
        self._core = credentials.session
        # One is all that boto3 makes of a session of botocore's: the next could make no client of S3.
        self._session = session or boto3.Session(region_name=region, botocore_session=self._core)
        self._known_in = ""  # another region, that takes credentials which this one refuses

    @cached_property
    def ec2(self) -> EC2Client:
        """Instances and their network."""
        client: EC2Client = self._client("ec2")
        return client

    @cached_property
    def iam(self) -> IAMClient:
        """Roles and instance profiles, global in a partition."""
        client: IAMClient = self._client("iam")
        return client

    @cached_property
    def autoscaling(self) -> AutoScalingClient:
        """The minions' group."""
        client: AutoScalingClient = self._client("autoscaling")
        return client

    @cached_property
    def elb(self) -> ElasticLoadBalancingClient:
        """Classic load balancers."""
        client: ElasticLoadBalancingClient = self._client("elb")
        return client

    @cached_property
    def elbv2(self) -> ElasticLoadBalancingv2Client:
        """Network and application load balancers."""
        client: ElasticLoadBalancingv2Client = self._client("elbv2")
        return client

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """The master's alarms."""
        client: CloudWatchClient = self._client("cloudwatch")
        return client

    @cached_property
    def scheduler(self) -> Any:
        """EventBridge Scheduler: what makes a dead master anew."""
        return self._client("scheduler")

    @cached_property
    def ssm(self) -> SSMClient:
        """Public parameters: the newest images."""
        client: SSMClient = self._client("ssm")
        return client

    @cached_property
    def quotas(self) -> ServiceQuotasClient:
        """What the account may have."""
        client: ServiceQuotasClient = self._client("service-quotas")
        return client

    def pricing(self, seconds: float) -> PricingClient:
        """The Price List, which must answer within `seconds` and is asked once: no run waits for a price."""
        config = botocore.config.Config(
            retries={"total_max_attempts": 1}, connect_timeout=seconds, read_timeout=seconds, user_agent_extra="kube-up"
        )
        client: PricingClient = self._session.client("pricing", region_name="us-east-1", config=config)
        self._note(client)
        return client

    @cached_property
    def sts(self) -> STSClient:
        """Who we are."""
        client: STSClient = self._client("sts")
        return client

    def s3(self, region: str = "") -> S3Client:
        """The bucket's own region signs for it (default: the cluster's)."""
        region = region or self.region
        if region not in self._s3_clients:
            self._s3_clients[region] = self._client("s3", region=region)
        return self._s3_clients[region]

    @cached_property
    def _s3_clients(self) -> dict[str, S3Client]:
        return {}

    def _client(self, service: str, *, region: str = "") -> Any:
        connect, read = _TIMEOUTS[self.hurried]
        config = botocore.config.Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=connect,
            read_timeout=read,
            user_agent_extra="kube-up",
        )
        try:
            client = self._session.client(service, region_name=region or self.region, config=config)  # type: ignore[call-overload]
        except ValueError as error:  # an endpoint, from AWS_ENDPOINT_URL or the configuration file, that is no URL
            hint = "check AWS_ENDPOINT_URL* and endpoint_url in ~/.aws/config"
            raise KubeError(f"AWS: {' '.join(str(error).split())}", hint=hint) from error
        client.meta.events.register("needs-retry", self._needs_retry)
        client.meta.events.register("before-call", self._renew)
        self._note(client)
        return client

    def _renew(self, **_: Any) -> None:
        """Have credentials that are about to end made anew before a call is signed, so that all it raises is known."""
        self._credentials.get()

    def _needs_retry(
        self, operation: Any, attempts: int, response: Any, caught_exception: BaseException | None, **_: Any
    ) -> int | None:
        """What botocore's loop asks after each try: a number for another try, None for none. Sleeps by our clock."""
        most = _FEW_ATTEMPTS if self.hurried and caught_exception else _ATTEMPTS
        if attempts >= most or not self._may_repeat(operation.name, response, caught_exception):
            return None
        self.retries += 1
        if self._log is not None:
            code = response[1].get("Error", {}).get("Code", "") if response else type(caught_exception).__name__
            self._log.line(f"call {operation.name} is repeated: {code}")
        self.clock.sleep(backoff(attempts))
        return 0

    def _note(self, client: Any) -> None:
        """Have the client's calls written into the run's log."""
        if self._log is not None:
            client.meta.events.register("before-parameter-build", self._note_params)
            client.meta.events.register("after-call", self._note_answer)
            client.meta.events.register("after-call-error", self._note_lost)

    def _note_params(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["kube_up_params"] = params

    def _note_answer(self, parsed: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_: Any) -> None:
        if self._log is not None:
            name = f"{model.service_model.service_name}:{model.name}"
            self._log.call(name, context.get("kube_up_params", {}), parsed)

    def _note_lost(self, exception: BaseException, event_name: str, **_: Any) -> None:
        if self._log is not None:
            self._log.line(
                f"call {event_name.removeprefix('after-call-error.')} got no answer: {type(exception).__name__}"
            )

    def _may_repeat(self, operation: str, response: Any, caught: BaseException | None) -> bool:
        code = response[1].get("Error", {}).get("Code", "") if response else ""
        if code in THROTTLED:
            return True
        if not operation.startswith(_READING):
            return False
        return isinstance(caught, LOST) or code in FAILED or bool(response and response[0].status_code >= 500)

    def identify(self) -> None:
        """Ask AWS who we are: fills `account`, `partition` and `user`.

        Raises KubeError for credentials of a form that nobody's have.
        """
        self._check_credentials()
        try:
            answer = self.sts.get_caller_identity()
        except ClientError as error:
            if error_code(error) in UNKNOWN | NOT_ENABLED:
                self._known_in = self._other_region()
            raise
        self.account, self.user = answer["Account"], answer["Arn"]
        self.partition = self.user.split(":")[1]
        if off := clock_words(answer["ResponseMetadata"]["HTTPHeaders"]):
            self.console.warn(f"{off}: set it, with NTP best")

    def _other_region(self) -> str:
        """A region that takes these credentials: the partition's first, which every account has; '' for none."""
        partitions = self._core.get_data("partitions")["partitions"]
        ours = next((p for p in partitions if self.region in p["regions"]), partitions[0])
        other = str(ours["outputs"]["implicitGlobalRegion"])
        if other == self.region:
            return ""
        try:
            self._client("sts", region=other).get_caller_identity()
        except FAILURES:
            return ""
        return other

    def proxy(self, server: str, proxy_url: str = "") -> proxies.Proxy | None:
        """The proxy that a server is asked through, by kubeconfig's `proxy_url` or the environment; None for none."""
        return proxies.find(server, self._environ, proxy_url=proxy_url)

    def unusable_proxy(self, server: str, proxy_url: str = "") -> str:
        """The kind of a proxy that is set for the server and cannot be used, '' where there is none such."""
        return proxies.unusable(server, self._environ, proxy_url=proxy_url)

    def onlooker(self, *, region: str = "", console: Console | None = None) -> Aws:
        """The same caller's for who only looks: in another region or on another console, nothing changed or awaited."""
        other = Aws(
            region or self.region,
            credentials=self._credentials,
            console=console or self.console,
            clock=self.clock,
            waits=self.waits,
            dry_run=True,
            log=self._log,
            environ=self._environ,
            hurried=True,
            session=self._session,
        )
        other.account, other.partition, other.user = self.account, self.partition, self.user
        return other

    @property
    def caller(self) -> Caller:
        """Who asks, for words about a refusal."""
        return Caller(self._credentials.source, self.region, self._known_in)

    def explain(self, error: BaseException) -> KubeError:
        """The KubeError for anything that boto3 raised and no step caught, with this run's credentials in mind."""
        return explain(error, self.caller)

    def _check_credentials(self) -> None:
        """What no header can hold is refused here, where it is not repeated: the error of botocore's would show it."""
        found = self._credentials.get()
        for what, text in (
            ("access key", found and found.access_key),
            ("secret access key", found and found.secret_key),
            ("session token", found and found.token),
        ):
            if text and not re.fullmatch(r"[!-~]+", text):
                raise CredentialsError(
                    f"AWS credentials: the {what} has a space, a line break or another character that none has",
                    hint="copy it again, into AWS_* variables or with aws configure",
                )

    @property
    def regions(self) -> list[str]:
        """The regions of all partitions that this botocore knows."""
        partitions = self._core.get_data("partitions")["partitions"]
        return [region for partition in partitions for region in partition["regions"] if "global" not in region]

    @property
    def dns_suffix(self) -> str:
        """The partition's domain: amazonaws.com, amazonaws.com.cn."""
        partitions = self._core.get_data("partitions")["partitions"]
        return str(next(p["outputs"]["dnsSuffix"] for p in partitions if p["id"] == self.partition))

    def every(self, operation: str, key: str, **arguments: Any) -> list[Any]:
        """What a describe call of EC2's lists under `key`, all pages of it, and as its filters ask."""
        if self.ec2.can_paginate(operation):
            pages: Any = self.ec2.get_paginator(operation).paginate(**arguments)  # type: ignore[call-overload]
        else:
            pages = [getattr(self.ec2, operation)(**arguments)]
        return filters.held([item for page in pages for item in page[key]], arguments.get("Filters", ()))

    def make(
        self,
        words: str,
        call: Callable[[], str],
        *,
        look: Callable[[], str | None] | None = None,
        sole: Sole | None = None,
        retry_if: Retry = never,
    ) -> str:
        """Make one thing and return its id; a Planned id in a dry run.

        `call` makes it. When the answer is lost, `look` says whether it is there before `call` is repeated; leave it
        out where `call` carries a client token of its own. It is asked too when AWS refuses a second one of that name:
        then the other run's is taken. `retry_if` knows the refusals that mean that AWS is not ready yet.
        `sole` is for what AWS would let two runs make at once: where another run was first, its id is returned.
        Raises AwsRefusal with `words`, which is what a person reads ("VPC 172.20.0.0/16").
        """
        if not self._announce("create", words):
            return Planned(f"(new {words})")
        made = self._persist(words, call, look, retry_if=retry_if)
        self.made.append(made)
        self.console.done("" if made in words else made)
        if sole:
            made = self._first(sole, made)
            self._sole.append((sole, made))
        return made

    def _first(self, sole: Sole, made: str) -> str:
        """What was made, or what another run made before; then ours is taken back."""
        claims, found = self.claims, None

        def is_there(claimed: str) -> bool:
            nonlocal found
            found = sole.find(claimed)
            return found is not None

        first = claims.claim(sole.kind, made, is_there) if claims else made
        if first == made or claims is None:
            return made
        self.console.say(f"{first} was claimed before, by a run that was first")
        self.remove("delete", made, lambda: sole.delete(made), retry_on=["IncorrectState", "DependencyViolation"])
        self.made.remove(made)
        tags = tags_of(found or {})
        mend = f"if it is {sole.cluster_id}'s, give it back its tags; if not, remove {claims.place(sole.kind)}"
        refuse_others(sole.cluster_id, f"{sole.kind} {first}, which {sole.cluster_id} has claimed,", tags, hint=mend)
        resource = str((found or {}).get("AllocationId", first))
        self.repair_tags(resource, tags, of_cluster(sole.cluster_id))
        return first

    def claimed(self, kind: str, ids: Sequence[str]) -> str:
        """Which of several counts, since it was claimed; '' for none of them, or before the bucket is known."""
        first = self.claims.claimed(kind) if self.claims else ""
        counts = next((each for each in ids if first and first in each.split()), "")
        if counts and (words := " and ".join(ids)) not in self._warned:
            self._warned.add(words)
            self.console.warn(
                f"there must be one {kind}, but there are {len(ids)}: {words}; {counts} was claimed first and counts; "
                "remove the rest, where no other run is at work"
            )
        return counts

    def look_again(self) -> None:
        """Look once more for what another run can have made beside ours.

        Raises Ambiguous, with both ids, for two of which none is claimed; KubeError where the other one is by now: the
        run that put that claim saw nothing of ours.
        """
        for sole, ours in self._sole:
            counts = sole.look()
            if counts not in (None, ours):
                raise KubeError(
                    f"another run has claimed {counts} as the {sole.kind}, and this one has used {ours}",
                    hint="run the same command again when no other run is at work; should it be refused, kube_down.py "
                    "removes both",
                )

    def change(
        self,
        verb: str,
        words: str,
        call: Callable[[], object],
        *,
        done_on: Sequence[str] = (),
        retry_on: Sequence[str] = (),
        retry_if: Retry = never,
    ) -> None:
        """Do one thing that may be repeated without harm.

        Codes in `done_on` mean that it was done before; those in `retry_on`, and refusals that `retry_if` knows, that
        AWS is not ready yet, and the call is repeated. Raises AwsRefusal.
        """
        self._do(verb, words, call, done_on=done_on, retry_if=_again(retry_on, retry_if))

    def remove(
        self,
        verb: str,
        words: str,
        call: Callable[[], object],
        *,
        done_on: Sequence[str] = (),
        retry_on: Sequence[str] = (),
        retry_if: Retry = never,
    ) -> None:
        """Take one thing away. That it is not there any more, or a code in `done_on`, means that it was done before.

        The call is repeated on codes in `retry_on` and on refusals that `retry_if` knows. Raises AwsRefusal.
        """
        self._do(verb, words, call, done_on=done_on, retry_if=_again(retry_on, retry_if), removal=True)

    def _do(
        self,
        verb: str,
        words: str,
        call: Callable[[], object],
        *,
        done_on: Sequence[str],
        retry_if: Retry,
        removal: bool = False,
    ) -> None:
        if not self._announce(verb, words):
            return
        try:
            self._persist(words, lambda: (call(), "")[1], None, retry_if=retry_if, removal=removal)
        except AwsRefusal as refused:
            if refused.code not in done_on:
                raise
        self.console.done("")

    def _announce(self, verb: str, words: str) -> bool:
        """Say what is about to be changed. False in a dry run: then it is said, and not done."""
        check, self.before_change = self.before_change, None
        if check is not None:
            check()
        self.changes += 1
        if self.dry_run:
            self.console.planned(verb, words)
            return False
        self.console.doing(verb, words)
        return True

    def _persist(
        self,
        words: str,
        call: Callable[[], str],
        look: Callable[[], str | None] | None,
        *,
        retry_if: Retry,
        removal: bool = False,
    ) -> str:
        start = told = self.clock.monotonic()
        seconds = self.waits.remove if removal else self.waits.make
        for attempt in _count():
            try:
                return call()
            except (ClientError, *LOST) as error:
                if removal and is_not_found(error):
                    return ""
                late = bool(self.made) and not removal and is_not_found(error)
                again = is_lost(error) or late or retry_if(error)
                found = self._look(look) if look and (is_lost(error) or _is_taken(error)) else None
                if found:
                    self.retries += 1
                    return found
                now = self.clock.monotonic()
                if not again or now - start > seconds:
                    raise refusal(error, words, self.caller) from error
                self.retries += 1
                if now - told >= _TELL_EVERY:
                    told = now
                    self.console.say(f"not yet ({error_code(error) or 'no answer'}); asking for at most {seconds} s")
                self.clock.sleep(backoff(attempt))
        raise AssertionError("unreachable")

    def _look(self, look: Callable[[], str | None]) -> str | None:
        for pause in _LOOKS:
            self.clock.sleep(pause)
            if found := look():
                return found
        return None

    def token(self) -> str:
        """A client token for one decision to make: the same for the repeats of that call, never for another."""
        return uuid.uuid4().hex

    def repair_tags(self, resource_id: str, actual: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        """Put back the tags of ours that an EC2 resource has lost or that someone changed."""
        missing = {key: value for key, value in wanted.items() if actual.get(key) != value}
        if missing:
            self.change(
                "tag",
                f"{resource_id} with {tag_words(actual, missing)}",
                lambda: self.ec2.create_tags(Resources=[resource_id], Tags=tag_list(missing)),
            )

    def wait(
        self,
        what: str,
        check: Callable[[], T | None],
        *,
        seconds: int,
        progress: Callable[[], str] = lambda: "",
        at_end: Callable[[], Known] = lambda: Known(""),
        interval: float = 2.0,
    ) -> T:
        """What `check` returns once it is not None, asked at once and then every `interval` seconds.

        Raises WaitExpired after `seconds`, with what `at_end` knows; in a hurry after the first look.
        """
        seconds = 0 if self.hurried else seconds
        start = self.clock.monotonic()
        with self.console.waiting(what, seconds=seconds) as tell:
            while True:
                found = check()
                if found is not None:
                    return found
                if self.clock.monotonic() - start >= seconds:
                    raise WaitExpired(what, seconds=seconds, known=self._whatever(at_end))
                tell(progress())
                self.clock.sleep(interval)

    def _whatever(self, tell: Callable[[], Known]) -> Known:
        """What `tell` knows; that AWS will not say must not hide what went wrong before."""
        try:
            return tell()
        except (CredentialsError, *FAILURES) as error:
            why = error if isinstance(error, CredentialsError) else self.explain(error)
            return Known(f"more is not known: {why}")


def _count() -> Iterator[int]:
    attempt = 0
    while True:
        attempt += 1
        yield attempt


def refusal(error: BaseException, words: str = "", caller: Caller | None = None) -> KubeError:
    """One line for what AWS refused: the action, the resource, AWS's own words; and what to do, as its hint."""
    if not isinstance(error, ClientError):
        return KubeError(
            f"AWS did not answer: {' '.join(str(error).split())}",
            hint="check the network, then run the same command again",
        )
    code, text = error_code(error), " ".join(str(error.response["Error"].get("Message", "")).split())
    return AwsRefusal(
        action=error.operation_name,
        resource=words,
        code=code,
        words=text.split(" Encoded authorization failure message:")[0],
        hint=BUSY if code in THROTTLED or is_lost(error) else what_to_do(error, caller or Caller()),
    )


def explain(error: BaseException, caller: Caller | None = None) -> KubeError:
    """The KubeError for anything that boto3 raised and no step caught: one line, and what to do.

    Credentials that are missing or not whole, a profile that is not there, a region that is not known: one line each.
    """
    if isinstance(error, (ClientError, *LOST)):
        return refusal(error, caller=caller)
    return explain_credentials(error, (caller or Caller()).source)
