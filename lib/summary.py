"""The end of an up: wait for the API and the nodes, validate, and say what a person can do now."""

from __future__ import annotations

import contextlib
import datetime
import functools
import shlex
from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING

from lib.checks import prices, verdict
from lib.checks.fate import numbers
from lib.diagnosis import Watch, is_anothers, of_master, of_nodes, ssh
from lib.kube.api import Api, Node, Unreachable, services, validate, wait_healthy, wait_nodes
from lib.minions import living, own_groups
from lib.run.programs import find_program
from lib.run.words import counted

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.cluster import Cluster, Master
    from lib.kube.api import Client
    from lib.settings.config import Config

_SOON_DAYS = 30


def wait_api(aws: Aws, config: Config, client: Client, *, master: Master) -> Api | None:
    """The API, once it is healthy; None in a dry run, and for a private master that is out of this computer's reach.

    Raises WaitExpired, KubeError.
    """
    if aws.dry_run:
        return None
    api = Api(client)
    watch = Watch(aws, config).look
    known = functools.partial(of_master, aws, config, master.instance_id, host=client.host, key=master.key_name)
    if wait_healthy(aws, config, api, known=known, watch=watch):
        return api
    aws.console.warn(
        f"{api.server} cannot be reached from here, so the cluster was not checked: run this again inside the VPC"
    )
    return None


def show_cluster(aws: Aws, api: Api) -> None:
    """What the API says of itself and the nodes now, for a dry run; nothing is waited for."""
    try:
        _, answer = api.get("/healthz")
        nodes = api.nodes()
    except Unreachable as error:
        aws.console.warn(f"the API at {api.server} does not answer: {error}")
        return
    aws.console.found(f"API at {api.server}: {answer.strip()[:60]}")
    _say_nodes(aws, nodes)
    _warn_of_newer(aws, api, nodes)


def _say_nodes(aws: Aws, nodes: Sequence[Node]) -> None:
    for node in nodes:
        aws.console.found(f"node {node.name} {node.word} {node.version}")


def _warn_of_newer(aws: Aws, api: Api, nodes: Sequence[Node]) -> None:
    """A warning for each Ready node that is newer than the API server: Kubernetes' version skew policy has none.

    A run of one group leaves the others alone, so a master that went back to an older release has such nodes.
    """
    try:
        server = api.version()
    except Unreachable:  # it answered a moment ago; not worth a failure
        return
    for node in nodes:
        if node.ready and server and numbers(node.version)[:3] > numbers(server)[:3]:
            aws.console.warn(
                f"node {node.name}: kubelet {node.version.lstrip('v')} is newer than the API's {server}, "
                "which Kubernetes does not support: run its group's command again"
            )


def validate_cluster(aws: Aws, config: Config, api: Api | None, client: Client, *, master_id: str) -> list[Node]:
    """The nodes, once as many are Ready as the cluster should have; those of instances that are gone do not count.

    [] where there is no API to ask. Raises WaitExpired, KubeError.
    """
    if api is None:
        return []
    read = [own_groups(aws, config)]
    expected = 1 + sum(group["DesiredCapacity"] for group in read[0])

    def alive() -> set[str]:
        groups = read.pop() if read else own_groups(aws, config)  # by now the group may have replaced a minion
        return {master_id, *(instance["InstanceId"] for group in groups for instance in living(group))}

    known = functools.partial(of_nodes, aws, config)
    nodes = wait_nodes(aws, config, api, expected=expected, alive=alive, known=known, watch=Watch(aws, config).look)
    validate(aws, config, api)
    _say_nodes(aws, nodes)
    if expected == 1:
        aws.console.say("no minions: pods wait until there is one, CoreDNS among them")
    _warn_of_newer(aws, api, nodes)
    _say_certificates(aws, api, client)
    _say_services(aws, api)
    return nodes


def _say_certificates(aws: Aws, api: Api, client: Client) -> None:
    """When the certificates end; a warning for one that does within 30 days."""
    from lib.kube import certificates

    ends = {"the CA's": certificates.ends(client.ca_cert), "kubeconfig's": certificates.ends(client.cert)}
    with contextlib.suppress(Unreachable):  # validated a moment ago; not worth a failure
        shown = api.certificate()
        ends["the API's"] = certificates.shown_ends(shown)
        _say_name(aws, client, certificates.shown_names(shown))
    aws.console.found(f"certificates: {', '.join(f'{name} until {end:%Y-%m-%d}' for name, end in ends.items())}")
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=_SOON_DAYS)
    for name, end in ends.items():
        if end < soon:
            aws.console.warn(
                f"{name} certificate ends on {end:%Y-%m-%d}: see docs/recovery.md, A certificate has expired"
            )


def _say_name(aws: Aws, client: Client, names: Container[str]) -> None:
    """Whether the API's certificate has the name that kubeconfig has for it; nothing where that is its address."""
    if client.name in names:
        aws.console.found(f"name {client.name} in the API's certificate")
    elif client.name:
        aws.console.differs(f"the API's certificate has no {client.name}: KUBE_REPLACE_MASTER makes it anew")


def _say_services(aws: Aws, api: Api) -> None:
    aws.console.say(f"Kubernetes master is running at {api.server}")
    for name, url in services(api):
        aws.console.say(f"{name} is running at {url}")


def say_done(aws: Aws, cluster: Cluster, nodes: Sequence[Node]) -> None:
    """The last lines: how it went, what it costs, what to type next. Raises KubeError where the run would fail."""
    line, config, client = aws.console.line, cluster.config, cluster.client
    price = _price(aws, cluster)
    if aws.dry_run:
        verdict.tell_verdict(aws, config, bucket=cluster.bucket.name, price=price)
        return
    nothing = f"nothing to do{aws.console.but() or ': everything was there'}"
    changes = aws.kinds.total()
    did = f"{counted(changes, 'change')}: {aws.counts(past=True)}" if changes else nothing
    again = f", {counted(aws.retries, 'call')} repeated" if aws.retries else ""
    line()
    aws.console.sentence(f"Cluster {config.cluster_id} is up after {int(aws.console.elapsed)} s ({did}{again}).")
    kubectl = (
        "kubectl" if find_program("kubectl") else "kubectl (to be installed: https://kubernetes.io/docs/tasks/tools)"
    )
    line(f"  API      {client.url}, context {config.context} in {config.kubeconfig}")
    # kubectl reads the environment, and no file of ours.
    elsewhere = cluster.layers.source("KUBECONFIG") == "KUBE_CONFIG_FILE"
    where = f"KUBECONFIG={shlex.quote(config.kubeconfig)} " if elsewhere else ""
    line(f"  try      {where}{kubectl} get nodes -o wide")
    for way in _ways_in(cluster, nodes):
        line(f"           {way}")
    if price.hour is not None or aws.changes:
        prices.tell_cost(aws.console, price)
    line(f"  remove   {given(config)}python kube_down.py")


def _price(aws: Aws, cluster: Cluster) -> prices.Cost:
    """What the cluster costs as it is now. A run that changed nothing asks for no price: it tells what was learnt."""
    asks = (aws.dry_run and not aws.hurried) or aws.changes > 0
    return prices.cost(aws, cluster.config, cluster.layers.environment, asks=asks)


def _ways_in(cluster: Cluster, nodes: Sequence[Node]) -> Iterator[str]:
    """How a person gets into the master; where its ssh key is another computer's, that, and what can be done without.

    kubectl debug: https://kubernetes.io/docs/reference/kubectl/generated/kubectl_debug/
    """
    config, master = cluster.config, cluster.master
    yield ssh(config, cluster.client.host, master.key_name)
    if is_anothers(config, master.key_name):
        yield f"(the master's key is {master.key_name}, another computer's; without it:"
        for node in nodes:
            if node.instance_id == master.instance_id:
                yield f"kubectl debug node/{node.name} -it --image=busybox  has the master's files in /host, and"
        yield f"KUBE_REPLACE_MASTER={master.instance_id} python kube_up.py  makes it anew with this one's)"


def given(config: Config) -> str:
    """What must be set for another command to mean this cluster."""
    id_ = "" if config.cluster_id == "kubernetes" else f"KUBE_AWS_INSTANCE_PREFIX={config.cluster_id} "
    return f"KUBE_AWS_ZONE={config.kube_aws_zone} {id_}"
