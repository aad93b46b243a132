"""moto's own state, reached by name: the one module that knows where moto keeps things.

moto keeps everything in the process's own dictionaries, so one process holds one simulated account.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import boto3

ACCOUNT = "123456789012"


def _load_moto() -> None:
    """Import moto's EC2 without its own 1,300 images, its tables of offerings read only when they are asked for.

    Both together take seconds at every start, and nothing here needs the images. Nor is a session made anew for each
    list of regions, or EC2's model read for it.
    """
    from moto.utilities import utils

    original = utils.load_resource

    def load(resource: str) -> Any:
        if resource == "ec2/resources/amis.json":
            return []
        return _Lazy(resource, original) if "offerings" in resource else original(resource)

    utils.load_resource = load
    sessions, boto3.Session = boto3.Session, functools.cache(_Regions)  # type: ignore[misc,assignment]
    try:
        from moto.ec2.models.amis import AmiBackend
    finally:
        utils.load_resource, boto3.Session = original, sessions  # type: ignore[misc]
    setattr(AmiBackend, "_load_amis", lambda _: None)  # noqa: B010  (mypy rightly minds an assignment)


class _Regions(boto3.Session):
    """A session that finds EC2's regions where botocore does, by the service's name, without its model of 4 MB."""

    def get_available_regions(
        self, service_name: str, partition_name: str = "aws", allow_non_regional: bool = False
    ) -> list[str]:
        """The names of the regions of a partition."""
        session: Any = self._session
        resolver = session._get_internal_component("endpoint_resolver")
        found = resolver.get_available_endpoints(service_name, partition_name, allow_non_regional)
        return [str(name) for name in found]


class _Lazy(list[dict[str, Any]]):
    """A list in one of moto's resource files that is read when somebody iterates over it."""

    def __init__(self, resource: str, load: Any) -> None:
        super().__init__()
        self._resource, self._load = resource, load
        self._asked = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        # moto itself iterates once, at import, to write the location's type into each row; that is done here instead.
        self._asked += 1
        if self._asked > 1 and not len(self):
            kind = self._resource.split("/")[-2]
            self.extend(row | {"LocationType": kind} for row in self._load(self._resource))
        return super().__iter__()


_load_moto()


def ec2(region: str) -> Any:
    """EC2's backend of a region."""
    from moto.ec2.models import ec2_backends

    return ec2_backends[ACCOUNT][region]


def autoscaling(region: str) -> Any:
    """Auto Scaling's backend of a region."""
    from moto.autoscaling.models import autoscaling_backends

    return autoscaling_backends[ACCOUNT][region]


def partition(region: str) -> str:
    """aws, aws-cn or aws-us-gov: the second part of the ARNs of a region."""
    from moto.utilities.utils import get_partition

    return get_partition(region)


def dns_suffix(region: str) -> str:
    """The domain of AWS's services in a region."""
    return "amazonaws.com.cn" if partition(region) == "aws-cn" else "amazonaws.com"


def iam(region: str) -> Any:
    """IAM's backend of the partition that a region is in."""
    from moto.iam.models import iam_backends

    return iam_backends[ACCOUNT][partition(region)]


def s3(region: str) -> Any:
    """S3's backend of the partition that a region is in."""
    from moto.s3.models import s3_backends

    return s3_backends[ACCOUNT][partition(region)]


def iam_everywhere() -> list[Any]:
    """IAM's backends of the partitions that a call has touched."""
    from moto.iam.models import iam_backends

    return list(iam_backends[ACCOUNT].values())


def s3_everywhere() -> list[Any]:
    """S3's backends of the partitions that a call has touched."""
    from moto.s3.models import s3_backends

    return list(s3_backends[ACCOUNT].values())


def account_block(region: str) -> Any:
    """The account's own block of public access, None where it has none. Each partition is an account of its own."""
    from moto.s3control.models import s3control_backends

    return s3control_backends[ACCOUNT][partition(region)].public_access_block


def find_bucket(name: str) -> Any | None:
    """The bucket of this name, in whichever partition, or None."""
    return next((backend.buckets[name] for backend in s3_everywhere() if name in backend.buckets), None)


def find_object(bucket: str, key: str) -> bytes | None:
    """The content of an object, None where there is none or where a deletion has hidden it."""
    found = find_bucket(bucket)
    there: Any = found.keys.get(key) if found is not None else None
    return bytes(there.value) if hasattr(there, "value") else None


def ssm(region: str) -> Any:
    """Systems Manager's backend of a region."""
    from moto.ssm.models import ssm_backends

    return ssm_backends[ACCOUNT][region]


def backend(service: str, region: str) -> Any:
    """Any other service's backend of a region, by moto's name of the service."""
    from moto.backends import get_backend

    return get_backend(service)[ACCOUNT][region]  # type: ignore[call-overload]


def backends_in_use(service: str) -> list[tuple[str, Any]]:
    """A service's backends in the regions where a call has touched it, in order of the regions' names."""
    from moto.backends import get_backend

    return sorted(get_backend(service)[ACCOUNT].items())  # type: ignore[call-overload]


def all_regions() -> list[str]:
    """The regions of all partitions."""
    from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend

    return sorted(str(region.name) for region in RegionsAndZonesBackend.regions)


def regions_in_use() -> list[str]:
    """The regions that a call has touched, in order of name."""
    return [region for region, _ in backends_in_use("ec2")]


def instances(region: str) -> list[Any]:
    """Every instance of the region, terminated ones that are still listed included."""
    return [instance for reservation in ec2(region).reservations.values() for instance in reservation.instances]


def find_instance(region: str, instance_id: str) -> Any | None:
    """The instance of this id, or None."""
    return next((instance for instance in instances(region) if instance.id == instance_id), None)


def has_encrypted_disk(instance: Any) -> bool:
    """Whether any of the instance's disks is encrypted."""
    volumes = ec2(instance.ec2_backend.region_name).volumes
    return any(volumes[attached.volume_id].encrypted for attached in instance.block_device_mapping.values())


def is_of_group(instance: Any) -> bool:
    """Whether Auto Scaling launched the instance."""
    return getattr(instance, "autoscaling_group", None) is not None


def forget_newest_volume(region: str) -> None:
    """Take away the volume that was made last, as if it had never been there."""
    ec2(region).volumes.popitem()


def interfaces_of_subnet(region: str, subnet_id: str) -> list[Any]:
    """Every interface in the subnet."""
    return [eni for eni in ec2(region).enis.values() if eni.subnet.id == subnet_id]


def security_group(region: str, group_id: str) -> Any | None:
    """The security group of this id, or None."""
    return ec2(region).get_security_group_from_id(group_id)


def is_default(acl: Any) -> bool:
    """Whether a network ACL is the one that came with its VPC."""
    return acl.default in (True, "true")


def attached_vpcs(gateway: Any) -> list[str]:
    """The VPCs that a VPN gateway is attached to."""
    return sorted(vpc_id for vpc_id, each in gateway.attachments.items() if each.state == "attached")


def forget_everything() -> None:
    """Empty the account, as if it had been made just now. The services' classes stay loaded."""
    from moto.core.base_backend import BackendDict

    for storage in s3_everywhere():
        storage.reset()  # closes the temporary files that moto keeps objects in, and frees the buckets' names
    services: Any = BackendDict._instances  # type: ignore[misc]
    for service in list(services):
        for account in list(service.values()):
            dict.clear(account)
