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

import functools
import os

try:
    from lib import (
        address,
        alarms,
        blockers,
        bucket,
        consent,
        dhcp,
        disk,
        dns,
        gateway,
        interface,
        kubeconfig,
        launchtemplate,
        loadbalancers,
        minions,
        podidentity,
        removal,
        routetable,
        script,
        securitygroups,
        sshkey,
        subnet,
        teardown,
        upstream,
        volumes,
        vpc,
    )
    from lib.aws.client import Aws
    from lib.settings.layers import Layers
except ModuleNotFoundError as missing:
    from lib.settings import helptext

    sys.exit(helptext.lacking(missing, helptext.DOWN, sys.argv[1:]))


def kube_down(aws: Aws, layers: Layers, flags: script.Flags) -> None:
    """The whole way down. A step that cannot finish lets the others go on; a rerun finishes it."""
    doomed = teardown.look(aws, layers)
    consent.ask(aws, doomed, keep_disk=flags.keep_disk, yes=flags.yes)
    with removal.accounted(aws, doomed, keep_disk=flags.keep_disk) as this:
        remove(aws, doomed, this, keep=flags.keep_disk)
        teardown.say_end(aws, doomed, refused=bool(this.refused), keep_disk=flags.keep_disk)


def remove(aws: Aws, doomed: teardown.Doomed, this: removal.Removal, *, keep: bool) -> None:
    """All that was found goes, what depends on other things before these; with `keep` what --keep-disk keeps stays."""
    # Before any instance: it would launch another master, and has perhaps, so the instances are looked for again.
    doomed = removal.end_schedules(aws, doomed, this)

    # Before the network: each has interfaces in it for a while after it is gone.
    aws.console.step("Load balancers")
    this.each(loadbalancers.delete_balancer, doomed.balancers)
    this.each(loadbalancers.delete_target_group(waits=this.all_go(doomed.balancers)), doomed.target_groups)

    aws.console.step("Instances")
    this.each(minions.delete_group, doomed.groups)
    removal.end_instances(aws, doomed, this)
    this.each(launchtemplate.delete_template, doomed.templates)
    this.each(upstream.delete_launch_configuration, doomed.launch_configurations)
    this.each(alarms.delete_alarm, doomed.alarms)

    aws.console.step("Addresses and disks")
    this.each(lambda aws, it: dns.delete_name(aws, doomed.config, it), doomed.api_names)
    this.each(address.disassociate if keep else address.delete_address, doomed.addresses)
    this.each(interface.delete_interface, doomed.interfaces)
    if not keep:
        this.each(volumes.delete_volume, doomed.volumes)
        this.each(disk.delete_disk, doomed.disks_early())

    # From the inside out: EC2 removes nothing that something is in. Groups that name each other hold each other.
    aws.console.step("Network")
    this.each(securitygroups.revoke_references(doomed.security_groups), doomed.security_groups, part=True)
    this.patiently(securitygroups.delete_security_group, doomed.security_groups, blockers.of_group)
    this.patiently(subnet.delete_subnet, doomed.subnets, blockers.of_subnet)
    this.patiently(gateway.delete_gateway, doomed.gateways, blockers.of_gateway)
    this.patiently(routetable.delete_route_table, doomed.route_tables, blockers.of_route_table)
    this.each(routetable.delete_route, doomed.pod_routes())
    this.patiently(vpc.delete_vpc, doomed.vpcs, blockers.of_vpc)
    this.patiently(dhcp.delete_dhcp_options, doomed.dhcp_options, blockers.of_dhcp_options)

    aws.console.step("Keys, roles and kubeconfig")
    this.each(sshkey.delete_key_pair, doomed.key_pairs)
    removal.end_identities(doomed, this)
    this.each(podidentity.delete_issuer, doomed.issuers)
    this.each(kubeconfig.remove_entries(doomed.config, doomed.servers(), doomed.ca_cert), [doomed.config.context])

    # Last: a run that is stopped before is gone on with by what is remembered there.
    if doomed.bucket and not keep:
        aws.console.step("Staging bucket")
        this.each(bucket.empty_bucket, [doomed.bucket], part=True)
        this.each(bucket.delete_bucket, [doomed.bucket])
        this.each(disk.delete_disk, doomed.disks_late())


main = functools.partial(script.run, "kube_down.py", kube_down)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, ends=True))
