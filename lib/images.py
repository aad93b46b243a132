"""The machines' images and types: what they are, whether they fit each other, and whether the zone has them.

(The original's detect-image and detect-root-device.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lib.aws.client import Aws
from lib.run.errors import SettingError

if TYPE_CHECKING:
    from lib.settings.config import Config

# Published by the distributions themselves: wiki.debian.org/Cloud/AmazonEC2Image, documentation.ubuntu.com/aws.
PARAMETERS = {
    "debian": "/aws/service/debian/release/13/latest/{architecture}",
    "ubuntu": "/aws/service/canonical/ubuntu/server/24.04/stable/current/{architecture}/hvm/ebs-gp3/ami-id",
}
# EC2's word for an architecture, and that of Debian, Kubernetes and everybody else.
ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image that fits its machines."""

    image_id: str
    architecture: str
    root_device: str
    root_gib: int = 0
    name: str = ""


@dataclass(frozen=True)
class Images:
    """What master and minions boot from."""

    master: Image
    node: Image
    gpus: Mapping[str, str] = field(default_factory=dict)  # who made them, by those of the minions' types with any


@dataclass(frozen=True)
class _Wish:
    """One machine's wish: its settings by name and value."""

    size_name: str
    size: str
    image_name: str
    image_id: str


def find_images(aws: Aws, config: Config, *, replaceable: Sequence[str] = ()) -> Images:
    """The images for both roles, checked: type and image exist, fit each other, and the zone offers the type.

    Images named in `replaceable` (AWS_IMAGE, KUBE_NODE_IMAGE) were remembered, not asked for: one that is gone, or of
    another architecture than the type now chosen, is looked up anew. Raises SettingError.
    """
    wishes = [
        _Wish("MASTER_SIZE", config.master_size, "AWS_IMAGE", config.aws_image),
        _Wish("NODE_SIZE", config.node_size, "KUBE_NODE_IMAGE", config.kube_node_image),
    ]
    further = [_Wish("NODE_SPOT_SIZES", size, "KUBE_NODE_IMAGE", "") for size in config.node_spot_sizes]
    kinds = _kinds(aws, [*wishes, *further])
    architectures = {name: _architecture(kind) for name, kind in kinds.items()}
    _check_alike(config, architectures)
    _check_offered(aws, config, [*wishes, *further])
    described = _describe(aws, [wish.image_id for wish in wishes if wish.image_id])
    chosen = [_choose(wish, architectures, described, replaceable) for wish in wishes]
    looked_up = _look_up(
        aws, config, [architectures[w.size] for w, image in zip(wishes, chosen, strict=True) if not image]
    )
    master, node = (image or looked_up[architectures[w.size]] for w, image in zip(wishes, chosen, strict=True))
    _check_root_disks(config, master=master, node=node)
    return Images(master=master, node=node, gpus=_gpus(config, kinds))


def _check_root_disks(config: Config, *, master: Image, node: Image) -> None:
    """Raises SettingError for a root disk that the image does not fit on."""
    for name, size, image in (
        ("MASTER_ROOT_DISK_SIZE", config.master_root_disk_size, master),
        ("NODE_ROOT_DISK_SIZE", config.node_root_disk_size, node),
    ):
        if size < image.root_gib:
            problem = f"{size} GiB is less than the {image.root_gib} GiB of image {image.image_id}"
            raise SettingError(name, problem, f"give {image.root_gib} or more")


def _architecture(kind: Mapping[str, Any]) -> str:
    """In Debian's words; '' for one that there is no image for."""
    supported = kind["ProcessorInfo"].get("SupportedArchitectures", [])
    return next((ARCHITECTURES[each] for each in supported if each in ARCHITECTURES), "")


def _check_alike(config: Config, architectures: Mapping[str, str]) -> None:
    """Raises SettingError for a further size that NODE_SIZE's image is not for."""
    needed = architectures[config.node_size]
    for size in config.node_spot_sizes:
        if architectures[size] != needed:
            problem = f"{size} is {architectures[size]}, and NODE_SIZE {config.node_size} is {needed}"
            raise SettingError("NODE_SPOT_SIZES", problem, "give types of one architecture: the group has one image")


def _gpus(config: Config, kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        size: str(each.get("Manufacturer", ""))
        for size in config.node_sizes
        for each in kinds[size].get("GpuInfo", {}).get("Gpus", [])[:1]
    }


def _kinds(aws: Aws, wishes: Sequence[_Wish]) -> dict[str, Mapping[str, Any]]:
    """The wished types as AWS describes them. Raises SettingError for one that is not there."""
    names = sorted({wish.size for wish in wishes})
    described = aws.every(
        "describe_instance_types", "InstanceTypes", Filters=[{"Name": "instance-type", "Values": names}]
    )
    found: dict[str, Mapping[str, Any]] = {kind["InstanceType"]: kind for kind in described}
    for wish in wishes:
        if not _architecture(found.get(wish.size, {"ProcessorInfo": {}})):
            raise SettingError(
                wish.size_name,
                f"{aws.region} has no instance type {wish.size}",
                "give one such as t3.medium or m7g.large",
            )
    return found


def _check_offered(aws: Aws, config: Config, wishes: Sequence[_Wish]) -> None:
    offerings = aws.every(
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": sorted({wish.size for wish in wishes})}],
    )
    offered = {(offering["Location"], offering["InstanceType"]) for offering in offerings}
    for wish in wishes:
        if (config.kube_aws_zone, wish.size) not in offered:
            check_zone(aws, config)
            zones = sorted(zone for zone in dict(offered) if all((zone, each.size) in offered for each in wishes))
            others = f"KUBE_AWS_ZONE={' or '.join(zones)}" if zones else "another KUBE_AWS_ZONE"
            raise SettingError(
                wish.size_name,
                f"{wish.size} is not offered in {config.kube_aws_zone}",
                f"give another type, or {others}",
            )


def check_zone(aws: Aws, config: Config) -> None:
    """Raises SettingError, with the zones that there are, for one that the account does not have."""
    zones = [zone["ZoneName"] for zone in aws.ec2.describe_availability_zones()["AvailabilityZones"]]
    if config.kube_aws_zone not in zones:
        raise SettingError(
            "KUBE_AWS_ZONE", f"this account has no zone {config.kube_aws_zone}", f"give one of {', '.join(zones)}"
        )


def _describe(aws: Aws, image_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    if not image_ids:
        return {}
    filters = [{"Name": "image-id", "Values": sorted(set(image_ids))}]
    found = aws.every("describe_images", "Images", Filters=filters, IncludeDeprecated=True)
    return {image["ImageId"]: image for image in found}


def _choose(
    wish: _Wish,
    architectures: Mapping[str, str],
    described: Mapping[str, Mapping[str, Any]],
    replaceable: Sequence[str],
) -> Image | None:
    """The wished image if it fits; None when one is to be looked up."""
    if not wish.image_id:
        return None
    found = described.get(wish.image_id)
    if found is None:
        if wish.image_name in replaceable:
            return None
        raise SettingError(
            wish.image_name, f"there is no image {wish.image_id} here", "give one of this region, or leave it empty"
        )
    image, needed = _image(found), architectures[wish.size]
    if image.architecture != needed:
        if wish.image_name in replaceable:
            return None
        raise SettingError(
            wish.image_name,
            f"{wish.image_id} is for {image.architecture}, and {wish.size_name} {wish.size} is {needed}",
            f"give an image for {needed}, or another {wish.size_name}",
        )
    return image


def _image(found: Mapping[str, Any]) -> Image:
    root, disks = found.get("RootDeviceName", ""), found.get("BlockDeviceMappings", [])
    return Image(
        image_id=found["ImageId"],
        architecture=ARCHITECTURES.get(found["Architecture"], found["Architecture"]),
        root_device=root,
        root_gib=next((d["Ebs"].get("VolumeSize", 0) for d in disks if d.get("DeviceName") == root and "Ebs" in d), 0),
        name=found.get("Name", ""),
    )


def _look_up(aws: Aws, config: Config, architectures: Sequence[str]) -> dict[str, Image]:
    """The distribution's newest image for each architecture."""
    if not architectures:
        return {}
    names = {
        PARAMETERS[config.kube_os_distribution].format(architecture=architecture): architecture
        for architecture in architectures
    }
    answer = aws.ssm.get_parameters(Names=sorted(names))
    ids = {names[parameter["Name"]]: parameter["Value"] for parameter in answer["Parameters"]}
    described = _describe(aws, list(ids.values()))
    for name, architecture in names.items():
        if ids.get(architecture) not in described:
            raise SettingError("AWS_IMAGE", f"{aws.region} publishes no image as {name}", "give an image's id")
    return {architecture: _image(described[image_id]) for architecture, image_id in ids.items()}


def tell_images(aws: Aws, config: Config, images: Images) -> None:
    """Say which images and types the machines get."""
    for role, image, size in (
        ("master", images.master, config.master_size),
        ("minions", images.node, " or ".join(config.node_sizes)),
    ):
        aws.console.found(f"image {image.image_id} {image.name} ({image.architecture}) for {role} {size}")
    for kind, maker in images.gpus.items():
        name = "NODE_SIZE" if kind == config.node_size else "NODE_SPOT_SIZES"
        aws.console.say(
            f"{name} {kind} has GPUs by {maker}: nothing here installs a driver, so image "
            f"{images.node.image_id} has to bring it (docs/recipes.md, Minions with GPUs)"
        )
