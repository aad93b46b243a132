"""A cluster off for the night (--stop): no minions, and a stopped master. The next plain run of kube_up.py starts it.

What is stopped costs its disks and its addresses. Nothing wakes it meanwhile: EC2 recovers only an instance that runs,
an alarm on a metric that has ended has nothing to act on, and no master can be launched on an interface that the
stopped one has (lib/selfheal.py).
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/cloudwatch-recovery.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from lib import master, minions, state
from lib.checks import prices, verdict
from lib.checks.nodegroup import Size
from lib.preflight import check_regions
from lib.run.errors import KubeError, SettingError
from lib.run.words import counted
from lib.settings.resolve import resolve
from lib.summary import given

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config
    from lib.settings.layers import Layers


def halt_cluster(aws: Aws, layers: Layers) -> None:
    """End all minions and stop the master, as far as that is not done. Raises KubeError where there is no master."""
    aws.console.step("Looking")
    asked = resolve(layers, check=False)
    if asked.kube_use_existing_master:
        raise SettingError("KUBE_USE_EXISTING_MASTER", "--stop stops the whole cluster", "leave one of them out")
    check_regions(aws, asked, layers)
    aws.identify()
    layers, found = state.with_remembered(aws, layers, patient=True)
    config = resolve(layers, check=False)
    instance = master.living_master(aws, config)
    if instance is None or found.bucket is None:
        raise KubeError(
            f"account {aws.account} has no master of {config.cluster_id} in {aws.region}: there is nothing to stop",
            hint="python kube_up.py goes on with what else there may be",
        )

    # Before the master: the controllers see the nodes go, and give back what pods had.
    aws.console.step("Minions")
    groups = minions.own_groups(aws, config)
    for group in groups:
        aws.console.found(f"group {group['AutoScalingGroupName']} of {group['DesiredCapacity']}")
        minions.set_size(aws, group, Size(0, group["MaxSize"], 0))
    for group in groups:
        minions.wait_empty(aws, config, group["AutoScalingGroupName"])

    aws.console.step("Master")
    master.ensure_stopped(aws, config, instance)
    others = [name for group in groups if (name := group["AutoScalingGroupName"]) != config.group_name]
    _say_end(aws, config, layers, bucket=found.bucket.name, others=others)


def _say_end(aws: Aws, config: Config, layers: Layers, *, bucket: str, others: list[str]) -> None:
    master_alone = dataclasses.replace(config, num_nodes=0)
    price = prices.cost(aws, master_alone, layers.environment, stopped=True, asks=aws.dry_run or aws.changes > 0)
    if aws.dry_run:
        verdict.tell_verdict(aws, config, bucket=bucket, price=price)
        return
    line, changes = aws.console.line, aws.kinds.total()
    did = f"{counted(changes, 'change')}: {aws.counts(past=True)}" if changes else "nothing to do: it was"
    line()
    line(f"Cluster {config.cluster_id} is stopped after {int(aws.console.elapsed)} s ({did}).")
    if price.hour is not None or changes:
        prices.tell_cost(aws.console, price, nor="claims' volumes")
    line(f"  start    {given(config)}python kube_up.py, with {counted(config.num_nodes, 'minion')} as before")
    for name in others:
        line(f"           then its own command for the group {name}")
    line(f"  remove   {given(config)}python kube_down.py")
