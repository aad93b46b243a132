"""What becomes of what an option made, once it is unset: each step takes its own away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib import dns, iam, podidentity, selfheal

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.cluster import Cluster


def remove_unset(aws: Aws, cluster: Cluster) -> None:
    """Remove what the last run made for options that this one has not, or has otherwise.

    Before the settings are written down: only what is remembered tells that there is something to remove.
    """
    selfheal.remove_unremembered(aws, cluster)
    dns.remove_former_name(aws, cluster)
    iam.take_off_former(aws, cluster)
    podidentity.remove_former(aws, cluster)
