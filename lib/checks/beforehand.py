"""What is told and asked right before the first change of a run, and only then: price, quotas, rights, key.

A rerun that finds everything as it should be makes none of these calls.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from lib.aws import keys
from lib.checks import prices, quotas, rights

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config
    from lib.settings.layers import Layers


def check_before_change(aws: Aws, config: Config, layers: Layers, *, bucket: str) -> None:
    """Have `_check` called before the first change; not for who is in a hurry."""
    if not aws.hurried:
        aws.before_change = functools.partial(_check, aws, config, layers, bucket=bucket)


def _check(aws: Aws, config: Config, layers: Layers, *, bucket: str) -> None:
    """Tell the price, what the caller may not do, and the disks' key where it is a customer's.

    Raises SettingError for what the account's quotas do not allow.
    """
    prices.tell_price(aws, config, layers.environment)
    quotas.check_quotas(aws, config)
    rights.tell_rights(aws, config, bucket=bucket)
    keys.tell_key(aws)
