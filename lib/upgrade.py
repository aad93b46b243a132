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

from lib.aws.tags import tags_of
from lib.disk import VERSION_TAG, confirm_version, confirmed_version, find_disk
from lib.kube.api import Unreachable, is_well, server_url
from lib.kubeconfig import find_proxy
from lib.master import find_master
from lib.pki import find_ca_cert
from lib.run.errors import KubeError, SettingError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import NetworkInterfaceTypeDef, VolumeTypeDef

    from lib.aws.client import Aws
    from lib.aws.objects import Bucket
    from lib.kube.api import Api
    from lib.settings.config import Config
    from lib.settings.layers import Layers

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


def refuse(
    aws: Aws,
    layers: Layers,
    config: Config,
    *,
    disk: VolumeTypeDef | None,
    bucket: Bucket | None,
    interface: NetworkInterfaceTypeDef | None,
) -> None:
    """Raises SettingError for a version that a cluster which has data cannot have after the one that it has.

    With KUBE_USE_EXISTING_MASTER KubeError, when a group would get a newer version than the master has.
    """
    wanted, remembered = config.kubernetes_version, layers.remembered.get(SETTING, "")
    if config.kube_use_existing_master:
        _refuse_for_a_group(aws, config, remembered)
    known = confirmed_version(disk)
    if wanted == remembered:
        if known:  # what is remembered may be older than the disk: somebody put an old version of it back
            _refuse_step(known, wanted, begun=remembered, hint=f"say {known}")
        return
    if not layers.asked(SETTING) and not remembered:
        where = f"and the disk has {known}" if known else "and no master and no disk says which release the cluster has"
        raise SettingError(SETTING, f"is not remembered, {where}", f"say {known or 'the one that it had'}")
    if not layers.asked(SETTING):
        problem = f"is empty, which stands for {wanted}, and the cluster has {remembered}"
        raise SettingError(SETTING, problem, f"say {wanted} to upgrade it, or leave it out")
    # Where the disk says nothing, an upgrade that was stopped early is remembered, and its master is still the old one.
    for version in [known] if known else dict.fromkeys((remembered, running(aws, config))):
        if version:
            _refuse_step(version, wanted, begun=remembered)
    if known and numbers(wanted) < numbers(remembered):
        _call_off(aws, config, remembered, bucket=bucket, interface=interface)


def _call_off(
    aws: Aws, config: Config, begun: str, *, bucket: Bucket | None, interface: NetworkInterfaceTypeDef | None
) -> None:
    """Say that the upgrade is given up. Raises SettingError where it is done, though no run was there to see it."""
    address = (interface or {}).get("Association", {}).get("PublicIp", "")
    server = server_url(config, address)
    if running(aws, config) == begun and is_well(
        server, find_ca_cert(aws, bucket), proxy=find_proxy(aws, config, server)
    ):
        _refuse_step(begun, config.kubernetes_version, begun=begun)
    aws.console.say(
        f"the upgrade to {begun} is called off: no run has seen its API answer. Where it has begun to change the disk "
        "after all, the master says so and does not start, and the same upgrade goes on"
    )


def confirm(aws: Aws, config: Config, api: Api, *, disk: VolumeTypeDef | None, restored: bool, master_id: str) -> None:
    """Write on the disk which release answers; a run that sees another than it has set up ends there.

    `disk` is the one that was there before; an empty one says it from the beginning, and a `restored` one is looked
    for. Raises KubeError for another release: the minions would be newer than the API. Nothing where none answers now.
    """
    try:
        answers = api.version()
    except Unreachable:
        return
    if numbers(answers)[:3] == numbers(config.kubernetes_version)[:3]:
        confirm_version(aws, config, disk or (find_disk(aws, config) if restored else None))
        return
    words = f"the API of {master_id} is Kubernetes {answers}, and not {config.kubernetes_version}"
    if not aws.dry_run:
        raise KubeError(words, hint=f"KUBE_REPLACE_MASTER={master_id} python kube_up.py makes it anew")
    aws.console.warn(words)


def _refuse_for_a_group(aws: Aws, config: Config, remembered: str) -> None:
    wanted, has = config.kubernetes_version, running(aws, config)
    if wanted != remembered:
        problem = (
            f"the cluster has {remembered or has or 'another release'}, "
            "and a run with KUBE_USE_EXISTING_MASTER leaves the master alone"
        )
        raise SettingError(SETTING, problem, "leave it out, or upgrade without KUBE_USE_EXISTING_MASTER first")
    if has and numbers(has) < numbers(wanted):
        raise KubeError(
            f"the master still has Kubernetes {has}, and minions of {wanted} would be newer",
            hint="finish the upgrade first: the same command without KUBE_USE_EXISTING_MASTER",
        )


def _refuse_step(version: str, wanted: str, *, begun: str, hint: str = "leave it out") -> None:
    has, becomes = numbers(version), numbers(wanted)
    if len(has) < len(becomes):  # somebody wrote something else there
        return
    if becomes < has:
        problem = f"the cluster has {version}, and a control plane cannot go down to {wanted}"
        raise SettingError(SETTING, problem, f"{hint}; docs/upgrading.md says how to go back")
    if becomes[:2] > (has[0], has[1] + 1):
        problem = f"the cluster has {version}, and {wanted} would skip a minor release"
        if numbers(begun) > has:
            problem = f"the upgrade from {version} to {begun} is not done, and {wanted} would skip a minor release"
            raise SettingError(SETTING, problem, "leave it out, which goes on with that one")
        raise SettingError(SETTING, problem, f"upgrade to a release of {has[0]}.{has[1] + 1} first")


def numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, which compare as versions do."""
    return tuple(int(part) for part in re.findall(r"\d+", version))
