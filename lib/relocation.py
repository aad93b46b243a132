"""Another zone for a cluster of which only what was kept is left: its bucket and, perhaps, its elastic IP.

A cluster stays in its zone as long as there is anything of it that cannot move: the master's interface, disk or
instance, and the subnets and groups of its minions. Where none of these is there, what is remembered of the zone
describes nothing any more, and must not keep the cluster from coming back elsewhere in its region.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.master import living_master
from lib.minions import tagged_groups
from lib.run.errors import SettingError
from lib.subnet import tagged_subnets

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.cluster import Found
    from lib.settings.config import Config
    from lib.settings.layers import Layers

_ZONE = "KUBE_AWS_ZONE"
_SUBNETS = ("SUBNET_ID", "KUBE_SUBNET_CIDR")  # which subnet the remembered addresses are of
_ADDRESSES = ("KUBE_SUBNET_CIDR", "MASTER_INTERNAL_IP")


def is_asked(layers: Layers, config: Config, found: Found) -> bool:
    """Whether another zone is asked for than is remembered, and the master's interface does not hold it where it is."""
    was = layers.remembered.get(_ZONE, "")
    another = was not in ("", config.kube_aws_zone)
    return another and found.interface is None and not config.kube_use_existing_master


def forget_place(aws: Aws, layers: Layers, config: Config, found: Found) -> Layers:
    """The layers without what is remembered of addresses in a subnet that is left for another one; both are said.

    For where `is_asked`. Raises SettingError for what is still there and cannot move, by its id.
    """
    was, now = layers.remembered[_ZONE], config.kube_aws_zone
    _refuse_to_leave(aws, config, found, was=was)
    aws.console.say(f"{_ZONE}: {was} → {now}, for neither interface nor disk nor instance of the master is left")
    if any(layers.asked(name) not in (None, layers.remembered.get(name, "")) for name in _SUBNETS):
        for name in _ADDRESSES:
            if name in layers.remembered and not layers.asked(name):
                aws.console.say(f"forgotten, for it was of another subnet: {name}={layers.remembered[name]}")
                layers = layers.without_remembered(name)
    return layers


def _refuse_to_leave(aws: Aws, config: Config, found: Found, *, was: str) -> None:
    if found.disk:
        disk = found.disk["VolumeId"]
        raise SettingError(
            _ZONE,
            f"the master's disk {disk} is in {found.disk['AvailabilityZone']}, and a disk cannot move",
            f"set {_ZONE}={found.disk['AvailabilityZone']}; or give up what is on it since the last snapshot of etcd: "
            f"aws ec2 delete-volume --volume-id {disk}, then this command again (docs/recovery.md, A zone is lost)",
        )
    here = [subnet for subnet in tagged_subnets(aws, config) if subnet["AvailabilityZone"] != config.kube_aws_zone]
    left = [f"group {group['AutoScalingGroupName']}" for group in tagged_groups(aws, config)]
    left += [f"subnet {subnet['SubnetId']}" for subnet in here]
    if master := living_master(aws, config):
        left.insert(0, f"instance {master['InstanceId']}")
    if left:
        raise SettingError(
            _ZONE,
            f"the cluster is in {was}: {', '.join(left)}",
            f"set {_ZONE}={was}; to leave that zone run kube_down.py --keep-disk first, which keeps the bucket with "
            "the CA and the snapshots of etcd (docs/recovery.md, A zone is lost)",
        )
