#!/usr/bin/env python3
"""Bring up a Kubernetes cluster on AWS, or go on where the last run stopped: the steps of kube-up.sh, in its order.

Everything is set by environment variables: `python kube_up.py --help` lists them.
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
from dataclasses import dataclass
from typing import Any

try:
    from lib import (
        addons,
        address,
        alarms,
        bucket,
        dhcp,
        disk,
        gateway,
        iam,
        interface,
        kubeconfig,
        master,
        minions,
        pki,
        plan,
        preflight,
        renewal,
        roll,
        routetable,
        script,
        securitygroups,
        selfheal,
        sshkey,
        subnet,
        summary,
        upgrade,
        vpc,
    )
    from lib.aws import claims, objects
    from lib.aws.client import Aws
    from lib.kube import api
    from lib.node import kubeenv, userdata
    from lib.plan import Plan
    from lib.run.clock import Clock
    from lib.settings.layers import Layers
except ModuleNotFoundError as missing:
    if (missing.name or "").startswith("lib"):
        raise
    sys.exit(
        f"the Python package {missing.name} is not installed: python3 -m venv .venv && "
        ".venv/bin/python3 -m pip install -r requirements.txt, then . .venv/bin/activate"
    )


@dataclass(frozen=True)
class Network:
    """What the machines are put into, by id."""

    vpc_id: str
    subnet_id: str
    route_table_id: str
    master_group: str
    minion_group: str


@dataclass(frozen=True)
class Master:
    """The master as the rest of the cluster knows it; `template_id` is what KUBE_MASTER_SELF_HEAL makes it from."""

    instance_id: str
    public_ip: str
    runs: bool
    interface_id: str
    template_id: str = ""


def kube_up(aws: Aws, layers: Layers, _: script.Flags) -> None:
    """The whole way up. Every step looks before it makes, so that a rerun goes on where the last one stopped."""
    step = aws.console.step
    p = plan.read_plan(aws, layers)
    selfheal.forget(aws, p.config, p.layers.remembered)

    step("Staging bucket")
    staging = bucket.ensure_bucket(aws, p.config, p.bucket)
    aws.claims = None if staging.planned else claims.Claims(aws, staging)
    plan.remember(aws, staging, p)

    step("Roles and instance profiles")
    values = plan.iam_values(aws, p.config, staging)
    roles = ("minion",) if p.config.kube_use_existing_master else iam.ROLES
    profiles = {role: iam.ensure_profile(aws, p.config, role, values) for role in roles}

    step("SSH key")
    key_name = sshkey.ensure_key_pair(aws, p.config)

    p, network = ensure_network(aws, p, staging)

    step("Certificates")
    authority = pki.ensure_pki(aws, p.config, staging, interface=p.master, disk=p.disk)
    token = pki.ensure_join_token(aws, staging)
    facts = kubeenv.Facts(
        bucket=staging,
        vpc_id=network.vpc_id,
        subnet_id=network.subnet_id,
        route_table_id=network.route_table_id,
        ca_cert_hash=authority.ca_cert_hash(),
        group_name=plan.group_name(p, subnet_id=network.subnet_id),
    )
    templates = minions.find_templates(aws, p.config, p.config.master_name, facts.group_name)
    the_master = (
        existing_master(aws, p)
        if p.config.kube_use_existing_master
        else ensure_master(aws, p, network, facts, profile=profiles["master"], key_name=key_name, templates=templates)
    )

    step("Minions")
    env = kubeenv.minion_env(aws, p.config, facts, join_token=token)
    data = userdata.render("minion", env | plan.download_settings(p, p.images.node))
    template = minions.template_data(
        p.config,
        image=p.images.node,
        profile=profiles["minion"],
        key_name=key_name,
        group_id=network.minion_group,
        user_data=data,
    )
    found = templates.get(facts.group_name)
    current = minions.ensure_template(aws, p.config, facts.group_name, template, found=found)
    minions.ensure_group(aws, p.config, facts.group_name, template_id=current.template_id, subnet_id=network.subnet_id)

    step("Alarms")
    alarms.ensure_alarms(aws, p.config, the_master.instance_id)
    selfheal.ensure_schedule(
        aws,
        p.config,
        the_master.template_id,
        interface_id=the_master.interface_id,
        subnet_id=network.subnet_id,
        group_id=network.master_group,
    )

    step("kubeconfig")
    server = api.server_url(p.config, the_master.public_ip)
    client = kubeconfig.ensure_kubeconfig(aws, p.config, pki=authority, server=server)

    step("Waiting for the cluster")
    if not the_master.runs:
        master.wait_running(aws, p.config, the_master.instance_id)
    reached = summary.wait_api(aws, p.config, client, master_id=the_master.instance_id)
    asked = api.Api(client) if the_master.runs and aws.dry_run else reached
    if asked and aws.dry_run:
        summary.show_cluster(aws, asked)
    if asked and the_master.runs:
        renewal.renew_certificates(aws, p.config, asked, master_id=the_master.instance_id, host=client.host)
    if asked and not p.config.kube_use_existing_master:
        upgrade.confirm(aws, p.config, asked, disk=p.disk, restored=bool(p.restore), master_id=the_master.instance_id)
    roll.settle_minions(aws, p.config, reached, facts.group_name, template=current, data=template)
    summary.validate_cluster(aws, p.config, reached, client, master_id=the_master.instance_id)
    aws.look_again()
    summary.say_done(aws, p.config, client)


def ensure_network(aws: Aws, p: Plan, staging: objects.Bucket) -> tuple[Plan, Network]:
    """VPC, DHCP options, subnet, gateway, route table, security groups; and the plan with the subnet as it is."""
    step = aws.console.step

    step("VPC")
    the_vpc = vpc.ensure_vpc(aws, p.config)
    dhcp.ensure_dhcp_options(aws, p.config, the_vpc)
    vpc_id = the_vpc["VpcId"]

    step("Subnet")
    the_subnet = subnet.ensure_subnet(aws, p.config, the_vpc)
    subnet_id = the_subnet["SubnetId"]
    moved = preflight.settle_address(p.config, cidr=the_subnet["CidrBlock"], master=p.master, given=p.address_given)
    if moved != p.config:
        p = plan.moved(p, moved)
        plan.remember(aws, staging, p)

    step("Gateway and routes")
    gateway_id = "" if p.config.subnet_id else gateway.ensure_gateway(aws, p.config, vpc_id=vpc_id)
    table_id = routetable.ensure_route_table(aws, p.config, vpc_id=vpc_id, subnet_id=subnet_id, gateway_id=gateway_id)

    step("Security groups")
    master_group, minion_group = securitygroups.ensure_security_groups(aws, p.config, vpc_id=vpc_id)
    return p, Network(vpc_id, subnet_id, table_id, master_group, minion_group)


def ensure_master(
    aws: Aws,
    p: Plan,
    network: Network,
    facts: kubeenv.Facts,
    *,
    profile: str,
    key_name: str,
    templates: Mapping[str, Any],
) -> Master:
    """The fixed address, the elastic IP and the disk, which stay; and the instance, which can be replaced."""
    step, config = aws.console.step, p.config
    tags = master.master_tags(config) | {bucket.TAG: facts.bucket.name, pki.TAG: facts.ca_cert_hash}

    step("Master's address and disk")
    the_interface = interface.ensure_interface(
        aws, config, p.master, subnet_id=network.subnet_id, group_id=network.master_group, tags=tags
    )
    interface_id = the_interface["NetworkInterfaceId"]
    public_ip = address.ensure_address(aws, config, interface_id=interface_id, tags=tags)
    disk_id = disk.ensure_disk(aws, config, p.disk, public_ip=public_ip, tags=tags, restore=p.restore)

    step("Addons")
    env = kubeenv.master_env(aws, config, facts, public_ip=public_ip, disk_id=disk_id, restore=p.restore)
    env["ADDONS"] = addons.ensure_addons(aws, config, facts.bucket, env)
    bucket.ensure_versions(aws, config, facts.bucket)
    env |= plan.download_settings(p, p.images.master)

    step("Master")
    data = master.launch_data(
        config,
        image=p.images.master,
        profile=profile,
        key_name=key_name,
        interface_id=interface_id,
        disk_id=disk_id,
        user_data=userdata.render("master", env),
    )
    template_id = selfheal.ensure_template(
        aws, config, selfheal.launch_data(aws, data, env), found=templates.get(config.master_name)
    )
    no_snapshots = objects.why_no_snapshots(config, facts.bucket)
    has, new_disk = disk.confirmed_version(p.disk), disk.waits_for_restore(p.disk)
    instance_id, runs = master.ensure_master(
        aws, config, data=data, has=has, no_snapshots=no_snapshots, new_disk=new_disk
    )
    return Master(instance_id, public_ip, runs, interface_id=interface_id, template_id=template_id)


def existing_master(aws: Aws, p: Plan) -> Master:
    """The master that KUBE_USE_EXISTING_MASTER means: found, not made."""
    found = p.master or {}
    aws.console.step("Master")
    aws.console.found(f"interface {found['NetworkInterfaceId']} {found['PrivateIpAddress']}")
    attached = found.get("Attachment", {}).get("InstanceId", "")
    if not attached:
        raise master.no_instance(p.config, zone=found["AvailabilityZone"])
    return Master(
        attached, found.get("Association", {}).get("PublicIp", ""), runs=False, interface_id=found["NetworkInterfaceId"]
    )


def main(argv: Sequence[str], environ: Mapping[str, str], *, clock: Clock = time, ends: bool = False) -> int:
    """Run the script; returns its exit status, 0, 1, 2, 3, 129, 130 or 143 (README.md lists them)."""
    return script.run(
        "kube_up.py", kube_up, argv=argv, environ=environ, clock=clock, show=plan.show_settings, ends=ends
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, ends=True))
