"""The addons that the master applies: manifests of templates/addons, filled in and put into the bucket by content hash.

A manifest that changed is another object, so what a launched master was told to fetch never changes under it.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lib import bucket as staging
from lib.aws import objects
from lib.cluster import Cluster
from lib.node import kubeenv
from lib.node.releases import versions
from lib.settings.config import Config, nth

if TYPE_CHECKING:
    from lib.aws.client import Aws

DNS_NTH = 10  # of the services' range: the address that kubeadm gives the cluster's DNS, and no second service can have
TEMPLATES = Path(__file__).parent.parent / "templates" / "addons"
# Lines of a manifest that are there with an option alone.
_WITH_OPTION = re.compile(
    r"^ *# with (?P<option>\w+)\n(?P<lines>.*?)^ *# end of (?P=option)\n", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"^ *# (with|end of) (.*)$", re.MULTILINE)


def chosen(config: Config) -> list[str]:
    """The addons to apply, in this order: the controller manager first, since nodes wait for it.

    One whose name ends in -crds defines resources: the master applies it before the rest, and waits for it.
    """
    services = config.service_cluster_ip_range
    wanted = {
        "cloud-controller-manager": True,
        "dns-address": config.kube_enable_cluster_dns and config.dns_server_ip != nth(services, DNS_NTH),
        "snapshot-crds": config.kube_enable_volume_snapshots,
        "aws-ebs-csi-driver": config.kube_enable_ebs_csi_driver,
        "snapshot-controller": config.kube_enable_volume_snapshots,
        "metrics-server": config.kube_enable_cluster_monitoring,
        "cluster-autoscaler": config.kube_enable_cluster_autoscaler,
        "nvidia-device-plugin": config.kube_enable_nvidia_device_plugin,
        "pod-identity": config.kube_enable_pod_identity,
    }
    return [name for name, wish in wanted.items() if wish]


def manifest(name: str, settings: Mapping[str, str]) -> bytes:
    """The addon's manifest for these settings, with its ${NAMES} filled in from them and templates/releases.env.

    Raises ValueError for `# with` and `# end of` that are no pair.
    """
    text = with_options((TEMPLATES / f"{name}.yaml").read_text(encoding="utf-8"), settings)
    return string.Template(text).substitute({**versions(settings["KUBERNETES_VERSION"]), **settings}).encode()


def with_options(text: str, settings: Mapping[str, str]) -> str:
    """The text without the marks of options' lines, and without the lines of options that are empty or false.

    Raises ValueError for marks that do not follow each other in pairs of one option.
    """
    marks = _MARK.findall(text)
    if marks != [(kind, option) for _, option in marks[::2] for kind in ("with", "end of")]:
        listed = ", ".join(f"{kind} {option}" for kind, option in marks)
        raise ValueError(f"each `# with OPTION` needs its `# end of OPTION` before the next: {listed}")
    return _WITH_OPTION.sub(
        lambda found: found["lines"] if settings[found["option"]] not in ("", "false") else "", text
    )


def ensure_addons(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the manifests where the master fetches them, as its user-data names them: `name:sha256 ...`.

    One that was overwritten is put again: the master would refuse it.
    """
    bucket, settings = cluster.bucket, kubeenv.addon_settings(aws, cluster.config, cluster.facts)
    present = dict(staging.listed(aws, bucket, "addons/"))
    listed, missing = list[str](), list[str]()
    for name in chosen(cluster.config):
        content = manifest(name, settings)
        sha256 = hashlib.sha256(content).hexdigest()
        listed.append(f"{name}:{sha256}")
        if present.get(f"addons/{sha256}") != hashlib.md5(content, usedforsecurity=False).hexdigest():
            missing.append(name)
            objects.put_object(aws, bucket, f"addons/{sha256}", content, words=f"manifest of {name}")
    if not (aws.dry_run and missing):
        aws.console.found(f"addons {', '.join(entry.split(':')[0] for entry in listed)}")
    return cluster.having(Cluster.addons, " ".join(listed))
