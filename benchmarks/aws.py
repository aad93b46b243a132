"""python -m benchmarks.aws: the sandbox with the quota of routes raised to what AWS gives at most, for 990 minions."""

from __future__ import annotations

import sys

from sandbox import cli, images

ROUTES = ("vpc", "L-93826ACB")
MOST_ROUTES = 1000.0

if __name__ == "__main__":
    images.QUOTAS[ROUTES] = (images.QUOTAS[ROUTES][0], MOST_ROUTES)
    sys.exit(cli.main(sys.argv[1:]))
