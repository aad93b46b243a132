"""moto's own state, reached by name: the one module that knows where moto keeps things.

moto keeps everything in the process's own dictionaries, so one process holds one simulated account.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

ACCOUNT = "123456789012"
PARTITION = "aws"


def prepare_moto() -> None:
    """Say what moto is not to load, before its first import: its own 1,300 images take a second."""
    if "MOTO_AMIS_PATH" not in os.environ:
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump([], file)
        os.environ["MOTO_AMIS_PATH"] = file.name
        try:
            _load_moto()
        finally:
            os.unlink(file.name)


def _load_moto() -> None:
    """Import moto's EC2 with its tables of instance types by region read only when they are asked for."""
    from moto.utilities import utils

    original = utils.load_resource
    utils.load_resource = lambda resource: _Lazy(resource, original) if "offerings" in resource else original(resource)
    try:
        import moto.ec2.models  # noqa: F401
    finally:
        utils.load_resource = original


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


prepare_moto()


def ec2(region: str) -> Any:
    """EC2's backend of a region."""
    from moto.ec2.models import ec2_backends

    return ec2_backends[ACCOUNT][region]


def autoscaling(region: str) -> Any:
    """Auto Scaling's backend of a region."""
    from moto.autoscaling.models import autoscaling_backends

    return autoscaling_backends[ACCOUNT][region]


def iam() -> Any:
    """IAM's backend."""
    from moto.iam.models import iam_backends

    return iam_backends[ACCOUNT][PARTITION]


def s3() -> Any:
    """S3's backend."""
    from moto.s3.models import s3_backends

    return s3_backends[ACCOUNT][PARTITION]


def ssm(region: str) -> Any:
    """Systems Manager's backend of a region."""
    from moto.ssm.models import ssm_backends

    return ssm_backends[ACCOUNT][region]


def backend(service: str, region: str) -> Any:
    """Any other service's backend of a region, by moto's name of the service."""
    from moto.backends import get_backend

    return get_backend(service)[ACCOUNT][region]  # type: ignore[call-overload]


def regions_in_use() -> list[str]:
    """The regions that a call has touched, in order of name."""
    from moto.ec2.models import ec2_backends

    return sorted(str(region) for region in ec2_backends[ACCOUNT])


def instances(region: str) -> list[Any]:
    """Every instance of the region, terminated ones that are still listed included."""
    return [instance for reservation in ec2(region).reservations.values() for instance in reservation.instances]


def find_instance(region: str, instance_id: str) -> Any | None:
    """The instance of this id, or None."""
    return next((instance for instance in instances(region) if instance.id == instance_id), None)


def interfaces_of_subnet(region: str, subnet_id: str) -> list[Any]:
    """Every interface in the subnet."""
    return [eni for eni in ec2(region).enis.values() if eni.subnet.id == subnet_id]


def security_group(region: str, group_id: str) -> Any | None:
    """The security group of this id, or None."""
    return ec2(region).get_security_group_from_id(group_id)


def forget_everything() -> None:
    """Empty the account, as if it had been made just now. The services' classes stay loaded."""
    from moto.core.base_backend import BackendDict

    s3().reset()  # closes the temporary files that moto keeps objects in, and frees the buckets' names
    services: Any = BackendDict._instances  # type: ignore[misc]
    for service in list(services):
        for account in list(service.values()):
            dict.clear(account)
