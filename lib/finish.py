"""The end of an up: what was made is waited for, brought up to date through its API, looked at, and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib import master, renewal, roll, summary, survey
from lib.kube import api

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.cluster import Cluster


def finish(aws: Aws, cluster: Cluster) -> None:
    """Return once master and minions are as they should be, and a person was told. Raises WaitExpired, KubeError."""
    config, client, minions = cluster.config, cluster.client, cluster.minions
    master_id, runs = cluster.master.instance_id, cluster.master.runs
    if not runs:
        master.wait_running(aws, config, master_id)
    reached = summary.wait_api(aws, config, client, master=cluster.master)
    asked = api.Api(client) if runs and aws.dry_run else reached
    if asked and aws.dry_run:
        summary.show_cluster(aws, asked)
    # Before minions are replaced, since that goes through the API: its certificate must be good, and no minion may be
    # newer than it is.
    if asked and runs:
        renewal.renew_certificates(aws, config, asked, master_id=master_id, host=client.host)
    if (asked or aws.dry_run) and not config.kube_use_existing_master:
        survey.confirm(aws, cluster, asked)
    roll.settle_minions(aws, config, asked, minions.group_name, template=minions.template, data=minions.data)
    nodes = summary.validate_cluster(aws, config, reached, client, master_id=master_id)
    aws.look_again()
    summary.say_done(aws, cluster, nodes)
