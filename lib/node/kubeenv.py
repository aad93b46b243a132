"""The settings that travel in user-data (the original's build-kube-env and write-master-env).

The options among them are those that lib/settings/config.py declares as read by that role; what is added here are
facts that no option says. lib/node/userdata.py refuses one that is missing, and one that the role's bootstrap does not
read.
"""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.aws.objects import SNAPSHOT, why_no_snapshots

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.objects import Bucket
    from lib.settings.config import Config


@dataclass(frozen=True)
class Facts:
    """What a node must know that the settings do not say, because AWS chose it."""

    bucket: Bucket
    vpc_id: str
    subnet_id: str
    route_table_id: str
    ca_cert_hash: str
    issuer: str  # '' without KUBE_ENABLE_POD_IDENTITY
    node_script: str


def master_env(aws: Aws, config: Config, facts: Facts, *, public_ip: str, disk_id: str, restore: str) -> dict[str, str]:
    """The master's settings: no key and no token among them; those it reads from the bucket with its role.

    `restore` is the version of the snapshot that its disk is made from. ADDONS and the downloads are still to be added.
    """
    without_snapshots = why_no_snapshots(config, facts.bucket)
    return {
        "KUBE_ROLE": "master",
        **config.read_by("master"),
        **(_with_issuer(config, facts.issuer) if facts.issuer else {}),
        **({"KUBE_ETCD_SNAPSHOT_HOURS": "0"} if without_snapshots else {}),
        **_for_both(aws, facts),
        "AWS_DNS_SUFFIX": aws.dns_suffix,
        "AWS_ACCOUNT_ID": aws.account,
        "MASTER_NAME": config.master_name,
        # For the certificate alone, so the name goes with it: a variable more would be another user-data of every
        # master, also of those that have no name.
        "MASTER_PUBLIC_IP": ", ".join(each for each in (public_ip, config.kube_api_dns_name) if each),
        "MASTER_DISK_ID": disk_id,
        "MASTER_ALARMS": "",  # kube_up.py makes them; a master that AWS makes is told some (lib/selfheal.py)
        "KUBERNETES_SERVICE_IP": config.kubernetes_service_ip,
        "KUBE_BUCKET": facts.bucket.name,
        "KUBE_BUCKET_REGION": facts.bucket.region,
        "KUBE_BUCKET_PREFIX": facts.bucket.prefix,
        "KUBE_SNAPSHOT": SNAPSHOT,
        "KUBE_RESTORE_VERSION": urllib.parse.quote(restore, safe=""),
    }


def _with_issuer(config: Config, issuer: str) -> dict[str, str]:
    """The API's arguments with the issuer of pods' tokens; those of the one that kubeadm sets are accepted as ever.

    The first signs, and kubeadm keeps the order of what it is given twice. Added to what somebody set, since a variable
    more would be another user-data of every master.
    """
    signs, was = f"--service-account-issuer={issuer}", f"https://kubernetes.default.svc.{config.dns_domain}"
    keys = f"--service-account-jwks-uri={issuer}/openid/v1/jwks"
    more = f"{signs} --service-account-issuer={was} {keys}"
    return {"APISERVER_TEST_ARGS": f"{config.apiserver_test_args} {more}".strip()}


def minion_env(aws: Aws, config: Config, facts: Facts, *, join_token: str) -> dict[str, str]:
    """A minion's settings, with the token that lets it join and do nothing else. Downloads are still to be added."""
    return {
        "KUBE_ROLE": "minion",
        **config.read_by("minion"),
        **_for_both(aws, facts),
        "KUBE_JOIN_TOKEN": join_token,
        "NODE_SPOT": "true" if config.node_spot_price else "",
    }


def _for_both(aws: Aws, facts: Facts) -> dict[str, str]:
    return {"AWS_REGION": aws.region, "CA_CERT_HASH": facts.ca_cert_hash, "NODE_SCRIPT": facts.node_script}


def addon_settings(aws: Aws, config: Config, facts: Facts) -> dict[str, str]:
    """What the manifests in templates/addons may name: every option, and the ids that AWS chose."""
    return {
        **config.texts(),
        "AWS_REGION": aws.region,
        "VPC_ID": facts.vpc_id,
        "SUBNET_ID": facts.subnet_id,
        "ROUTE_TABLE_ID": facts.route_table_id,
    }
