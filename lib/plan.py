"""What a run is about, settled before anything is changed: who we are, which settings and images, what fits."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import ipaddress
from typing import TYPE_CHECKING, Any

from lib import addons, alarms, iam, master, minions, podidentity, preflight, relocation, spotsizes, state, survey
from lib import bucket as buckets
from lib import subnet as subnets
from lib.aws.errors import FAILURES
from lib.checks import beforehand, fate
from lib.cluster import Cluster, Found, Part, Pki
from lib.images import check_zone, find_images, tell_images
from lib.node import ownscript, releases
from lib.run.errors import CredentialsError, KubeError, SettingError
from lib.run.words import counted
from lib.settings import sizes
from lib.settings.config import OPTIONS, Config
from lib.settings.layers import Layers
from lib.settings.resolve import idle, of_this_group, refuse_changes, resolve, set_before, sizes_before, with_sizes
from lib.vpc import find_vpc

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import NetworkInterfaceTypeDef, VolumeTypeDef

    from lib.aws.client import Aws
    from lib.aws.objects import Bucket

_NFT_BROKEN = ("1.36.0", "1.36.1", "1.36.2")
_IMAGES = ("AWS_IMAGE", "KUBE_NODE_IMAGE")


def read_plan(aws: Aws, layers: Layers) -> Cluster:
    """The cluster that kube_up.py is to make, with what is there of it. Raises SettingError for whatever is refused."""
    aws.console.step("Settings")
    asked = resolve(layers, check=False)
    preflight.check_regions(aws, asked, layers)
    aws.identify()
    found = state.find_staging(aws, asked)
    state.refuse_another_bucket(aws, asked, found)
    bucket, interface = found.bucket, found.interface
    remembered = state.read_settings(aws, asked, bucket, was_put=bool(found.tagged))
    layers = layers.with_remembered(remembered, place=state.place(bucket))
    state.refuse_lost_settings(aws, asked, layers, found)
    moves = relocation.is_asked(layers, asked, found)
    if moves:
        layers = relocation.forget_place(aws, layers, asked, found)
    refuse_changes(layers, has_master=interface is not None, moves=moves)
    if interface is not None:
        layers = survey.with_running(aws, layers, resolve(layers, check=False))
    told = layers
    if interface is not None:
        layers = with_sizes(layers)
    config = resolve(layers)
    if interface is not None:
        spotsizes.refuse_from_on_demand(aws, config, layers)
    if config.kube_use_existing_master:
        config = _for_existing_master(aws, config, layers, bucket=bucket, interface=interface)
    if bucket is None:  # a new cluster; a region's first zone is not in every account
        check_zone(aws, config)
    _tell_settings(aws, told, config)
    if interface is not None:
        _tell_kept_sizes(aws, told, config)
    images = find_images(
        aws, config, replaceable=[name for name in _IMAGES if layers.source(name) in ("remembered", "default")]
    )
    tell_images(aws, config, images)
    config = dataclasses.replace(config, aws_image=images.master.image_id, kube_node_image=images.node.image_id)
    given = layers.source("MASTER_INTERNAL_IP") != "default"
    wanted_cidr = config.non_masquerade_cidr
    config = preflight.check_settings(aws, config, found=interface, bucket=bucket, address_given=given, layers=layers)
    if config.non_masquerade_cidr != wanted_cidr:  # then the one that counts is remembered instead
        layers = layers.without_remembered(preflight.NON_MASQUERADE)
    script = ownscript.read_script(aws, layers, config, bucket)
    disk = _find_disk(aws, config, found)
    known, begins = survey.beforehand(aws, layers, config, found=found, disk=disk)
    wanted = [each for image in (images.master, images.node) for each in releases.downloads(config, image.architecture)]
    known_sums = releases.known_sums(aws, bucket)
    sums = releases.find_sums(aws, wanted, known=known_sums)
    cluster = Cluster(
        config=config,
        layers=layers,
        images=images,
        sums=sums,
        known_sums=known_sums,
        found=dataclasses.replace(found, disk=None if known.discarded else disk),
        situation=known,
        node_script=script,
        restore=begins.restore,
    )
    _check_user_data(aws, cluster)
    if bucket is None and interface is None:
        beforehand.tell_price(aws, config, layers.environment)
    place = bucket or buckets.computed_bucket(aws, config)
    tell_roles = functools.partial(iam.tell_brought_roles, aws, config, place)
    beforehand.check_before_change(aws, config, bucket=place.name, tell_roles=tell_roles)
    return cluster


def _find_disk(aws: Aws, config: Config, found: Found) -> VolumeTypeDef | None:
    """The master's disk, unless the master is left alone. Without a bucket too: that can be what was lost."""
    if config.kube_use_existing_master:
        return None
    return state.find_master_disk(aws, config, found)


def _check_user_data(aws: Aws, cluster: Cluster) -> None:
    """Raises UserDataTooLarge while nothing is made yet: ids that AWS will choose are as long as these."""
    long_id, sha256, config = "0123456789abcdef0", hashlib.sha256(b"").hexdigest(), cluster.config
    listed = " ".join(f"{name}:{sha256}" for name in addons.chosen(config))
    made: list[tuple[Part[Any], Any]] = [
        (Cluster.bucket, cluster.found.bucket or buckets.computed_bucket(aws, config)),
        (Cluster.vpc, {"VpcId": f"vpc-{long_id}"}),
        (Cluster.subnet, {"SubnetId": f"subnet-{long_id}"}),
        (Cluster.route_table_id, f"rtb-{long_id}"),
        (Cluster.authority, Pki(b"", b"", ca_cert_hash=f"sha256:{sha256}")),
        (Cluster.join_token, "abcdef.0123456789abcdef"),
        (Cluster.issuer, podidentity.planned_url(aws, config)),
        (Cluster.public_ip, "203.0.113.113"),
        (Cluster.disk_id, f"vol-{long_id}"),
        (Cluster.addons, listed),
    ]
    for part, value in made:
        cluster = cluster.having(part, value)
    master.master_user_data(
        aws, cluster, **({"MASTER_ALARMS": alarms.for_bootstrap(aws)} if config.kube_master_self_heal else {})
    )
    minions.minion_user_data(aws, cluster)


def show_settings(aws: Aws, layers: Layers) -> tuple[Layers, Config]:
    """For --show-settings: the layers and settings with what is remembered, where AWS can be asked; else without."""
    preflight.check_regions(aws, resolve(layers, check=False), layers)
    try:
        aws.identify()
        layers, _ = state.with_remembered(aws, layers)
    except (CredentialsError, *FAILURES) as error:  # whatever keeps AWS from answering, the rest can be shown
        why = error if isinstance(error, CredentialsError) else aws.explain(error)
        aws.console.warn(f"what is remembered of the cluster could not be read: {why}")
    return layers, resolve(layers)


def _tell_settings(aws: Aws, layers: Layers, config: Config) -> None:
    aws.console.say(f"account {aws.account} as {aws.user.rsplit(':', 1)[-1]}, region {aws.region}")
    was, now = layers.remembered.get(fate.VERSION, ""), config.kubernetes_version
    aws.console.say(
        f"cluster {config.cluster_id}: Kubernetes {f'{was} → {now}' if was not in ('', now) else now}, "
        f"{counted(config.num_nodes, 'minion')} in {config.kube_aws_zone}"
    )
    if config.kubernetes_version in _NFT_BROKEN:
        aws.console.warn(
            f"KUBERNETES_VERSION: kube-proxy of {config.kubernetes_version} fails where a host's own nft, from 1.1.3 "
            "on, has made sets (kubernetes 136786, 140405): give 1.36.3 or later"
        )
    useless = idle(layers, config)
    remembered = [name for name in set_before(layers) if name not in useless]
    chosen = [name for name in layers.defaults if layers.source(name) in ("environment", "KUBE_CONFIG_FILE")]
    if remembered:
        aws.console.say(f"remembered from the last run: {_listed(remembered, config)}")
    if chosen:
        aws.console.say(f"set for this run: {_listed(chosen, config)}")
    if config.kube_use_existing_master and (names := of_this_group(layers)):
        aws.console.say(
            f"not remembered, since they are of this group alone: {', '.join(names)}; give them again to change it. "
            "What is the master's has no effect here"
        )
    # What is remembered may be of use to another group than the one that such a run is about.
    for name in (n for n in useless if not config.kube_use_existing_master or layers.asked(n) is not None):
        _tell_useless(aws, layers, name)
    for name, cidrs, what in (
        ("SSH_CIDR", config.ssh_cidr, "ssh"),
        ("HTTP_API_CIDR", config.http_api_cidr, "the API"),
        ("KUBE_LOAD_BALANCER_CIDR", config.kube_load_balancer_cidr, "the Services' ports of minions"),
    ):
        if "0.0.0.0/0" in cidrs:
            aws.console.warn(f"{name}=0.0.0.0/0: the whole internet may try {what}")


def _tell_useless(aws: Aws, layers: Layers, name: str) -> None:
    needs = OPTIONS[name].needs
    forget = "" if layers.asked(name) is not None else f"; {name}= python kube_up.py forgets it"
    aws.console.warn(f"{name}={layers.value(name)} has no effect without {needs}{forget}")


_HOW = {
    "MASTER_SIZE": "stops the master for it, and the API does not answer meanwhile",
    "NODE_SIZE": "replaces the minions one by one",
}


def _tell_kept_sizes(aws: Aws, layers: Layers, config: Config) -> None:
    """Say of a size that stays which one a new cluster of so many minions would get, where that has just changed.

    `layers` are those without the sizes that are kept.
    """
    if not layers.remembered or config.kube_use_existing_master:
        return
    before = sizes_before(layers.without_remembered("MASTER_SIZE").without_remembered("NODE_SIZE"))
    for name, size in sizes.LADDERS.items():
        has, advised = config.text(name), size(config.num_nodes)
        if layers.asked(name) is None and advised not in (has, before[name]):
            aws.console.say(
                f"{name} stays {has}, whatever NUM_NODES is; for {config.num_nodes} minions {advised} is advised: "
                f"{name}={advised} python kube_up.py {_HOW[name]}"
            )


def _listed(names: list[str], config: Config) -> str:
    return ", ".join(f"{name}={config.text(name)}" for name in names)


# --- KUBE_USE_EXISTING_MASTER


def _for_existing_master(
    aws: Aws, config: Config, layers: Layers, *, bucket: Bucket | None, interface: NetworkInterfaceTypeDef | None
) -> Config:
    """The settings of a run that adds a group: its master must be there, its subnet is another one or the same."""
    if interface is None or bucket is None:
        raise KubeError(
            f"KUBE_USE_EXISTING_MASTER: account {aws.account} has no master of {config.cluster_id} in {aws.region}",
            hint="bring one up first, without KUBE_USE_EXISTING_MASTER",
        )
    if config.subnet_id or layers.asked("KUBE_SUBNET_CIDR"):
        return config
    return dataclasses.replace(config, kube_subnet_cidr=_range_in_zone(aws, config))


def _range_in_zone(aws: Aws, config: Config) -> str:
    """The range of the cluster's subnet in the zone. Raises SettingError, with a free range, where there is none."""
    vpc = find_vpc(aws, config)
    found = subnets.find_subnets(aws, config, vpc_id=vpc["VpcId"]) if vpc else []
    here = [s["CidrBlock"] for s in found if s["AvailabilityZone"] == config.kube_aws_zone]
    if len(here) == 1:
        return here[0]
    taken = [ipaddress.IPv4Network(s["CidrBlock"]) for s in found]
    free = (
        n
        for n in ipaddress.IPv4Network(config.vpc_cidr).subnets(new_prefix=24)
        if not any(n.overlaps(t) for t in taken)
    )
    raise SettingError(
        "KUBE_SUBNET_CIDR",
        f"the cluster has {len(here) or 'no'} subnets in {config.kube_aws_zone}",
        f"say which is meant: {' or '.join([*here, f'a new one such as {next(free, config.vpc_cidr)}'])}",
    )
