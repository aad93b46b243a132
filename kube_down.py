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
        routetable,
        script,
        securitygroups,
        selfheal,
        sshkey,
        subnet,
        teardown,
        volumes,
        vpc,
    )
    from lib.aws import Aws, Clock
    from lib.config import Layers
except ModuleNotFoundError as missing:
    if (missing.name or "").startswith("lib"):
        raise
    sys.exit(f"the Python package {missing.name} is not installed: python3 -m pip install -r requirements.txt")


def kube_down(aws: Aws, layers: Layers, flags: script.Flags) -> None:
    """The whole way down. A step that cannot finish lets the others go on; a rerun finishes it."""
    step, keep = aws.console.step, flags.keep_disk

    step("Looking")
    doomed = teardown.look(aws, layers)
    config = doomed.config
    removal = teardown.Removal(aws, doomed)

    if doomed.schedule_groups:
        step("Self-healing")
        removal.each(lambda aws, name: selfheal.delete_schedule(aws, config, name), doomed.schedule_groups)
        removal.each(lambda aws, name: selfheal.delete_group(aws, config, name), doomed.schedule_groups)
        doomed = teardown.look_at_instances(aws, doomed)

    step("Load balancers")
    removal.each(loadbalancers.delete_balancer, doomed.balancers)
    removal.each(loadbalancers.delete_target_group, doomed.target_groups)

    step("Instances")
    removal.each(minions.delete_group, doomed.groups)
    teardown.end_instances(aws, doomed, removal)
    minions.wait_groups_gone(aws, config, doomed.groups)
    removal.each(minions.delete_template, doomed.templates)
    removal.each(alarms.delete_alarm, doomed.alarms)

    step("Addresses and disks")
    removal.each(address.disassociate if keep else address.delete_address, doomed.addresses)
    removal.each(interface.delete_interface, doomed.interfaces)
    if not keep:
        removal.each(volumes.delete_volume, doomed.volumes)
        removal.each(disk.delete_disk, doomed.disks_early())

    step("Network")
    removal.each(securitygroups.revoke_references(doomed.security_groups), doomed.security_groups)
    removal.patiently(securitygroups.delete_group, doomed.security_groups, key="GroupId", filter_name="group-id")
    removal.patiently(subnet.delete_subnet, doomed.subnets, key="SubnetId", filter_name="subnet-id")
    removal.each(gateway.delete_gateway, doomed.gateways)
    removal.each(routetable.delete_route_table, doomed.route_tables)
    removal.each(routetable.delete_route, doomed.pod_routes())
    removal.patiently(vpc.delete_vpc, doomed.vpcs, key="VpcId", filter_name="vpc-id")
    removal.each(dhcp.delete_dhcp_options, doomed.dhcp_options)

    step("Keys, roles and kubeconfig")
    removal.each(sshkey.delete_key_pair, doomed.key_pairs)
    removal.each(lambda aws, role: iam.delete_profile(aws, config, role), iam.ROLES)
    removal.each(lambda aws, role: selfheal.delete_role(aws, config, role), doomed.healers())
    removal.each(kubeconfig.remove_entries(config, servers=doomed.servers(), ca_cert=doomed.ca_cert), [config.context])

    if doomed.bucket and not keep:
        step("Staging bucket")
        removal.each(bucket.empty_bucket, [doomed.bucket])
        removal.each(bucket.delete_bucket, [doomed.bucket])
        removal.each(disk.delete_disk, doomed.disks_late())

    step("Looking again")
    teardown.say_end(aws, doomed, removal, keep_disk=keep)


def main(argv: Sequence[str], environ: Mapping[str, str], *, clock: Clock = time, ends: bool = False) -> int:
    """Run the script; returns its exit status: 0, 1, 2, 3, 129, 130 or 143 (README.md lists them)."""
    return script.run(
        "kube_down.py", kube_down, argv=argv, environ=environ, clock=clock, show=plan.show_settings, ends=ends
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, ends=True))
