"""The public images and their SSM parameters, and the quotas, that a new account sees in every region."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sandbox.backend import cloud
from sandbox.calls import Call, Refusal
from sandbox.world import World

DEBIAN, UBUNTU = "136693071363", "099720109477"


@dataclass(frozen=True, slots=True)
class Release:
    """One public image: who makes it, what it is called, and the parameter that names its newest."""

    owner: str
    name: str
    description: str
    architecture: str
    root_device: str
    gibibytes: int
    parameter: str


def _debian(version: str, architecture: str) -> Release:
    return Release(
        DEBIAN,
        f"debian-{version}-{architecture}-20261020-2270",
        f"Debian {version} (20261020-2270)",
        "arm64" if architecture == "arm64" else "x86_64",
        "/dev/xvda",
        8,
        f"/aws/service/debian/release/{version}/latest/{architecture}",
    )


def _ubuntu(architecture: str) -> Release:
    return Release(
        UBUNTU,
        f"ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{architecture}-server-20261015",
        f"Canonical, Ubuntu, 24.04, {architecture} noble image",
        "arm64" if architecture == "arm64" else "x86_64",
        "/dev/sda1",
        8,
        f"/aws/service/canonical/ubuntu/server/24.04/stable/current/{architecture}/hvm/ebs-gp3/ami-id",
    )


RELEASES = [
    *(_debian(version, architecture) for version in ("12", "13") for architecture in ("amd64", "arm64")),
    *(_ubuntu(architecture) for architecture in ("amd64", "arm64")),
]

# Codes and defaults: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html, and EC2's own page.
QUOTAS: dict[tuple[str, str], tuple[str, float]] = {
    ("vpc", "L-93826ACB"): ("Routes per route table", 500.0),
    ("vpc", "L-F678F1CE"): ("VPCs per Region", 5.0),
    ("vpc", "L-A4707A72"): ("Internet gateways per Region", 5.0),
    ("ec2", "L-1216C47A"): ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 256.0),
    ("ec2", "L-34B43A08"): ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 256.0),
    ("ec2", "L-6E869C2A"): ("Running On-Demand DL instances", 256.0),
    ("ec2", "L-74FC7D96"): ("Running On-Demand F instances", 256.0),
    ("ec2", "L-DB2E81BA"): ("Running On-Demand G and VT instances", 256.0),
    ("ec2", "L-F7808C92"): ("Running On-Demand HPC instances", 256.0),
    ("ec2", "L-43DA4232"): ("Running On-Demand High Memory instances", 256.0),
    ("ec2", "L-1945791B"): ("Running On-Demand Inf instances", 256.0),
    ("ec2", "L-417A185B"): ("Running On-Demand P instances", 256.0),
    ("ec2", "L-2C3B7624"): ("Running On-Demand Trn instances", 256.0),
    ("ec2", "L-7295265B"): ("Running On-Demand X instances", 256.0),
    ("ec2", "L-85EED4F7"): ("All DL Spot Instance Requests", 256.0),
    ("ec2", "L-88CF9481"): ("All F Spot Instance Requests", 256.0),
    ("ec2", "L-3819A6DF"): ("All G and VT Spot Instance Requests", 256.0),
    ("ec2", "L-B5D1601B"): ("All Inf Spot Instance Requests", 256.0),
    ("ec2", "L-7212CCBC"): ("All P Spot Instance Requests", 256.0),
    ("ec2", "L-6B0D517C"): ("All Trn Spot Instance Requests", 256.0),
    ("ec2", "L-E3A00192"): ("All X Spot Instance Requests", 256.0),
    ("ec2", "L-0263D0A3"): ("EC2-VPC Elastic IPs", 5.0),
}


def image_id(region: str, release: Release) -> str:
    """An id that is the same in every run and differs between regions, as AWS's do."""
    return "ami-" + hashlib.sha256(f"{region} {release.name}".encode()).hexdigest()[:17]


def prepare(world: World, region: str) -> None:
    """Put images and parameters into a region the first time it is used."""
    if region in world.state.prepared or not region:
        return
    world.state.prepared.add(region)
    backend = cloud.ec2(region)
    for release in RELEASES:
        backend.amis[image_id(region, release)] = _image(backend, region, release)
        _put_parameter(region, release)


def _image(backend: Any, region: str, release: Release) -> Any:
    image = _image_class()(
        backend,
        image_id(region, release),
        name=release.name,
        description=release.description,
        owner_id=release.owner,
        public=True,
        virtualization_type="hvm",
        architecture=release.architecture,
        hypervisor="xen",
        image_location=f"{release.owner}/{release.name}",
        root_device_type="ebs",
        root_device_name=release.root_device,
        region_name=f"{region}a",
        boot_mode="uefi" if release.architecture == "arm64" else "uefi-preferred",
    )
    image.sandbox_size = release.gibibytes
    image.ena_support = True
    image.usage_operation = "RunInstances"
    image.platform_details = "Linux/UNIX"
    return image


def _image_class() -> Any:
    from moto.ec2.models.amis import Ami

    class Image(Ami):
        """moto's images all have 15 GiB root disks."""

        @property
        def block_device_mappings(self) -> list[dict[str, Any]]:
            size: int = getattr(self, "sandbox_size", 8)
            ebs = {
                "SnapshotId": self.ebs_snapshot.id,
                "VolumeSize": size,
                "DeleteOnTermination": True,
                "VolumeType": "gp3",
                "Encrypted": False,
            }
            return [{"DeviceName": self.root_device_name, "Ebs": ebs}]

    return Image


def _put_parameter(region: str, release: Release) -> None:
    from moto.core.utils import utcnow
    from moto.ssm.models import Parameter

    parameter = Parameter(  # type: ignore[abstract]
        account_id=cloud.ACCOUNT,
        name=release.parameter,
        value=image_id(region, release),
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=utcnow(),
        version=1,
        data_type="aws:ec2:image" if release.owner == UBUNTU else "text",
    )
    cloud.ssm(region)._parameters[release.parameter].append(parameter)


def get_quota(_world: World, call: Call) -> dict[str, Any]:
    """GetServiceQuota and GetAWSDefaultServiceQuota."""
    key = (call.params.get("ServiceCode", ""), call.params.get("QuotaCode", ""))
    if key not in QUOTAS:
        raise Refusal(
            "NoSuchResourceException", "The request failed because the specified service quota does not exist."
        )
    return {"Quota": _quota(call.region, *key)}


def list_quotas(_world: World, call: Call) -> dict[str, Any]:
    """ListServiceQuotas."""
    service = call.params.get("ServiceCode", "")
    return {"Quotas": [_quota(call.region, *key) for key in QUOTAS if key[0] == service]}


def _quota(region: str, service: str, code: str) -> dict[str, Any]:
    name, value = QUOTAS[service, code]
    return {
        "ServiceCode": service,
        "ServiceName": {"vpc": "Amazon Virtual Private Cloud (Amazon VPC)"}.get(service, "Amazon EC2"),
        "QuotaArn": f"arn:{cloud.partition(region)}:servicequotas:{region}:{cloud.ACCOUNT}:{service}/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
