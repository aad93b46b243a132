"""What the account may not have more of, and machines that AWS has not got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.backend import launching, lifecycle
from sandbox.backend.holdings import inventory
from sandbox.calls import Call, Refusal
from sandbox.faults import note
from sandbox.world import Spec


@dataclass(frozen=True, slots=True)
class Quota:
    """What is counted (the inventory's place, '' for the call's region, and kind), which call adds one, how it fails.

    `name` is the parameter that names the new thing: one that is there already is refused as that, not as too many.
    """

    place: str
    kind: str
    operation: str
    refusal: Refusal
    name: str = ""


def _ec2(kind: str, operation: str, code: str, words: str) -> Quota:
    return Quota("", kind, f"ec2:{operation}", Refusal(code, words))


def _reached(what: str) -> str:
    return f"The maximum number of {what} has been reached."


# https://docs.aws.amazon.com/ec2/latest/devguide/api-error-codes.html and each service's quotas
QUOTAS: dict[str, Quota] = {
    "vpcs": _ec2("vpcs", "CreateVpc", "VpcLimitExceeded", _reached("VPCs")),
    "subnets": _ec2("subnets", "CreateSubnet", "SubnetLimitExceeded", _reached("subnets")),
    "gateways": _ec2(
        "internet gateways", "CreateInternetGateway", "InternetGatewayLimitExceeded", _reached("internet gateways")
    ),
    "tables": _ec2("route tables", "CreateRouteTable", "RouteTableLimitExceeded", _reached("route tables")),
    "groups": _ec2("security groups", "CreateSecurityGroup", "SecurityGroupLimitExceeded", _reached("security groups")),
    "interfaces": _ec2(
        "interfaces", "CreateNetworkInterface", "NetworkInterfaceLimitExceeded", _reached("network interfaces")
    ),
    "addresses": _ec2("addresses", "AllocateAddress", "AddressLimitExceeded", _reached("addresses")),
    "volumes": _ec2("volumes", "CreateVolume", "VolumeLimitExceeded", "You have exceeded your maximum volume limit."),
    "roles": Quota(
        "iam",
        "roles",
        "iam:CreateRole",
        Refusal("LimitExceeded", "Cannot exceed quota for RolesPerAccount: {limit}", 409),
        "RoleName",
    ),
    "profiles": Quota(
        "iam",
        "instance profiles",
        "iam:CreateInstanceProfile",
        Refusal("LimitExceeded", "Cannot exceed quota for InstanceProfilesPerAccount: {limit}", 409),
        "InstanceProfileName",
    ),
    "buckets": Quota(
        "s3",
        "",
        "s3:CreateBucket",
        Refusal("TooManyBuckets", "You have attempted to create more buckets than allowed"),
        "Bucket",
    ),
}
LAUNCHED = ("instances", "vcpus")
WHAT = tuple(sorted([*QUOTAS, *LAUNCHED]))
_ASK = "Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."


class Limits:
    """The account may have so many of each: `{"vpcs": 0}`. What AWS itself puts into a new account is not counted."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = {QUOTAS[what].operation: (QUOTAS[what], limits[what]) for what in limits if what in QUOTAS}
        self._launches = {what: limits[what] for what in limits if what in LAUNCHED}

    def rules(self, call: Call) -> None:
        """Refuse one too many."""
        quota, limit = self._limits.get(f"{call.service}:{call.operation}", (None, 0))
        if quota is None or not call.number or call.params.get("DryRun"):
            return
        there = inventory().get(quota.place or call.region, {})
        there = there.get(quota.kind, {}) if quota.kind else there
        if len(there) >= limit and call.params.get(quota.name) not in there:
            note(call, "limit reached")
            refusal = quota.refusal
            raise Refusal(refusal.code, refusal.message.format(limit=limit), refusal.status)

    def launches(self, region: str, spec: Spec, count: int) -> None:
        """Refuse a launch that would be too many instances, or too many processors."""
        if not count:
            return
        kinds = lifecycle.types_in_use(region)
        limit = self._launches.get("instances", 0)
        if "instances" in self._launches and len(kinds) + count > limit:
            raise Refusal(
                "InstanceLimitExceeded",
                f"You have requested more instances ({len(kinds) + count}) than your current instance limit of {limit} "
                f"allows for the specified instance type. {_ASK}",
            )
        limit = self._launches.get("vcpus", 0)
        wanted = [*kinds, *[spec.get("InstanceType")] * count]
        if "vcpus" in self._launches and sum(launching.processors(kind) for kind in wanted) > limit:
            raise Refusal(
                "VcpuLimitExceeded",
                f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the "
                f"instance bucket that the specified instance type belongs to. {_ASK}",
            )


class NoCapacity:
    """AWS has no machine free, of these types or of whatever type. EC2 says so with a server error's status."""

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds

    def launches(self, region: str, spec: Spec, count: int) -> None:
        """Refuse every launch of them."""
        kind = spec.get("InstanceType") or "m1.small"
        if count and (not self._kinds or kind in self._kinds):
            raise Refusal(
                "InsufficientInstanceCapacity",
                f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested "
                f"({_zone(region, spec)}). Our system will be working on provisioning additional capacity.",
                500,
            )


def _zone(region: str, spec: Spec) -> str:
    return launching.zone(region, spec) or f"{region}a"
