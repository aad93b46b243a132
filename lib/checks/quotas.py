"""Whether the account may have what is missing, asked before anything is made: processors, elastic IPs, VPCs.

Service Quotas does not answer everywhere and everybody; then nothing is refused here, and AWS says so itself later.
https://docs.aws.amazon.com/general/latest/gr/ec2-service.html and vpc-service.html have the codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lib.aws.errors import FAILURES
from lib.aws.instances import RUNNING, describe_instances
from lib.aws.tags import is_ours, tags_of
from lib.run.errors import SettingError

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config

# The quotas of vCPUs, on demand and as spot instances, by the series that share one: a family's letters before its
# generation. mac is counted in Dedicated Hosts; hpc and u (High Memory) have no quota as spot instances. gr and those
# that are no longer sold are left out, since nobody says which quota they count in.
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
STANDARD, SPOT_STANDARD = "L-1216C47A", "L-34B43A08"
QUOTAS: Mapping[tuple[str, ...], tuple[str, str]] = {
    ("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"): (STANDARD, SPOT_STANDARD),
    ("dl",): ("L-6E869C2A", "L-85EED4F7"),
    ("f",): ("L-74FC7D96", "L-88CF9481"),
    ("g", "vt"): ("L-DB2E81BA", "L-3819A6DF"),
    ("hpc",): ("L-F7808C92", ""),
    ("inf",): ("L-1945791B", "L-B5D1601B"),
    ("p",): ("L-417A185B", "L-7212CCBC"),
    ("trn",): ("L-2C3B7624", "L-6B0D517C"),
    ("u",): ("L-43DA4232", ""),
    ("x",): ("L-7295265B", "L-E3A00192"),
}
_ADDRESSES = ("ec2", "L-0263D0A3")
_VPCS = ("vpc", "L-F678F1CE")


def check_quotas(aws: Aws, config: Config) -> None:
    """Raises SettingError, with the numbers, for what the account's quotas do not allow. Nothing is changed."""
    _check_vpcs(aws, config)
    _check_addresses(aws, config)
    _check_processors(aws, config)


def _quota(aws: Aws, code: tuple[str, str]) -> int | None:
    """The account's quota, None where that cannot be asked."""
    try:
        answer = aws.quotas.get_service_quota(ServiceCode=code[0], QuotaCode=code[1])
        return int(answer["Quota"]["Value"])
    except (*FAILURES, KeyError):
        return None


def _is_ours(config: Config, thing: Any) -> bool:
    return is_ours(config.cluster_id, tags_of(thing))


def _check_vpcs(aws: Aws, config: Config) -> None:
    if not (config.vpc_id or config.subnet_id):
        there = aws.every("describe_vpcs", "Vpcs")
        advice = "name one that exists, remove one, or raise 'VPCs per Region'"
        _check_room(aws, config, there, _VPCS, what="VPCs", variable="VPC_ID", advice=advice)


def _check_addresses(aws: Aws, config: Config) -> None:
    if config.kube_enable_master_public_ip and not config.master_reserved_ip:
        there = aws.ec2.describe_addresses()["Addresses"]
        advice = "name one that exists, release one, or raise the quota"
        _check_room(aws, config, there, _ADDRESSES, what="elastic IPs", variable="MASTER_RESERVED_IP", advice=advice)


def _check_room(
    aws: Aws,
    config: Config,
    there: Sequence[Any],
    code: tuple[str, str],
    *,
    what: str,
    variable: str,
    advice: str,
) -> None:
    """Refuse when ours is not among what is there, and there is no room for it."""
    if any(_is_ours(config, each) for each in there):
        return
    quota = _quota(aws, code)
    if quota is not None and len(there) >= quota:
        problem = f"the account has {len(there)} {what} in {aws.region}, and its quota is {quota}"
        raise SettingError(variable, problem, advice)


# --- processors


def _check_processors(aws: Aws, config: Config) -> None:
    running = describe_instances(aws, states=RUNNING)
    missing = _missing(config, running)
    if not missing:
        return
    processors = _processors(aws, {config.master_size, *config.node_sizes, *(i["InstanceType"] for i in running)})
    alike = [(quota_of(i["InstanceType"], spot=i.get("InstanceLifecycle") == "spot"), i) for i in running]
    for code in dict.fromkeys(code for *_, code in missing):
        used = sum(processors.get(i["InstanceType"], 0) for its, i in alike if its == code)
        needed = sum(min(processors.get(size, 0) for size in kinds) * n for kinds, n, its in missing if its == code)
        quota = _quota(aws, ("ec2", code)) if needed else None
        if quota is not None and used + needed > quota:
            problem = (
                f"what is missing needs {needed} {_counted_in(code)}, {used} are in use, and the account's quota in "
                f"{aws.region} is {quota}"
            )
            raise SettingError("NUM_NODES", problem, f"have fewer or smaller machines, or raise the quota ({code})")


def _counted_in(code: str) -> str:
    """What the quota counts."""
    series, (_, spot) = next(each for each in QUOTAS.items() if code in each[1])
    of = "" if STANDARD in QUOTAS[series] else f" of {' and '.join(series).upper()} instances"
    return f"{'spot ' if code == spot else ''}vCPUs{of}"


def _missing(config: Config, running: Iterable[Any]) -> list[tuple[tuple[str, ...], int, str]]:
    """(types, how many, in which quota) of the machines that are not there yet and count in one.

    Where AWS chooses among several types, they need as many vCPUs as the smallest has, or more; and where these count
    in several quotas, nobody knows in which.
    """
    roles = [tags_of(i).get("Role") for i in running if _is_ours(config, i)]
    wanted = [(config.node_sizes, config.num_nodes - roles.count(config.node_name), bool(config.node_spot_price))]
    if not config.kube_use_existing_master:
        wanted.append(((config.master_size,), 1 - roles.count(config.master_name), False))
    found = [(kinds, n, {quota_of(kind, spot=spot) for kind in kinds}) for kinds, n, spot in wanted if n > 0]
    return [(kinds, n, next(iter(codes))) for kinds, n, codes in found if len(codes) == 1 and all(codes)]


def quota_of(size: str, *, spot: bool) -> str:
    """The code of the quota that a type counts in, '' for none, and for a series that is not known yet."""
    series = re.split(r"[\d.-]", size, maxsplit=1)[0]
    return next((codes[spot] for names, codes in QUOTAS.items() if series in names), "")


def _processors(aws: Aws, sizes: set[str]) -> Mapping[str, int]:
    filters: Any = [{"Name": "instance-type", "Values": sorted(sizes)[:200]}]
    kinds = aws.every("describe_instance_types", "InstanceTypes", Filters=filters)
    return {kind["InstanceType"]: kind["VCpuInfo"]["DefaultVCpus"] for kind in kinds}
