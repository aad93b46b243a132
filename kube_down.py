#!/usr/bin/env python3
"""Take a Kubernetes cluster on AWS down, and leave nothing of it behind: the steps of kube-down.sh, in its order.

It removes what carries the cluster's tags and what kube_up.py named for it; what was brought to it stays.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # Until the run has begun, and once it has ended, Ctrl-C ends it as SIGTERM does: without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import os
import time
from collections.abc import Mapping, Sequence

try:
    from lib import (
        address,
        alarms,
        blockers,
        bucket,
        dhcp,
        disk,
        gateway,
        iam,
        interface,
        kubeconfig,
        loadbalancers,
        minions,
        plan,
        removal,
        routetable,
        script,
        securitygroups,
        selfheal,
        sshkey,
        subnet,
        teardown,
        upstream,
        volumes,
        vpc,
    )
    from lib.aws.client import Aws
    from lib.run.clock import Clock
    from lib.settings.layers import Layers
except ModuleNotFoundError as missing:
    if (missing.name or "").startswith("lib"):
        raise
    sys.exit(
        f"the Python package {missing.name} is not installed: python3 -m venv .venv && "
        ".venv/bin/python3 -m pip install -r requirements.txt, then . .venv/bin/activate"
    )


def kube_down(aws: Aws, layers: Layers, flags: script.Flags) -> None:
    """The whole way down. A step that cannot finish lets the others go on; a rerun finishes it."""
    aws.console.step("Looking")
    doomed = teardown.look(aws, layers)
    this = removal.Removal(aws, doomed)
    with removal.accounted(doomed, this, keep_disk=flags.keep_disk):
        remove(aws, doomed, this, keep=flags.keep_disk)
        aws.console.step("Looking again")
        teardown.say_end(aws, doomed, refused=bool(this.refused), keep_disk=flags.keep_disk)


def remove(aws: Aws, doomed: teardown.Doomed, this: removal.Removal, *, keep: bool) -> None:
    """All that was found goes, what depends on other things before these; with `keep` what --keep-disk keeps stays."""
    step, config = aws.console.step, doomed.config

    if doomed.schedule_groups:
        step("Self-healing")
        this.each(lambda aws, name: selfheal.delete_schedule(aws, config, name), doomed.schedule_groups, part=True)
        this.each(lambda aws, name: selfheal.delete_group(aws, config, name), doomed.schedule_groups)
        doomed = teardown.look_at_instances(aws, doomed)

    step("Load balancers")
    this.each(loadbalancers.delete_balancer, doomed.balancers)
    waits = len(this.going(doomed.balancers)) == len(doomed.balancers)
    this.each(lambda aws, arn: loadbalancers.delete_target_group(aws, arn, waits=waits), doomed.target_groups)

    step("Instances")
    this.each(minions.delete_group, doomed.groups)
    removal.end_instances(aws, doomed, this)
    removal.wait_groups_gone(doomed, this)
    this.each(minions.delete_template, doomed.templates)
    this.each(upstream.delete_launch_configuration, doomed.launch_configurations)
    this.each(alarms.delete_alarm, doomed.alarms)

    step("Addresses and disks")
    this.each(address.disassociate if keep else address.delete_address, doomed.addresses)
    this.each(interface.delete_interface, doomed.interfaces)
    if not keep:
        this.each(volumes.delete_volume, doomed.volumes)
        this.each(disk.delete_disk, doomed.disks_early())

    step("Network")
    this.each(securitygroups.revoke_references(doomed.security_groups), doomed.security_groups, part=True)
    this.patiently(securitygroups.delete_group, doomed.security_groups, blockers.of_group)
    this.patiently(subnet.delete_subnet, doomed.subnets, blockers.of_subnet)
    this.patiently(gateway.delete_gateway, doomed.gateways, blockers.of_gateway)
    this.patiently(routetable.delete_route_table, doomed.route_tables, blockers.of_route_table)
    this.each(routetable.delete_route, doomed.pod_routes())
    this.patiently(vpc.delete_vpc, doomed.vpcs, blockers.of_vpc)
    this.patiently(dhcp.delete_dhcp_options, doomed.dhcp_options, blockers.of_dhcp_options)

    step("Keys, roles and kubeconfig")
    this.each(sshkey.delete_key_pair, doomed.key_pairs)
    this.each(lambda aws, it: iam.delete(aws, config, it), doomed.of_machines())
    this.each(lambda aws, it: selfheal.delete_role(aws, config, it.name), doomed.healers())
    this.each(kubeconfig.remove_entries(config, servers=doomed.servers(), ca_cert=doomed.ca_cert), [config.context])

    if doomed.bucket and not keep:
        step("Staging bucket")
        this.each(bucket.empty_bucket, [doomed.bucket], part=True)
        this.each(bucket.delete_bucket, [doomed.bucket])
        this.each(disk.delete_disk, doomed.disks_late())


def main(argv: Sequence[str], environ: Mapping[str, str], *, clock: Clock = time, ends: bool = False) -> int:
    """Run the script; returns its exit status: 0, 1, 2, 3, 129, 130 or 143 (README.md lists them)."""
    return script.run(
        "kube_down.py", kube_down, argv=argv, environ=environ, clock=clock, show=plan.show_settings, ends=ends
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, ends=True))
