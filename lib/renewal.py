"""The control plane's certificates: the master renews them monthly and at each boot; a run sees to it that it did."""

from __future__ import annotations

import datetime
import functools
from typing import TYPE_CHECKING

from lib import diagnosis
from lib.kube.api import Unreachable
from lib.kubeconfig import RENEW_DAYS

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.kube.api import Api
    from lib.settings.config import Config


def renew_certificates(aws: Aws, config: Config, api: Api, *, master_id: str, host: str) -> None:
    """Reboot a master whose API shows a certificate with less than 90 days left: its boot renews all that it has.

    The API is away for a minute then, pods run on. A dry run asks the API too, and reboots nothing. Of an API that does
    not answer, nothing is known. Raises WaitExpired when the new certificate does not come.
    """
    old = _ends(api)
    if config.kube_use_existing_master or old is None or not _is_near(old):
        return
    aws.away = f"away for a minute, while master {master_id} reboots; pods run on"
    words = f"master {master_id}, which renews its certificates: the API's ends on {old:%Y-%m-%d}"
    aws.change("reboot", words, lambda: aws.ec2.reboot_instances(InstanceIds=[master_id]))
    if not aws.dry_run:
        aws.wait(
            "the API's new certificate",
            lambda: _newer(api, old),
            seconds=config.kube_wait_api_seconds,
            at_end=functools.partial(diagnosis.of_master, aws, config, master_id, host=host),
        )


def _ends(api: Api) -> datetime.datetime | None:
    from lib.kube import certificates

    try:
        return certificates.shown_ends(api.certificate())
    except Unreachable:
        return None


def _is_near(end: datetime.datetime) -> bool:
    return end < datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEW_DAYS)


def _newer(api: Api, old: datetime.datetime) -> bool | None:
    """True once the API is there again with a certificate that ends later."""
    new = _ends(api)
    return True if new and new > old else None
