"""Which version of Kubernetes a cluster may have next. It has the one that is remembered until another is asked for.

The rules are those of Kubernetes' version skew policy: a control plane goes up by one minor release at a time, to any
of its patches, and never down, since etcd's data and the objects in it are those of the newer one by then.

What counts is a tag on the master's disk: the last version whose API was seen to answer. So an upgrade that has not
come that far can be called off, and no further one is begun on top of it. The master's bootstrap knows what was done to
the disk meanwhile, and never goes down either.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lib.aws import tags_of
from lib.disk import confirmed_version
from lib.errors import KubeError, SettingError
from lib.master import VERSION_TAG, find_master

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

    from lib.aws import Aws
    from lib.config import Config, Layers

SETTING = "KUBERNETES_VERSION"


def running(aws: Aws, config: Config) -> str:
    """The version that the master was made for, '' where there is no master, or nothing says it."""
    master = find_master(aws, config)
    return tags_of(master).get(VERSION_TAG, "") if master else ""


def with_running(aws: Aws, layers: Layers, config: Config) -> Layers:
    """The layers of a cluster that has a master: where its version is not remembered, its master says it."""
    if layers.remembered.get(SETTING):
        return layers
    found = running(aws, config)
    return layers.with_remembered({**layers.remembered, SETTING: found}) if found else layers


def refuse(aws: Aws, layers: Layers, config: Config, disk: VolumeTypeDef | None) -> None:
    """Raises SettingError for a version that a cluster which has data cannot have after the one that it has.

    With KUBE_USE_EXISTING_MASTER KubeError, when a group would get a newer version than the master has.
    """
    wanted, remembered = config.kubernetes_version, layers.remembered.get(SETTING, "")
    if config.kube_use_existing_master:
        _refuse_for_a_group(aws, config, remembered)
    if wanted == remembered:
        return
    known = confirmed_version(disk)
    if not layers.asked(SETTING) and not remembered:
        problem = "is not remembered, and no master is there that says which release the cluster has"
        raise SettingError(SETTING, problem, f"give the one that it had{f', {known}' if known else ''}")
    if not layers.asked(SETTING):
        problem = f"is empty, which stands for {wanted}, and the cluster has {remembered}"
        raise SettingError(SETTING, problem, f"say {wanted} to upgrade it, or leave it out")
    # Where the disk says nothing, an upgrade that was stopped early is remembered, and its master is still the old one.
    for version in [known] if known else dict.fromkeys((remembered, running(aws, config))):
        if version:
            _refuse_step(version, wanted, begun=remembered)
    if known and remembered and numbers(wanted) < numbers(remembered):
        aws.console.say(f"the upgrade to {remembered} is called off: its API has not answered yet")


def _refuse_for_a_group(aws: Aws, config: Config, remembered: str) -> None:
    wanted, has = config.kubernetes_version, running(aws, config)
    if wanted != remembered:
        problem = f"the cluster has {remembered}, and a run with KUBE_USE_EXISTING_MASTER leaves the master alone"
        raise SettingError(SETTING, problem, "leave it out, or upgrade without KUBE_USE_EXISTING_MASTER first")
    if has and numbers(has) < numbers(wanted):
        raise KubeError(
            f"the master still has Kubernetes {has}, and minions of {wanted} would be newer",
            hint="finish the upgrade first: the same command without KUBE_USE_EXISTING_MASTER",
        )


def _refuse_step(version: str, wanted: str, *, begun: str) -> None:
    has, becomes = numbers(version), numbers(wanted)
    if len(has) < len(becomes):  # somebody wrote something else there
        return
    if becomes < has:
        problem = f"the cluster has {version}, and a control plane cannot go down to {wanted}"
        raise SettingError(SETTING, problem, "leave it out; docs/upgrading.md says how to go back")
    if becomes[:2] > (has[0], has[1] + 1):
        problem = f"the cluster has {version}, and {wanted} would skip a minor release"
        if numbers(begun) > has:
            problem = f"the upgrade from {version} to {begun} is not done, and {wanted} would skip a minor release"
            raise SettingError(SETTING, problem, "leave it out, which goes on with that one")
        raise SettingError(SETTING, problem, f"upgrade to a release of {has[0]}.{has[1] + 1} first")


def numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, which compare as versions do."""
    return tuple(int(part) for part in re.findall(r"\d+", version))
