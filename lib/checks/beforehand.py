"""What is told and asked right before the first change of a run, and only then: quotas, rights, key.

The price of a new cluster is told a little sooner.

A rerun that finds everything as it should be makes none of these calls.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lib.aws import keys
from lib.checks import prices, quotas, rights

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config


def check_before_change(aws: Aws, config: Config, *, bucket: str, tell_roles: Callable[[], None]) -> None:
    """Have `_check` called before the first change; not for who is in a hurry. `tell_roles`: of brought ones."""
    if not aws.hurried:
        aws.before_change = functools.partial(_check, aws, config, bucket=bucket, tell_roles=tell_roles)


def tell_price(aws: Aws, config: Config, environ: Mapping[str, str]) -> None:
    """Say what a new cluster will cost, before money is spent; a dry run says it at its end."""
    if not aws.dry_run:
        price = prices.cost(aws, config, environ)
        aws.console.say(f"price   {price.amount}: {price.made_of}")


def _check(aws: Aws, config: Config, *, bucket: str, tell_roles: Callable[[], None]) -> None:
    """Tell what the caller and brought roles may not do, and the disks' key where it is a customer's.

    Raises SettingError for what the account's quotas do not allow.
    """
    quotas.check_quotas(aws, config)
    if not aws.dry_run:  # which tells at its end whether it is needed
        rights.tell_rights(aws, config, bucket=bucket)
    tell_roles()
    keys.tell_key(aws)
