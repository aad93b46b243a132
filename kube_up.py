#!/usr/bin/env python3
"""Bring up a Kubernetes cluster on AWS, or go on where the last run stopped: the steps of kube-up.sh, in its order.

Everything is set by environment variables: `python kube_up.py --help all` lists them.
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
        addons,
        address,
        alarms,
        bucket,
        dhcp,
        discard,
        disk,
        dns,
        finish,
        gateway,
        iam,
        interface,
        kubeconfig,
        master,
        minions,
        pki,
        plan,
        podidentity,
        routetable,
        script,
        securitygroups,
        selfheal,
        sshkey,
        state,
        subnet,
        unset,
        vpc,
    )
    from lib.aws.client import Aws
    from lib.cluster import Cluster
    from lib.settings.layers import Layers
except ModuleNotFoundError as missing:
    from lib.settings import helptext

    sys.exit(helptext.lacking(missing, helptext.UP, sys.argv[1:]))


def kube_up(aws: Aws, layers: Layers, _: script.Flags) -> None:
    """The whole way up. Every step looks before it makes, so that a rerun goes on where the last one stopped.

    A step is given the cluster so far, and returns it with what it has made.
    """
    # What can be refused is refused here, before anything is changed.
    cluster = plan.read_plan(aws, layers)
    unset.remove_unset(aws, cluster)

    # The bucket comes first: what a stopped run is gone on from is in it, and where two runs are at once it decides.
    aws.console.step("Staging bucket")
    cluster = bucket.ensure_bucket(aws, cluster)
    state.remember(aws, cluster)

    # Early, since AWS takes a while to show a new profile everywhere: the network is made meanwhile.
    aws.console.step("Roles and instance profiles")
    cluster = iam.ensure_profiles(aws, cluster)

    aws.console.step("SSH key")
    cluster = sshkey.ensure_key_pair(aws, cluster)
    cluster = ensure_network(aws, cluster)

    # Before interface and disk: where one of these is, the cluster has had a CA, and no second one is ever made.
    aws.console.step("Certificates")
    cluster = pki.ensure_pki(aws, cluster)
    cluster = pki.ensure_join_token(aws, cluster)
    cluster = podidentity.ensure_issuer(aws, cluster)
    cluster = minions.find_launch_templates(aws, cluster)
    if cluster.config.kube_use_existing_master:
        aws.console.step("Master")
        cluster = master.use_existing_master(aws, cluster)
    else:
        cluster = ensure_master(aws, cluster)

    # Right after the master, which takes longest: minions boot meanwhile, and ask for it until it answers.
    aws.console.step("Minions")
    cluster = minions.ensure_minions(aws, cluster)

    aws.console.step("Alarms")
    alarms.ensure_alarms(aws, cluster)
    # After the master: what is scheduled sooner could launch on its interface first.
    selfheal.ensure_schedule(aws, cluster)

    aws.console.step("kubeconfig")
    cluster = kubeconfig.ensure_kubeconfig(aws, cluster)

    aws.console.step("Waiting for the cluster")
    finish.finish(aws, cluster)


def ensure_network(aws: Aws, cluster: Cluster) -> Cluster:
    """What the machines are put into. The gateway comes before the table, which leads to it."""
    aws.console.step("VPC")
    cluster = vpc.ensure_vpc(aws, cluster)
    dhcp.ensure_dhcp_options(aws, cluster)

    aws.console.step("Subnet")
    cluster = subnet.ensure_subnet(aws, cluster)
    # A subnet that is there may have another range than was planned, and the master's address is one of it.
    cluster = state.follow_subnet(aws, cluster)

    aws.console.step("Gateway and routes")
    cluster = gateway.ensure_gateway(aws, cluster)
    cluster = routetable.ensure_route_table(aws, cluster)

    aws.console.step("Security groups")
    return securitygroups.ensure_security_groups(aws, cluster)


def ensure_master(aws: Aws, cluster: Cluster) -> Cluster:
    """The fixed address, the elastic IP and the disk, which stay; and the instance, which can be replaced."""
    aws.console.step("Master's address and disk")
    cluster = interface.ensure_interface(aws, cluster)
    cluster = address.ensure_address(aws, cluster)
    dns.ensure_name(aws, cluster)
    cluster = discard.discard_disk(aws, cluster)
    cluster = disk.ensure_disk(aws, cluster)

    aws.console.step("Addons")
    cluster = addons.ensure_addons(aws, cluster)
    # After the last object of a run: one that is put just after versions are first kept may not be shown for a while.
    bucket.ensure_versions(aws, cluster)

    aws.console.step("Master")
    # Before the instance: what the schedule makes while this run replaces the master is what this run would make.
    cluster = selfheal.ensure_heal_template(aws, cluster)
    return master.ensure_master(aws, cluster)


main = functools.partial(script.run, "kube_up.py", kube_up)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, ends=True))
