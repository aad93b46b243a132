"""The one way to AWS: clients made once, retries in one place, and who we are.

Reads are repeated by botocore's own loop when AWS throttles or fails. A changing call is repeated there only when AWS
throttled it, since then nothing was done; when its answer is lost, `Aws.make` looks before it makes again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
from botocore.exceptions import ClientError

from lib.aws import filters, proxies
from lib.aws.changes import Changes, Waits, backoff
from lib.aws.credentials import Credentials
from lib.aws.errors import FAILURES, NOT_ENABLED, UNKNOWN, ErrorKind, classify, classify_answer, error_code
from lib.aws.explain import Caller, clock_words, explain
from lib.aws.tags import tag_list, tag_words
from lib.run.clock import Clock
from lib.run.errors import CredentialsError, KubeError

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

_ATTEMPTS = 12
_FEW_ATTEMPTS = 2  # of who is in a hurry, at what does not answer
_TIMEOUTS = {False: (10, 60), True: (5, 10)}  # seconds to connect, and to answer: in a hurry the second
_READING = ("Describe", "Get", "List", "Head", "Simulate")


class Aws(Changes):
    """Clients of one region, and how they change something. Made once, passed on.

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
        super().__init__(console=console, clock=clock, waits=waits, dry_run=dry_run, hurried=hurried)
        self.region = region
        self._environ = environ or {}  # for the proxy's variables alone
        self._log = log
        self.account = self.partition = self.user = ""
        self._credentials = credentials
        self._core = credentials.session
        # One is all that boto3 makes of a session of botocore's: the next could make no client of S3.
        self._session = session or boto3.Session(region_name=region, botocore_session=self._core)
        self._services: dict[str, Any] = {}
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
        return self.service("scheduler")

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

    def service(self, name: str) -> Any:
        """A service that has no property here, by boto3's name."""
        if name not in self._services:
            self._services[name] = self._client(name)
        return self._services[name]

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
        if response:
            code, status = response[1].get("Error", {}).get("Code", ""), response[0].status_code
            kind = classify_answer(code, status=status)
        else:
            kind = classify(caught) if caught else ErrorKind.OTHER
        return kind is ErrorKind.THROTTLED or (kind is ErrorKind.LOST and operation.startswith(_READING))

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

    def repair_tags(self, resource_id: str, actual: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        """Put back the tags of ours that an EC2 resource has lost or that someone changed."""
        actual = {**actual, **self.tagged.get(resource_id, {})}
        missing = {key: value for key, value in wanted.items() if actual.get(key) != value}
        if missing:
            self.change(
                "tag",
                f"{resource_id} with {tag_words(actual, missing)}",
                lambda: self.ec2.create_tags(Resources=[resource_id], Tags=tag_list(missing)),
            )
