"""How a dry run ends: what would be made, changed, replaced and removed, whether the API goes away, and the price.

And whether it would fail, as far as IAM's simulation knows the rights that these changes take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.aws.changes import KINDS
from lib.aws.needed import needed
from lib.checks import prices, rights
from lib.run.errors import KubeError
from lib.run.words import counted

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.settings.config import Config


def tell_verdict(aws: Aws, config: Config, *, bucket: str, price: prices.Cost | None) -> None:
    """Say it; `price` is None for a cluster that goes. Raises KubeError where the run would fail."""
    labelled, changes = aws.console.labelled, aws.kinds.total()
    aws.console.verdict = {
        "counts": {kind: aws.kinds[kind] for kind in KINDS},
        "api_away": aws.away,
        "loses": aws.loses,
        "cost": price.document if price else None,
    }
    aws.console.line()
    if changes:
        labelled("changes", aws.counts(past=False))
    if aws.loses:
        labelled("loses", aws.loses)
    if aws.away:
        labelled("API", aws.away)
    if price:
        prices.tell_cost(aws.console, price)
    asks = changes > 0 and not aws.hurried
    lacking = needed(rights.tell_rights(aws, config, bucket=bucket), aws.planned) if asks else []
    if lacking:
        raise KubeError(
            f"no right to {', '.join(lacking)}",
            hint="IAM's simulation says so; docs/permissions.md has the whole policy",
        )
    what = f"This would make {counted(changes, 'change')} and made none: leave out --dry-run to make them."
    aws.console.sentence(what if changes else f"Nothing to do{aws.console.but()}.")
